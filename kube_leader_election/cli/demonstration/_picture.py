"""The story as it is seen on a terminal, by rich. Pure."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ._happenings import SERVER, What
from ._script import KEYS, QUIT, Deed
from ._story import Replica, Story, Term

_LINES = 8
_SHOWN_REPLICAS = 7
_BAR = 20
_KEYS = {
    Deed.STOP: "stop the leader",
    Deed.KILL: "kill it",
    Deed.FREEZE: "freeze it",
    Deed.OUTAGE: "outage",
    Deed.ADD: "add a replica",
}


def picture(
    story: Story, now: float, *, lease_ttl: float, renew_deadline: float, has_keys: bool
) -> RenderableType:
    """Return who leads and for how long still, what the others know, and what happened last."""
    table = Table(box=None, padding=(0, 2, 0, 0), expand=False)
    for column, width in (("", None), ("STATE", 20), ("TOKEN", 6), ("TIME LEFT", _BAR), ("", None)):
        table.add_column(column, min_width=width, no_wrap=True)
    leader = story.leader(now)
    for replica in _to_show(story):
        term = leader if leader is not None and leader.name == replica.name else None
        table.add_row(*_row(replica, term, now, renew_deadline), style=_style(replica, term))
    table.add_row()
    table.add_row(*_lease_row(story, now, lease_ttl))
    last = [f"{at:5.1f} s  {text}" for at, text in story.lines[-_LINES:]]
    last += [""] * (_LINES - len(last))
    below = [Text(line, no_wrap=True, overflow="ellipsis") for line in ["", *last, ""]]
    return Group(Text(_title(story, now)), Text(), table, *below, *([_keys()] if has_keys else []))


def _title(story: Story, now: float) -> str:
    living = len(story.living())
    count = f"{living} replica{'s' * (living != 1)}"
    server = f", {SERVER} is away" if story.is_server_away else ""
    return f"{now - story.began_at:5.1f} s  {count}, one Lease{server}"


def _to_show(story: Story) -> list[Replica]:
    """Return those who live, and as many of those who do not as there is room for."""
    ended = [each for each in story.replicas.values() if not each.lives]
    too_many = max(0, len(story.replicas) - _SHOWN_REPLICAS)
    hidden = {each.name for each in ended[:too_many]}
    return [each for name, each in story.replicas.items() if name not in hidden]


def _row(
    replica: Replica, term: Term | None, now: float, renew_deadline: float
) -> tuple[RenderableType, ...]:
    state = Text(_state(replica, term))
    if term is None:
        return Text(replica.name), state
    left = max(0.0, term.over_at - now)
    token = Text(str(term.token))
    return Text(replica.name), state, token, _bar(left, renew_deadline), Text(f"{left:.1f} s")


def _state(replica: Replica, term: Term | None) -> str:
    if not replica.lives:
        return {What.KILLED: "was killed"}.get(replica.ended_as or What.ENDED, "has ended")
    if replica.is_frozen:
        return "stands still" if term is None else "leads, stands still"
    if term is not None:
        return "leads" if not replica.was_told_to_stop else "leads, is stopping"
    if replica.was_told_to_stop:
        return "is stopping"
    if replica.knows is None:
        return "follows" if replica.is_awake else "is starting"
    return "follows" if replica.knows == replica.name else f"follows {replica.knows}"


def _style(replica: Replica, term: Term | None) -> str:
    if not replica.lives:
        return "dim"
    if replica.is_frozen:
        return "yellow"
    return "bold green" if term is not None else ""


def _lease_row(story: Story, now: float, lease_ttl: float) -> tuple[RenderableType, ...]:
    if story.lease is None:
        return Text("the Lease"), Text("is not there yet")
    if story.lease.holder is None:
        return Text("the Lease"), Text("is free")
    left = max(0.0, story.lease.expires_at - now)
    state = f"says {story.lease.holder}" if left else "has expired"
    return Text("the Lease"), Text(state), Text(), _bar(left, lease_ttl), Text(f"{left:.1f} s")


def _bar(left: float, whole: float) -> ProgressBar:
    near = "red" if left < whole / 4 else "green"
    return ProgressBar(
        total=whole,
        completed=min(left, whole),
        width=_BAR,
        complete_style=near,
        finished_style=near,
    )


def _keys() -> Text:
    text = Text(no_wrap=False)
    for key, deed in KEYS.items():
        text.append(key, "bold").append(f" {_KEYS[deed]}   ")
    return text.append(QUIT, "bold").append(" end")

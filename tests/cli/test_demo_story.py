"""From what the replicas tell to what is said and drawn of it"""

from __future__ import annotations

import io
import time
from xml.etree import ElementTree

import pytest
from rich.console import Console

from kube_leader_election._events import Event
from kube_leader_election._leadership import Leadership
from kube_leader_election.cli.demonstration._happenings import SERVER, Happening, What
from kube_leader_election.cli.demonstration._picture import picture
from kube_leader_election.cli.demonstration._replica import end_of
from kube_leader_election.cli.demonstration._story import Lease, Story, Term
from kube_leader_election.cli.demonstration._summary import overlaps, summary_of
from kube_leader_election.cli.demonstration._timeline import svg

BEGAN_AT = 1000.0
SVG = "http://www.w3.org/2000/svg"


def happens(
    at: float,
    name: str,
    what: What,
    *,
    token: int | None = None,
    until: float | None = None,
    leader: str | None = None,
    seconds: float | None = None,
) -> Happening:
    """Times are since the beginning."""
    return Happening(
        name=name,
        what=what,
        at=BEGAN_AT + at,
        token=token,
        until=None if until is None else BEGAN_AT + until,
        leader=leader,
        seconds=seconds,
    )


def story_of(*happenings: Happening, replicas: int = 3) -> Story:
    story = Story(BEGAN_AT)
    for number in range(1, replicas + 1):
        story.hear(happens(0, f"r{number}", What.STARTED))
    for happening in happenings:
        story.hear(happening)
    return story


def lines(story: Story) -> list[str]:
    return [text for _, text in story.lines]


R1_LEADS = happens(1, "r1", What.LEADS, token=2, until=3)
RENEWED = happens(2, "r1", What.RENEWED, until=4)
STOPPED = [
    happens(3, "r1", What.STOPPED),
    happens(3.25, "r1", What.FINISHED),
    happens(3.5, "r1", What.ENDED),
]


@pytest.mark.parametrize(
    ("happenings", "leads_until"),
    [
        ([R1_LEADS], 3.0),
        ([R1_LEADS, RENEWED], 4.0),
        ([R1_LEADS, RENEWED, *STOPPED], 3.25),
        ([R1_LEADS, RENEWED, happens(2.5, "r1", What.KILLED)], 2.5),
        ([R1_LEADS, happens(2.5, "r1", What.KILLED), RENEWED], 2.5),
        ([R1_LEADS, RENEWED, happens(3, "r1", What.FROZEN, seconds=4)], 4.0),
        (
            [
                R1_LEADS,
                happens(2.5, "r1", What.FROZEN, seconds=4),
                happens(6.5, "r1", What.THAWED),
                happens(6.6, "r1", What.LOST),
            ],
            3.0,
        ),
    ],
)
def test_a_replica_leads_until_its_work_has_finished_or_its_time_is_over(
    happenings: list[Happening], leads_until: float
) -> None:
    story = story_of(*happenings)
    (term,) = story.terms
    assert term.over_at == BEGAN_AT + leads_until
    assert story.leader(BEGAN_AT + leads_until - 0.001) is term
    assert story.leader(BEGAN_AT + leads_until) is None
    assert story.leader(BEGAN_AT + 0.9) is None


def test_what_a_killed_replica_had_told_before_makes_no_leader() -> None:
    story = story_of(happens(1.5, "r1", What.KILLED), R1_LEADS)
    assert story.leader(BEGAN_AT + 1.6) is None
    assert story.terms[0].over_at == BEGAN_AT + 1.5


AWAY = happens(1.5, SERVER, What.AWAY, seconds=2)
BACK = happens(3.5, SERVER, What.BACK)


@pytest.mark.parametrize(
    ("happenings", "said"),
    [
        (STOPPED, ", 1.0s after r1 was stopped"),
        (
            [STOPPED[0], happens(3.01, "r1", What.RENEWED, until=5), *STOPPED[1:]],
            ", 1.0s after r1 was stopped",
        ),
        ([happens(3, "r1", What.KILLED)], ", 1.0s after r1 was killed"),
        (
            [
                happens(2, "r1", What.FROZEN, seconds=4),
                happens(2.01, "r1", What.RENEWED, until=3.06),
            ],
            ", 2.0s after r1 stood still",
        ),
        ([happens(2, "r1", What.FROZEN, seconds=4)], ", 2.0s after r1 stood still"),
        ([AWAY, happens(3.1, "r1", What.LOST), BACK], ", 500ms after the API server was back"),
        ([AWAY, happens(3.1, "r1", What.RENEWED, until=3.6), BACK], ""),
        ([happens(3, "r3", What.KILLED)], ""),
    ],
)
def test_the_next_leader_is_told_with_what_it_came_after(
    happenings: list[Happening], said: str
) -> None:
    leads = happens(1, "r1", What.LEADS, token=2, until=3.05)
    story = story_of(leads, *happenings, happens(4, "r2", What.LEADS, token=5, until=6))
    assert lines(story)[-1] == f"r2 leads (fencing token 5){said}"


def test_what_a_leader_has_outlasted_is_no_cause_of_what_comes_later() -> None:
    story = story_of(
        R1_LEADS,
        happens(1.5, "r1", What.FROZEN, seconds=0.5),
        happens(2, "r1", What.THAWED),
        happens(2.1, "r1", What.RENEWED, until=4.1),
        happens(5, "r2", What.LEADS, token=5, until=7),
    )
    assert lines(story)[-1] == "r2 leads (fencing token 5)"


def test_what_a_deed_means_is_explained_once() -> None:
    story = story_of(happens(1, "r1", What.KILLED), happens(2, "r2", What.KILLED))
    assert lines(story) == [
        "r1 is killed, as by a crash: nobody releases the Lease",
        "r2 is killed",
    ]


def term(name: str, began_at: float, until: float, token: int = 1) -> Term:
    return Term(name=name, token=token, began_at=began_at, until=until)


@pytest.mark.parametrize(
    ("terms", "count"),
    [
        ([], 0),
        ([term("a", 0, 2)], 0),
        ([term("a", 0, 2), term("b", 2, 4)], 0),
        ([term("a", 0, 2), term("b", 1.999, 4)], 1),
        ([term("b", 1.999, 4), term("a", 0, 2)], 1),
        ([term("a", 0, 9), term("b", 1, 2), term("c", 3, 4)], 2),
    ],
)
def test_every_instant_with_two_leaders_is_counted(terms: list[Term], count: int) -> None:
    assert len(overlaps(terms)) == count


def test_the_summary_says_what_was_seen() -> None:
    story = story_of(
        R1_LEADS,
        RENEWED,
        *STOPPED,
        happens(3.3, "r2", What.LEADS, token=5, until=5.3),
        happens(4, "r2", What.KILLED),
        happens(7, "r3", What.LEADS, token=8, until=9),
    )
    summary = summary_of(story)
    assert summary.is_well
    assert summary.lines == (
        "terms                 3, of 3 replicas",
        "fencing tokens        2 < 5 < 8: each greater than all before",
        "next leader           300ms after a release",
        "                      3.0s after a kill",
        "two leaders at once   at no instant, by the clock that all processes share",
    )


@pytest.mark.parametrize(
    ("second", "line"),
    [
        (happens(2.5, "r2", What.LEADS, token=5, until=4), "two leaders at once   SEEN 1 x, "),
        (happens(3.5, "r2", What.LEADS, token=2, until=5), "fencing tokens        2, 2: NOT INC"),
    ],
)
def test_what_must_never_be_is_not_well(second: Happening, line: str) -> None:
    summary = summary_of(story_of(R1_LEADS, second))
    assert not summary.is_well
    assert any(each.startswith(line) for each in summary.lines)


def test_a_story_without_a_leader_has_a_summary_and_a_picture() -> None:
    assert summary_of(story_of()).is_well
    assert "never two leaders" in svg(story_of(), BEGAN_AT + 1)


def seen(story: Story, now: float, *, width: int = 80, has_keys: bool = True) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    drawn = picture(story, BEGAN_AT + now, lease_ttl=3, renew_deadline=2, has_keys=has_keys)
    with console.capture() as captured:
        console.print(drawn)
    return [line.rstrip() for line in captured.get().splitlines()]


def state_of(name: str, story: Story, now: float) -> list[str]:
    (line,) = [each for each in seen(story, now) if each.startswith(name)]
    return line.removeprefix(name).translate(str.maketrans("", "", "\u2501\u2578\u257a")).split()


@pytest.mark.parametrize(
    ("happenings", "now", "state"),
    [
        ([], 1.0, "is starting"),
        ([happens(1, "r1", What.KNOWS, leader="r2")], 1.0, "follows r2"),
        ([R1_LEADS], 1.0, "leads 2 2.0 s"),
        ([R1_LEADS], 2.5, "leads 2 0.5 s"),
        ([R1_LEADS, RENEWED], 2.5, "leads 2 1.5 s"),
        ([R1_LEADS], 3.0, "follows"),
        ([R1_LEADS, happens(2, "r1", What.FROZEN)], 2.5, "leads, stands still 2 0.5 s"),
        ([R1_LEADS, happens(2, "r1", What.FROZEN)], 3.5, "stands still"),
        ([R1_LEADS, happens(2, "r1", What.STOPPED)], 2.5, "leads, is stopping 2 0.5 s"),
        ([happens(2, "r1", What.STOPPED)], 2.5, "is stopping"),
        ([R1_LEADS, RENEWED, *STOPPED], 3.6, "has ended"),
        ([R1_LEADS, happens(2, "r1", What.KILLED)], 2.5, "was killed"),
    ],
)
def test_the_picture_shows_what_each_replica_does_and_for_how_long_it_leads(
    happenings: list[Happening], now: float, state: str
) -> None:
    assert state_of("r1", story_of(*happenings), now) == state.split()


@pytest.mark.parametrize(
    ("lease", "state"),
    [
        (None, "is not there yet"),
        (Lease(None, BEGAN_AT), "is free"),
        (Lease("r1", BEGAN_AT + 4.5), "says r1 2.5 s"),
        (Lease("r1", BEGAN_AT + 2), "has expired 0.0 s"),
    ],
)
def test_the_picture_shows_what_the_lease_says_and_when_it_expires(
    lease: Lease | None, state: str
) -> None:
    story = story_of()
    story.lease = lease
    assert state_of("the Lease", story, 2.0) == state.split()


def test_the_picture_tells_that_the_server_is_away_and_what_happened_last() -> None:
    story = story_of(R1_LEADS, happens(2, SERVER, What.AWAY, seconds=4))
    shown = seen(story, 2.5)
    assert shown[0] == "  2.5 s  3 replicas, one Lease, the API server is away"
    assert "  1.0 s  r1 leads (fencing token 2)" in shown
    story.hear(happens(6, SERVER, What.BACK))
    assert seen(story, 6)[0] == "  6.0 s  3 replicas, one Lease"


def test_the_picture_keeps_its_height_so_that_nothing_jumps() -> None:
    story = story_of(R1_LEADS)
    height = len(seen(story, 1))
    for number in range(20):
        story.hear(happens(2 + number, "r1", What.THAWED))
    assert len(seen(story, 30)) == height
    assert len(seen(story, 30, has_keys=False)) == height - 1


def test_where_many_have_ended_those_who_live_are_shown() -> None:
    kills = [happens(number, f"r{number}", What.KILLED) for number in range(1, 8)]
    shown = "\n".join(seen(story_of(*kills, replicas=10), 12))
    assert [f"\nr{number} " in shown for number in range(1, 11)] == [False] * 3 + [True] * 7


def test_nothing_is_wider_than_the_terminal_and_the_keys_fit_into_80_columns() -> None:
    story = story_of(R1_LEADS)
    story.say("x" * 200, BEGAN_AT + 1)
    story.lease = Lease("r1", BEGAN_AT + 4)
    assert max(map(len, seen(story, 2, width=80))) <= 80
    assert seen(story, 2, width=80)[-1].endswith("q end")
    assert max(map(len, seen(story, 2, width=60))) <= 60


def test_the_timeline_has_a_lane_for_each_replica_and_says_what_befell_it() -> None:
    story = story_of(
        R1_LEADS,
        happens(2, "r1", What.FROZEN, seconds=4),
        happens(2.5, SERVER, What.AWAY, seconds=1),
        happens(3.5, SERVER, What.BACK),
        happens(5, "r2", What.LEADS, token=5, until=9),
        happens(6, "r1", What.THAWED),
    )
    drawn = ElementTree.fromstring(svg(story, BEGAN_AT + 8))
    words = ["".join(each.itertext()) for each in drawn.iter(f"{{{SVG}}}text")]
    assert any(each.startswith("2 terms, never two leaders. ") for each in words)
    for expected in ("r1", "r2", "r3", "server", "token 2", "stands still", "is away"):
        assert expected in words
    assert len(list(drawn.iter(f"{{{SVG}}}rect"))) == 1 + 2


def test_the_timeline_marks_two_leaders() -> None:
    wrong = happens(2.5, "r2", What.LEADS, token=5, until=4)
    assert "TWO LEADERS, 1 x" in svg(story_of(R1_LEADS, wrong), BEGAN_AT + 5)


@pytest.mark.parametrize(("until", "told"), [(1.05, []), (1.6, ["2345"]), (2.5, ["token 2345"])])
def test_a_token_is_never_cut_in_the_timeline(until: float, told: list[str]) -> None:
    leads = happens(1, "r1", What.LEADS, token=2345, until=until)
    drawn = ElementTree.fromstring(svg(story_of(leads), BEGAN_AT + 10))
    words = ["".join(each.itertext()) for each in drawn.iter(f"{{{SVG}}}text")]
    assert [each for each in words if each in ("token", "2345", "token 2345")] == told
    assert not [each for each in words if "token" in each and each not in told]


def leadership(*, left: float) -> Leadership:
    return Leadership(
        ordinal=1,
        fencing_token=2,
        stopping=Event(),
        lost=Event(),
        remaining=lambda _: left,
        holder_identity=lambda: None,
    )


def test_a_replica_tells_no_later_end_of_a_term_than_it_has() -> None:
    before = time.monotonic()
    assert before + 2 <= end_of(leadership(left=2.0)) <= time.monotonic() + 2


def test_a_term_that_is_over_is_not_told_to_end_now() -> None:
    assert end_of(leadership(left=0.0)) == 0.0

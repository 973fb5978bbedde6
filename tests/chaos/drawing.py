"""What happened, as one picture: a row for each minute, in it a lane for each replica"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from html import escape

from kube_leader_election.testing._lanes import INK, opening, text

from .evidence import Evidence, Fault, Violation

_ROW_SECONDS = 60.0
_LEFT, _RIGHT, _TOP = 90.0, 1290.0, 78.0
_LANE, _GAP = 38.0, 22.0
_SERVER, _LEASE = "server", "lease"
_TERMS = ("#2b6cb0", "#2f855a", "#b7791f", "#6b46c1", "#2c7a7b")
_QUIET, _WRONG, _LINE = "#e6f4ea", "#d00000", "#cbd5e0"
_COLOURS = {
    "stopped": "#4a5568",
    "killed": "#c53030",
    "terminated": "#dd6b20",
    "forbidden": "#b83280",
    "wall clock": "#805ad5",
    "fork": "#38b2ac",
}
_NETWORK = "#8a6d00"
_OTHER = "#718096"
# Within a lane: where bars begin, and how high they are.
_TERM, _PROCESS, _RIGHTS, _WAY, _MARK = (2, 10), (13, 9), (23, 2), (26, 9), 36
_MOMENT = 0.25  # in seconds; what is shorter is a mark


def draw(evidence: Evidence, violations: list[Violation], began_at: float, title: str) -> str:
    """An SVG document."""
    return "\n".join(_Drawing(evidence, violations, began_at, title).parts())


class _Drawing:
    def __init__(
        self, evidence: Evidence, violations: list[Violation], began_at: float, title: str
    ) -> None:
        self._evidence = evidence
        self._violations = violations
        self._began_at = began_at
        self._title = title
        replicas = sorted({each.replica for each in evidence.processes})
        self._lanes = {name: n for n, name in enumerate([*replicas, _SERVER, _LEASE])}
        self._colours = dict(zip(replicas, _TERMS, strict=False))
        times = [each.until for each in evidence.quiet] + [each.until for each in evidence.beliefs]
        times += [each.ended_at for each in evidence.faults]
        seconds = max(times, default=began_at) - began_at
        self._rows = int(seconds // _ROW_SECONDS) + 1
        self._row_height = _LANE * len(self._lanes) + _GAP

    def parts(self) -> Iterator[str]:
        width, height = _RIGHT + 10, _TOP + self._rows * self._row_height
        yield from opening(width, height, size=10)
        yield from self._legend()
        for window in self._evidence.quiet:
            yield from self._bars(window.since, window.until, 0, _QUIET, lanes=len(self._lanes))
        for row in range(self._rows):
            yield from self._grid(row)
        for fault in sorted(self._evidence.faults, key=lambda each: each.began_at):
            yield from self._fault(fault)
        for belief in self._evidence.beliefs:
            lane, colour = self._lanes[belief.replica], self._colours[belief.replica]
            told = f"token {belief.token}"
            until = max(belief.since, belief.until)
            yield from self._bars(belief.since, until, lane, colour, told=told, place=_TERM)
        yield from self._hand_overs()
        yield from self._wrongs()
        yield "</svg>"

    def _wrongs(self) -> Iterator[str]:
        told_at = (-_RIGHT, 0.0)
        height = self._row_height - _GAP
        for violation in self._violations:
            x, y = self._place(violation.at, 0)
            hint = f"<title>{escape(violation.what)}</title>"
            yield (
                f'<path d="M{x:.1f} {y - 6:.1f}v{height + 6:.1f}" stroke="{_WRONG}"'
                f' stroke-width="2">{hint}</path>'
            )
            if y != told_at[1] or x > told_at[0] + 60:
                told_at = (x, y)
                yield _text(x + 3, y - 3, violation.rule, _WRONG)

    def _legend(self) -> Iterator[str]:
        yield _text(10, 20, f"Five replicas and one Lease, {self._title}", size=15)
        verdict = f"{len(self._violations)} violations" if self._violations else "no violation"
        terms = len(self._evidence.beliefs)
        counts = f"{terms} terms, {len(self._evidence.faults)} faults, {verdict}"
        yield _text(10, 38, f"{counts}; a row is {_ROW_SECONDS:g} s, times in seconds")
        items = {
            "leads, with its token": _TERMS[0],
            **_COLOURS,
            "network": _NETWORK,
            "all is well": _QUIET,
            "violation": _WRONG,
        }
        x = 10.0
        for name, colour in items.items():
            yield f'<rect x="{x:g}" y="48" width="12" height="9" fill="{colour}"/>'
            yield _text(x + 16, 56, name)
            x += 30 + 5.6 * len(name)
        yield _text(x, 56, "thin line: hand-over")

    def _grid(self, row: int) -> Iterator[str]:
        top = _TOP + row * self._row_height
        for name, lane in self._lanes.items():
            y = top + lane * _LANE
            yield _text(6, y + 12, name)
            yield f'<path d="M{_LEFT:g} {y:g}H{_RIGHT:g}" stroke="{_LINE}" stroke-width=".5"/>'
        for second in range(0, int(_ROW_SECONDS) + 1, 10):
            x = _LEFT + second / _ROW_SECONDS * (_RIGHT - _LEFT)
            height = _LANE * len(self._lanes)
            yield f'<path d="M{x:g} {top:g}v{height:g}" stroke="{_LINE}" stroke-width=".5"/>'
            if second < _ROW_SECONDS:
                yield _text(x + 1, top - 2, f"{row * _ROW_SECONDS + second:g}", "#4a5568", size=8)

    def _fault(self, fault: Fault) -> Iterator[str]:
        lane = self._lanes[fault.target]
        is_ours = fault.target in (_SERVER, _LEASE)
        colour = _OTHER if is_ours else _COLOURS.get(fault.kind, _NETWORK)
        if fault.ended_at - fault.began_at < _MOMENT:
            x, y = self._place(fault.began_at, lane)
            y += 18 if is_ours else _MARK
            hint = f"<title>{escape(fault.kind)}</title>"
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}">{hint}</circle>'
            if is_ours:
                yield _text(x + 4, y + 3, fault.kind, size=8)
            return
        place = _RIGHTS if fault.kind == "forbidden" else _PROCESS
        place = _WAY if colour == _NETWORK else place
        yield from self._bars(
            fault.began_at, fault.ended_at, lane, colour, told=fault.kind, place=place
        )

    def _hand_overs(self) -> Iterator[str]:
        beliefs = sorted(self._evidence.beliefs, key=lambda each: each.since)
        for old, new in itertools.pairwise(beliefs):
            x, y = self._place(old.until, self._lanes[old.replica])
            to_x, to_y = self._place(new.since, self._lanes[new.replica])
            if self._row(old.until) == self._row(new.since):
                path = f"M{x:.1f} {y + 6:.1f}L{to_x:.1f} {to_y + 6:.1f}"
                yield f'<path d="{path}" stroke="{INK}" stroke-width=".7" opacity=".6"/>'

    def _bars(
        self,
        since: float,
        until: float,
        lane: int,
        colour: str,
        *,
        told: str = "",
        place: tuple[int, int] | None = None,
        lanes: int = 1,
    ) -> Iterator[str]:
        """A bar, in as many rows as it needs; what is told is in it, cut where it is too long."""
        while since < until + 1e-9:
            row_ends_at = self._began_at + (self._row(since) + 1) * _ROW_SECONDS
            x, y = self._place(since, lane)
            end, _ = self._place(min(until, row_ends_at - 1e-6), lane)
            width = max(0.8, end - x)
            top, tall = place or (0, _LANE * lanes)
            y += top
            hint = f"<title>{escape(told)}</title>" if told else ""
            yield (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:g}"'
                f' fill="{colour}">{hint}</rect>'
            )
            fits = int(width / 4.6)
            short = told.removeprefix("token ") if fits < len(told) else told
            if fits >= 3 and tall > 5:
                yield _text(x + 2, y + tall - 1.5, short[:fits], "#fff", size=8)
            since = row_ends_at

    def _row(self, at: float) -> int:
        return max(0, int((at - self._began_at) // _ROW_SECONDS))

    def _place(self, at: float, lane: int) -> tuple[float, float]:
        row = self._row(at)
        within = max(0.0, at - self._began_at - row * _ROW_SECONDS) / _ROW_SECONDS
        x = _LEFT + within * (_RIGHT - _LEFT)
        return x, _TOP + row * self._row_height + lane * _LANE


def _text(x: float, y: float, words: str, colour: str = INK, *, size: int = 10) -> str:
    return text(x, y, words, colour, size=size)

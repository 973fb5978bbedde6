"""A run as one picture: a lane for each replica and one for the server, and what happens in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from html import escape

from ._chronicle import Chronicle, Entry, chronicle_of
from ._judge import TermSeen
from ._run import Outcome
from ._schedule import Schedule

_LEFT, _RIGHT, _TOP, _LANE = 80.0, 1180.0, 60.0, 70.0
_INK, _LINE, _FAULT, _WRONG = "#1a202c", "#a0aec0", "#b7791f", "#c53030"
_TERMS = ("#2b6cb0", "#2f855a", "#6b46c1", "#2c7a7b", "#b83280", "#975a16", "#4a5568", "#c05621")
_SERVER = "server"


def svg(schedule: Schedule) -> str:
    """Return an SVG document: who believed to lead and when, and what happened meanwhile."""
    return "\n".join(_Drawing(schedule, *chronicle_of(schedule)).parts())


class _Drawing:
    def __init__(self, schedule: Schedule, chronicle: Chronicle, outcome: Outcome) -> None:
        self._chronicle = chronicle
        self._outcome = outcome
        names = [replica.name for replica in schedule.replicas]
        self._lanes = {name: n for n, name in enumerate([*names, _SERVER])}
        self._colours = dict(zip(names, _TERMS, strict=False))
        ends = [outcome.ended_at, *(self._until(term) for term in outcome.terms)]
        self._seconds = max(1.0, min(max(ends), outcome.ended_at + 5.0))
        self._bottom = _TOP + _LANE * len(self._lanes)

    def parts(self) -> Iterator[str]:
        """Yield the document in pieces."""
        width, height = _RIGHT + 20, self._bottom + 40
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
            f' font-family="sans-serif" font-size="11" fill="{_INK}">'
        )
        yield f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>'
        yield from self._grid()
        for term in self._outcome.terms:
            yield from self._term(term)
        for entry in self._chronicle.entries:
            yield self._mark(entry)
        violation = self._outcome.violation
        yield _text(_LEFT, 20, "no violation" if violation is None else str(violation), size=14)
        if violation is not None:
            yield self._line(violation.at, _TOP - 8, self._bottom, _WRONG, 2)
        yield "</svg>"

    def _grid(self) -> Iterator[str]:
        for name, lane in self._lanes.items():
            y = _TOP + lane * _LANE + _LANE / 2
            yield f'<path d="M{_LEFT:g} {y:g}H{_RIGHT:g}" stroke="{_LINE}"/>'
            yield _text(10, y + 4, name, size=13)
        for second in itertools.count():
            if second > self._seconds:
                return
            yield self._line(second, _TOP, self._bottom, "#e2e8f0", 1)
            yield _text(self._x(second) - 3, self._bottom + 16, f"{second}")

    def _term(self, term: TermSeen) -> Iterator[str]:
        name = term.process.replica.name
        x, end = self._x(term.began_at), self._x(min(self._seconds, self._until(term)))
        y = _TOP + self._lanes[name] * _LANE + _LANE / 2
        yield (
            f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="{max(1.0, end - x):.1f}" height="18"'
            f' fill="{self._colours[name]}" opacity=".85"/>'
        )
        yield _text(x + 4, y + 4, f"leads, token {term.token}", "#fff")

    def _mark(self, entry: Entry) -> str:
        name = entry.process.replica.name if entry.process else _SERVER
        x, y = self._x(entry.at), _TOP + self._lanes[name] * _LANE + _LANE / 2
        hint = f"<title>{entry.at:.3f} s, {escape(name)}: {escape(entry.text)}</title>"
        if entry.is_fault:
            words = _text(x + 5, y - 16, entry.text, _FAULT)
            return (
                f'<circle cx="{x:.1f}" cy="{y - 20:.1f}" r="4" fill="{_FAULT}">{hint}</circle>'
                + words
            )
        y += 16 if entry.text.startswith(("asks", "hears")) else 0
        radius = 2 if entry.process else 4
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{_INK}">{hint}</circle>'

    def _until(self, term: TermSeen) -> float:
        return term.ends_at if term.ended_at is None else term.ended_at

    def _line(self, at: float, top: float, bottom: float, colour: str, width: int) -> str:
        path = f"M{self._x(at):.1f} {top:g}V{bottom:g}"
        return f'<path d="{path}" stroke="{colour}" stroke-width="{width}"/>'

    def _x(self, at: float) -> float:
        return _LEFT + at / self._seconds * (_RIGHT - _LEFT)


def _dot(x: float, y: float, radius: int, colour: str, hint: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}">{hint}</circle>'


def _text(x: float, y: float, text: str, colour: str = _INK, *, size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}">{escape(text)}</text>'

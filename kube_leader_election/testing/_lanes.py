"""Lanes over time in SVG: who leads and when, and what befalls whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

INK, LINE, FAULT, WRONG = "#1a202c", "#a0aec0", "#b7791f", "#c53030"
TERMS = ("#2b6cb0", "#2f855a", "#6b46c1", "#2c7a7b", "#b83280", "#975a16", "#4a5568", "#c05621")
_LEFT, _RIGHT, _TOP, _LANE = 80.0, 1180.0, 60.0, 70.0
_STEPS = (1, 5, 10, 60, 600)  # between two lines of the grid, in seconds
_LETTER = 6.0  # how wide one is, nearly


class Lanes:
    """One lane for each of `names`, over `seconds` from the left to the right.

    What is drawn lies in the middle of its lane; words of faults are above.
    """

    def __init__(self, names: Sequence[str], seconds: float) -> None:
        self._numbers = {name: number for number, name in enumerate(names)}
        self._seconds = seconds
        self._bottom = _TOP + _LANE * len(names)

    def opening(self, title: str) -> Iterator[str]:
        """Yield what comes first; what comes last is ``</svg>``."""
        yield from opening(_RIGHT + 20, self._bottom + 40, size=11)
        yield from self._grid()
        yield text(_LEFT, 20, title, size=14)

    def bar(self, name: str, since: float, until: float, words: str, colour: str) -> Iterator[str]:
        """Yield a term, with `words`, or the last of them, or none, as there is room."""
        x, end, y = self._x(since), self._x(min(self._seconds, until)), self._y(name)
        yield (
            f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="{max(1.0, end - x):.1f}" height="18"'
            f' fill="{colour}" opacity=".85"/>'
        )
        room = (end - x - 4) / _LETTER
        shown = (each for each in (words, words.split()[-1]) if len(each) <= room)
        yield text(x + 4, y + 4, next(shown, ""), "#fff")

    def fault(self, name: str, at: float, words: str, hint: str, until: float | None = None) -> str:
        """Return a mark, and its words; `until`: for so long it goes on."""
        x, y = self._x(at), self._y(name)
        drawn = _dot(x, y - 20, 4, FAULT, hint) + text(x + 5, y - 16, words, FAULT)
        if until is not None:
            drawn += f'<path d="M{x:.1f} {y - 12:.1f}H{self._x(until):.1f}" stroke="{FAULT}"/>'
        return drawn

    def dot(self, name: str, at: float, hint: str, *, radius: int = 2, below: int = 0) -> str:
        """Return a mark without words; `below`: so far under the middle."""
        return _dot(self._x(at), self._y(name) + below, radius, INK, hint)

    def hand_over(self, name: str, at: float, to: str, then: float) -> str:
        """Return a line from the end of a term to the beginning of the next."""
        path = f"M{self._x(at):.1f} {self._y(name):.1f}L{self._x(then):.1f} {self._y(to):.1f}"
        return f'<path d="{path}" stroke="{INK}" stroke-width=".7" opacity=".6"/>'

    def wrong(self, at: float) -> str:
        """Return a line through all lanes."""
        return self._line(at, _TOP - 8, WRONG, 2)

    def _grid(self) -> Iterator[str]:
        for name in self._numbers:
            y = self._y(name)
            yield f'<path d="M{_LEFT:g} {y:g}H{_RIGHT:g}" stroke="{LINE}"/>'
            yield text(10, y + 4, name, size=13)
        step = next((each for each in _STEPS if self._seconds / each <= 60), 3600)
        for second in range(0, int(self._seconds) + 1, step):
            yield self._line(second, _TOP, "#e2e8f0", 1)
            yield text(self._x(second) - 3, self._bottom + 16, f"{second}")

    def _line(self, at: float, top: float, colour: str, width: int) -> str:
        path = f"M{self._x(at):.1f} {top:g}V{self._bottom:g}"
        return f'<path d="{path}" stroke="{colour}" stroke-width="{width}"/>'

    def _x(self, at: float) -> float:
        return _LEFT + at / self._seconds * (_RIGHT - _LEFT)

    def _y(self, name: str) -> float:
        return _TOP + self._numbers[name] * _LANE + _LANE / 2


def opening(width: float, height: float, *, size: int) -> Iterator[str]:
    """Yield how a document begins in which letters are of that size."""
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
        f' font-family="sans-serif" font-size="{size}" fill="{INK}">'
    )
    yield f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>'


def text(x: float, y: float, words: str, colour: str = INK, *, size: int = 11) -> str:
    """Return words that begin there."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}">{escape(words)}</text>'
    )


def _dot(x: float, y: float, radius: int, colour: str, hint: str) -> str:
    hint = f"<title>{escape(hint)}</title>"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}">{hint}</circle>'

"""What was measured, what it was to be, and whether it is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from statistics import median

HEADINGS = ("", "n", "least", "median", "most", "target")
_ROW = "  {:<76} {:>7} {:>9} {:>9} {:>9}  {}"
_MILLISECONDS = 1000.0


@dataclass(frozen=True)
class Figure:
    """One row of the table: `numbers` are its least, its median and its largest value.

    `held` is `None` where there is no target. `is_slow`: what does not hold is only how fast
    something is, which says as much of the machine as of what was measured.
    """

    what: str
    n: str
    numbers: tuple[str, str, str]
    target: str
    held: bool | None
    is_slow: bool = False

    def __str__(self) -> str:
        verdict = {None: "", True: ": held", False: ": NOT HELD"}[self.held]
        return _ROW.format(self.what, self.n, *self.numbers, self.target + verdict)


def heading() -> str:
    """Return what stands above the rows."""
    return _ROW.format(*HEADINGS).rstrip()


def milliseconds(
    what: str,
    seconds: Collection[float],
    *,
    least: float | None = None,
    median: float | None = None,
    most: float | None = None,
) -> Figure:
    """Return a row in milliseconds, as are the limits of its `least`, `median` and `most` value."""
    values = [_MILLISECONDS * value for value in seconds]
    return _row(what, values, "ms", 1, least=least, middle=median, most=most)


def seconds(
    what: str,
    values: Collection[float],
    *,
    least: float | None = None,
    most: float | None = None,
    digits: int = 3,
) -> Figure:
    """Return a row in seconds, as are the limits of its `least` and `most` value."""
    return _row(what, values, "s", digits, least=least, middle=None, most=most)


def numbers(
    what: str, values: Collection[float], *, most: float | None = None, unit: str = ""
) -> Figure:
    """Return a row of plain numbers of which none is above `most`, if there is such a limit."""
    row = _row(what, values, unit, 2, least=None, middle=None, most=most)
    return replace(row, is_slow=False)


def every(what: str, verdicts: Collection[bool], *, of_speed: bool = False) -> Figure:
    """Return a row that says how often something was so; it is to be so each time, and once."""
    good, n = sum(verdicts), len(verdicts)
    held = good == n > 0
    return Figure(what, f"{good}/{n}", ("", "", ""), "all", held, is_slow=of_speed and not held)


def _row(
    what: str,
    values: Collection[float],
    unit: str,
    digits: int,
    *,
    least: float | None,
    middle: float | None,
    most: float | None,
) -> Figure:
    if not values:
        return Figure(what, "0", ("", "", ""), "measured", held=False)
    measured = (min(values), median(values), max(values))
    limits = {}
    if least is not None:
        limits[f"least >= {least:g}"] = measured[0] >= least
    if middle is not None:
        limits[f"median <= {middle:g}"] = measured[1] <= middle
    if most is not None:
        limits[f"most <= {most:g}"] = measured[2] <= most
    target = f"{', '.join(limits) or 'no target,'} {unit}".rstrip()
    shown = [f"{value:.{digits}f}" for value in measured]
    held = all(limits.values()) if limits else None
    is_slow = held is False and (least is None or measured[0] >= least)
    return Figure(what, str(len(values)), (shown[0], shown[1], shown[2]), target, held, is_slow)

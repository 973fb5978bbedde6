"""What is written for people, who may read it through a pipe."""

from __future__ import annotations

import functools
import sys
from typing import NoReturn

say = functools.partial(print, flush=True)

PREFIX = "kube-leader-election: "


def complain(problem: str) -> None:
    """It was said on standard error, and by whom."""
    print(f"{PREFIX}{problem}", file=sys.stderr, flush=True)  # noqa: T201


def give_up(text: str) -> NoReturn:
    """The command ends with exit code 1, and `text` on standard error says why."""
    raise SystemExit(f"{PREFIX}{text}")


def printable(text: str) -> str:
    """Return `text` with whatever could steer a terminal spelled out."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "replace").decode()
        for each in text
    )


def shown(seconds: float) -> str:
    """Return a duration for people, in two units at most: ``850ms``, ``3.2s``, ``5m10s``, ``2d3h``.

    What is shorter than 10 seconds has a decimal; a negative one has its sign.
    """
    if seconds < 0:
        return f"-{shown(-seconds)}"
    if round(seconds, 3) < 1:
        return f"{seconds * 1000:.0f}ms"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for size, unit, smaller, letter in _UNITS:
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{unit}" + (f"{rest}{letter}" if rest else "")
    return f"{whole}s"


_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))

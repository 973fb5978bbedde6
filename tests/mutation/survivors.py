"""The mutants that are known to survive, as ``survivors.rst`` lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .mutants import Change

# How the reason begins where no test can tell the mutant from the code.
EQUIVALENT = "Equivalent"
_LIST = Path(__file__).with_name("survivors.rst")
# A title: the function; literal blocks of changed lines; and a paragraph, which is the reason.
_SECTION = re.compile(r"^([\w.]+)\n-+\n", re.MULTILINE)


def listed() -> dict[Change, str]:
    """Return each survivor that is listed, with the reason why nothing kills it."""
    return dict(parsed(_LIST.read_text()))


def parsed(text: str) -> Iterator[tuple[Change, str]]:
    """Yield what `text`, in the form of the list, says."""
    _, *sections = _SECTION.split(text)
    for function, body in zip(sections[::2], sections[1::2], strict=True):
        waiting: list[Change] = []
        for paragraph in re.split(r"\n\s*\n", body.strip("\n")):
            if paragraph.strip() == "::":
                continue
            if paragraph.startswith("    "):
                waiting.append(_change(function, paragraph.splitlines()))
                continue
            if not waiting:
                raise ValueError(f"{function}: a reason for nothing: {paragraph}")
            yield from ((change, " ".join(paragraph.split())) for change in waiting)
            waiting.clear()
        if waiting:
            raise ValueError(f"{function}: no reason is given")


def _change(function: str, lines: list[str]) -> Change:
    marked = [line.strip() for line in lines]
    if not all(line.startswith(("- ", "+ ")) for line in marked):
        raise ValueError(f"{function}: neither a line of the code nor one of the mutant: {lines}")
    return Change(
        function,
        tuple(line[2:] for line in marked if line[0] == "-"),
        tuple(line[2:] for line in marked if line[0] == "+"),
    )

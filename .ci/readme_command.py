"""Prints the shell command that the README marks with the comment ``.. test-command``"""

from __future__ import annotations

import itertools
import sys
import textwrap
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.rst"


def command(text: str) -> str:
    """The first ``sh`` code block after the marker

    :raises ValueError: either is absent, or the block is empty
    """
    lines = iter(text.splitlines())
    for wanted in (".. test-command", ".. code-block:: sh"):
        if wanted not in lines:  # this also moves on to the line after it
            raise ValueError(f"no line {wanted!r} where it is expected in {README.name}")
    block = itertools.takewhile(lambda line: not line or line.startswith(" "), lines)
    found = textwrap.dedent("\n".join(block)).strip()
    if not found:
        raise ValueError(f"the test command in {README.name} is empty")
    return found


if __name__ == "__main__":
    try:
        print(command(README.read_text(encoding="utf-8")))
    except ValueError as error:
        sys.exit(str(error))

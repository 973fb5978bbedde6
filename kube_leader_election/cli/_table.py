"""Tables: by rich on a terminal, where the extra `cli` is installed, and else in plain lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ._say import say

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Table:
    """`rows` of text under `columns`; what stands out has one of `styles`, by the row's number.

    A column in which nothing stands is left out. Those of `wraps` are folded to fit a terminal.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    styles: Mapping[int, str] = field(default_factory=dict)
    wraps: frozenset[str] = frozenset()

    def without_empty_columns(self) -> Table:
        """Return it so."""
        kept = [
            number
            for number, _ in enumerate(self.columns)
            if not self.rows or any(row[number] for row in self.rows)
        ]
        rows = [[row[number] for number in kept] for row in self.rows]
        return replace(self, columns=[self.columns[number] for number in kept], rows=rows)

    def lines(self) -> Iterator[str]:
        """Yield it in plain lines, aligned, with the columns' names first."""
        table = self.without_empty_columns()
        shown = [*([table.columns] if any(table.columns) else []), *table.rows]
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        for row in shown:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield "   ".join(cells).rstrip()


def show(table: Table) -> None:
    """It is printed."""
    if is_picture():
        from rich.console import Console

        Console(highlight=False).print(_picture(table))
    else:
        for line in table.lines():
            say(line)


def is_picture() -> bool:
    """Whether standard output is a terminal that can draw, and rich is installed."""
    can_draw = sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    return can_draw and find_spec("rich") is not None


@contextmanager
def live() -> Iterator[Callable[[Table, str], None]]:
    """Within the block a call shows a table, with a line below it, in place of the one before.

    For `is_picture()` only. The last one stays.
    """
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False), auto_refresh=False) as screen:

        def update(table: Table, below: str) -> None:
            screen.update(Group(_picture(table), Text(below, style="dim")), refresh=True)

        yield update


def _picture(table: Table) -> RenderableType:
    from rich.table import Table as Picture
    from rich.text import Text  # of which nothing is read as markup

    table = table.without_empty_columns()
    picture = Picture(box=None, padding=(0, 2, 0, 0), show_header=any(table.columns))
    for column in table.columns:
        picture.add_column(Text(column), overflow="fold", no_wrap=column not in table.wraps)
    for number, row in enumerate(table.rows):
        picture.add_row(*(Text(cell) for cell in row), style=table.styles.get(number, ""))
    return picture

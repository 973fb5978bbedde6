"""What is soaked: many candidates that go on contending"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from tests.measured.figures import Figure

from .log_lines import LogLines


class Contest(Protocol):
    """Goes on within its with-block"""

    def __enter__(self) -> Contest: ...

    def __exit__(self, *exc: object) -> None: ...

    @property
    def renewals(self) -> int:
        """How many have succeeded"""

    @property
    def lost(self) -> Counter[str]:
        """How many terms have ended, and why"""

    def quiet(self) -> AbstractContextManager[None]:
        """Nothing is asked within the block"""

    def figures(self, requests: int, lines: LogLines) -> Iterator[Figure]:
        """Yield what was to be shown, after the end"""

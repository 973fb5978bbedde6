"""Where the story is shown: in plain lines, or as a picture that lives. Does the output."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from kube_leader_election.cli._say import say
from kube_leader_election.cli._table import is_picture

from ._story import Story

_FRAME = 0.1  # in seconds


class View(Protocol):
    """Shows a story, again and again."""

    def show(self, story: Story, *, is_last: bool = False) -> None:
        """What is new is seen, or soon will be; at once if it is the last."""

    def suspend(self) -> None:
        """The process stood still, with the terminal as it was before, and goes on."""


class Lines:
    """Shows each line once."""

    def __init__(self) -> None:
        self._shown = 0

    def show(self, story: Story, *, is_last: bool = False) -> None:  # noqa: ARG002
        """All lines are printed."""
        for at, text in story.lines[self._shown :]:
            say(f"{at:5.1f} s  {text}")
        self._shown = len(story.lines)

    def suspend(self) -> None:
        """Nothing: nobody asks for it."""


class Screen:
    """A picture that is drawn anew ten times a second, and keys."""

    def __init__(
        self, hear: Callable[[str], object], *, lease_ttl: float, renew_deadline: float
    ) -> None:
        self._hear = hear
        self._durations = (lease_ttl, renew_deadline)
        self._has_keys = sys.stdin.isatty()
        self._drawn_at = 0.0
        self._open = ExitStack()

    def __enter__(self) -> Screen:
        """The terminal is ours."""
        from rich.console import Console
        from rich.live import Live

        with ExitStack() as opened:
            if self._has_keys:
                from ._terminal import keys

                opened.enter_context(keys(self._hear))
            console = Console(highlight=False)
            self._live = opened.enter_context(Live(console=console, auto_refresh=False))
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """It is as it was; the last picture stays."""
        self._open.close()

    def show(self, story: Story, *, is_last: bool = False) -> None:
        """It is drawn, unless it just was."""
        from ._picture import picture

        now = time.monotonic()
        if now < self._drawn_at + _FRAME and not is_last:
            return
        self._drawn_at = now
        lease_ttl, renew_deadline = self._durations
        drawn = picture(
            story,
            now,
            lease_ttl=lease_ttl,
            renew_deadline=renew_deadline,
            has_keys=self._has_keys and not is_last,
        )
        self._live.update(drawn, refresh=True)

    def suspend(self) -> None:
        """The process stood still, with the terminal as it was before, and goes on."""
        from ._terminal import suspend

        self.__exit__()
        suspend()
        self.__enter__()


@contextmanager
def view(
    hear: Callable[[str | int], object], *, lease_ttl: float, renew_deadline: float
) -> Iterator[View]:
    """Within the block there is a view: a picture on a terminal with rich, else plain lines.

    `hear` is told the keys, and the signals that would leave the terminal as it is.
    """
    if not is_picture():
        yield Lines()
        return
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, lambda number, _: hear(number))
    with Screen(hear, lease_ttl=lease_ttl, renew_deadline=renew_deadline) as screen:
        yield screen

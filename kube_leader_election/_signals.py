"""Signals that end an election while its work runs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from signal import Signals
from typing import Any

from ._errors import InvalidParamsError
from ._process import process_id


@contextmanager
def handled(signals: Iterable[Signals], stop: Callable[[], None]) -> Iterator[None]:
    """Within the block each of `signals` calls `stop`, and afterwards does what it did before."""
    before: dict[Signals, Any] = {}
    process = process_id()

    def handle(number: int, _: object) -> None:
        if process == process_id():
            stop()
        else:  # a forked child, which has no election to end
            signal.signal(number, before[Signals(number)] or signal.SIG_DFL)
            os.kill(os.getpid(), number)

    try:
        for number in dict.fromkeys(signals):
            if threading.current_thread() is not threading.main_thread():
                raise InvalidParamsError("stop_on", number, "works in the main thread only")
            try:
                before[Signals(number)] = signal.getsignal(number)
                signal.signal(number, handle)
            except (OSError, TypeError, ValueError) as error:
                before.pop(number, None)
                rule = "must be a signal that can be handled"
                raise InvalidParamsError("stop_on", number, rule) from error
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

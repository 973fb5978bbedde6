"""A terminal that hands over each key at once, and is as it was before afterwards."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK = 0.1  # in seconds, between two looks whether keys are still wanted


@contextmanager
def keys(hear: Callable[[str], object]) -> Iterator[None]:
    """Within the block `hear` is told each key, on a thread, and no key is shown.

    For a standard input that is a terminal, and is read by nobody else. Ctrl-C and its like are
    signals still.
    """
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    over = threading.Event()
    reader = threading.Thread(target=_read, args=(descriptor, hear, over), daemon=True)
    try:
        tty.setcbreak(descriptor)
        reader.start()
        yield
    finally:
        over.set()
        if reader.is_alive():
            reader.join()
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _read(descriptor: int, hear: Callable[[str], object], over: threading.Event) -> None:
    while not over.is_set():
        if select.select([descriptor], [], [], _LOOK)[0]:
            try:
                key = os.read(descriptor, 1)
            except OSError:
                return  # the terminal is gone
            if not key:
                return
            hear(key.decode("ascii", "replace"))


def suspend() -> None:
    """This process stands still, as at Ctrl-Z, until it is told to go on.

    For the main thread.
    """
    ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        os.kill(os.getpid(), signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, ours)

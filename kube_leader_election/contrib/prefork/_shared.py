"""What a main process shares with its children: memory, and whether any of them is left.

Forked children inherit both. Others, which are started anew, find them by what their environment
says, on Linux. Each holds an end of a pipe that nobody writes to: its other end tells when the
last of them has ended, however it did.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ._belief import SIZE

_NAME = "kube-leader-election"


@dataclass(frozen=True, kw_only=True)
class Shared:
    """`held`: the end of the pipe that each process holds; `watched`: the one that tells."""

    memory: mmap.mmap
    held: int
    watched: int
    memory_fd: int

    @property
    def address(self) -> str:
        """Where a process finds it that was not forked from ours."""
        return f"{os.getpid()} {self.memory_fd} {self.held}"

    def let_go(self) -> None:
        """This process is done. To be called once."""
        os.close(self.held)

    def is_let_go(self) -> bool:
        """Whether every process is done, or has ended. Not to be asked after `forget`."""
        with suppress(BlockingIOError):
            return os.read(self.watched, 1) == b""
        return False

    def forget(self) -> None:
        """Nobody asks any more who is left. To be called once."""
        os.close(self.watched)


def make() -> Shared:
    """Return what the children forked from now on inherit."""
    memory_fd = -1
    if hasattr(os, "memfd_create"):
        memory_fd = os.memfd_create(_NAME)
        os.ftruncate(memory_fd, SIZE)
    watched, held = os.pipe()
    os.set_blocking(watched, False)
    return Shared(
        memory=mmap.mmap(memory_fd, SIZE), held=held, watched=watched, memory_fd=memory_fd
    )


def find(address: str) -> mmap.mmap | None:
    """Return the memory of the process that has made it; `None` where it does not share it now.

    This process then holds the pipe as long as it lives.
    """
    try:
        pid, memory_fd, held = address.split()
        folder = Path(f"/proc/{pid}/fd")
        if _NAME not in str((folder / memory_fd).readlink()):
            return None
        # First: who cannot have this is not waited for, and must not believe.
        os.open(folder / held, os.O_WRONLY | os.O_NONBLOCK)
        fd = os.open(folder / memory_fd, os.O_RDONLY)
        try:
            return mmap.mmap(fd, SIZE, access=mmap.ACCESS_READ)
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return None

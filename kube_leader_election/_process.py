"""Which process this is, also where a forked child has the pid of its parent."""

from __future__ import annotations

import os
import secrets
import socket

_forks = 0


def process_id() -> tuple[int, int]:
    """Return what differs between a process and every process that it was forked from.

    The pid alone may not: in a new pid namespace the child of a pid 1 can be pid 1.
    """
    return os.getpid(), _forks


def unique_name() -> str:
    """Return the host's name and a random part, which no other candidate has."""
    return f"{socket.gethostname()}-{secrets.token_hex(8)}"


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)

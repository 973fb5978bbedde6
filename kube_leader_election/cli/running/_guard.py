"""A process beside `run`, that is the command's parent: it sees to it that the command ends.

`run` tells it after each renewal until when the command may live. At that instant it ends the
command by itself: all processes that have come of it get SIGTERM, and SIGKILL once their grace is
over, which is before another may lead. So that also holds while `run` is stopped (SIGSTOP, a
debugger), hangs, or is late. Where `run` is gone, killed with -9 say, all of them are killed at
once; where the guard is, the kernel kills the command, and `run` what has come of it; and where
the guard is late, `run` kills.

Not covered: the guard is stopped together with `run` and the command is not; a process in the
kernel that does not die (a dead NFS server), which keeps the Lease of its `run` from being
released, but not from expiring; processes that others have started for the command, or that belong
to another user. If all is frozen (a container that is paused, a suspended machine), the command
runs for the milliseconds that the guard needs to wake up: what it writes to has to refuse its
fencing token.

It is forked off before there is a second thread, so that nothing is left to load when a term
begins, and it is ready then: to become the leader costs no start of an interpreter.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from . import _children
from ._lifetime import Due, Lifetime

LONGEST_MESSAGE = 65536
# In seconds; the sleep of the machine goes unnoticed by what waits.
_LONGEST_NAP = 1.0
_IGNORED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def now() -> float:
    """Return the seconds of the clock on which all instants here are; it runs on in sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def fork_guard(command: Sequence[str], grace: float) -> tuple[int, socket.socket]:
    """Return the pid of a guard for `command`, and where it is talked to; it starts nothing yet.

    For a process with one thread only.
    """
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _guard(its, command, grace)
    its.close()
    return pid, ours


def _guard(channel: socket.socket, command: Sequence[str], grace: float) -> NoReturn:
    try:
        os.setsid()  # what is for the group of `run`, Ctrl-C say, comes through `run`
        _children.become_subreaper()
        Guard(channel, command, grace).serve()
        os._exit(0)
    except BaseException:  # noqa: BLE001 (a defect must not go unnoticed)
        traceback.print_exc()
    finally:
        os._exit(1)


class Guard:
    """What the process does. Messages come and go as lists in JSON: what, and its arguments."""

    def __init__(self, channel: socket.socket, command: Sequence[str], grace: float) -> None:
        self._channel = channel
        self._command = command
        self._grace = grace
        self._lifetime: Lifetime | None = None
        self._child = 0
        self._ended: tuple[int, bool] = (0, False)  # the exit code, and whether by itself
        self._wakes, wakes = socket.socketpair()
        self._wakes.setblocking(False)
        wakes.setblocking(False)
        channel.setblocking(False)
        self._wake = wakes  # open while signals are written to it
        for number in (*_IGNORED, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # SIG_IGN would be the command's as well
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        """`run` is gone, and so are the command and all that has come of it."""
        while self._listen():
            for pid, status in _children.reaped():
                self._note(pid, status)
            if self._lifetime is not None:
                self._act(self._lifetime)
            self._sleep()
        for _ in _children.kill_all():
            pass

    def _listen(self) -> bool:
        """Do what was said; return whether `run` is there."""
        while True:
            try:
                message = self._channel.recv(LONGEST_MESSAGE)
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            if not message:
                return False
            what, *arguments = json.loads(message)
            getattr(self, f"_hear_{what}")(*arguments)

    def _hear_start(self, leads_until: float, environment: Mapping[str, str]) -> None:
        self._ended = (0, False)
        self._lifetime = Lifetime(grace=self._grace, leads_until=leads_until)
        if now() < leads_until:
            self._child = _children.spawn(self._command, {**os.environ, **environment})

    def _hear_renewed(self, leads_until: float) -> None:
        if self._lifetime is not None:
            self._lifetime = self._lifetime.renewed(leads_until)

    def _hear_finish(self, ends_at: float) -> None:
        if self._lifetime is not None:
            self._lifetime = self._lifetime.asked_to_finish(ends_at)

    def _hear_signal(self, number: int) -> None:
        if self._child:  # it was not waited for, so no other has its pid
            with suppress(PermissionError):  # another user's now
                os.kill(self._child, number)

    def _note(self, pid: int, status: int) -> None:
        if pid == self._child and self._lifetime is not None:
            by_itself = self._lifetime.terminated_at is None
            self._child, self._ended = 0, (_children.exit_code(status), by_itself)

    def _act(self, lifetime: Lifetime) -> None:
        if not _children.has_any():
            self._tell_the_end()
            return
        due = lifetime.due(now())
        if due is None and not self._child and lifetime.terminated_at is None:
            due = Due.TERMINATE  # what it has left behind
        if due is Due.TERMINATE:
            self._lifetime = lifetime.terminated(now())
            _children.signal_all(signal.SIGTERM)
        elif due is Due.KILL:
            self._lifetime = lifetime.terminated(now())
            for pid, status in _children.kill_all():
                self._note(pid, status)
            self._tell_the_end()

    def _tell_the_end(self) -> None:
        self._lifetime = None
        self._tell("ended", *self._ended)

    def _tell(self, *message: Any) -> None:
        with suppress(BlockingIOError, ConnectionError):  # `run` is gone, which is heard next
            self._channel.send(json.dumps(message).encode())

    def _sleep(self) -> None:
        nap = None
        if self._lifetime is not None:
            nap = min(max(0.0, self._lifetime.acts_at - now()), _LONGEST_NAP)
        if self._wakes in select.select([self._channel, self._wakes], [], [], nap)[0]:
            self._wakes.recv(4096)

"""The processes that have come of this one: its children, and theirs, wherever they have gone.

Who is their subreaper becomes the parent of each whose own has ended, also of those that are in
another session or have made themselves daemons. So once there is no child, there is nobody. Not
seen are processes that another has started at their request, as the daemon of containers does; not
killed are those of another user, unless this one is root. Linux only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from kube_leader_election.cli._say import complain

# The exit codes of shells, and of those that run a command for somebody: env, timeout.
FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
_LOOKING = os.WEXITED | os.WNOHANG | os.WNOWAIT
_SHORTEST_NAP, _LONGEST_NAP = 0.002, 0.5


def become_subreaper() -> None:
    """Of the descendants of this process, all become its children when their parents end."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def spawn(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return the pid of `command`, which is in a session of its own, and is killed if we are.

    For a process with one thread only: it forks, and that is the thread whose end kills. The
    kernel forgets that of a program with more rights than its parent, as setuid gives.
    """
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        child = os.fork()
        if child == 0:
            _become(command, environment, parent, before)
        return child
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def problem_of(command: str) -> OSError | None:
    """Return why `command` could not be executed here and now, if so."""
    if shutil.which(command) is not None:
        return None
    number = errno.EACCES if "/" in command and Path(command).exists() else errno.ENOENT
    return OSError(number, os.strerror(number))


def complain_of(command: str, error: OSError) -> int:
    """Say that `command` cannot be executed; return the exit code for that."""
    complain(f"cannot run {command}: {error.strerror}")
    return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def exit_code(status: int) -> int:
    """Return what a shell makes of the status of a child: 128 and the number of a signal."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def descendants(of: int | None = None) -> set[int]:
    """Return the processes below that one, or this; also such as were not waited for."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):  # it may end at any moment
                children[_parent(process)].append(int(process.name))
    found: set[int] = set()
    new = {os.getpid() if of is None else of}
    while new:
        new = {child for each in new for child in children[each]} - found
        found |= new
    return found


def signal_all(number: signal.Signals, below: int | None = None) -> None:
    """All descendants of that one, or this, were sent a signal."""
    for process in descendants(below):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def reaped() -> Iterator[tuple[int, int]]:
    """Yield the pid and status of each child that has ended, which is none any more."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            yield found


def has_any() -> bool:
    """Whether there is a child, and so maybe more."""
    try:
        os.waitid(os.P_ALL, 0, _LOOKING)
    except ChildProcessError:
        return False
    return True


def kill_all() -> Iterator[tuple[int, int]]:
    """No descendant is left when this has yielded the pid and status of each child.

    Waits for as long as one is in the kernel and does not die.
    """
    nap = _SHORTEST_NAP
    while has_any():
        signal_all(signal.SIGKILL)
        yield from reaped()
        time.sleep(nap if has_any() else 0)
        nap = min(2 * nap, _LONGEST_NAP)


def ended_children() -> set[int]:
    """Return the children that have ended and were not waited for."""
    with suppress(ChildProcessError):
        if os.waitid(os.P_ALL, 0, _LOOKING) is not None:
            return {each for each in descendants() if _waits(each)}
    return set()


def has_ended(child: int) -> bool:
    """Whether it has, or was waited for."""
    return _waits(child) is not False


def _waits(child: int) -> bool | None:
    """Return whether it has ended and was not waited for; `None`: it is no child of ours."""
    try:
        return os.waitid(os.P_PID, child, _LOOKING) is not None
    except ChildProcessError:
        return None


def _parent(process: Path) -> int:
    # After the name of the program, which may be anything: the state, then the parent.
    return int((process / "stat").read_bytes().rpartition(b")")[2].split()[1])


def _become(
    command: Sequence[str],
    environment: Mapping[str, str],
    parent: int,
    signals: set[int] | set[signal.Signals],
) -> NoReturn:
    try:
        os.setsid()
        be_sent_at_parents_end(signal.SIGKILL)
        if os.getppid() != parent:  # it has died before that was asked for
            os._exit(FAILED)
        for number in signal.valid_signals():
            # What Python ignores, or we handle, is for the command as if it was run directly.
            if callable(signal.getsignal(number)) or number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        os.execvpe(command[0], list(command), environment)
    except OSError as error:
        os._exit(complain_of(command[0], error))
    finally:
        os._exit(FAILED)


def be_sent_at_parents_end(number: int) -> None:
    """This process gets that signal when the thread that has started it ends.

    :raises OSError: the kernel does not know that.
    """
    _prctl(_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> None:
    """:raises OSError: the kernel does not know it, or there is none such."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

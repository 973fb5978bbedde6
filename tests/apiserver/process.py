"""One server process that cannot outlive the process that started it"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

# The parent-death signal is set by the child itself, which then becomes the server: no code of
# ours runs between fork and exec. It is kept across execv. The parent may have died before.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
    sys.exit("prctl failed")
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Process:
    """A command with its log; start, pause, resume and kill it

    The kernel ties its life to the *thread* that called `start()`: use one that stays.
    """

    def __init__(self, command: list[str], *, folder: Path) -> None:
        self.name = Path(command[0]).name
        self.log = folder / f"{self.name}.log"
        self._command = command
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Started and not dead; true also while paused"""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Run the command in its folder; does not wait until it serves"""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        guard = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *self._command],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the test run alone
            )

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; harmless when it is"""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """SIGSTOP, and wait until it stands still: connections stay open, nothing answers"""
        self.check()
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """SIGCONT; harmless when it runs"""
        self.check()
        os.kill(self.pid, signal.SIGCONT)

    def check(self) -> None:
        """:raises RuntimeError: it is dead; the message has the end of its log"""
        if not self.running:
            end = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} is not running; its log ends:\n{end}")

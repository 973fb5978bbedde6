"""Programs on a terminal"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.programs import PATIENCE

WITHOUT_RICH = [
    "-c",
    "import sys; sys.modules['rich'] = None; import kube_leader_election.cli as c; exit(c.main())",
]
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    """A program on a terminal of 100 columns, and what is seen there

    `leads_session`: it makes the terminal that of its own session, as the program of `setsid -c`
    does; killed, it takes all of that with it.
    """

    def __init__(
        self, command: list[str], kind: str = "xterm", *, leads_session: bool = False
    ) -> None:
        self._seen: list[bytes] = []
        self._master, slave = pty.openpty()
        self.modes = termios.tcgetattr(self._master)
        environment = {**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": kind}
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=not leads_session,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # the program has ended
            while piece := os.read(self._master, 65536):
                self._seen.append(piece)

    @property
    def text(self) -> str:
        return b"".join(self._seen).decode()

    @property
    def words(self) -> str:
        """The text without colours and movements"""
        return re.sub("\x1b\\[[^a-zA-Z]*[a-zA-Z]", "", self.text)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def is_as_it_was(self) -> bool:
        """Whether lines are read and shown as they were before, and the cursor too"""
        cursor_is_there = self.text.rfind(SHOW_CURSOR) >= self.text.rfind(HIDE_CURSOR)
        return termios.tcgetattr(self._master) == self.modes and cursor_is_there

    def wait(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        os.close(self._master)


@contextmanager
def on_a_terminal(arguments: list[str], *, kind: str = "xterm") -> Iterator[Terminal]:
    """Python with these arguments"""
    terminal = Terminal([sys.executable, *arguments], kind)
    try:
        yield terminal
    finally:
        terminal.close()

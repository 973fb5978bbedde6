"""A Redis of our own, on a port that stays its own, which keeps what it has over a restart"""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

from tests.programs import Program, wait_until

QUEUE = "celery"


class Redis(Program):
    """It serves within the with-block."""

    def __init__(self, folder: Path) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            raise RuntimeError(
                "there is no redis-server on the PATH: install Debian's redis-server"
            )
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.port: int = sock.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        keeps = ["--appendonly", "yes", "--appendfsync", "always"]
        super().__init__([binary, *options, *keeps], folder=folder)

    def start(self) -> None:
        """It answers."""
        super().start()
        wait_until(self._answers)

    def messages(self) -> list[dict[str, Any]]:
        """Return what was sent, in this order."""
        client = self.client()
        try:
            return [json.loads(each) for each in reversed(client.lrange(QUEUE, 0, -1))]
        finally:
            client.close()

    def client(self) -> Any:
        """Return a client of the redis module."""
        import redis

        return redis.Redis(port=self.port)

    def _answers(self) -> bool:
        self.check()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as sock:
                sock.sendall(b"PING\r\n")
                return sock.recv(5) == b"+PONG"
        except OSError:
            return False

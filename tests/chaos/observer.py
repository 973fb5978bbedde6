"""Sees every version of the Lease, from right beside the server, and over its restarts"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from types import TracebackType
from typing import Any

from tests.apiserver.server import ADMIN, ApiServer

from .evidence import LeaseWrite
from .orders import LEASE

_RETRY = 0.1
_ANSWERS_WITHIN = 5.0
_CATCHES_UP_WITHIN = 30.0
_GONE = 410


class Observer:
    """Watches from a thread of its own while its with-block lasts."""

    def __init__(self, server: ApiServer, path: str) -> None:
        self._server = server
        self._path = path
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._ending = threading.Event()
        self._socket: socket.socket | None = None
        self._version = 0
        self.writes: list[LeaseWrite] = []
        self.unseen: list[tuple[int, int]] = []

    def __enter__(self) -> Observer:
        self._version = int(self._get("")["metadata"]["resourceVersion"])
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        sock = self._socket
        if sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self._thread.join(10)

    @property
    def last(self) -> LeaseWrite | None:
        """What was seen last."""
        return self.writes[-1] if self.writes else None

    def catch_up(self) -> None:
        """What there is now was seen, or that takes too long."""
        gives_up_at = time.monotonic() + _CATCHES_UP_WITHIN
        while time.monotonic() < gives_up_at:
            with contextlib.suppress(OSError, http.client.HTTPException):
                items = self._get("")["items"]
                if all(int(each["metadata"]["resourceVersion"]) <= self._version for each in items):
                    return
            time.sleep(_RETRY)

    def _run(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                self._watch()
            self._ending.wait(_RETRY)

    def _watch(self) -> None:
        query = f"?watch=true&resourceVersion={self._version}&timeoutSeconds=60"
        with contextlib.closing(self._server.connect(timeout=70)) as connection:
            headers = {"Authorization": f"Bearer {self._server.token(ADMIN)}"}
            connection.request("GET", self._path + query, headers=headers)
            self._socket = connection.sock
            answer = connection.getresponse()
            if answer.status == _GONE:
                self._catch_up()
                return
            if answer.status != http.client.OK:
                return
            for line in iter(answer.readline, b""):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    self._catch_up()
                    return
                self._see(event["type"], event["object"])

    def _catch_up(self) -> None:
        """The server does not know any more what has happened since."""
        leases = self._get("")
        version = int(leases["metadata"]["resourceVersion"])
        self.unseen.append((self._version, version))
        for lease in leases["items"]:
            if int(lease["metadata"]["resourceVersion"]) > self._version:
                self._see("LISTED", lease)
        self._version = version

    def _see(self, kind: str, lease: dict[str, Any]) -> None:
        metadata = lease["metadata"]
        self._version = int(metadata["resourceVersion"])
        if metadata["name"] == LEASE:
            holder = lease.get("spec", {}).get("holderIdentity") or ""
            write = LeaseWrite(time.monotonic(), kind, self._version, holder, metadata["uid"])
            self.writes.append(write)

    def _get(self, query: str) -> Any:
        status, answer = self._server.call("GET", self._path + query, timeout=_ANSWERS_WITHIN)
        if status != http.client.OK:
            raise OSError(f"{status} {answer}")
        return answer

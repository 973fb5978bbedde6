"""What the API server itself knows: who asked for what, and what became of each Lease."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from tests.apiserver import commands
from tests.apiserver.server import ADMIN, ApiServer

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
CONFLICT = 409


def on_our_clock(wall_time: str) -> float:
    """Return the instant of a time in a Lease or the audit log, by the monotonic clock."""
    stamp = datetime.fromisoformat(wall_time.replace("Z", "+00:00")).timestamp()
    return stamp - time.time() + time.monotonic()


@dataclass(frozen=True)
class Request:
    """One request; `at` is when it was answered."""

    at: float
    agent: str
    verb: str
    namespace: str
    name: str
    status: int


class Audit:
    """The requests for Leases so far, each once. Not thread-safe."""

    def __init__(self, server: ApiServer) -> None:
        self._path = server.folder / commands.AUDIT_LOG
        self._offset = 0
        self._requests: list[Request] = []

    def requests(self, agent: str, namespace: str, name: str) -> list[Request]:
        """Return those by this user agent for this Lease."""
        self._read()
        wanted = (agent, namespace, name)
        return [
            each for each in self._requests if (each.agent, each.namespace, each.name) == wanted
        ]

    def _read(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for event in map(json.loads, whole.splitlines()):
            target = event["objectRef"]
            request = Request(
                on_our_clock(event["stageTimestamp"]),
                event.get("userAgent", ""),
                event["verb"],
                target.get("namespace", ""),
                target.get("name", ""),
                event["responseStatus"]["code"],
            )
            self._requests.append(request)


@dataclass(frozen=True)
class Sighting:
    """What a watch showed: the Lease as it was then, and the instants of the event and in it."""

    at: float
    kind: str
    name: str
    holder_identity: str
    renewed_at: float


class Observer:
    """Watches all Leases of a namespace from a thread of its own, while its with-block lasts."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server = server
        self._path = LEASES.format(namespace) + "?watch=true"
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._opened = threading.Event()
        self._sightings: list[Sighting] = []
        self._socket: socket.socket | None = None

    def __enter__(self) -> Observer:
        self._thread.start()
        if not self._opened.wait(60):
            raise RuntimeError("the observer's watch was not opened")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        self._thread.join(10)

    def seen(self, name: str, *, since: float = 0.0, until: float = float("inf")) -> list[Sighting]:
        """Return all sightings of a Lease in a time, in order."""
        found = list(self._sightings)
        return [each for each in found if each.name == name and since <= each.at <= until]

    def _run(self) -> None:
        with contextlib.closing(self._server.connect(timeout=3600)) as connection:
            token = self._server.token(ADMIN)
            connection.request("GET", self._path, headers={"Authorization": f"Bearer {token}"})
            self._socket = connection.sock
            answer = connection.getresponse()
            self._opened.set()
            with contextlib.suppress(OSError, ValueError):
                for line in iter(answer.readline, b""):
                    self._sightings.append(_sighting(time.monotonic(), json.loads(line)))


def _sighting(at: float, event: dict[str, Any]) -> Sighting:
    lease = event["object"]
    spec = lease.get("spec", {})
    renewed_at = on_our_clock(spec["renewTime"])
    holder = spec.get("holderIdentity", "")
    return Sighting(at, event["type"], lease["metadata"]["name"], holder, renewed_at)


@dataclass(frozen=True)
class Write:
    """When a write was sent, before which nobody can have seen it, and when it was answered."""

    sent_at: float
    answered_at: float


class Leases:
    """Another's hands on the Leases of a namespace."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server = server
        self._path = LEASES.format(namespace)

    def give_to(self, name: str, holder_identity: str) -> Write:
        """`holder_identity` holds the Lease from now on, or nobody if that is empty."""
        path = f"{self._path}/{name}"
        while True:
            lease = self._call("GET", path)
            now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
            spec = {**lease["spec"], "holderIdentity": holder_identity, "renewTime": now}
            sent_at = time.monotonic()
            if self._call("PUT", path, {**lease, "spec": spec}, pardon=CONFLICT) is not None:
                return Write(sent_at, time.monotonic())

    def delete(self, name: str) -> Write:
        """There is no such Lease."""
        sent_at = time.monotonic()
        self._call("DELETE", f"{self._path}/{name}")
        return Write(sent_at, time.monotonic())

    def _call(self, method: str, path: str, body: object = None, *, pardon: int = 200) -> Any:
        """Return what was answered, `None` with the status that is pardoned."""
        status, answer = self._server.call(method, path, body)
        if status not in (200, pardon):
            raise RuntimeError(f"{method} {path}: {status} {answer}")
        return answer if status == 200 else None

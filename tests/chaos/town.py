"""Where it all happens: the real server, five replicas with rights, and whoever looks on"""

from __future__ import annotations

import contextlib
import http.client
import queue
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from tests.apiserver import commands
from tests.apiserver.server import USERS, ApiServer
from tests.measured.journal import Reader as JournalReader
from tests.proxy import Proxy

from . import fence
from .asked import requests_of
from .cast import Actor
from .clocks import Stalls
from .evidence import Belief, Evidence, FencedWrite, Requests
from .observer import Observer
from .orders import ELECTOR, LEASE, LOCK
from .timing import LEASE_TTL

_KINDS = (ELECTOR, ELECTOR, ELECTOR, LOCK, LOCK)
_RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
_ROLE = "candidate"
_TIMEOUT = 5.0
_TRIES = 60
_RETRY = 0.5
_DONE = (200, 201, 404, 409)
_GONE = (200, 404, 409)  # now, or by an earlier try


class Town:
    """Replicas that contend while its with-block lasts. For one thread, which is to stay."""

    def __init__(self, server: ApiServer, *, skew: float | None, without: str) -> None:
        self.server = server
        self._namespace = "chaos"
        self._folder = server.folder / "chaos"
        self._skew = skew
        self._without = without
        self._exit = contextlib.ExitStack()
        self._errands: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._leases = _LEASES.format(self._namespace)
        self.actors: list[Actor] = []
        self.stalls = Stalls()
        self.observer = Observer(server, self._leases)

    def __enter__(self) -> Town:
        with contextlib.ExitStack() as stack:
            self._folder.mkdir()
            fence.make_table(self._folder / fence.TABLE)
            self._journal = JournalReader(self._folder / "journal")
            self.server.create_namespace(self._namespace)
            self._make_role()
            errands = threading.Thread(target=self._run_errands, name="errands", daemon=True)
            errands.start()
            stack.callback(errands.join, 30)
            stack.callback(self._errands.put, None)
            stack.enter_context(self.observer)
            stack.enter_context(self.stalls)
            for number, kind in enumerate(_KINDS):
                self._hire(stack, number, kind)
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def _hire(self, stack: contextlib.ExitStack, number: int, kind: str) -> None:
        proxy = stack.enter_context(Proxy(self.server.port))
        user = USERS[number]
        self._bind(user)
        actor = Actor(
            f"{kind}-{number}",
            kind,
            user,
            proxy,
            self.server,
            self._namespace,
            self._folder,
            skew=self._skew,
            without=self._without,
        )
        stack.callback(actor.kill)
        actor.start()
        self.actors.append(actor)

    @property
    def leader(self) -> Actor | None:
        """Who believes now, or did when it was stopped."""
        return next((actor for actor in self.actors if actor.leads), None)

    def beliefs(self) -> list[Belief]:
        return [belief for actor in self.actors for belief in actor.beliefs]

    def allow(self, user: str) -> None:
        """`user` has the rights of a candidate, soon."""
        self._errands.put(lambda: self._insist(lambda: self._bind(user)))

    def forbid(self, user: str) -> None:
        """`user` has no rights, soon."""
        path = f"{_RBAC.format(self._namespace)}/rolebindings/{user}"
        self._errands.put(lambda: self._insist(lambda: self._call("DELETE", path)))

    def label(self, text: str) -> None:
        """The Lease has a label that says so, soon."""

        def change(lease: dict[str, Any]) -> None:
            lease["metadata"].setdefault("labels", {})["weather"] = text

        self._errands.put(lambda: self._edit(change))

    def intrude(self, holder: str) -> None:
        """Another holds the Lease, soon, and never renews it."""

        def change(lease: dict[str, Any]) -> None:
            now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
            times = {"acquireTime": now, "renewTime": now}
            duration = {"leaseDurationSeconds": LEASE_TTL}
            lease["spec"] = {**lease["spec"], "holderIdentity": holder, **times, **duration}

        self._errands.put(lambda: self._edit(change))

    def delete(self) -> str:
        """There is no such Lease any more; return the uid of the one that there was, "" for none.

        :raises RuntimeError: that is not certain.
        """
        path = f"{self._leases}/{LEASE}"
        status, lease = self.server.call("GET", path, timeout=_TIMEOUT)
        if status != http.client.OK:
            return ""
        uid = str(lease["metadata"]["uid"])
        for _ in range(_TRIES):
            with contextlib.suppress(OSError, http.client.HTTPException):
                body = {"preconditions": {"uid": uid}}
                status, _ = self.server.call("DELETE", path, body, timeout=_TIMEOUT)
                if status in _GONE:
                    return uid
            time.sleep(_RETRY)
        raise RuntimeError("it is not known whether the Lease was deleted")

    def settle_errands(self) -> None:
        """All that was to be soon is."""
        self._errands.join()

    def is_serving(self) -> bool:
        """Whether the server answers as it should; takes some seconds if not."""
        for path in ("/readyz", f"{self._leases}"):
            try:
                status, _ = self.server.call("GET", path, timeout=2)
            except (OSError, http.client.HTTPException):
                return False
            if status != http.client.OK:
                return False
        return True

    def start_etcd(self) -> None:
        (self.server.folder / commands.ETCD_SOCKET).unlink(missing_ok=True)
        self.server.etcd.start()

    def evidence(self) -> Evidence:
        """All but the faults, the quiet times and the ends of processes, so far."""
        refused = [
            FencedWrite(entry.replica.partition(".")[0], accepted=False, **entry.facts)
            for entry in self._journal.entries("refused")
        ]
        return Evidence(
            beliefs=self.beliefs(),
            holes=[*self.stalls.holes, *(hole for actor in self.actors for hole in actor.holes)],
            lease_writes=list(self.observer.writes),
            unseen=list(self.observer.unseen),
            fenced_writes=fence.accepted_writes(self._folder / fence.TABLE) + refused,
            processes=[life for actor in self.actors for life in actor.lives()],
            complaints=[
                (entry.at, entry.replica, str(entry.facts["text"]))
                for entry in self._journal.entries("complaint")
            ],
        )

    def requests(self) -> list[Requests]:
        """Who asked when, by the server's own account and its wall clock."""
        users = {actor.name: actor.user for actor in self.actors}
        return requests_of(self.server.folder / commands.AUDIT_LOG, users)

    def _make_role(self) -> None:
        group = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
        named = {**group, "resourceNames": [LEASE], "verbs": ["get", "update", "watch"]}
        role = {"metadata": {"name": _ROLE}, "rules": [{**group, "verbs": ["create"]}, named]}
        self._call("POST", f"{_RBAC.format(self._namespace)}/roles", role)

    def _bind(self, user: str) -> None:
        group = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": user},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": _ROLE},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }
        self._call("POST", f"{_RBAC.format(self._namespace)}/rolebindings", binding)

    def _edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the Lease if the server lets us."""
        path = f"{self._leases}/{LEASE}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            for _ in range(5):
                status, lease = self.server.call("GET", path, timeout=_TIMEOUT)
                if status != http.client.OK:
                    return
                change(lease)
                status, _ = self.server.call("PUT", path, lease, timeout=_TIMEOUT)
                if status != http.client.CONFLICT:
                    return

    def _call(self, method: str, path: str, body: object = None) -> None:
        status, answer = self.server.call(method, path, body, timeout=_TIMEOUT)
        if status not in _DONE:
            raise OSError(f"{method} {path}: {status} {answer}")

    def _insist(self, errand: Callable[[], None]) -> None:
        for _ in range(_TRIES):
            try:
                errand()
                break
            except (OSError, http.client.HTTPException):
                time.sleep(_RETRY)

    def _run_errands(self) -> None:
        while (errand := self._errands.get()) is not None:
            try:
                errand()
            finally:
                self._errands.task_done()
        self._errands.task_done()

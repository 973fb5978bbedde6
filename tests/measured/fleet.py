"""Replicas as processes of their own, in one namespace of the real server, and their journal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from types import TracebackType

from tests.apiserver.server import ApiServer
from tests.programs import Program

from .journal import PATIENCE, Reader
from .orders import Orders
from .server_side import Audit, Leases, Observer

_PROGRAM = "tests.measured.program"
_SETTLED = 0.1  # in seconds; an opened watch shows the Lease by then


class Fleet:
    """Replicas while its with-block lasts; afterwards none of them is left."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        server.create_namespace(namespace)
        self.namespace = namespace
        self.folder = server.folder / namespace
        self.folder.mkdir()
        self.journal = Reader(self.folder / "journal")
        self.leases = Leases(server, namespace)
        self.observer = Observer(server, namespace)
        self.audit = Audit(server)
        self._kubeconfig = str(server.kubeconfig())
        self._replicas: dict[str, Program] = {}
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Fleet:
        self._exit.enter_context(self.observer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def spawn(
        self, replica: str, elections: Iterable[str], *, part: str = "follow", spread: float = 0.0
    ) -> None:
        """A process contends in these elections, or will after up to `spread` seconds each."""
        orders = Orders(
            replica=replica,
            part=part,
            elections=list(elections),
            namespace=self.namespace,
            kubeconfig=self._kubeconfig,
            folder=str(self.folder),
            spread=spread,
        )
        command = [sys.executable, "-m", _PROGRAM, json.dumps(asdict(orders))]
        program = Program(command, folder=self.folder / replica)
        self._replicas[replica] = self._exit.enter_context(program)

    def signal(self, replica: str, number: signal.Signals) -> float:
        """The replica has this signal; return the instant right before."""
        program = self._replicas[replica]
        program.check()
        sent_at = time.monotonic()
        os.kill(program.pid, number)
        return sent_at

    def kill(self, replica: str) -> float:
        """SIGKILL, and the replica is gone; return the instant right before."""
        killed_at = self.signal(replica, signal.SIGKILL)
        self._replicas[replica].kill()
        return killed_at

    def exit_code(self, replica: str) -> int:
        """Return the exit code of a replica that ends by itself."""
        return self._replicas[replica].wait(PATIENCE)

    def output(self, replica: str) -> str:
        """Return what the replica has logged so far."""
        return self._replicas[replica].output

    def await_watching(self, replica: str, elections: Iterable[str]) -> None:
        """The replica follows in each of these elections, and its watches are open.

        :raises TimeoutError: it does not.
        """
        missing = set(elections)
        deadline = time.monotonic() + PATIENCE
        while missing:
            if time.monotonic() > deadline:
                log = self.output(replica)[-2000:]
                raise TimeoutError(f"{replica} does not watch {sorted(missing)}:\n{log}")
            missing = {name for name in missing if not self._watches(replica, name)}
            time.sleep(0.02)
        time.sleep(_SETTLED)

    def await_leading(self, replica: str, elections: Iterable[str]) -> None:
        """The replica has led in each of these elections.

        :raises TimeoutError: it has not.
        """
        for name in elections:
            self.journal.wait_for("LEADING", election=name, replica=replica)

    def _watches(self, replica: str, name: str) -> bool:
        requests = self.audit.requests(replica, self.namespace, name)
        follows = self.journal.entries("FOLLOWING", election=name, replica=replica)
        return bool(follows) and any(each.verb == "watch" for each in requests)

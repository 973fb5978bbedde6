"""The replicas as the run sees them: processes, each behind a proxy of its own"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.apiserver import objects
from tests.apiserver.server import ApiServer
from tests.programs import Program
from tests.proxy import Proxy

from .beliefs import Reader
from .evidence import Belief, Hole, Process
from .orders import Orders, Remote

_PROGRAM = "tests.chaos.replica"
_EXITS_WITHIN = 10.0
_RECENT = 0.5  # in seconds; who believed so lately is taken to believe still


@dataclass
class _Life:
    """One process of a replica."""

    orders: Orders
    program: Program
    beliefs: Reader
    began_at: float
    exit_code: int | None = None

    def evidence(self) -> Process:
        log = self.program.log
        lines = tuple(log.read_text().splitlines()) if log.exists() else ()
        orders = self.orders
        return Process(
            orders.replica, orders.number, orders.holder_id, self.began_at, lines, self.exit_code
        )


class Actor:
    """One replica, which dies and lives again. For the thread that made it, which is to stay."""

    def __init__(
        self,
        name: str,
        kind: str,
        user: str,
        proxy: Proxy,
        server: ApiServer,
        namespace: str,
        folder: Path,
        *,
        skew: float | None,
        without: str,
    ) -> None:
        self.name = name
        self.kind = kind
        self.user = user
        self.proxy = proxy
        self.remote = Remote(folder / f"{name}.remote")
        self._namespace = namespace
        self._folder = folder
        self._skew = skew
        self._without = without
        self._lives: list[_Life] = []
        self._kubeconfig = folder / f"{name}.kubeconfig"
        config = objects.kubeconfig(
            server=proxy.url, ca_file=str(server.ca_file), user=user, token=server.token(user)
        )
        self._kubeconfig.write_text(json.dumps(config))

    @property
    def is_alive(self) -> bool:
        return bool(self._lives) and self._lives[-1].program.running

    @property
    def is_up(self) -> bool:
        """Whether its process has asked itself lately whether it leads."""
        return self.is_alive and self._lives[-1].beliefs.asked_at > time.monotonic() - _RECENT

    @property
    def has_seen(self) -> bool:
        """Whether its process has seen the Lease, if there is one."""
        return not self.is_alive or self._lives[-1].beliefs.has_seen

    @property
    def leads(self) -> bool:
        """Whether it believes now, or did right before it was stopped."""
        if not self.is_alive:
            return False
        reader = self._lives[-1].beliefs
        asked_at, beliefs = reader.asked_at, reader.beliefs()
        return bool(beliefs) and beliefs[-1].last_asked_at > asked_at - _RECENT / 10

    @property
    def beliefs(self) -> list[Belief]:
        return [belief for life in self._lives for belief in life.beliefs.beliefs()]

    @property
    def holes(self) -> list[Hole]:
        return [hole for life in self._lives for hole in life.beliefs.holes()]

    def start(self, *, keeps_name: bool = False) -> None:
        """A process contends; under the name of the last one, which is dead, if it `keeps_name`."""
        number = len(self._lives) + 1
        holder_id = f"{self.name}.{number}"
        if keeps_name and self._lives:
            holder_id = self._lives[-1].orders.holder_id
        orders = Orders(
            replica=self.name,
            number=number,
            kind=self.kind,
            holder_id=holder_id,
            namespace=self._namespace,
            kubeconfig=str(self._kubeconfig),
            folder=str(self._folder),
            skew=self._skew,
            without=self._without,
        )
        command = [sys.executable, "-m", _PROGRAM, json.dumps(asdict(orders))]
        program = Program(command, folder=self._folder / orders.name)
        reader = Reader(self._folder / f"{orders.name}.beliefs", self.name, number)
        program.start()
        self._lives.append(_Life(orders, program, reader, time.monotonic()))

    def kill(self) -> None:
        """SIGKILL, and it is gone."""
        if self.is_alive:
            self._lives[-1].program.kill()

    def pause(self) -> None:
        """SIGSTOP, and it stands still."""
        self._lives[-1].program.pause()

    def resume(self) -> None:
        """SIGCONT."""
        if self.is_alive:
            self._lives[-1].program.resume()

    def terminate(self) -> None:
        """SIGTERM."""
        os.kill(self._lives[-1].program.pid, signal.SIGTERM)

    def wait_for_exit(self) -> bool:
        """Whether it ends by itself, soon."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._lives[-1].program.wait(_EXITS_WITHIN)
        return not self.is_alive

    def note_end(self) -> None:
        """If its process has ended by itself, its exit code is kept."""
        life = self._lives[-1]
        if not life.program.running and life.program._process is not None:
            life.exit_code = life.program._process.returncode

    def lives(self) -> list[Process]:
        """Each process that there was, with its log."""
        self.note_end()
        return [life.evidence() for life in self._lives]

"""Replicas of `run`, each with a way of its own to one server; all write to one file"""

from __future__ import annotations

import itertools
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tests.apiserver.server import USERS, ApiServer
from tests.programs import PATIENCE, Program, wait_until
from tests.proxy import Proxy

from . import worker
from .stamps import Life, Reader

NAMESPACE, LEASE, USER = "run", "my-app", USERS[0]
LEASE_TTL, RENEW_DEADLINE, RETRY_PERIOD = 4, 2.0, 0.5
OPTIONS = [
    *("--namespace", NAMESPACE, "--drain-timeout", "3"),
    *("--lease-ttl", str(LEASE_TTL), "--renew-deadline", str(RENEW_DEADLINE)),
    *("--retry-period", str(RETRY_PERIOD)),
]
RUN = [sys.executable, "-m", "kube_leader_election", "run", LEASE, *OPTIONS, "--"]
_LEASE_PATH = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}"


class Replicas:
    """So many of them run within the with-block, and are replaced when they have ended."""

    def __init__(self, count: int, folder: Path, server: ApiServer) -> None:
        self._count = count
        self._folder = folder
        self._server = server
        self._started = 0
        self._kinds = itertools.cycle(worker.KINDS)
        self._file = folder / "stamps"
        self.lives = Reader(self._file).lives
        self._exit = ExitStack()
        self._programs: dict[str, Program] = {}
        self._proxies: dict[str, Proxy] = {}

    def __enter__(self) -> Replicas:
        self._server.create_namespace(NAMESPACE)
        self._server.grant(USER, NAMESPACE, ["create"])
        self._server.grant(USER, NAMESPACE, ["get", "update", "watch"], name=LEASE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def start(self) -> str:
        """One more has begun to contend, with the next kind of command; return its name."""
        self._started += 1
        kind = next(self._kinds)
        name = f"replica-{self._started}-{kind}"
        folder = self._folder / name
        folder.mkdir()
        proxy = self._proxies[name] = self._exit.enter_context(Proxy(self._server.port))
        kubeconfig = folder / "kubeconfig"
        straight = self._server.kubeconfig(USER).read_text()
        kubeconfig.write_text(straight.replace(self._server.url, proxy.url))
        os.environ["KUBECONFIG"] = str(kubeconfig)
        command = [sys.executable, "-I", "-S", worker.__file__, str(self._file), kind]
        program = Program([*RUN, *command], folder=folder)
        self._programs[name] = self._exit.enter_context(program)
        return name

    def fill(self) -> None:
        """There are as many as there should be, and those that are new follow."""
        for name, program in list(self._programs.items()):
            if not program.running:
                del self._programs[name]
                self._proxies.pop(name)
        new = [self.start() for _ in range(self._count - len(self._programs))]
        for name in new:
            self.wait_until_contending(name)

    def wait_until_contending(self, name: str) -> None:
        """It has asked the server for something, and had time to begin its watch."""
        wait_until(lambda: self._proxies[name].open_connections > 1)
        time.sleep(0.1)

    def current(self) -> Life | None:
        """Return the life of the command that has begun last, if any."""
        found = self.lives()
        return found[-1] if found else None

    def wait_for_another(self, than: Life | None) -> Life:
        """Return the next life, once it has begun."""
        before = than.token if than else 0

        def is_there() -> bool:
            now = self.current()
            return now is not None and now.token > before

        wait_until(is_there, PATIENCE)
        found = self.current()
        assert found is not None
        return found

    def life(self, token: int) -> Life:
        """Return what is known now of that one."""
        return next(life for life in self.lives() if life.token == token)

    def leader(self) -> str:
        """Return the name of the replica whose command runs, once one of them holds the Lease."""
        found: list[str] = []

        def is_there() -> bool:
            _, lease = self._server.call("GET", _LEASE_PATH)
            leads = f"{lease['spec']['holderIdentity']!r} leads, fencing token"
            running = ((name, each) for name, each in self._programs.items() if each.running)
            found[:] = [name for name, program in running if leads in program.output]
            return bool(found)

        wait_until(is_there)
        return found[0]

    def guard(self, name: str) -> int:
        """Return the pid of the guard of that replica, its only child."""
        pid = self._programs[name].pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def signal(self, name: str, number: int) -> float:
        """`run` has got a signal, alone; return the instant right before."""
        at = time.monotonic()
        os.kill(self._programs[name].pid, number)
        return at

    def wait_for_the_end(self, name: str) -> int:
        """Return the exit code of `run`."""
        return self._programs[name].wait(PATIENCE)

    def proxy(self, name: str) -> Proxy:
        """Return the way to the server that only this replica has."""
        return self._proxies[name]

    def story(self) -> str:
        """Return all that is known now, to find out why something has not happened."""
        lines = [f"{self._server.call('GET', _LEASE_PATH)}"]
        for name, program in self._programs.items():
            state = "runs" if program.running else "has ended"
            count = self._proxies[name].open_connections
            lines += [f"{name}: {state}, with {count} connections", program.output]
        return "\n".join(lines)

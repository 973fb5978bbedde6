"""Replicas of `celery beat` as real processes, with one server, one broker and one state"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from kube_leader_election.testing import ApiServer
from tests.apiserver.namespace import Namespace
from tests.programs import CHECKOUT, PATIENCE, Program, wait_until

from . import beat_app_path
from .redis import Redis
from .verdict import Sent, sent

INNERS = ("lease", "shelve", "database", "redbeat")
ENTRIES = {"each-second": 1.0, "in-8-s": 8.0}
LEASE = "my-beat"
REPLICAS = 3
_BUILT = re.compile(r"^\[([-0-9]+ [:0-9]+,[0-9]+): INFO.*beat's scheduler was built", re.MULTILINE)


class Cluster(Protocol):
    """Where the Lease is."""

    @property
    def kubeconfig(self) -> Path: ...

    def stored_lease(self, name: str) -> dict[str, Any] | None: ...


class Beats:
    """They run within the with-block; all that they do is in `folder`."""

    def __init__(
        self,
        folder: Path,
        inner: str,
        entries: Mapping[str, float | None] = ENTRIES,
        *,
        namespace: Namespace | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._inner = inner
        self._entries = entries
        self._namespace = namespace
        self._environment = dict(environment or {})
        self._exit = ExitStack()
        self._started = 0
        self.programs: dict[str, Program] = {}

    def __enter__(self) -> Beats:
        try:
            if self._namespace is None:
                self.server = self._exit.enter_context(ApiServer())
            self._cluster: Cluster = self._namespace or self.server
            self.redis = Redis(self.folder / "redis")
            self._exit.enter_context(self.redis)
            self._environment = {
                **os.environ,
                "no_proxy": "127.0.0.1",
                "PYTHONPATH": str(CHECKOUT),
                "KUBECONFIG": str(self._cluster.kubeconfig),
                "BEAT_FOLDER": str(self.folder),
                "BEAT_INNER": self._inner,
                "BEAT_BROKER": self.redis.url,
                "BEAT_DATABASE": str(self.folder / "database"),
                "BEAT_ENTRIES": json.dumps(self._entries),
                **self._environment,
            }
            command = [sys.executable, str(beat_app_path())]  # makes a database, where one is used
            subprocess.run(command, check=True, env=self._environment, timeout=PATIENCE)
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def start(self, *arguments: str, command: str = "beat", **environment: str) -> str:
        """One more has begun to contend; return its name."""
        self._started += 1
        name = f"{command}-{self._started}"
        state = ["--schedule", str(self.folder / "schedule")]
        options = ["--loglevel=INFO", *state, *arguments]
        if command == "beat":
            options.append("--pidfile=")
        celery = [sys.executable, "-m", "celery", "-A", "tests.beat.beat_app", command]
        for key, value in {**self._environment, **environment}.items():
            os.environ[key] = value
        program = Program([*celery, *options], folder=self.folder / name)
        self.programs[name] = self._exit.enter_context(program)
        return name

    def fill(self) -> None:
        """All `REPLICAS` contend, one started after another."""
        for _ in range(REPLICAS):
            self.wait_until_ready(self.start())

    def wait_until_ready(self, *names: str) -> None:
        """They contend."""
        for name in names:
            wait_until(lambda name=name: "beat: Starting" in self.output(name))  # type: ignore[misc]
        time.sleep(0.3)

    def output(self, name: str) -> str:
        """Return what it has logged so far."""
        self.programs[name].check()
        return self.programs[name].output

    def sent(self, entry: str | None = None) -> list[Sent]:
        """Return what was sent so far, in its order."""
        return [one for one in sent(self.redis.messages()) if entry in (None, one.entry)]

    def wait_for(self, count: int, *, after: int = 0) -> list[Sent]:
        """Return what was sent once it is so much more than `after`."""
        wait_until(lambda: len(self.sent()) >= after + count)
        return self.sent()

    def holder(self) -> str:
        """Return who holds the Lease, nothing where nobody does."""
        lease = self._cluster.stored_lease(LEASE)
        return (lease["spec"]["holderIdentity"] or "") if lease else ""

    def leader(self) -> str:
        """Return the name of the replica that leads, once one does."""
        found: list[str] = []

        def is_found() -> bool:
            leads = f"'{self.holder()}' leads, fencing token"
            found[:] = [
                name
                for name, program in self.programs.items()
                if program.running and self.holder() and leads in program.output
            ]
            return bool(found)

        wait_until(is_found)
        return found[0]

    def end(self, name: str) -> float:
        """It was told to end, as in a rolling restart; return the instant before."""
        at = time.time()
        self.programs[name].check()
        os.kill(self.programs[name].pid, signal.SIGTERM)
        return at

    def wait_for_the_end(self, name: str) -> int:
        """Return its exit code, when it has ended."""
        return self.programs.pop(name).wait(PATIENCE)

    def kill(self, name: str) -> float:
        """It was killed by SIGKILL; return the instant before."""
        at = time.time()
        self.programs.pop(name).kill()
        return at

    def ping(self) -> list[str]:
        """Return the names of those that answer `celery inspect ping`."""
        from celery import Celery

        app = Celery(broker=self.redis.url)
        answers = app.control.ping(timeout=2)
        return [name for answer in answers for name in answer]

    def built_at(self, name: str) -> list[float]:
        """Return when it has built a scheduler, by the clock of its log."""
        stamps = _BUILT.findall(self.programs[name].output)
        return [datetime.strptime(each, "%Y-%m-%d %H:%M:%S,%f").timestamp() for each in stamps]  # noqa: DTZ007

"""Workers of a real Celery, of which one does the duties that are sent to each

The broker is a folder, of which each worker has its own: two in one do not mind one another.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kube_leader_election.testing import ApiServer
from tests.apiserver.namespace import Namespace
from tests.programs import CHECKOUT, PATIENCE, Program, prepare_environment, wait_until

pytestmark = pytest.mark.celery

SHORTER = str(CHECKOUT / "tests" / "shorter.py")
LEASE = "my-workers"
POOLS = {
    "prefork": ["--pool=prefork", "-c4", "--max-tasks-per-child=1"],
    "spawn": ["--pool=prefork", "-c2"],
    "threads": ["--pool=threads", "-c2"],
    "solo": ["--pool=solo"],
}

_APP = """
import os, time
from pathlib import Path

from celery import Celery
from kube_leader_election import LeaderElectorParams
from kube_leader_election.contrib.celery import WorkerElector

FOLDER = Path(__file__).parent

app = Celery("tasks", broker="filesystem://")
folders = ("data_folder_in", "data_folder_out", "control_folder")
app.conf.broker_transport_options = {
    **dict.fromkeys(folders, str(FOLDER / os.environ["WORKER"])), "polling_interval": 0.05
}
app.conf.worker_pool_start_method = os.environ["START_METHOD"]

leader = WorkerElector(LeaderElectorParams(lease_name="my-workers"))

def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)

@app.task(name="work")
@leader.duty
def work(is_long):
    begun_at = now()  # it leads then, or did a moment ago
    leadership = leader.leadership
    name = f"{os.environ['WORKER']}.{os.getpid()}.{begun_at}.{leader.fencing_token}.stamps"
    with open(FOLDER / name, "w", buffering=1) as file:
        file.write(f"{begun_at} {int(leadership.is_valid())} 0\\n")
        while is_long and not (FOLDER / "enough").exists():
            time.sleep(0.01)
            is_to_finish = leadership.stopping.is_set()
            file.write(f"{now()} {int(leadership.is_valid())} {int(is_to_finish)}\\n")
"""


class Worker(Program):
    def __init__(self, folder: Path, name: str, command: list[str], *options: str) -> None:
        self.name_ = name
        self.project = folder
        options = (*options, f"--hostname={name}", "--loglevel=INFO")
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        super().__init__(
            [
                "/usr/bin/env",
                f"WORKER={name}",
                *command,
                f"--workdir={folder}",
                "-A",
                "tasks",
                "worker",
                *options,
                *quiet,
            ],
            folder=folder / name,
        )

    def __enter__(self) -> Worker:
        self.start()
        return self

    def tell(self, number: signal.Signals) -> None:
        """A signal to its main process, as in a Pod"""
        self.check()
        os.kill(self.pid, number)

    def is_ready(self) -> bool:
        self.check()
        return " ready." in self.output

    def duties(self) -> dict[tuple[int, int], list[tuple[float, bool, bool]]]:
        """By process and token, when each worked, if its term was valid then, and if to finish"""
        found: dict[tuple[int, int], list[tuple[float, bool, bool]]] = {}
        for path in self.project.glob(f"{self.name_}.*.stamps"):
            _, process, _, _, token, _ = path.name.split(".")
            lines = [line for line in path.read_text().splitlines(True) if line.endswith("\n")]
            stamps = [
                (float(at), valid == "1", to_finish == "1")
                for at, valid, to_finish in map(str.split, lines)
            ]
            found.setdefault((int(process), int(token)), []).extend(stamps)
        return found

    def stamps(self) -> list[tuple[float, bool, bool]]:
        return sorted(stamp for stamps in self.duties().values() for stamp in stamps)


def sender_to(worker: Worker) -> Any:
    celery: Any = importlib.import_module("celery")
    app = celery.Celery("test", broker="filesystem://")
    folders = ("data_folder_in", "data_folder_out", "control_folder")
    app.conf.broker_transport_options = dict.fromkeys(folders, str(worker.project / worker.name_))
    return app


class Pods:
    """Workers a and b, and who sends them duties"""

    def __init__(self, folder: Path, a: Worker, b: Worker) -> None:
        self.folder = folder
        self.both = (a, b)
        self._senders = [sender_to(worker) for worker in self.both]

    def send(self, *, is_long: bool = False) -> None:
        for sender in self._senders:
            sender.send_task("work", (is_long,))

    def send_until(self, condition: Any, *, is_long: bool = False) -> None:
        began_at = time.monotonic()
        while not condition():
            assert time.monotonic() - began_at < PATIENCE, [each.output for each in self.both]
            self.send(is_long=is_long)
            time.sleep(0.3)

    def leader(self, *, is_long: bool) -> tuple[Worker, Worker]:
        """Who does a duty now, and who does not"""
        a, b = self.both
        wait_until(lambda: all(worker.is_ready() for worker in self.both))
        self.send_until(lambda: a.stamps() or b.stamps(), is_long=is_long)
        assert not (a.stamps() and b.stamps())
        return (a, b) if a.stamps() else (b, a)


def prepare(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kubeconfig: Path, method: str = "fork"
) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
    (folder / "tasks.py").write_text(_APP)
    prepare_environment(monkeypatch, kubeconfig, START_METHOD=method, PYTHONDONTWRITEBYTECODE="1")


@contextmanager
def pods(
    server: Namespace,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    pool: str = "prefork",
    *,
    shorter: bool = False,
) -> Iterator[Pods]:
    prepare(folder, monkeypatch, server.kubeconfig, "spawn" if pool == "spawn" else "fork")
    by = [sys.executable, *([SHORTER, "celery"] if shorter else ["-m", "celery"])]
    with ExitStack() as at_exit:
        a, b = (
            at_exit.enter_context(Worker(folder, name, by, *POOLS[pool])) for name in ("a", "b")
        )
        yield Pods(folder, a, b)


def holder(server: Namespace) -> str:
    lease = server.stored_lease(LEASE)
    assert lease is not None
    identity: str = lease["spec"]["holderIdentity"]
    return identity


@pytest.mark.parametrize("pool", POOLS)
def test_a_duty_ends_before_the_lease_is_released_and_another_begins_one(
    lease_namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    with pods(lease_namespace, tmp_path, monkeypatch, pool) as both:
        old, new = both.leader(is_long=True)
        mine = holder(lease_namespace)
        running = len(old.duties())
        old.tell(signal.SIGTERM)
        both.send_until(lambda: old.stamps()[-1][2])
        for _ in range(5):
            both.send()
            time.sleep(0.1)
        assert holder(lease_namespace) == mine
        assert new.stamps() == []
        assert len(old.duties()) == running
        (both.folder / "enough").touch()
        both.send_until(new.stamps)
        assert old.wait(PATIENCE) == 0
        new.tell(signal.SIGTERM)
        assert new.wait(PATIENCE) == 0
        assert old.stamps()[-1][0] < new.stamps()[0][0]
        assert all(valid for _, valid, _ in old.stamps() + new.stamps())
        assert max(token for _, token in old.duties()) < min(token for _, token in new.duties())
        assert "Traceback" not in old.output + new.output
    assert holder(lease_namespace) == ""


def test_a_cold_shutdown_ends_the_duty_before_another_begins_one(
    lease_namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pods(lease_namespace, tmp_path, monkeypatch) as both:
        old, new = both.leader(is_long=True)
        mine = holder(lease_namespace)
        old.tell(signal.SIGQUIT)
        old.wait(PATIENCE)
        assert holder(lease_namespace) != mine
        both.send_until(new.stamps)
        assert old.stamps()[-1][0] < new.stamps()[0][0]


def test_a_worker_leads_on_when_a_child_of_it_is_killed(
    lease_namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pods(lease_namespace, tmp_path, monkeypatch) as both:
        leader, other = both.leader(is_long=True)
        killed = {process for process, _ in leader.duties()}
        for process in killed:
            os.kill(process, signal.SIGKILL)
        (both.folder / "enough").touch()
        both.send_until(lambda: {process for process, _ in leader.duties()} - killed)
        assert len({token for _, token in leader.duties()}) == 1
        assert other.stamps() == []
        leader.tell(signal.SIGTERM)
        both.send_until(other.stamps)
        assert leader.wait(PATIENCE) == 0
        assert leader.stamps()[-1][0] < other.stamps()[0][0]


def test_the_children_of_a_worker_that_is_killed_do_no_duty(
    lease_namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pods(lease_namespace, tmp_path, monkeypatch, shorter=True) as both:
        old, new = both.leader(is_long=True)
        old.tell(signal.SIGKILL)
        old.wait(PATIENCE)
        killed_at = time.clock_gettime(time.CLOCK_BOOTTIME)
        (both.folder / "enough").touch()
        both.send_until(new.stamps)
        assert max(at for at, valid, _ in old.stamps() if valid) - killed_at < 1.2
        assert old.stamps()[-1][0] < new.stamps()[0][0]


def test_a_worker_that_knows_no_cluster_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    prepare(tmp_path, monkeypatch, tmp_path / "none")
    with Worker(tmp_path, "a", [sys.executable, "-m", "celery"]) as worker:
        assert worker.wait(PATIENCE) == 1
        assert "<WorkerElector my-workers: not leading>: no cluster is known" in worker.output


def test_who_only_sends_duties_does_not_contend(
    lease_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, monkeypatch, lease_server.kubeconfig)
    monkeypatch.setenv("WORKER", "a")
    code = "from tasks import work; work.delay(False); print(work(False))"
    (tmp_path / "send.py").write_text(code)
    with Program([sys.executable, "send.py"], folder=tmp_path) as program:
        assert program.wait(PATIENCE) == 0
        assert program.output == "None\n"
    assert lease_server.requests == []

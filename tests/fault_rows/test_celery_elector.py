"""Row 27 in Celery: candidates in a worker's main process, and in the children of its pool"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fault_rows.world import Http, Server
from tests.programs import Program, prepare_environment, wait_until

pytestmark = pytest.mark.celery

CHILDREN = 2

_APP = """
import json, os, sys, threading, time
from pathlib import Path

from celery import Celery, signals
from kubernetes import client, config
from kube_leader_election import (
    LeaderElector, LeaderElectorParams, LeaseLock, LeaseLockParams, NotLeadingError
)

FOLDER = Path(__file__).parent
NAMESPACE = os.environ["LEASE_NAMESPACE"]

app = Celery("tasks", broker="filesystem://")
folders = ("data_folder_in", "data_folder_out", "control_folder", "processed_folder")
app.conf.broker_transport_options = {
    **dict.fromkeys(folders, str(FOLDER / "broker")), "polling_interval": 0.05
}

def make_elector(name):
    return LeaderElector(api, NAMESPACE, LeaderElectorParams(lease_name=name))

def sockets():
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            pass
    return {link for link in links if link.startswith("socket:")}

def tell(name, said):
    path = FOLDER / f"{name}.new"
    path.write_text(json.dumps(said))
    path.rename(FOLDER / f"{name}.json")

def elects(thread):  # that of a connection is a lock's, too
    prefix, _, what = thread.name.rpartition("-")
    return prefix == "kube-leader-election" and what != "connection"

if "worker" in sys.argv:
    config.load_kube_config()
    api = client.CoordinationV1Api()
    elector = make_elector("elector")
    lock = LeaseLock(api, NAMESPACE, LeaseLockParams(lease_name="lock", lease_ttl=600))
"""

_LOOKS = """
    main = os.getpid()

    def start(**_):
        global of_main, token, name
        before = sockets()
        elector.start()
        token = elector.wait_until_leading().fencing_token
        name = elector.holder_id
        assert lock.try_acquire_or_renew()
        of_main = sockets() - before
        threading.Thread(target=tell_of_main, daemon=True).start()

    def tell_of_main():
        while True:
            tell("main", [elector.is_leader(), elector.fencing_token == token, lock.is_leader()])
            time.sleep(0.1)

    if os.environ["STARTED"] == "import":
        start()
    else:
        signals.worker_init.connect(start, weak=False)

@app.task(name="look")
def look(key):
    looked = {
        "in a child": os.getpid() != main,
        "sockets of main": [len(of_main), len(of_main & sockets())],
        "threads": sum(map(elects, threading.enumerate())),
        "elector": [elector.is_leader(), elector.state.name, elector.holder_id == name],
        "lock": [lock.is_leader(), bool(lock.try_acquire_or_renew()), lock.is_leader()],
    }
    try:
        lock.step_down()
    except NotLeadingError:
        looked["lock"].append("not released")
    elector.stop()
    tell(key, looked)

@app.task(name="contend")
def contend(key):
    elector.start()
    while elector.holder_identity is None:
        time.sleep(0.01)
    tell(key, [elector.state.name, elector.holder_identity == name, elector.holder_id != name])
    elector.stop()
"""

_CHILDREN_CONTEND = """
    @signals.worker_process_init.connect
    def start(**_):
        elector.start()

    @signals.worker_process_shutdown.connect
    def stop(**_):
        elector.stop()

@app.task(name="look")
def look(key):
    elector.wait_until_leading(0.2)  # and another child does the next
    tell(key, [os.getpid(), elector.is_leader()])
"""


class Worker:
    """A worker with a pool of processes"""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self._folder = folder
        self._app: Any = importlib.import_module("celery").Celery(broker="filesystem://")
        folders = ("data_folder_in", "data_folder_out", "control_folder", "processed_folder")
        options = dict.fromkeys(folders, str(folder / "broker"))
        self._app.conf.broker_transport_options = options

    def do(self, task: str) -> Any:
        """What a child tells, that has done it"""
        (told,) = self.do_all(task)
        return told

    def do_all(self, *tasks: str) -> list[Any]:
        """The same, of tasks that were sent at once"""
        keys = {uuid.uuid4().hex: task for task in tasks}
        for key, task in keys.items():
            self._app.send_task(task, (key,))
        return [self.told(key) for key in keys]

    def told(self, key: str) -> Any:
        path = self._folder / f"{key}.json"
        wait_until(path.exists)
        return json.loads(path.read_text())

    def end(self) -> int:
        """The exit code after a SIGTERM to its main process, as in a Pod"""
        self.program.check()
        os.kill(self.program.pid, signal.SIGTERM)
        return self.program.wait(60.0)


@contextmanager
def worker(
    server: Server, folder: Path, app: str, monkeypatch: pytest.MonkeyPatch, **environment: str
) -> Iterator[Worker]:
    (folder / "broker").mkdir()
    (folder / "tasks.py").write_text(_APP + app)
    namespace = server.others.namespace
    prepare_environment(monkeypatch, server.kubeconfig(), LEASE_NAMESPACE=namespace, **environment)
    options = ["--pool=prefork", f"--concurrency={CHILDREN}", "--loglevel=INFO"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", *options, *quiet]
    with Program(command, folder=folder) as program:
        yield Worker(program, folder)


def holder(server: Server, lease_name: str) -> str:
    identity: str = server.others.read(lease_name).body["spec"]["holderIdentity"]
    return identity


@pytest.mark.fault_row(number=27)
@pytest.mark.parametrize("started", ["import", "worker_init"])
def test_what_a_worker_leads_in_its_main_process_its_children_do_not(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: str
) -> None:
    with worker(http, tmp_path, _LOOKS, monkeypatch, STARTED=started) as celery:
        for _ in range(2 * CHILDREN):
            looked = celery.do("look")
            had, shared = looked.pop("sockets of main")
            assert (had >= 2, shared) == (True, 0)
            assert looked == {
                "in a child": True,
                "threads": 0,
                "elector": [False, "STANDBY", False],
                "lock": [False, False, False, "not released"],
            }
        assert celery.do("contend") == ["FOLLOWING", True, True]
        assert celery.told("main") == [True, True, True]
        assert celery.end() == 0
        assert "Traceback" not in celery.program.output
    assert holder(http, "elector") == ""
    assert holder(http, "lock") != ""


@pytest.mark.fault_row(number=27)
def test_of_the_children_that_contend_one_leads_and_releases_when_told_of_its_end(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker(http, tmp_path, _CHILDREN_CONTEND, monkeypatch) as celery:
        looked: dict[int, bool] = {}
        while len(looked) < CHILDREN or not any(looked.values()):
            looked.update(celery.do_all("look", "look"))
        assert sorted(looked.values()) == [False, True]
        assert celery.end() == 0
        assert "Traceback" not in celery.program.output
    assert holder(http, "elector") == ""

"""Rows 27 and 33: a fork in the middle of a call, and many calls at once"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from kube_leader_election import (
    GetLeaseError,
)
from kube_leader_election.testing import FakeClock
from tests.fault_rows.world import (
    SHORT,
    START,
    Http,
    Server,
)
from tests.programs import CHECKOUT, wait_until

# A fork

_FORK = """
import gc, json, os, sys, threading
from kubernetes import client, config
from kube_leader_election import LeaseLock, LeaseLockParams, NotLeadingError

kubeconfig, namespace, holder_id = sys.argv[1:]
parent = os.getpid()
armed, under_way, go_on = (threading.Event() for _ in range(3))

def hook(_):
    if os.getpid() == parent and armed.is_set():
        under_way.set()
        go_on.wait()

configuration = client.Configuration()
config.load_kube_config(kubeconfig, client_configuration=configuration)
configuration.proxy = None
configuration.refresh_api_key_hook = hook
params = LeaseLockParams(
    lease_name="leader", holder_id=holder_id or None, lease_ttl=600, call_timeout=300
)
lock = LeaseLock(client.ApiClient(configuration), namespace, params)

def sockets():
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            pass
    return {link for link in links if link.startswith("socket:")}

def step_down():
    try:
        lock.step_down()
    except NotLeadingError:
        return False
    return True

token = lock.try_acquire_or_renew().fencing_token
held = lock.holder_id
renewed = []
armed.set()
thread = threading.Thread(target=lambda: renewed.append(bool(lock.try_acquire_or_renew())))
thread.start()
under_way.wait()
before = sockets()
ours, theirs = os.pipe()
child = os.fork()
if not child:
    report = {"inherited": len(before & sockets()), "leads": lock.is_leader()}
    report["token"] = lock.fencing_token
    report["acquired"] = bool(lock.try_acquire_or_renew())
    report["released"] = step_down()
    report["leads afterwards"] = lock.is_leader()
    os.write(theirs, json.dumps(report).encode())
    del lock
    gc.collect()
    sys.exit(0)
os.close(theirs)
told = os.read(ours, 10000).decode()
os.waitpid(child, 0)
report = {"had": len(before), "leads": lock.is_leader(), "same": before == sockets()}
armed.clear()
go_on.set()
thread.join()
renewed.append(bool(lock.try_acquire_or_renew()))
report["renewed"] = renewed
report["same term"] = lock.fencing_token == token
report["holder"] = lock.read().holder_identity == held
report["released"] = step_down()
print(json.dumps(report), told, sep="\\n")
"""


@pytest.mark.fault_row(number=27)
@pytest.mark.parametrize("holder_id", ["", "a"], ids=["a name for each process", "a given name"])
def test_a_child_that_is_forked_in_the_middle_of_a_call_is_another_candidate(
    server: Server, holder_id: str
) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORK]
    done = subprocess.run(
        [*command, str(server.kubeconfig()), server.others.namespace, holder_id],
        cwd=CHECKOUT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=240,
    )
    parent, child = (json.loads(line) for line in done.stdout.splitlines())
    assert child == {
        "inherited": 0,
        "leads": False,
        "token": None,
        "acquired": False,
        "released": False,
        "leads afterwards": False,
    }
    assert parent == {
        "had": 1,
        "leads": True,
        "same": True,
        "renewed": [True, True],
        "same term": True,
        "holder": True,
        "released": True,
    }
    verbs = [verb for verb, _ in server.requests()]
    assert verbs.count("update") == 3


_FORKS_WHILE_ANOTHER_THREAD_IMPORTS = """
import importlib.abc, os, signal, sys, threading, time
from kubernetes import client
from kube_leader_election import LeaderElector, LeaderElectorParams, LeaseLock, LeaseLockParams

importing = threading.Event()

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "kube_leader_election._connection":
            importing.set()
            time.sleep(1)

sys.meta_path.insert(0, Slow())
api = client.CoordinationV1Api(client.ApiClient(client.Configuration()))
if sys.argv[1] == "elector":
    candidate = LeaderElector(api, "default", LeaderElectorParams(lease_name="a", holder_id="a"))
    first_use = candidate.is_leader
else:
    candidate = LeaseLock(api, "default", LeaseLockParams(lease_name="a", holder_id="a"))
    first_use = lambda: candidate.holder_id
threading.Thread(target=first_use).start()
importing.wait()
child = os.fork()
if child == 0:
    signal.alarm(10)
    candidate.is_leader(), candidate.holder_id
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.fault_row(number=27)
@pytest.mark.parametrize("kind", ["elector", "lock"])
def test_a_child_that_is_forked_at_the_first_use_waits_for_no_import_of_its_parent_s(
    kind: str,
) -> None:
    script = _FORKS_WHILE_ANOTHER_THREAD_IMPORTS
    command = [sys.executable, "-W", "ignore", "-c", script, kind]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0


# Threads


def in_threads(*acts: Callable[[], object]) -> list[Any]:
    """What each returned or raised; all begin at once"""
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        start.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as threads:
        futures = [threads.submit(run, act) for act in acts]
    return [future.exception() or future.result() for future in futures]


@pytest.mark.fault_row(number=33)
def test_calls_of_many_threads_are_serialised_and_all_tell_of_the_same_term(
    server: Server,
) -> None:
    lock = server.lock()
    calls = [lock.try_acquire_or_renew] * 8
    results: list[Any] = []
    asked = server.asked_by(lambda: results.extend(in_threads(*calls)))
    assert asked == [("get", 404), ("create", 201)] + [("get", 200), ("update", 200)] * 7
    assert [result.acquired_lease for result in results] == [True] * 8
    assert {result.fencing_token for result in results} == {lock.fencing_token}
    assert len(server.told) == 1


@pytest.mark.fault_row(number=33)
def test_a_second_call_sends_nothing_while_the_first_is_under_way(http: Http) -> None:
    lock = http.leader()
    gate = threading.Event()
    http.stand_in.before_next(gate.wait, verb="get")
    before = len(http.requests())
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(lock.try_acquire_or_renew()))
        for _ in range(2)
    ]
    threads[0].start()
    wait_until(lambda: len(http.requests()) == before + 1)
    threads[1].start()
    # It cannot be seen that a thread waits, only that it does not come for a while.
    threads[1].join(timeout=0.2)
    assert http.requests()[before:] == [("get", None)]
    assert lock.is_leader()
    gate.set()
    for thread in threads:
        thread.join()
    assert http.requests()[before:] == [("get", 200), ("update", 200)] * 2
    assert all(results)
    assert {result.fencing_token for result in results} == {lock.fencing_token}


class StallingClock(FakeClock):
    """Stalls one thread that looks at it, in the middle of its call, until `go_on` is set"""

    def __init__(self) -> None:
        super().__init__(start=START)
        self.victim: threading.Thread | None = None
        self.stalled, self.go_on = threading.Event(), threading.Event()

    def utcnow(self) -> datetime:
        if threading.current_thread() is self.victim:
            self.stalled.set()
            self.go_on.wait()
        return super().utcnow()


@pytest.mark.fault_row(number=33)
def test_a_call_that_never_gets_its_turn_is_an_error_in_time(http: Http) -> None:
    clock = StallingClock()
    lock = http.leader(clock=clock, call_timeout=SHORT)
    clock.victim = threading.Thread(target=lock.try_acquire_or_renew)
    clock.victim.start()
    clock.stalled.wait()
    try:
        error, asked = http.failure(lock, GetLeaseError, None)
    finally:
        clock.go_on.set()
        clock.victim.join()
    assert "not sent, another thread's call took all the time" in str(error)
    assert asked == []
    assert lock.try_acquire_or_renew()


@pytest.mark.fault_row(number=33)
def test_two_locks_that_race_in_threads_make_one_leader(server: Server) -> None:
    locks = [server.lock("a"), server.lock("b")]
    for _ in range(5):
        results = in_threads(*(lock.try_acquire_or_renew for lock in locks))
        holder = server.spec["holderIdentity"]
        assert [result.acquired_lease for result in results] == [holder == "a", holder == "b"]
        assert [lock.is_leader() for lock in locks] == [holder == "a", holder == "b"]
        locks["ab".index(holder)].step_down()

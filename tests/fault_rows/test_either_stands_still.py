"""Rows 22, 23 and 28: a process, or what renews in it, stands still while time goes by"""

from __future__ import annotations

import ctypes
import json
import runpy
import signal
import sqlite3
import textwrap
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from dateutil.parser import isoparse

from kube_leader_election import LeaseError, LeaseLock
from kube_leader_election._clock import SystemClock
from kube_leader_election.testing import FakeClock
from tests.electors import Doing, lead, pass_time, term_of
from tests.fault_rows.world import BELIEF, TTL, Http, Server
from tests.hostile import PATIENCE, wait_until
from tests.programs import EXAMPLES

add: Callable[..., bool] = runpy.run_path(str(EXAMPLES / "fenced_write.py"))["add"]

# What either does that has led, and waits for its turn again.
_CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    "elector": (
        """
        candidate = make_elector()
        candidate.start()
        leadership = candidate.wait_until_leading()
        token = leadership.fencing_token

        def lead_again():
            leadership.lost.wait()
            while candidate.holder_identity != "b":
                time.sleep(0.01)
            tell("follows")
            return candidate.wait_until_leading().fencing_token
        """,
        {"lease_ttl": 2, "renew_deadline": 1.0, "retry_period": 0.5},
    ),
    "lock": (
        """
        candidate = make_lock()
        token = candidate.try_acquire_or_renew().fencing_token

        def lead_again():
            assert not candidate.try_acquire_or_renew()
            tell("follows")
            while not candidate.try_acquire_or_renew():
                time.sleep(0.1)
            return candidate.fencing_token
        """,
        {"lease_ttl": 1},
    ),
}

_STANDS_STILL = """
    tell(token)
    hear()
    asked = [candidate.is_leader(), candidate.fencing_token]
    with closing(sqlite3.connect(database)) as connection:
        accepted = add(connection, 1, token)
    tell(json.dumps([*asked, accepted]))
    later = lead_again()
    tell(later > token)
    hear()
    candidate.stop() if hasattr(candidate, "stop") else candidate.step_down()
"""


def script(kind: str, then: str, before: str = "") -> str:
    return "\n".join(textwrap.dedent(part) for part in (before, _CANDIDATES[kind][0], then))


def counter(path: Path) -> str:
    """A database as the example's"""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE counter (total INTEGER, token INTEGER)")
        database.execute("INSERT INTO counter VALUES (0, 0)")
    return f"""
import runpy, sqlite3
from contextlib import closing, suppress
add, database = runpy.run_path({str(EXAMPLES / "fenced_write.py")!r})["add"], {str(path)!r}
"""


@pytest.mark.fault_row(number=22)
@pytest.mark.fault_row(number=23)
@pytest.mark.parametrize("kind", _CANDIDATES)
def test_a_process_that_stood_still_neither_leads_nor_writes_anywhere_when_it_goes_on(
    server: Server, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "counter.db"
    text = script(kind, _STANDS_STILL, before=counter(path))
    with server.script(text, **_CANDIDATES[kind][1]) as process:
        token = int(process.hear())
        process.stand_still()
        standby = server.elector("b")
        leadership = lead(standby)
        assert leadership.fencing_token is not None
        assert leadership.fencing_token > token
        with closing(sqlite3.connect(path)) as database:
            assert add(database, 1, leadership.fencing_token)
        process.say()
        process.go_on()
        assert json.loads(process.hear()) == [False, None, False]
        assert process.hear() == "follows"
        assert standby.leadership is leadership  # any write of another would have ended the term
        standby.stop()
        assert process.hear() == "True"
        process.say()
        assert process.end() == (0, "", "")
    assert server.spec["holderIdentity"] == ""


@pytest.mark.parametrize("kind", _CANDIDATES)
def test_a_process_that_is_killed_is_followed_when_its_time_is_over_and_not_before(
    http: Http, kind: str
) -> None:
    params = _CANDIDATES[kind][1]
    with http.script(script(kind, "tell(token)\nhear()"), **params) as process:
        token = int(process.hear())
        process.process.kill()
        assert process.end()[0] == -signal.SIGKILL
        last = http.spec
        leadership = lead(http.elector("b"))
    assert (leadership.fencing_token or 0) > token
    renewed, acquired = isoparse(last["renewTime"]), isoparse(http.spec["acquireTime"])
    assert (acquired - renewed).total_seconds() > params["lease_ttl"]


# By a clock that is moved


@pytest.mark.fault_row(number=22)
def test_the_first_answer_after_a_pause_is_no_and_nothing_was_written(server: Server) -> None:
    lock, other = server.leader(), server.lock("b")
    server.clock.advance(TTL + 1)
    assert not lock.is_leader()
    assert lock.fencing_token is None
    assert other.try_acquire_or_renew()
    asked = server.asked_by(lock.try_acquire_or_renew)
    assert asked == [("get", 200)]
    assert not lock.is_leader()
    other.step_down()
    assert lock.try_acquire_or_renew()


@pytest.mark.fault_row(number=23)
def test_the_resource_refuses_who_paused_after_it_had_asked(server: Server, tmp_path: Path) -> None:
    counter(path := tmp_path / "counter.db")
    lock, other = server.leader(), server.lock("b")
    with closing(sqlite3.connect(path)) as database:
        token = lock.fencing_token
        assert lock.is_leader()
        server.clock.advance(TTL + 1)
        assert other.try_acquire_or_renew()
        assert add(database, 1, other.fencing_token)
        assert not add(database, 1, token)
        assert add(database, 1, other.fencing_token)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT total FROM counter").fetchone() == (2,)


@pytest.mark.fault_row(number=23)
def test_the_resource_refuses_work_that_paused_after_it_had_asked(
    server: Server, tmp_path: Path
) -> None:
    counter(path := tmp_path / "counter.db")
    mine, others = FakeClock(), FakeClock()  # one process stands still while time goes by
    elector, other = server.elector(clock=mine), server.elector("b", clock=others)
    leadership = lead(elector)
    other.start()
    wait_until(lambda: other.holder_identity == "a")
    with closing(sqlite3.connect(path)) as database:
        assert leadership.is_valid()
        pass_time(others, other.is_leader)
        assert add(database, 1, other.fencing_token)
        assert not add(database, 1, leadership.fencing_token)
    mine.advance(TTL)
    assert not leadership.is_valid()
    wait_until(lambda: elector.holder_identity == "b")
    other.stop()
    assert (term_of(elector).fencing_token or 0) > (leadership.fencing_token or 0)


# The thread that renews


@pytest.mark.fault_row(number=28)
@pytest.mark.parametrize("dies", [True, False], ids=["dead", "without time"])
def test_a_lock_whose_thread_renews_no_more_leads_no_longer_than_it_may(
    http: Http, dies: bool
) -> None:
    lock, go_on, renewed = http.leader(), threading.Event(), threading.Event()
    http.clock.advance(TTL / 3)

    def renew() -> None:
        assert lock.try_acquire_or_renew()
        renewed.set()
        if dies:
            raise ZeroDivisionError
        go_on.wait()

    renewing = Doing(renew)
    assert renewed.wait(PATIENCE)
    wait_until(lambda: renewing.is_done is dies)
    http.clock.advance(BELIEF - 0.01)
    assert lock.is_leader()
    http.clock.advance(0.01)
    assert not lock.is_leader()
    assert lock.fencing_token is None
    assert len(http.requests()) == 4
    go_on.set()
    assert lock.try_acquire_or_renew()


@pytest.mark.fault_row(number=28)
def test_whatever_keeps_the_interpreter_from_all_threads_no_term_outlives_it(http: Http) -> None:
    elector = http.elector(lease_ttl=2, renew_deadline=1.0, retry_period=0.5)
    lock = http.lock(lease_name="lock", lease_ttl=1, call_timeout=None, clock=SystemClock())
    go_on = threading.Event()
    renewing = Doing(lambda: renew_every(0.2, lock, go_on))
    leadership = lead(elector)
    wait_until(lock.is_leader)
    token = lock.fencing_token
    held = ctypes.PyDLL(None).usleep  # which holds the GIL
    held(1_100_000)
    assert not leadership.is_valid()
    assert lock.fencing_token is None or lock.fencing_token > (token or 0)
    assert (term_of(elector).fencing_token or 0) > (leadership.fencing_token or 0)
    wait_until(lambda: (lock.fencing_token or 0) > (token or 0))
    go_on.set()
    renewing.result()


def renew_every(seconds: float, lock: LeaseLock, stopping: threading.Event) -> None:
    while not stopping.wait(seconds):
        with suppress(LeaseError):
            lock.try_acquire_or_renew()

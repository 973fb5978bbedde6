"""What contrib.apscheduler consists of, where it needs no APScheduler"""

from __future__ import annotations

import subprocess
import sys

import pytest

from kube_leader_election import LeaderElector, LeaderElectorParams, Leadership, NotLeadingError
from kube_leader_election.contrib.apscheduler._gate import Gate
from kube_leader_election.testing import FakeClock, FakeCoordinationV1Api

PARAMS = LeaderElectorParams(lease_name="my-jobs")


def test_importing_contrib_apscheduler_imports_no_apscheduler() -> None:
    package = "kube_leader_election.contrib.apscheduler"
    code = f"import sys, {package}; print('apscheduler' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def begins(gate: Gate, leadership: Leadership) -> bool:
    try:
        with gate.passed(leadership):
            return True
    except NotLeadingError:
        return False


def test_a_job_begins_only_in_its_own_term_and_not_beyond_it(
    lease_api: FakeCoordinationV1Api, fake_clock: FakeClock
) -> None:
    gate = Gate()
    with LeaderElector(lease_api, "default", PARAMS, clock=fake_clock) as elector:
        first = elector.wait_until_leading(10)
        assert first
        assert not begins(gate, first)
        gate.open(first)
        assert begins(gate, first)
        fake_clock.advance(30)  # the term is over by the clock, whatever was told of it
        assert not begins(gate, first)
        assert gate.leadership is None
        assert first.lost.wait(10)
        second = elector.wait_until_leading(10)
        assert second
        gate.open(second)
        assert not begins(gate, first)
        assert begins(gate, second)


def test_it_closes_when_nothing_runs_and_nothing_begins_after(
    lease_api: FakeCoordinationV1Api, fake_clock: FakeClock
) -> None:
    gate = Gate()
    with LeaderElector(lease_api, "default", PARAMS, clock=fake_clock) as elector:
        leadership = elector.wait_until_leading(10)
        assert leadership
        gate.open(leadership)
        with gate.passed(leadership):
            assert not gate.close_if_idle()
            assert begins(gate, leadership)
        with pytest.raises(ZeroDivisionError), gate.passed(leadership):
            raise ZeroDivisionError
        assert gate.close_if_idle()
        assert not begins(gate, leadership)


def test_nothing_is_planned_in_a_term_that_is_to_end(lease_api: FakeCoordinationV1Api) -> None:
    gate = Gate()
    seen: list[bool] = []

    def work(leadership: Leadership) -> None:
        gate.open(leadership)
        seen.append(gate.plannable is leadership)
        elector.stop(wait=False)
        assert leadership.stopping.wait(10)
        seen.extend([gate.plannable is leadership, begins(gate, leadership)])

    elector = LeaderElector(lease_api, "default", PARAMS)
    elector.run(work)
    assert seen == [True, False, True]

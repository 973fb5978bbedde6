"""The fixtures, as a project that has installed the package finds them"""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SUITE = """
from kube_leader_election import LeaseLock, LeaseLockParams
from kube_leader_election.testing import faults

PARAMS = LeaseLockParams(lease_name="my-app", holder_id="me")

def test_in_memory(lease_api, fake_clock):
    lock = LeaseLock(lease_api, "default", PARAMS, clock=fake_clock)
    assert lock.try_acquire_or_renew()
    fake_clock.advance(15)
    assert not lock.is_leader()

def test_behind_http(lease_server):
    assert LeaseLock(lease_server.client(), "default", PARAMS).try_acquire_or_renew()

def test_that_arms_in_vain(lease_api):
    lease_api.fail_next(faults.hang())
"""


def test_the_fixtures_are_there_and_an_unmet_fault_fails_the_test(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*UnmetFaultsError: armed, and never met: *HANG*"])


def test_a_suite_that_uses_no_fixture_loads_nothing_but_the_plugin(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded():
            heavy = ("kubernetes", "urllib3", "dateutil", "kube_leader_election", "http.server")
            assert [name for name in heavy if name in sys.modules] == []
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1)

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from kube_leader_election import LeaseLock, LeaseLockParams
from kube_leader_election.testing import ApiServer, FakeClock, FakeCoordinationV1Api

pytest_plugins = ["tests.apiserver.fixtures"]

# How fast examples are made says something of the machine, nothing of the library.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("many", settings.get_profile("any-machine"), max_examples=10_000)
settings.load_profile("any-machine")

# A shell's background job ignores them, and so would all programs that are tested.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

MakeLock = Callable[..., LeaseLock]


@pytest.fixture
def make_lock(lease_api: FakeCoordinationV1Api, fake_clock: FakeClock) -> MakeLock:
    """Makes candidates for the Lease `default/leader`, all on one fake server and one clock."""

    def make(holder_id: str | None = "a", **params: Any) -> LeaseLock:
        params = {"lease_name": "leader", "holder_id": holder_id, **params}
        return LeaseLock(lease_api, "default", LeaseLockParams(**params), clock=fake_clock)

    return make


def verbs(stand_in: FakeCoordinationV1Api | ApiServer) -> list[str]:
    """What was asked for so far."""
    return [request.verb for request in stand_in.requests]


def stored_spec(stand_in: FakeCoordinationV1Api | ApiServer) -> dict[str, Any]:
    """What the Lease `default/leader` says, in the form of its JSON."""
    lease = stand_in.stored_lease("leader")
    assert lease is not None
    spec: dict[str, Any] = lease["spec"]
    return spec

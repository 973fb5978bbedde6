from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from kube_leader_election import LeaseLock, LeaseLockParams
from tests.fakes import FakeApi, FakeClock

pytest_plugins = ["tests.apiserver.fixtures"]

# How fast examples are made says something of the machine, nothing of the library.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")

MakeLock = Callable[..., LeaseLock]


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_lock(api: FakeApi, clock: FakeClock) -> MakeLock:
    """Makes candidates for the Lease `default/leader`, all on one fake server and one clock."""

    def make(holder_id: str | None = "a", **params: Any) -> LeaseLock:
        params = {"lease_name": "leader", "holder_id": holder_id, **params}
        return LeaseLock(api, "default", LeaseLockParams(**params), clock=clock)

    return make

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from kube_leader_election import LeaseLock, LeaseLockParams
from kube_leader_election.testing import ApiServer, FakeClock, FakeCoordinationV1Api


@dataclass
class Stage:
    """A stand-in of either kind, the clock of whoever uses it, and clients by user"""

    stand_in: FakeCoordinationV1Api | ApiServer
    clock: FakeClock
    client: Callable[[str], Any]

    def lock(self, user: str = "a", *, call_timeout: float = 5) -> LeaseLock:
        params = LeaseLockParams(lease_name="leader", holder_id=user, call_timeout=call_timeout)
        return LeaseLock(self.client(user), "default", params, clock=self.clock)

    @property
    def asked(self) -> list[str]:
        return [request.verb for request in self.stand_in.requests]

    @property
    def holder(self) -> object:
        lease = self.stand_in.stored_lease("leader")
        return None if lease is None else lease["spec"].get("holderIdentity")


@pytest.fixture(params=["in memory", "http"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    clock = FakeClock()
    if request.param == "in memory":
        with FakeCoordinationV1Api(clock=clock) as api:
            yield Stage(api, clock, api.as_user)
    else:
        with ApiServer(clock=clock) as server:
            yield Stage(server, clock, server.client)

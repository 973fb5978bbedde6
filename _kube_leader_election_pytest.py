"""The stand-ins of `kube_leader_election.testing` as pytest fixtures, found by pytest itself.

`fake_clock` is a clock that is set by hand, `lease_api` Leases in memory on that clock, and
`lease_server` Leases behind real HTTP. A fault that a test has armed and that was never met fails
the test. Every run of pytest imports this module: outside the package, it brings nothing else with
it until a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kube_leader_election.testing import ApiServer, FakeClock, FakeCoordinationV1Api


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that stands still until the test moves it."""
    from kube_leader_election.testing import FakeClock

    return FakeClock()


@pytest.fixture
def lease_api(fake_clock: FakeClock) -> Iterator[FakeCoordinationV1Api]:
    """An empty `FakeCoordinationV1Api`, whose time is that of `fake_clock`."""
    from kube_leader_election.testing import FakeCoordinationV1Api

    with FakeCoordinationV1Api(clock=fake_clock) as api:
        yield api


@pytest.fixture
def lease_server(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """An empty `ApiServer`, whose time is the real one, or that of `fake_clock` beside it."""
    from kube_leader_election.testing import ApiServer

    has_clock = "fake_clock" in request.fixturenames
    with ApiServer(clock=request.getfixturevalue("fake_clock") if has_clock else None) as server:
        yield server

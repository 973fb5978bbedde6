from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from kube_leader_election.testing import ApiServer, FakeClock, faults
from tests.apiserver.server import ApiServer as KubeApiServer
from tests.electors import pass_time
from tests.fault_rows.world import (
    START,
    Http,
    Real,
    Server,
)


@pytest.fixture
def http(caplog: pytest.LogCaptureFixture) -> Iterator[Http]:
    caplog.set_level(logging.INFO, logger="kube_leader_election")
    clock = FakeClock(start=START)
    with ApiServer(clock=clock) as stand_in, Http(stand_in, clock, caplog) as http:
        yield http


@pytest.fixture
def real(
    apiserver: KubeApiServer, apiserver_namespace: str, caplog: pytest.LogCaptureFixture
) -> Iterator[Real]:
    caplog.set_level(logging.INFO, logger="kube_leader_election")
    with Real(apiserver, apiserver_namespace, FakeClock(start=START), caplog) as real:
        yield real


@pytest.fixture(params=["http", pytest.param("real", marks=pytest.mark.apiserver)])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def unwatched(http: Http) -> Iterator[None]:
    """At the stand-in the Lease is polled, so that time may pass in leaps"""
    http.fail(faults.answer(403), "watch", times=None)
    yield
    pass_time(http.clock, lambda: ("watch", 403) in http.requests())


@pytest.fixture
def https(caplog: pytest.LogCaptureFixture) -> Iterator[Http]:
    caplog.set_level(logging.INFO, logger="kube_leader_election")
    clock = FakeClock(start=START)
    with ApiServer(tls=True, clock=clock) as stand_in, Http(stand_in, clock, caplog) as https:
        yield https

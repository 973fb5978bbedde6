"""What ``run --health-port`` serves"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from kube_leader_election import LeaderElector, LeaderElectorParams
from kube_leader_election.cli.running._health import answer, served
from kube_leader_election.testing import FakeCoordinationV1Api
from tests.electors import term_of
from tests.hostile import PATIENCE

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def elector(lease_api: FakeCoordinationV1Api) -> LeaderElector:
    params = LeaderElectorParams(lease_name="leader", holder_id="a")
    return LeaderElector(lease_api, "default", params)


def get(port: int, path: str, method: str = "GET") -> tuple[int, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with DIRECT.open(request, timeout=PATIENCE) as response:
            return response.status, json.loads(response.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or "null")


def test_only_the_leader_says_that_it_leads_and_all_are_healthy(elector: LeaderElector) -> None:
    with served(0, elector) as port:
        assert get(port, "/healthz") == (200, {"healthy": True})
        assert get(port, "/leader") == (503, {"leading": False, "leader": None})
        with elector:
            token = term_of(elector).fencing_token
            assert token is not None
            said = {"leading": True, "leader": "a", "fencing_token": token}
            assert get(port, "/leader?verbose") == (200, said)
            assert get(port, "/leader", "HEAD") == (200, None)
        assert get(port, "/leader")[0] == 503
        assert get(port, "/") == (404, {"paths": ["/healthz", "/leader"]})


def test_who_is_better_restarted_says_so(
    elector: LeaderElector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elector, "healthy", lambda: False)
    assert answer("/healthz", elector) == (503, {"healthy": False})


def test_a_port_that_is_taken_is_an_error(elector: LeaderElector) -> None:
    with served(0, elector) as port, pytest.raises(OSError, match="in use"), served(port, elector):
        pass

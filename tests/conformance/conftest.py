"""The servers the cases run against: for another kind, one more function and its line below"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from kube_leader_election import testing
from tests.apiserver.server import ADMIN, ApiServer
from tests.conformance.in_memory import InMemoryLeases
from tests.conformance.leases import HttpLeases, Leases


def _real(request: pytest.FixtureRequest) -> HttpLeases:
    server: ApiServer = request.getfixturevalue("apiserver")
    namespace: str = request.getfixturevalue("apiserver_namespace")
    return HttpLeases(
        server.url, namespace=namespace, ca_file=server.ca_file, token=server.token(ADMIN)
    )


def _real_restarted(request: pytest.FixtureRequest) -> HttpLeases:
    leases = _real(request)
    server: ApiServer = request.getfixturevalue("apiserver")
    server.restart()
    return leases


def _in_memory(_: pytest.FixtureRequest) -> InMemoryLeases:
    return InMemoryLeases("default")


def _in_memory_later(request: pytest.FixtureRequest) -> InMemoryLeases:
    leases = _in_memory(request)
    leases.forget()
    return leases


def _served(request: pytest.FixtureRequest) -> HttpLeases:
    server: testing.ApiServer = request.getfixturevalue("lease_server")
    return HttpLeases(server.url, namespace="test")


_Factory = Callable[[pytest.FixtureRequest], Leases]
_HttpFactory = Callable[[pytest.FixtureRequest], HttpLeases]

_MARKS = {"real": [pytest.mark.apiserver]}
_HTTP: dict[str, _HttpFactory] = {"real": _real, "served": _served}
_ALL: dict[str, _Factory] = {**_HTTP, "in memory": _in_memory}
_FORGETFUL: dict[str, _Factory] = {"real": _real_restarted, "in memory": _in_memory_later}


def _kinds(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=_MARKS.get(name, [])) for name in names]


@pytest.fixture(params=_kinds(_ALL))
def leases(request: pytest.FixtureRequest) -> Leases:
    """Of a new, empty namespace"""
    return _ALL[request.param](request)


@pytest.fixture(params=_kinds(_HTTP))
def http_leases(request: pytest.FixtureRequest) -> HttpLeases:
    """The same, but never in memory"""
    return _HTTP[request.param](request)


@pytest.fixture(params=_kinds(_FORGETFUL))
def forgetful_leases(request: pytest.FixtureRequest) -> Leases:
    """Of a server that knows no event from before this moment"""
    return _FORGETFUL[request.param](request)

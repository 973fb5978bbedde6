"""Fixtures for tests marked ``apiserver``; cheap to import, and nothing is built before its use"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from .build import binaries
from .namespace import Namespace
from .server import ApiServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def apiserver() -> Iterator[ApiServer]:
    """The server all tests of a run share; the first use builds it, which can take minutes"""
    with ApiServer(binaries()) as server:
        yield server


@pytest.fixture
def apiserver_namespace(apiserver: ApiServer) -> Iterator[str]:
    """A new, empty namespace; a server the test paused or killed serves again afterwards"""
    name = f"test-{next(_numbers)}"
    apiserver.create_namespace(name)
    yield name
    apiserver.restore()


@pytest.fixture
def lease_namespace(apiserver: ApiServer, apiserver_namespace: str) -> Namespace:
    """The same, for programs: with a kubeconfig of one who has the rights of an elector there"""
    return Namespace(apiserver, apiserver_namespace)

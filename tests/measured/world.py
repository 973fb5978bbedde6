"""What a scenario has: the real API server, started when first asked for, and how much to do"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from types import TracebackType

from tests.apiserver.build import binaries
from tests.apiserver.server import ApiServer

from .figures import Figure
from .fleet import Fleet


class World:
    """All is gone at the end of its with-block. For the main thread."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick
        self._exit = contextlib.ExitStack()
        self._server: ApiServer | None = None
        self._numbers = itertools.count(1)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def choose(self, *, full: int, quick: int) -> int:
        """Return how much to do."""
        return quick if self._quick else full

    @property
    def server(self) -> ApiServer:
        """The API server; it is one for all scenarios, and serves."""
        if self._server is None:
            self._server = self._exit.enter_context(ApiServer(binaries()))
        self._server.restore()
        return self._server

    def fleet(self) -> Fleet:
        """Return replicas in a new namespace."""
        return Fleet(self.server, f"measured-{next(self._numbers)}")


Scenario = Callable[[World], Iterator[Figure]]

"""Carries one request for one Lease out: one try, a wall deadline, every error translated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ._core.messages import Answer, Failed, Request, WatchEvent
from ._errors import InvalidParamsError
from ._failure import LeaseName
from ._raw import RawLeases
from ._typed import TypedLeases, is_mock
from ._typed_watch import TypedWatch, offers_watch

if TYPE_CHECKING:
    from ._watch import Watch

_METHODS = ("read_namespaced_lease", "create_namespaced_lease", "replace_namespaced_lease")
_RULE = "must be a kubernetes.client.CoordinationV1Api, an ApiClient, or have its Lease methods"


class Store:
    """The one Lease, as the user's client reaches it. One request at a time."""

    def __init__(self, client: Any, target: LeaseName, *, lease_ttl: int) -> None:
        self._api = _coordination_api(client)
        self._target = target
        self._lease_ttl = lease_ttl
        self._raw: RawLeases | None = None

    def carry(self, request: Request, timeout: float) -> Answer:
        """Return the answer to `request`, or why there is none, within `timeout` seconds.

        Nothing is sent where no time is left. Whether to speak raw JSON is decided anew each
        time: a test may have put a mock in the place of a method meanwhile.
        """
        if timeout <= 0:
            return Failed(self._target.error(request, "not sent, no time was left"))
        return self._leases().carry(request, timeout)

    def close(self) -> None:
        """The request under way fails at once; from any thread. A fake's may not."""
        if self._raw is not None:
            self._raw.close()

    @property
    def can_watch(self) -> bool:
        """Whether there is something to `watch`: a server, or a fake that offers it."""
        return _speaks_to_a_server(self._api) or offers_watch(self._api)

    def watch(
        self,
        resource_version: str | None,
        *,
        open_timeout: float,
        deliver: Callable[[object, WatchEvent], object],
    ) -> Watch | TypedWatch:
        """Return a watch from `resource_version` on, which has not been started."""
        if not _speaks_to_a_server(self._api):
            return TypedWatch(
                self._api,
                self._target,
                lease_ttl=self._lease_ttl,
                resource_version=resource_version,
                deliver=deliver,
            )
        from ._watch import Watch

        return Watch(
            self._api.api_client,
            self._target,
            lease_ttl=self._lease_ttl,
            resource_version=resource_version,
            open_timeout=open_timeout,
            deliver=deliver,
        )

    def _leases(self) -> RawLeases | TypedLeases:
        if not _speaks_to_a_server(self._api):
            return TypedLeases(self._api, self._target, lease_ttl=self._lease_ttl)
        if self._raw is None:
            from ._connection import Connection

            connection = Connection(self._api.api_client)
            self._raw = RawLeases(connection, self._target, lease_ttl=self._lease_ttl)
        return self._raw


def check_client(client: object) -> None:
    """`client` can reach Leases, as far as can be told without a request; all is imported for that.

    :raises InvalidParamsError: it cannot, or only asynchronously; the rule says what can.
    """
    name = type(client).__name__
    if isinstance(client, type) and not is_mock(client):
        raise InvalidParamsError("client", client, f"{_RULE}: this is a class, pass an instance")
    if _speaks_to_a_server(_coordination_api(client)):
        # Before there is anything that a child could use: one that is forked while another thread
        # imports a module would wait for ever for that thread, which it has not.
        from . import _connection, _watch  # noqa: F401
    if _kubernetes_class(client, "ApiClient"):
        return
    methods = [getattr(client, method, None) for method in _METHODS]
    if not all(callable(method) for method in methods):
        hint = ": pass CoordinationV1Api(api.api_client)" if name.endswith("Api") else ""
        raise InvalidParamsError("client", client, f"{_RULE}, this is a {name}{hint}")
    if any(_is_asynchronous(method) for method in methods):
        raise InvalidParamsError("client", client, f"{_RULE}: this is an asynchronous {name}")


def _is_asynchronous(method: object) -> bool:
    # An autospecced mock answers every question about its code with a mock, so with yes.
    if is_mock(method):
        return any(kind.__name__ == "AsyncMock" for kind in type(method).__mro__)
    return inspect.iscoroutinefunction(method)


def _coordination_api(client: Any) -> Any:
    if not _kubernetes_class(client, "ApiClient"):
        return client
    from kubernetes.client import CoordinationV1Api

    return CoordinationV1Api(client)


def _speaks_to_a_server(api: Any) -> bool:
    """Whether `api` and its client are the kubernetes module's own, no method replaced."""
    return _is_genuine(api, "CoordinationV1Api", _METHODS) and _is_genuine(
        api.api_client, "ApiClient", ("call_api",)
    )


def _is_genuine(thing: object, name: str, methods: tuple[str, ...]) -> bool:
    """Whether `thing` has the `methods` of the kubernetes module's `name`, none replaced."""
    own = _kubernetes_class(thing, name)
    if own is None:
        return False
    for method in methods:
        function = getattr(type(thing), method, None)
        if method in vars(thing) or not isinstance(function, FunctionType) or is_mock(function):
            return False
        if function.__module__ != own.__module__:
            return False
    return True


def _kubernetes_class(thing: object, name: str) -> type | None:
    """Return the class `name` of the kubernetes module that `thing` is an instance of, if any."""
    for kind in type(thing).__mro__:
        if kind.__name__ == name and kind.__module__.startswith("kubernetes.client."):
            return kind
    return None

"""Leases as `V1Lease` objects, from a client that is taken at its word: a mock or a fake."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Protocol

from ._core.messages import Absent, Answer, Conflict, Create, Failed, Found, Read, Replace, Request
from ._core.record import (
    API_VERSION,
    KIND,
    LeaseRecord,
    UnreadableLeaseError,
    read_lease,
)
from ._failure import LeaseName

_ASK_THE_MOCK = (
    "if the client is a mock, set read_namespaced_lease.return_value or .side_effect"
    " (a V1Lease, or an ApiException with status=404)"
)


class LeaseApi(Protocol):
    """What a client must be able to do: three methods of `CoordinationV1Api`.

    `body` and the answers are `kubernetes.client.V1Lease` objects. An exception with
    `.status == 404` means that there is no Lease, one with 409 that somebody wrote.
    """

    def read_namespaced_lease(self, name: str, namespace: str) -> Any:
        """Return the Lease."""

    def create_namespaced_lease(self, namespace: str, body: Any) -> Any:
        """Create the Lease, and return it."""

    def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any:
        """Replace the Lease if it is still the version in `body`, and return it."""


class TypedLeases:
    """Carries requests for one Lease by calling methods of the user's client."""

    def __init__(self, api: LeaseApi, target: LeaseName, *, lease_ttl: int) -> None:
        self._api = api
        self._target = target
        self._lease_ttl = lease_ttl

    def carry(self, request: Request, timeout: float) -> Answer:
        """Return the client's answer to `request`, or why there is none.

        :raises AssertionError: as the client did: it is a test's verdict, not an answer.
        """
        try:
            answer = self._call(request, timeout)
            return Found(self._record(request, answer), answer)
        except AssertionError:
            raise
        except UnreadableLeaseError as error:
            return Failed(self._target.error(request, f"answered, but {error}"))
        except Exception as error:  # noqa: BLE001 (a client may raise anything)
            return self._failure(request, error)

    def _failure(self, request: Request, error: Exception) -> Answer:
        status = getattr(error, "status", None)
        if not isinstance(status, int) or isinstance(status, bool) or status <= 0:
            what = f"no answer ({type(error).__name__})"
            return Failed(self._target.error(request, what, cause=error))
        if status == HTTPStatus.NOT_FOUND:
            return Absent(self._target.status_error(request, status, cause=error))
        if status == HTTPStatus.CONFLICT:
            return Conflict(self._target.status_error(request, status, cause=error))
        return Failed(self._target.status_error(request, status, cause=error), status)

    def _call(self, request: Request, timeout: float) -> object:
        arguments: dict[str, Any] = {"name": self._target.name, "namespace": self._target.namespace}
        if isinstance(request, Read):
            return _call(self._api.read_namespaced_lease, arguments, timeout)
        arguments["body"] = self._lease(request)
        if isinstance(request, Replace):
            return _call(self._api.replace_namespaced_lease, arguments, timeout)
        del arguments["name"]
        return _call(self._api.create_namespaced_lease, arguments, timeout)

    def _lease(self, request: Create | Replace) -> Any:
        """Return a new `V1Lease` that says what `request` wants said, and keeps the rest."""
        from kubernetes.client import V1Lease, V1LeaseSpec, V1ObjectMeta

        base = None if isinstance(request, Create) else request.base.source
        if isinstance(base, Mapping):
            raise TypeError("the Lease was read as JSON, before a method was replaced")
        metadata = _copied(V1ObjectMeta, getattr(base, "metadata", None))
        metadata.pop("managed_fields", None)
        metadata |= {"name": self._target.name, "namespace": self._target.namespace}
        if isinstance(request, Replace):
            # Of what was read: a fake that keeps what it answered may have changed it since.
            read = request.base.record
            metadata |= {"uid": read.uid, "resource_version": read.resource_version}
        record = request.record
        spec = _copied(V1LeaseSpec, getattr(base, "spec", None)) | {
            "holder_identity": record.holder_identity or "",
            "lease_duration_seconds": record.lease_duration_seconds,
            "acquire_time": record.acquire_time,
            "renew_time": record.renew_time,
            "lease_transitions": record.lease_transitions,
        }
        return V1Lease(
            api_version=API_VERSION,
            kind=KIND,
            metadata=V1ObjectMeta(**metadata),
            spec=V1LeaseSpec(**spec),
        )

    def _record(self, request: Request, answer: object) -> LeaseRecord:
        """Return what `answer` says; of an answer to a write only that it was one."""
        if inspect.iscoroutine(answer):
            answer.close()
        is_lease = hasattr(answer, "spec") or hasattr(answer, "metadata")
        if not is_lease and (answer is not None or isinstance(request, Read)):
            raise UnreadableLeaseError(f"with a {type(answer).__name__}, not a Lease")
        metadata = getattr(answer, "metadata", None)
        if is_lease and metadata is None and getattr(answer, "spec", None) is None:
            # Clients 24 to 34 make such a model of whatever they cannot decode, HTML with a 200.
            raise UnreadableLeaseError(f"with a {type(answer).__name__} that says nothing")
        if isinstance(request, Read):
            return self.read(answer)
        return replace(
            request.record,
            uid=_text(getattr(metadata, "uid", None)) or request.record.uid,
            resource_version=_text(getattr(metadata, "resource_version", None)),
        )

    def read(self, lease: object) -> LeaseRecord:
        """Return what `lease`, a `V1Lease`, says.

        :raises UnreadableLeaseError: it is none, or its holder cannot be told from it.
        """
        metadata, spec = getattr(lease, "metadata", None), getattr(lease, "spec", None)
        if isinstance(spec, (str, bytes, int, float, Mapping, Sequence)):
            raise UnreadableLeaseError(f"with a spec that is a {type(spec).__name__}")
        holder = getattr(spec, "holder_identity", None)
        if is_mock(holder):
            raise UnreadableLeaseError(f"with a {type(lease).__name__}: {_ASK_THE_MOCK}")
        return read_lease(
            {
                "metadata": {
                    "uid": getattr(metadata, "uid", None),
                    "resourceVersion": getattr(metadata, "resource_version", None),
                },
                "spec": {
                    "holderIdentity": holder,
                    "leaseDurationSeconds": getattr(spec, "lease_duration_seconds", None),
                    "acquireTime": getattr(spec, "acquire_time", None),
                    "renewTime": getattr(spec, "renew_time", None),
                    "leaseTransitions": getattr(spec, "lease_transitions", None),
                },
            },
            lease_ttl=self._lease_ttl,
        )


def is_mock(thing: object) -> bool:
    """Whether `thing` is a mock of `unittest.mock`, or a function made by `create_autospec`."""
    thing = getattr(thing, "mock", thing) if inspect.isfunction(thing) else thing
    return any(kind.__name__ == "NonCallableMock" for kind in type(thing).__mro__)


def _copied(model: Any, source: object) -> dict[str, Any]:
    """Return copies of the fields of `source` that `model` has, mocks left out."""
    fields = {name: getattr(source, name, None) for name in model.openapi_types}
    return {
        name: copy.deepcopy(value)
        for name, value in fields.items()
        if value is not None and not is_mock(value)
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _call(method: Callable[..., Any], arguments: dict[str, Any], timeout: float) -> object:
    """Call `method` as it wants to be called; a mock sees no argument that users never wrote."""
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):
        return method(*arguments.values())
    options: dict[str, Any] = {}
    if not is_mock(method) and _takes(signature, "_request_timeout"):
        # Clients 24 to 34 ignore a bare float, all of them understand a pair.
        options["_request_timeout"] = (timeout, timeout)
    try:
        signature.bind(**arguments, **options)
    except TypeError:
        return method(*arguments.values(), **options)
    return method(**arguments, **options)


def _takes(signature: inspect.Signature, keyword: str) -> bool:
    parameters = signature.parameters
    return keyword in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )

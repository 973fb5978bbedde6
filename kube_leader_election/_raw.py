"""Leases in raw JSON: fields that this client version does not know survive a replace."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeGuard

from ._core.messages import Absent, Answer, Conflict, Create, Failed, Found, Read, Request
from ._core.record import KIND, LeaseRecord, UnreadableLeaseError, lease_to_write, read_lease
from ._failure import LeaseName
from ._json import decoded

if TYPE_CHECKING:
    from ._connection import Connection, Response


class RawLeases:
    """Carries requests for one Lease over a connection of our own, one try each."""

    def __init__(self, connection: Connection, target: LeaseName, *, lease_ttl: int) -> None:
        self._connection = connection
        self._target = target
        self._lease_ttl = lease_ttl

    def carry(self, request: Request, timeout: float) -> Answer:
        """Return the server's answer to `request`, or why there is none, within `timeout`."""
        try:
            response = self._send(request, time.monotonic() + timeout)
        except TimeoutError as error:
            what = f"no whole answer within {timeout:.3g} s"
            return Failed(self._target.error(request, what, cause=error))
        except Exception as error:  # noqa: BLE001 (urllib3's, the system's, an auth plugin's)
            what = f"no answer ({type(error).__name__})"
            return Failed(self._target.error(request, what, cause=error))
        return self._understand(request, response)

    def close(self) -> None:
        """The request under way fails at once; a later one opens a new connection."""
        self._connection.close()

    def _send(self, request: Request, deadline_at: float) -> Response:
        """Send `request`, and once more if its credentials were refused: they may be newer now."""
        collection = f"/apis/coordination.k8s.io/v1/namespaces/{self._target.namespace}/leases"
        lease = f"{collection}/{self._target.name}"
        method, path = "GET", lease
        if not isinstance(request, Read):
            method, path = ("POST", collection) if isinstance(request, Create) else ("PUT", lease)
        body = self._body(request)
        response = self._connection.request(
            method, path, body, timeout=deadline_at - time.monotonic()
        )
        if response.status == HTTPStatus.UNAUTHORIZED:
            response = self._connection.request(
                method, path, body, timeout=deadline_at - time.monotonic()
            )
        return response

    def _body(self, request: Request) -> bytes | None:
        if isinstance(request, Read):
            return None
        base = None if isinstance(request, Create) else request.base.source
        if base is not None and not isinstance(base, Mapping):
            raise TypeError(f"the Lease was read as a {type(base).__name__}")
        lease = lease_to_write(
            request.record,
            lease_name=self._target.name,
            namespace=self._target.namespace,
            base=base,
        )
        return json.dumps(lease).encode()

    def _understand(self, request: Request, response: Response) -> Answer:
        status = response.status
        answer = decoded(response.body)
        if status in (HTTPStatus.OK, HTTPStatus.CREATED):
            try:
                return self._lease(request, answer)
            except UnreadableLeaseError as error:
                what = f"answered {status}, but {error}"
                return Failed(self._target.error(request, what, status=status))
        # Only the API server itself knows that there is no Lease, or that it was changed;
        # a proxy that does not know the path also answers 404.
        if is_status(answer):
            if status == HTTPStatus.NOT_FOUND:
                return Absent(self._target.status_error(request, status))
            if status == HTTPStatus.CONFLICT:
                return Conflict(self._target.status_error(request, status))
        refusal = self._target.status_error(request, status)
        return Failed(refusal, status, retry_after(response.headers))

    def _lease(self, request: Request, answer: Any) -> Found:
        record = read_target(answer, self._target, lease_ttl=self._lease_ttl)
        if not isinstance(request, Read) and not _is_stored(request.record, record):
            raise UnreadableLeaseError("with another record than was written")
        return Found(record, answer)


def is_status(answer: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether `answer`, in the form of its JSON, is a `Status`: the API server's own word."""
    return isinstance(answer, Mapping) and answer.get("kind") == "Status"


def read_target(answer: object, target: LeaseName, *, lease_ttl: int) -> LeaseRecord:
    """Return what `answer`, in the form of its JSON, says of the Lease `target`.

    :raises UnreadableLeaseError: it is no such Lease as a server keeps it, or cannot be read.
    """
    if not isinstance(answer, Mapping) or answer.get("kind") != KIND:
        raise UnreadableLeaseError("not with a Lease")
    record = read_lease(answer, lease_ttl=lease_ttl)
    metadata = answer.get("metadata") or {}
    if record.uid is None or record.resource_version is None:
        raise UnreadableLeaseError("with a Lease without uid or resourceVersion")
    if (metadata.get("namespace"), metadata.get("name")) != (target.namespace, target.name):
        raise UnreadableLeaseError("with another Lease")
    return record


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds the server wants to be left alone, `None` if it does not say."""
    text = headers.get("Retry-After")
    if text is None:
        return None
    from urllib3.util import Retry

    try:
        return float(Retry().parse_retry_after(text))
    except Exception:  # noqa: BLE001 (the parser of dates raises this and that, by its version)
        return None


def _is_stored(written: LeaseRecord, answered: LeaseRecord) -> bool:
    return answered.says_the_same_as(replace(written, uid=written.uid or answered.uid))

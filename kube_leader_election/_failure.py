"""Tells, in the library's own errors, why a request was not answered."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from ._core.messages import Create, Intent, Read, Request
from ._errors import (
    AcquireLeaseError,
    CreateLeaseError,
    GetLeaseError,
    LeaseError,
    ReleaseLeaseError,
    RenewLeaseError,
)

_REPLACE_ERRORS: dict[Intent, type[LeaseError]] = {
    Intent.ACQUIRE: AcquireLeaseError,
    Intent.RENEW: RenewLeaseError,
    Intent.RELEASE: ReleaseLeaseError,
}

Asked = Request | Literal["watch"]


@dataclass(frozen=True)
class LeaseName:
    """Which Lease is meant."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def error(
        self,
        request: Asked,
        what: str,
        *,
        status: int | None = None,
        cause: BaseException | None = None,
    ) -> LeaseError:
        """Return the error that says `what` became of `request`, without any of its content."""
        verb, kind = _verb_and_error(request)
        error = kind(
            f"{verb} of Lease {self}: {what}",
            verb=verb,
            namespace=self.namespace,
            lease_name=self.name,
            status=status,
        )
        error.__cause__ = cause
        return error

    def status_error(
        self, request: Asked, status: int, *, cause: BaseException | None = None
    ) -> LeaseError:
        """Return the error for an answer with `status`, and what to do about it."""
        verb, _ = _verb_and_error(request)
        return self.error(
            request,
            f"answered {_phrase(status)}{_advice(verb, status)}",
            status=status,
            cause=cause,
        )


def _verb_and_error(request: Asked) -> tuple[str, type[LeaseError]]:
    if request == "watch":
        return "watch", GetLeaseError
    if isinstance(request, Read):
        return "get", GetLeaseError
    if isinstance(request, Create):
        return "create", CreateLeaseError
    return "update", _REPLACE_ERRORS[request.intent]


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _advice(verb: str, status: int) -> str:
    if status == HTTPStatus.FORBIDDEN:
        deleted = ", and the namespace must not be on its way out" if verb == "create" else ""
        return f" (a Role must allow {verb!r} on leases.coordination.k8s.io there{deleted})"
    if status == HTTPStatus.NOT_FOUND and verb == "create":
        return " (there is no such namespace)"
    return ""

"""How the API server says no: a status, and an object of kind Status that tells why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Refusal(Exception):
    """The request was understood, and not carried out. `causes` are (field, message)."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        reason: str | None = None,
        causes: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = REASONS.get(status) if reason is None else reason
        self.causes = causes

    def document(self, about: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the Status object that is the answer's body; `about` names what was refused."""
        document = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "code": self.status,
        }
        if self.reason:
            document["reason"] = self.reason
        details: dict[str, Any] = dict(about or {})
        if self.causes:
            details["causes"] = [{"field": at, "message": message} for at, message in self.causes]
        if details:
            document["details"] = details
        return document


def phrase(status: int) -> str:
    """Return the words that follow `status` in the first line of an answer."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Odd"

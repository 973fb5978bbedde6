"""What the installed kubernetes client does of itself: its models, and what it raises."""

from __future__ import annotations

import inspect
import json
from http.client import RemoteDisconnected
from types import SimpleNamespace
from typing import Any

from ._refusal import phrase
from ._service import Reply
from .faults import Silence


class Models:
    """The conversion of the installed client, from models to JSON and back."""

    def __init__(self) -> None:
        from kubernetes.client import ApiClient

        self._client: Any = ApiClient()
        parameters = inspect.signature(self._client.deserialize).parameters
        self._takes_text = "content_type" in parameters

    def to_json(self, model: object) -> Any:
        """Return a new object, as the client would send it."""
        return json.loads(json.dumps(self._client.sanitize_for_serialization(model)))

    def from_json(self, text: str, kind: str) -> Any:
        """Return a new model, as the client makes it of an answer."""
        if self._takes_text:
            return self._client.deserialize(text, kind, "application/json")
        return self._client.deserialize(SimpleNamespace(data=text), kind)


def api_exception(reply: Reply) -> Exception:
    """Return what the client raises for an answer that is no success."""
    from kubernetes.client.exceptions import ApiException

    error = ApiException(status=reply.status, reason=phrase(reply.status))
    content = json.dumps(reply.document).encode() if reply.content is None else reply.content
    error.body = content.decode(errors="replace")
    error.headers = dict(reply.headers)
    return error


def connection_refused() -> Exception:
    """Return what the client raises where nobody listens."""
    from urllib3.exceptions import ProtocolError

    return ProtocolError("Connection aborted.", ConnectionRefusedError(111, "Connection refused"))


def no_answer(how: Silence) -> Exception:
    """Return what the client raises where no answer came."""
    from urllib3.exceptions import ProtocolError, ReadTimeoutError

    if how is Silence.CLOSE:
        end = RemoteDisconnected("Remote end closed connection without response")
        return ProtocolError("Connection aborted.", end)
    if how is Silence.RESET:
        reset = ConnectionResetError(104, "Connection reset by peer")
        return ProtocolError("Connection aborted.", reset)
    pool: Any = None
    return ReadTimeoutError(pool, "/apis/coordination.k8s.io/v1", "Read timed out.")

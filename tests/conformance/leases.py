"""The Leases of one namespace as a server keeps them, and how to reach them by plain HTTP"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

API = "/apis/coordination.k8s.io/v1"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)


class Leases(Protocol):
    """All bodies are JSON; an answer that is no success has a Status for its body"""

    @property
    def namespace(self) -> str: ...

    def create(self, body: Any, **query: str) -> Reply: ...

    def read(self, name: str) -> Reply: ...

    def replace(self, name: str, body: Any) -> Reply: ...

    def patch(self, name: str, body: Any) -> Reply:
        """A JSON merge patch"""

    def delete(self, name: str, body: Any = None) -> Reply:
        """The body is a DeleteOptions"""

    def list(self, **query: str) -> Reply: ...

    def watch(self, **query: str) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """The events until the server ends the watch

        :raises WatchRefused: the server answered with an error instead of a stream
        """


class WatchRefused(Exception):
    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


class HttpLeases:
    """Over a new connection for each request, by no proxy"""

    def __init__(
        self, url: str, *, namespace: str, ca_file: Path | None = None, token: str | None = None
    ) -> None:
        self.namespace = namespace
        self.path = f"{API}/namespaces/{namespace}/leases"
        self._url = url
        self._ca_file = ca_file
        self._token = token

    def create(self, body: Any, **query: str) -> Reply:
        return self.request("POST", self.path, body, **query)

    def read(self, name: str) -> Reply:
        return self.request("GET", self._lease(name))

    def replace(self, name: str, body: Any) -> Reply:
        return self.request("PUT", self._lease(name), body)

    def patch(self, name: str, body: Any) -> Reply:
        return self.request("PATCH", self._lease(name), body, content_type=MERGE_PATCH)

    def delete(self, name: str, body: Any = None) -> Reply:
        return self.request("DELETE", self._lease(name), body)

    def list(self, **query: str) -> Reply:
        return self.request("GET", self.path, **query)

    @contextmanager
    def watch(self, **query: str) -> Iterator[Iterator[dict[str, Any]]]:
        query = {"watch": "true", **query}
        with self._answer("GET", self.path, b"", JSON, query) as answer:
            if answer.status != 200:
                raise WatchRefused(_reply(answer))
            yield (json.loads(line) for line in answer)

    def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = JSON, **query: str
    ) -> Reply:
        """One request for any path of the server; no body if it is None"""
        payload = b"" if body is None else json.dumps(body).encode()
        return self.send(method, path, payload, content_type=content_type, **query)

    def send(
        self, method: str, path: str, payload: bytes, *, content_type: str = JSON, **query: str
    ) -> Reply:
        """The same with a body that need not be JSON"""
        with self._answer(method, path, payload, content_type, query) as answer:
            return _reply(answer)

    def _lease(self, name: str) -> str:
        return f"{self.path}/{quote(name, safe='')}"

    @contextmanager
    def _answer(
        self, method: str, path: str, payload: bytes, content_type: str, query: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        headers = {"Accept": JSON, "Content-Type": content_type}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        target = f"{path}?{urlencode(query)}" if query else path
        with contextlib.closing(self._connect()) as connection:
            connection.request(method, target, body=payload or None, headers=headers)
            with connection.getresponse() as answer:
                yield answer

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=_PATIENCE_SECONDS)
        context = ssl.create_default_context(cafile=self._ca_file)
        return http.client.HTTPSConnection(
            host, parts.port, timeout=_PATIENCE_SECONDS, context=context
        )


def _reply(answer: http.client.HTTPResponse) -> Reply:
    text = answer.read().decode()
    is_json = answer.headers.get_content_type() == JSON
    return Reply(answer.status, json.loads(text) if is_json else text, dict(answer.headers))

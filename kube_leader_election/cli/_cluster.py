"""Requests to the API server that the kubeconfig, or else the Pod, names."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from kube_leader_election import LeaderElectionError
from kube_leader_election._core.record import KIND, as_utc
from kube_leader_election._json import decoded

from ._say import give_up, printable

TIMEOUT = 10.0  # in seconds, for one whole request
# Of Leases in one answer. One takes about 1 kB, and no answer may have more than 2 MiB.
_PAGE = 500
_LEASES = "/apis/coordination.k8s.io/v1"


class NoAnswerError(LeaderElectionError):
    """The server was not reached, or what it answered is no answer to that."""


@dataclass(frozen=True)
class Answer:
    """What was answered, `None` for a `document` that is no JSON object, and when.

    `sent_at` and `came_at` are by this machine's wall clock, `took` by its monotonic one.
    """

    status: int
    headers: Mapping[str, str]
    document: Mapping[str, Any] | None
    sent_at: float
    came_at: float
    took: float

    @property
    def is_well(self) -> bool:
        """Whether it is what was asked for."""
        return self.status in (HTTPStatus.OK, HTTPStatus.CREATED) and self.document is not None

    @property
    def lease(self) -> Mapping[str, Any] | None:
        """The Lease that was answered, `None` where none was."""
        is_lease = self.document is not None and self.document.get("kind") == KIND
        return self.document if self.is_well and is_lease else None

    @property
    def date(self) -> float | None:
        """The server's wall clock, without the fraction of the second; `None` if it is not told."""
        try:
            return as_utc(parsedate_to_datetime(self.headers.get("Date") or "")).timestamp()
        except ValueError:
            return None

    @property
    def ahead(self) -> float:
        """How far the server's clock is ahead of ours, at least; 0 where it may be right."""
        if self.date is None:
            return 0.0
        low, high = self.date - self.came_at, self.date + 1 - self.sent_at
        return max(0.0, low) + min(0.0, high)

    @property
    def is_the_servers(self) -> bool:
        """Whether a refusal is the API server's own, and not that of a proxy before it."""
        return self.document is not None and self.document.get("kind") == "Status"


class Cluster:
    """One connection, and one request at a time over it.

    `ahead`: how far the server's clock is ahead of ours, as the last answer told.
    """

    def __init__(self, client: Any) -> None:
        from kube_leader_election._connection import Connection

        self.url: str = client.configuration.host
        self.ahead = 0.0
        self._connection = Connection(client)

    def call(
        self, method: str, path: str, body: object = None, *, timeout: float = TIMEOUT
    ) -> Answer:
        """Return the answer, whatever its status.

        :raises NoAnswerError: there is none.
        """
        content = None if body is None else json.dumps(body).encode()
        sent_at, began_at = time.time(), time.monotonic()
        try:
            response = self._connection.request(method, path, content, timeout=timeout)
        except Exception as error:
            raise NoAnswerError(f"no answer from {self.url}: {_why(error)}") from error
        took, came_at = time.monotonic() - began_at, time.time()
        document = decoded(response.body)
        if not isinstance(document, Mapping):
            document = None
        answer = Answer(response.status, response.headers, document, sent_at, came_at, took)
        self.ahead = answer.ahead
        return answer

    def lease(self, namespace: str, name: str) -> Answer:
        """Return the answer to a get of that Lease.

        :raises NoAnswerError: there is none.
        """
        return self.call("GET", f"{_LEASES}/namespaces/{namespace}/leases/{name}")

    def leases(self, namespace: str | None) -> Iterator[Mapping[str, Any]]:
        """Yield all Leases of the namespace, or of all where it is `None`.

        :raises NoAnswerError: they could not be read.
        """
        where = f"/namespaces/{namespace}" if namespace else ""
        path = f"{_LEASES}{where}/leases?limit={_PAGE}"
        more = ""
        while True:
            answer = self.call("GET", path + more)
            items = answer.document.get("items") if answer.is_well and answer.document else None
            if not isinstance(items, list):
                raise NoAnswerError(refusal(answer, f"list of Leases in {namespace or 'all'}"))
            yield from (each for each in items if isinstance(each, Mapping))
            metadata = (answer.document or {}).get("metadata")
            token = metadata.get("continue") if isinstance(metadata, Mapping) else None
            if not token:
                return
            more = f"&continue={quote(str(token), safe='')}"

    def close(self) -> None:
        """The connection is ended."""
        self._connection.close()


def connect(*, user: str | None = None) -> Cluster:
    """Return the cluster that the kubeconfig names, or the one that this is a Pod of.

    `user`: in whose name to ask, if that is another.

    :raises SystemExit: there is neither.
    """
    from kubernetes.client import ApiClient, Configuration

    configuration = Configuration()
    try:
        _load(configuration)
    except Exception as error:  # noqa: BLE001 (YAML's, the system's, an auth plugin's)
        # Of the error's own words, some could repeat what the file keeps secret.
        give_up(f"the kubeconfig cannot be read: {type(error).__name__}")
    client = ApiClient(configuration)
    if user is not None:
        client.default_headers["Impersonate-User"] = user
    return Cluster(client)


def _load(configuration: Any) -> None:
    from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

    try:
        load_kube_config(client_configuration=configuration)
    except ConfigException as error:
        try:
            load_incluster_config(client_configuration=configuration)
        except ConfigException:
            give_up(f"no cluster is named: {error}")


def refusal(answer: Answer, what: str) -> str:
    """Return what became of the request for `what`, in the server's own words if it has any."""
    try:
        status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
    except ValueError:
        status = str(answer.status)
    message = answer.document.get("message") if answer.document and answer.is_the_servers else None
    words = f": {printable(message)}" if isinstance(message, str) and message else ""
    return f"{what}: answered {status}{words}"


def _why(error: BaseException) -> str:
    """Return the innermost reason in the system's words, which hold no secret; else its type."""
    found = type(error).__name__
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        if isinstance(link, TimeoutError) and not link.strerror:
            found = str(link) or found
        elif isinstance(link, OSError) and link.strerror:
            found = link.strerror
        link = link.__cause__ or link.__context__
    return found

"""The same Leases behind the methods of the kubernetes client, in memory"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from kube_leader_election.testing import FakeCoordinationV1Api
from kube_leader_election.testing._memory import KEPT_EVENTS
from tests.conformance.leases import Reply, WatchRefused

OPTIONS = {
    "fieldSelector": "field_selector",
    "labelSelector": "label_selector",
    "resourceVersion": "resource_version",
    "timeoutSeconds": "timeout_seconds",
    "allowWatchBookmarks": "allow_watch_bookmarks",
    "dryRun": "dry_run",
}


class InMemoryLeases:
    """Bodies go in as JSON, and answers come out through the models of the installed client"""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._api = FakeCoordinationV1Api()
        self._models: Any = ApiClient()

    def forget(self) -> None:
        """Make so many writes that no event from before this moment is kept"""
        for _ in range(KEPT_EVENTS + 1):
            self._api.put_lease("other", "elsewhere")

    def create(self, body: Any, **query: str) -> Reply:
        return self._reply(
            lambda: self._api.create_namespaced_lease(self.namespace, body, **options(query))
        )

    def read(self, name: str) -> Reply:
        return self._reply(lambda: self._api.read_namespaced_lease(name, self.namespace))

    def replace(self, name: str, body: Any) -> Reply:
        return self._reply(lambda: self._api.replace_namespaced_lease(name, self.namespace, body))

    def patch(self, name: str, body: Any) -> Reply:
        return self._reply(lambda: self._api.patch_namespaced_lease(name, self.namespace, body))

    def delete(self, name: str, body: Any = None) -> Reply:
        return self._reply(
            lambda: self._api.delete_namespaced_lease(name, self.namespace, body=body)
        )

    def list(self, **query: str) -> Reply:
        return self._reply(
            lambda: self._api.list_namespaced_lease(self.namespace, **options(query))
        )

    @contextmanager
    def watch(self, **query: str) -> Iterator[Iterator[dict[str, Any]]]:
        try:
            response = self._api.list_namespaced_lease(
                self.namespace, watch=True, _preload_content=False, **options(query)
            )
        except ApiException as error:
            raise WatchRefused(self._refusal(error)) from None
        try:
            yield (json.loads(line) for line in response.stream())
        finally:
            response.close()

    def _reply(self, ask: Callable[[], Any]) -> Reply:
        try:
            answer = ask()
        except ApiException as error:
            return self._refusal(error)
        status = self._api.requests[-1].status
        assert status is not None
        return Reply(status, self._models.sanitize_for_serialization(answer))

    def _refusal(self, error: Any) -> Reply:
        return Reply(error.status, json.loads(error.body))


def options(query: dict[str, str]) -> dict[str, str]:
    return {OPTIONS[name]: value for name, value in query.items()}

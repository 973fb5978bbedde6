"""What a program will contend for: checked when it is said, connected to when it begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kube_leader_election import (
    InvalidParamsError,
    LeaderElector,
    LeaderElectorParams,
    Leadership,
    LeaseApi,
    current_namespace,
)
from kube_leader_election._params import check_namespace

from ._cluster import connect

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


class Candidacy:
    """`namespace` and `client` are by default those of the Pod, or of the kubeconfig."""

    def __init__(
        self,
        params: LeaderElectorParams,
        namespace: str | None,
        client: LeaseApi | ApiClient | None,
    ) -> None:
        """Nothing is asked for yet.

        :raises InvalidParamsError: one of them breaks its rule.
        """
        if not isinstance(params, LeaderElectorParams):
            raise InvalidParamsError("params", params, "must be a LeaderElectorParams")
        if namespace is not None:
            check_namespace(namespace)
        self.params = params
        self.namespace = namespace
        self._client = client

    def elector(
        self,
        *,
        on_started_leading: Callable[[Leadership], object] | None = None,
        on_stopped_leading: Callable[[], object] | None = None,
    ) -> LeaderElector:
        """Return one that was not started. Makes no request.

        :raises LeaderElectionError: no cluster is known.
        """
        return LeaderElector(
            connect() if self._client is None else self._client,
            self.namespace or current_namespace("default"),
            self.params,
            on_started_leading=on_started_leading,
            on_stopped_leading=on_stopped_leading,
        )

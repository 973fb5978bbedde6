"""The cluster that a program is meant to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kube_leader_election import LeaderElectionError

if TYPE_CHECKING:
    from kubernetes.client import CoordinationV1Api


def connect() -> CoordinationV1Api:
    """Return a client by the kubeconfig, else by the Pod's service account. Makes no request.

    :raises LeaderElectionError: there is neither.
    """
    from kubernetes import client, config

    try:
        config.load_config()
    except config.ConfigException as error:
        raise LeaderElectionError(f"no cluster is known: {error}") from error
    return client.CoordinationV1Api()

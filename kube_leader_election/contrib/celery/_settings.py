"""The settings of a Celery app that say which Lease is contended for, and how. No Celery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kube_leader_election import InvalidParamsError, LeaderElectorParams, current_namespace
from kube_leader_election._params import check_namespace

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

FIELDS = {
    "lease_name": "leader_lease",
    "lease_ttl": "leader_lease_ttl",
    "renew_deadline": "leader_renew_deadline",
    "retry_period": "leader_retry_period",
}


def elector_params(conf: Mapping[str, Any]) -> LeaderElectorParams:
    """Return what the settings say of a candidate; what they leave out has its default.

    :raises InvalidParamsError: one breaks its rule, or the Lease is not named.
    """
    given = {field: conf[name] for field, name in FIELDS.items() if conf.get(name) is not None}
    if "lease_name" not in given:
        rule = "must name the Lease that all replicas contend for"
        raise InvalidParamsError("leader_lease", None, rule)
    try:
        return LeaderElectorParams(**given)
    except InvalidParamsError as error:
        name = FIELDS.get(error.field, error.field)
        raise InvalidParamsError(name, error.value, error.rule) from None


def namespace(conf: Mapping[str, Any]) -> str:
    """Return the namespace of the settings, else the Pod's, else the kubeconfig's, else default.

    :raises InvalidParamsError: it is none, or where it is told cannot be read.
    """
    given = conf.get("leader_namespace")
    if given is None:
        return current_namespace("default")
    try:
        return check_namespace(given)
    except InvalidParamsError as error:
        raise InvalidParamsError("leader_namespace", given, error.rule) from None


def make_client() -> ApiClient:
    """Return a client for the cluster that the kubeconfig names, or that this is a Pod of.

    :raises kubernetes.config.ConfigException: there is neither.
    """
    from kubernetes.client import ApiClient, Configuration
    from kubernetes.config import load_config

    configuration = Configuration()
    load_config(client_configuration=configuration)
    return ApiClient(configuration)

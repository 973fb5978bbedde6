"""What the setting KUBE_LEADER_ELECTION says, and what it may say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kube_leader_election import InvalidParamsError, LeaderElectorParams
from kube_leader_election._params import check_namespace

NAME = "KUBE_LEADER_ELECTION"

_PARAMS = {
    "LEASE_NAME": "lease_name",
    "LEASE_TTL": "lease_ttl",
    "RENEW_DEADLINE": "renew_deadline",
    "RETRY_PERIOD": "retry_period",
    "MAX_CLOCK_SKEW": "max_clock_skew",
    "DRAIN_TIMEOUT": "drain_timeout",
}
_KEYS = (*_PARAMS, "NAMESPACE")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`namespace`: `None` for that of the Pod, or of the kubeconfig."""

    params: LeaderElectorParams
    namespace: str | None


def elector_params(lease_name: str | None = None) -> LeaderElectorParams:
    """Return what the setting KUBE_LEADER_ELECTION says, for another Lease if one is named.

    :raises InvalidParamsError: the setting is missing, or breaks a rule.
    """
    return read_settings(lease_name).params


def read_settings(lease_name: str | None = None) -> Settings:
    """Return all that the setting says.

    :raises InvalidParamsError: it is missing, or breaks a rule.
    """
    from django.conf import settings

    return checked(getattr(settings, NAME, None), lease_name)


def checked(told: object, lease_name: str | None = None) -> Settings:
    """Return what was told.

    :raises InvalidParamsError: it breaks a rule; the field is named as in the settings.
    """
    if not isinstance(told, dict):
        rule = f"must be a dict with some of {', '.join(_KEYS)}"
        raise InvalidParamsError(NAME, told, rule)
    for key in told:
        if key == "HOLDER_ID":
            rule = "must not be set: all processes that read it would have one name, and take"
            raise InvalidParamsError(_field(key), told[key], f"{rule} the Lease from one another")
        if key not in _KEYS:
            raise InvalidParamsError(_field(key), told[key], f"is none of {', '.join(_KEYS)}")
    params: dict[str, Any] = {_PARAMS[key]: told[key] for key in told if key in _PARAMS}
    if lease_name is not None:
        params["lease_name"] = lease_name
    try:
        namespace = told.get("NAMESPACE")
        if namespace is not None:
            check_namespace(namespace)
        params.setdefault("lease_name", None)
        return Settings(params=LeaderElectorParams(**params), namespace=namespace)
    except InvalidParamsError as error:
        if error.field == "lease_name" and lease_name is not None:
            raise
        raise InvalidParamsError(_field(error.field.upper()), error.value, error.rule) from None


def _field(key: object) -> str:
    return f"{NAME}[{key!r}]"

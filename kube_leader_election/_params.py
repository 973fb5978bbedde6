"""What a candidate is told at the start, and the rules that this must obey."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from ._core.timing import (
    call_timeout_rule,
    lease_ttl_rule,
    max_clock_skew_rule,
    whole_seconds,
)
from ._errors import InvalidParamsError

# RFC 1123 as Kubernetes applies it: a Lease's name is a subdomain, a namespace a label.
_DNS_LABEL = re.compile(r"(?=.{1,63}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)


@dataclass(frozen=True, kw_only=True)
class LeaseLockParams:
    """What one candidate claims, and for how long.

    `lease_name`: the Lease that all candidates share. `holder_id`: this candidate's name,
    unique among all living processes; by default host name and a random part, another in
    each process. `lease_ttl`: whole seconds for which the Lease is claimed.
    `max_clock_skew`: the largest difference, in seconds, between any two of the
    candidates' wall clocks; `None` trusts no wall clock, so that a Lease of another
    expires only after it was watched unchanged for its whole duration. Give all
    candidates the same. `call_timeout`: seconds for one whole call; by default a fifth of
    the time that a confirmed write lets us lead.

    :raises InvalidParamsError: a value breaks its rule.
    """

    lease_name: str
    holder_id: str | None = None
    lease_ttl: int | timedelta = 15
    max_clock_skew: float | None = 0.0
    call_timeout: float | None = None

    def __post_init__(self) -> None:
        _check("lease_name", self.lease_name, _lease_name_rule(self.lease_name))
        _check("holder_id", self.holder_id, _holder_id_rule(self.holder_id))
        _check("lease_ttl", self.lease_ttl, lease_ttl_rule(self.lease_ttl))
        ttl = whole_seconds(self.lease_ttl)
        skew_rule = max_clock_skew_rule(self.max_clock_skew, ttl)
        _check("max_clock_skew", self.max_clock_skew, skew_rule)
        _check("call_timeout", self.call_timeout, call_timeout_rule(self.call_timeout, ttl))


def check_namespace(namespace: object) -> str:
    """Return `namespace`, a DNS label.

    :raises InvalidParamsError: it is none.
    """
    if not isinstance(namespace, str) or not _DNS_LABEL.fullmatch(namespace):
        rule = "must be a DNS label: 1 to 63 of a-z, 0-9 and '-', no '-' at an end"
        raise InvalidParamsError("namespace", namespace, rule)
    return namespace


def _check(field: str, value: object, rule: str | None) -> None:
    if rule is not None:
        raise InvalidParamsError(field, value, rule)


def _lease_name_rule(value: object) -> str | None:
    if isinstance(value, str) and _DNS_SUBDOMAIN.fullmatch(value):
        return None
    return (
        "must be a DNS subdomain: 1 to 253 of a-z, 0-9, '-' and '.', each part beginning and"
        " ending with a letter or digit"
    )


def _holder_id_rule(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value.strip() and value.isprintable()):
        return None
    return "must be a printable string that is not empty, or None (host name and a random part)"

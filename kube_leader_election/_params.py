"""What a candidate is told at the start, and the rules that this must obey."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from ._core.timing import (
    SHORTEST_BELIEF,
    SHORTEST_ELECTOR_TTL,
    SHORTEST_RENEW_DEADLINE,
    ElectorTiming,
    call_timeout_rule,
    drain_timeout_rule,
    elector_timing,
    lease_ttl_rule,
    max_clock_skew_rule,
    renew_deadline_rule,
    retry_period_rule,
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
        ttl = _check_claim(self, shortest_ttl=1, shortest_belief=SHORTEST_BELIEF)
        _check("call_timeout", self.call_timeout, call_timeout_rule(self.call_timeout, ttl))


@dataclass(frozen=True, kw_only=True)
class LeaderElectorParams:
    """What one candidate claims, for how long, and how hard its leadership is defended.

    The defaults are client-go's. All are seconds, whole ones only where it says so.
    `lease_name`: the Lease that all candidates share. `holder_id`: this candidate's name,
    unique among all living processes; by default host name and a random part, another in
    each process. `lease_ttl`: whole seconds for which the Lease is claimed.
    `renew_deadline`: how long we lead by one confirmed write, and so how long the API
    server may fail while we do; a third of it is the interval of renewals, a fifth the
    time for one attempt. `retry_period`: how long to wait after a failed attempt, and
    between the looks of a candidate that cannot watch the Lease. `max_clock_skew`: the
    largest difference between any two of the candidates' wall clocks; `None` trusts no
    wall clock. Give all candidates the same. `drain_timeout`: for how long the work may
    finish, still leading, after it was told to stop; 20 leaves time to release the Lease
    within the 30 that Kubernetes gives a Pod to end.

    :raises InvalidParamsError: a value breaks its rule.
    """

    lease_name: str
    holder_id: str | None = None
    lease_ttl: int | timedelta = 15
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    max_clock_skew: float | None = None
    drain_timeout: float = 20.0

    def __post_init__(self) -> None:
        ttl = _check_claim(
            self, shortest_ttl=SHORTEST_ELECTOR_TTL, shortest_belief=SHORTEST_RENEW_DEADLINE
        )
        deadline_rule = renew_deadline_rule(self.renew_deadline, ttl, self.max_clock_skew)
        _check("renew_deadline", self.renew_deadline, deadline_rule)
        period_rule = retry_period_rule(self.retry_period, self.renew_deadline)
        _check("retry_period", self.retry_period, period_rule)
        _check("drain_timeout", self.drain_timeout, drain_timeout_rule(self.drain_timeout))


def check_namespace(namespace: object) -> str:
    """Return `namespace`, a DNS label.

    :raises InvalidParamsError: it is none.
    """
    if not isinstance(namespace, str) or not _DNS_LABEL.fullmatch(namespace):
        rule = "must be a DNS label: 1 to 63 of a-z, 0-9 and '-', no '-' at an end"
        raise InvalidParamsError("namespace", namespace, rule)
    return namespace


def _check_claim(
    params: LeaseLockParams | LeaderElectorParams, *, shortest_ttl: int, shortest_belief: float
) -> int:
    """Return the `lease_ttl` in seconds, after the fields that every candidate has were checked."""
    _check("lease_name", params.lease_name, _lease_name_rule(params.lease_name))
    _check("holder_id", params.holder_id, _holder_id_rule(params.holder_id))
    ttl_rule = lease_ttl_rule(params.lease_ttl, shortest=shortest_ttl)
    _check("lease_ttl", params.lease_ttl, ttl_rule)
    ttl = whole_seconds(params.lease_ttl)
    skew = params.max_clock_skew
    skew_rule = max_clock_skew_rule(skew, ttl, shortest_belief=shortest_belief)
    _check("max_clock_skew", skew, skew_rule)
    return ttl


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


def timing_of(params: LeaderElectorParams) -> ElectorTiming:
    """Return the durations of an elector, and what follows from them."""
    return elector_timing(
        lease_ttl=params.lease_ttl,
        renew_deadline=params.renew_deadline,
        retry_period=params.retry_period,
        max_clock_skew=params.max_clock_skew,
        drain_timeout=params.drain_timeout,
    )

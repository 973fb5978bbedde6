"""What is logged, and how a candidate is shown to people."""

from __future__ import annotations

import logging

from ._core.messages import Instant
from ._core.term import Term
from ._failure import LeaseName

logger = logging.getLogger("kube_leader_election")


def describe(holder_id: str, term: Term | None, now: Instant) -> str:
    """Return what a candidate is at `now`, for people."""
    if term is None:
        return f"{holder_id!r} not leading"
    left = term.remaining(now)
    return f"{holder_id!r} leading for {left:.1f} s, fencing token {term.token}"


def log_start(target: LeaseName, holder_id: str, token: int | None) -> None:
    """A term has begun."""
    logger.info("Lease %s: %r leads, fencing token %s", target, holder_id, token)


def log_end(target: LeaseName, holder_id: str) -> None:
    """A term is over."""
    logger.info("Lease %s: %r leads no more", target, holder_id)

"""Leader election on Kubernetes Leases: exactly one of many replicas may act.

`LeaseLock` is one candidate for one Lease. Call its `try_acquire_or_renew` every few
seconds, and ask `is_leader` right before acting.
"""

from __future__ import annotations

from ._clock import Clock
from ._core.attempt import LeaseLockResult
from ._core.record import LeaseRecord
from ._errors import (
    AcquireLeaseError,
    CreateLeaseError,
    GetLeaseError,
    InvalidParamsError,
    LeaderElectionError,
    LeaseError,
    NotLeadingError,
    ReleaseLeaseError,
    RenewLeaseError,
)
from ._lock import LeaseLock
from ._params import LeaseLockParams
from ._typed import LeaseApi

__all__ = [
    "AcquireLeaseError",
    "Clock",
    "CreateLeaseError",
    "GetLeaseError",
    "InvalidParamsError",
    "LeaderElectionError",
    "LeaseApi",
    "LeaseError",
    "LeaseLock",
    "LeaseLockParams",
    "LeaseLockResult",
    "LeaseRecord",
    "NotLeadingError",
    "ReleaseLeaseError",
    "RenewLeaseError",
]

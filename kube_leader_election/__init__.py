"""Leader election on Kubernetes Leases: exactly one of many replicas may act.

`LeaderElector` is one candidate for one Lease, that contends in the background.
`LeaseLock` is one whose `try_acquire_or_renew` you call every few seconds. Ask either
`is_leader` right before acting.
"""

from __future__ import annotations

from ._bounds import Bounds, bounds
from ._clock import Clock
from ._core.attempt import LeaseLockResult
from ._core.record import LeaseRecord
from ._elector import LeaderElector
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
from ._events import Event
from ._leadership import Leadership, LeaderState
from ._lock import LeaseLock
from ._namespace import current_namespace
from ._only_leader import only_leader
from ._params import LeaderElectorParams, LeaseLockParams
from ._typed import LeaseApi

__all__ = [
    "AcquireLeaseError",
    "Bounds",
    "Clock",
    "CreateLeaseError",
    "Event",
    "GetLeaseError",
    "InvalidParamsError",
    "LeaderElectionError",
    "LeaderElector",
    "LeaderElectorParams",
    "LeaderState",
    "Leadership",
    "LeaseApi",
    "LeaseError",
    "LeaseLock",
    "LeaseLockParams",
    "LeaseLockResult",
    "LeaseRecord",
    "NotLeadingError",
    "ReleaseLeaseError",
    "RenewLeaseError",
    "bounds",
    "current_namespace",
    "only_leader",
]

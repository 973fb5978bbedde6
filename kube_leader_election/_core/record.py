"""What a Lease says, normalised; and the object to write back.

A server may return a Lease with any field absent, null or odd. Each is read as
the table in docs/architecture.rst says, and none of them raises, with one
exception: a Lease that names a holder but not readably since when is an error,
because it must never be taken for a free one.
"""

from __future__ import annotations

import copy
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from dateutil.parser import isoparse

API_VERSION = "coordination.k8s.io/v1"
KIND = "Lease"
MAX_INT32 = 2**31 - 1

EARLIEST = datetime.min.replace(tzinfo=timezone.utc)
LATEST = datetime.max.replace(tzinfo=timezone.utc)

# Go's clock knows years that Python's does not: the server stores and returns
# them, so they are readable, and read as the nearest time that there is.
_BEFORE_YEAR_1 = re.compile(r"-|0000-")
_AFTER_YEAR_9999 = re.compile(r"\+?[1-9][0-9]{4,}-")

# KEP-5504: a positive integer without leading zeros, of any length. Python
# refuses to convert more than 4300 digits.
_INTEGER_VERSION = re.compile(r"[1-9][0-9]{0,4000}", re.ASCII)


class UnreadableLeaseError(ValueError):
    """The answer is no Lease, or one whose holder cannot be told from it."""


@dataclass(frozen=True, kw_only=True)
class LeaseRecord:
    """What a Lease says, normalised. Times are aware and in UTC, durations seconds.

    `holder_identity` is `None` on a free Lease, and `renew_time` falls back to
    `acquire_time` where the Lease has none. `lease_duration_seconds` is the
    reader's own `lease_ttl` where the Lease has none that is positive. Where there is
    a `strategy`, Kubernetes' coordinated election appoints the holder.
    """

    holder_identity: str | None
    lease_duration_seconds: int
    acquire_time: datetime | None
    renew_time: datetime | None
    lease_transitions: int
    strategy: str | None = None
    uid: str | None = None
    resource_version: str | None = None

    @property
    def version(self) -> int | None:
        """`resource_version` as an integer, `None` where it is no positive one."""
        return integer_version(self.resource_version)

    def says_the_same_as(self, other: LeaseRecord) -> bool:
        """Whether both are one record: uid and the five fields that candidates write are equal."""
        return self._identity() == other._identity()

    def _identity(self) -> tuple[object, ...]:
        times = self.acquire_time, self.renew_time
        counts = self.lease_duration_seconds, self.lease_transitions
        return self.uid, self.holder_identity, times, counts


def integer_version(text: str | None) -> int | None:
    """Return a `resourceVersion` as an integer, `None` where it is no positive one."""
    return int(text) if text and _INTEGER_VERSION.fullmatch(text) else None


def read_lease(lease: Mapping[str, Any], *, lease_ttl: int) -> LeaseRecord:
    """Return what `lease`, in the form of its JSON, says to a candidate with `lease_ttl`.

    Times may also be `datetime` objects; one without a zone is in UTC.

    :raises UnreadableLeaseError: it is no object with a `spec`, its holder is no text, or
        a holder is named whose time of renewal cannot be read.
    """
    metadata, spec = _object(lease, "metadata"), _object(lease, "spec")
    holder = spec.get("holderIdentity")
    if holder is not None and not isinstance(holder, str):
        raise UnreadableLeaseError(
            f"spec.holderIdentity is a {type(holder).__name__}, not a string"
        )
    acquired = _time(spec.get("acquireTime"))
    stored = spec.get("renewTime")
    renewed = acquired if stored is None else _time(stored)
    if holder and renewed is None:
        for field in ("renewTime", "acquireTime"):
            if spec.get(field) is not None:
                raise UnreadableLeaseError(
                    f"spec.{field} of the holder {reprlib.repr(holder)} is no time"
                )
    duration = _integer(spec.get("leaseDurationSeconds"))
    return LeaseRecord(
        holder_identity=holder or None,
        lease_duration_seconds=duration if duration and duration > 0 else lease_ttl,
        acquire_time=acquired,
        renew_time=renewed,
        lease_transitions=_integer(spec.get("leaseTransitions")) or 0,
        strategy=_text(spec.get("strategy")),
        uid=_text(metadata.get("uid")),
        resource_version=_text(metadata.get("resourceVersion")),
    )


def lease_to_write(
    record: LeaseRecord, *, lease_name: str, namespace: str, base: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the JSON object that makes the Lease say `record`; `base` is not changed.

    With `base`, the object that was read, every field of it that is not one of the five
    is kept, known to us or not, so `uid` and `resourceVersion` guard the write. Only
    `managedFields` is left out, which the server then carries over by itself.
    """
    lease: dict[str, Any] = copy.deepcopy(dict(base or {}))
    lease.update(apiVersion=API_VERSION, kind=KIND)
    metadata = {**(lease.get("metadata") or {}), "name": lease_name, "namespace": namespace}
    metadata.pop("managedFields", None)
    lease["metadata"] = metadata
    lease["spec"] = {
        **(lease.get("spec") or {}),
        "holderIdentity": record.holder_identity or "",
        "leaseDurationSeconds": record.lease_duration_seconds,
        "acquireTime": micro_time(record.acquire_time),
        "renewTime": micro_time(record.renew_time),
        "leaseTransitions": record.lease_transitions,
    }
    return lease


def micro_time(time: datetime | None) -> str | None:
    """Return `time` as the API server's MicroTime, whose six digits must never be dropped."""
    if time is None:
        return None
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def as_utc(time: datetime) -> datetime:
    """Return `time` in UTC; one without a zone is taken to be in UTC already."""
    if time.tzinfo is None:
        return time.replace(tzinfo=timezone.utc)
    try:
        return time.astimezone(timezone.utc)
    except OverflowError:
        return EARLIEST if time.year == 1 else LATEST


def _time(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return as_utc(value)
    if not isinstance(value, str):
        return None
    try:
        return as_utc(isoparse(value))
    except (ValueError, OverflowError):
        if _BEFORE_YEAR_1.match(value):
            return EARLIEST
        return LATEST if _AFTER_YEAR_9999.match(value) else None


def _object(parent: object, field: str) -> Mapping[str, Any]:
    if not isinstance(parent, Mapping):
        raise UnreadableLeaseError(f"it is a {type(parent).__name__}, not a Lease")
    child = parent.get(field)
    if child is None:
        return {}
    if not isinstance(child, Mapping):
        raise UnreadableLeaseError(f"{field} is a {type(child).__name__}, not an object")
    return child


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None

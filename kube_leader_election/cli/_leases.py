"""What the Leases say, in rows for people: no request, and no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kube_leader_election._core.record import LeaseRecord, UnreadableLeaseError, read_lease

from ._say import printable, shown

# What a candidate reads where the Lease has no duration: the default of its own.
LEASE_TTL = 15
# Clocks that are as near as this are not worth a word.
NEAR = 1.0
LONG = 3600


@dataclass(frozen=True)
class Note:
    """Something odd: a few words for a table, what follows from it, and what to do about it.

    Where it is `grave` nobody can lead, or two may.
    """

    mark: str
    meaning: str
    mend: str = ""
    grave: bool = False


DELETED = Note("deleted", "it is gone")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One Lease at one time. Durations are in seconds, `None` where the Lease does not tell.

    `expires_in` is negative once it has expired. `notes` is what is odd about it.
    """

    namespace: str
    name: str
    holder: str | None
    held_for: float | None = None
    renewed_ago: float | None = None
    expires_in: float | None = None
    transitions: int = 0
    resource_version: str | None = None
    notes: tuple[Note, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Which Lease it is."""
        return self.namespace, self.name

    @property
    def marks(self) -> list[str]:
        """What is odd, in a few words each."""
        return [note.mark for note in self.notes]

    def says_the_same_as(self, other: Row) -> bool:
        """Whether nothing has happened in between but renewals."""
        mine, others = ((row.key, row.holder, row.transitions) for row in (self, other))
        return mine == others and self.marks == other.marks

    def cells(self) -> list[str]:
        """Return what a table shows of it, under `COLUMNS`."""
        holder = "-" if self.holder is None else printable(self.holder)
        spans = (self.held_for, self.renewed_ago, self.expires_in)
        times = ["-" if each is None else shown(each) for each in spans]
        marks = ", ".join(self.marks)
        return [self.namespace, self.name, holder, *times, str(self.transitions), marks]

    def sentence(self) -> str:
        """Return what has become of it, in a line."""
        if DELETED in self.notes:
            return f"{self.namespace}/{self.name}: {DELETED.mark}"
        said = "free" if self.holder is None else f"held by {printable(self.holder)}"
        if self.held_for is not None:
            said += f" for {shown(self.held_for)}"
        said += f", transitions {self.transitions}"
        return "; ".join([f"{self.namespace}/{self.name}: {said}", *self.marks])

    def document(self) -> dict[str, Any]:
        """Return it for machines."""
        spans = {
            "heldForSeconds": self.held_for,
            "renewedAgoSeconds": self.renewed_ago,
            "expiresInSeconds": self.expires_in,
        }
        return {
            "namespace": self.namespace,
            "name": self.name,
            "holder": self.holder,
            **{key: None if each is None else round(each, 3) for key, each in spans.items()},
            "transitions": self.transitions,
            "resourceVersion": self.resource_version,
            "notes": self.marks,
        }


COLUMNS = (*("NAMESPACE", "LEASE", "HOLDER", "HELD", "RENEWED", "EXPIRES", "TRANSITIONS", "NOTES"),)


def row_of(lease: Mapping[str, Any], now: datetime) -> Row:
    """Return what `lease`, in the form of its JSON, says at `now`; nothing of it raises."""
    metadata = _object(lease, "metadata")
    namespace, name = (str(metadata.get(each) or "?") for each in ("namespace", "name"))
    try:
        record = read_lease(lease, lease_ttl=LEASE_TTL)
    except UnreadableLeaseError as error:
        meaning = f"{printable(str(error))}; no candidate takes it"
        mend = "kubectl edit it: name another holder, with a renewTime of now"
        note = Note("unreadable", meaning, mend, grave=True)
        return Row(namespace=namespace, name=name, holder=None, notes=(note,))
    is_held = record.holder_identity is not None
    expires_at = expiry(record)
    return Row(
        namespace=namespace,
        name=name,
        holder=record.holder_identity,
        held_for=_seconds(now, record.acquire_time) if is_held else None,
        renewed_ago=_seconds(now, record.renew_time) if is_held else None,
        expires_in=None if expires_at is None else (expires_at - now).total_seconds(),
        transitions=record.lease_transitions,
        resource_version=record.resource_version,
        notes=tuple(_notes(lease, record, now)),
    )


def expiry(record: LeaseRecord) -> datetime | None:
    """Return when it expires by its holder's wall clock; `None` if it is free or has no time."""
    if record.holder_identity is None or record.renew_time is None:
        return None
    try:
        return record.renew_time + timedelta(seconds=record.lease_duration_seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=record.renew_time.tzinfo)


def _notes(lease: Mapping[str, Any], record: LeaseRecord, now: datetime) -> Iterator[Note]:
    metadata, spec = _object(lease, "metadata"), _object(lease, "spec")
    if record.strategy is not None:
        name = f"strategy {printable(record.strategy)}"
        meaning = "Kubernetes itself appoints the holder: an elector leaves it alone"
        yield Note(name, meaning, "use another name, or take spec.strategy out", grave=True)
    if metadata.get("deletionTimestamp") is not None:
        meaning = "once it is gone, a new candidate leads beside the old holder"
        yield Note("being deleted", meaning, "let nobody delete it", grave=True)
    if record.resource_version is not None and record.version is None:
        meaning = "its version is no integer, so there are no fencing tokens"
        yield Note("no token", meaning, "go by no fencing token on this server")
    if record.holder_identity is not None:
        yield from _notes_of_holder(spec, record, now)


def _notes_of_holder(spec: Mapping[str, Any], record: LeaseRecord, now: datetime) -> Iterator[Note]:
    mend = "mend the program that wrote it"
    if spec.get("renewTime") is None:
        instead = "acquireTime counts" if record.renew_time else "by the wall clock it has expired"
        yield Note("no renewTime", instead, mend)
    stored = spec.get("leaseDurationSeconds")
    if not isinstance(stored, int) or isinstance(stored, bool) or stored <= 0:
        said = "no duration" if stored is None else f"duration {printable(str(stored))}"
        yield Note(said, "each candidate goes by its own lease_ttl", mend)
    elif stored > LONG:
        meaning = "nobody follows after a crash before that is over"
        yield Note(f"lasts {shown(stored)}", meaning, "give the candidates a shorter lease_ttl")
    renewed_ago, expires_at = _seconds(now, record.renew_time), expiry(record)
    if renewed_ago is not None and renewed_ago < -NEAR:
        meaning = "its holder's clock is wrong, or the server's is"
        yield Note("renewed in the future", meaning, "set the clocks (chrony, ntpd)")
    if expires_at is not None and now > expires_at:
        yield Note("expired", "its holder has not renewed it in time; any candidate may take it")


def _seconds(now: datetime, then: datetime | None) -> float | None:
    return None if then is None else (now - then).total_seconds()


def _object(parent: object, field: str) -> Mapping[str, Any]:
    child = parent.get(field) if isinstance(parent, Mapping) else None
    return child if isinstance(child, Mapping) else {}

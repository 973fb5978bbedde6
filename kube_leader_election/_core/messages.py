"""What a candidate asks of the outside, and what it may be told.

Each answer, and each event of a watch, comes with the `Instant` at which it arrived. The
`source` of a Lease is the object as it was read, opaque here: the store that read it
writes it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from .record import LeaseRecord


@dataclass(frozen=True)
class Instant:
    """One look at both clocks, the monotonic one (seconds) read first."""

    monotonic: float
    utc: datetime


class Intent(Enum):
    """What a replace is for."""

    ACQUIRE = "acquire"
    RENEW = "renew"
    RELEASE = "release"


@dataclass(frozen=True)
class Read:
    """Ask for the Lease."""


@dataclass(frozen=True)
class Create:
    """Ask for the Lease to be made, saying `record`."""

    record: LeaseRecord


@dataclass(frozen=True)
class Replace:
    """Ask for `base`, and no other version of the Lease, to be made to say `record`."""

    record: LeaseRecord
    base: Found
    intent: Intent


@dataclass(frozen=True)
class Found:
    """The Lease as it is now. An answer to a write may lack what a mock does not give."""

    record: LeaseRecord
    source: object = None


@dataclass(frozen=True)
class Absent:
    """There is no such Lease; `error` says so, for where that is a failure."""

    error: Exception


@dataclass(frozen=True)
class Conflict:
    """Somebody has written: what was to be replaced or created is not as it was read.

    That may have been this very request, if something on the way sent it twice.
    """

    error: Exception


@dataclass(frozen=True)
class Failed:
    """No answer, a refusal with its `status`, or nothing that can be understood.

    `retry_after`: how many seconds the server asked to be left alone for.
    """

    error: Exception
    status: int | None = None
    retry_after: float | None = None


@dataclass(frozen=True)
class WatchOpened:
    """What changes from now on will be told."""


@dataclass(frozen=True)
class Deleted:
    """The Lease is gone; `record` is what it said last, with the version of its deletion."""

    record: LeaseRecord


@dataclass(frozen=True)
class Bookmark:
    """Nothing of the Lease has changed up to this version."""

    resource_version: str


@dataclass(frozen=True)
class WatchEnded:
    """Nothing more will be told. `error` says why, `None` where the server just ended it.

    `status` is that of a refusal or of an ERROR event: 410 means that the version asked for
    is too old, so that what happened since is unknown.
    """

    error: Exception | None = None
    status: int | None = None
    retry_after: float | None = None


Write = Create | Replace
Request = Read | Create | Replace
Answer = Found | Absent | Conflict | Failed
WatchEvent = WatchOpened | Found | Deleted | Bookmark | WatchEnded

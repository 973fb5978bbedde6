"""One Lease, guarded as kube-apiserver guards it, as a value: each change makes another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from kube_leader_election._core.messages import (
    Absent,
    Answer,
    Conflict,
    Create,
    Deleted,
    Failed,
    Found,
    Read,
    Replace,
    Request,
    Write,
)
from kube_leader_election._core.record import LeaseRecord

# Versions grow with time and have gaps, as etcd's have: so two histories with as many writes in
# their last tick are alike, however many were made before.
_VERSIONS_PER_TICK = 100


class Trouble(Exception):
    """What went wrong with a request."""


ABSENT = Absent(Trouble("404"))
CONFLICT = Conflict(Trouble("409"))
NO_ANSWER = Failed(Trouble("no answer"))


@dataclass(frozen=True)
class Version:
    """What the Lease said at a version, or that it was deleted with it, and what it said last."""

    number: int
    record: LeaseRecord | None
    last: LeaseRecord | None = None

    def as_answer(self) -> Answer:
        """What a read shows; the source is what guards a write of it, as for the real store."""
        record = self.record
        return ABSENT if record is None else Found(record, (record.uid, record.resource_version))


@dataclass(frozen=True)
class Server:
    """The Lease at its last versions, the newest last."""

    versions: tuple[Version, ...] = (Version(0, None),)

    @property
    def record(self) -> LeaseRecord | None:
        """What the Lease says."""
        return self.versions[-1].record

    def event(self, back: int) -> Found | Deleted | None:
        """What a watch shows of the version so far `back`, `None` where nothing ever was."""
        at = self.versions[-1 - back]
        if at.last is not None:
            return Deleted(replace(at.last, resource_version=str(at.number)))
        answer = at.as_answer()
        return answer if isinstance(answer, Found) else None

    def with_version(self, tick: int, record: LeaseRecord | None, remembers: int) -> Server:
        """The Lease now says `record`, or is deleted; `remembers` older versions can be shown."""
        number = max((tick + 1) * _VERSIONS_PER_TICK, self.versions[-1].number + 1)
        if record is not None:
            uid = record.uid or f"uid-{number}"
            record = replace(record, uid=uid, resource_version=str(number))
        last = self.record if record is None else None
        return Server((*self.versions, Version(number, record, last))[-remembers - 1 :])

    def could_commit(self, write: Write, *, if_deleted: bool) -> bool:
        """Whether `write` may be committed now or later; a guarded one is refused for ever."""
        if isinstance(write, Create):
            return if_deleted or self.record is None
        return write.base.source is None or self._is_base(write)

    def carry_out(self, request: Request, tick: int, remembers: int) -> tuple[Server, Answer]:
        """Return the server afterwards, and its answer."""
        if isinstance(request, Read):
            return self, self.versions[-1].as_answer()
        if isinstance(request, Create):
            if self.record is not None:
                return self, CONFLICT
        elif request.base.source is not None and not self._is_base(request):
            return self, CONFLICT  # also where it was deleted, as a uid is given
        after = self.with_version(tick, request.record, remembers)
        return after, after.versions[-1].as_answer()

    def harm(self, write: Write) -> str | None:
        """Return what is wrong with `write`, which is about to be committed."""
        if isinstance(write, Create):
            return None
        if not self._is_base(write):
            return "a replace was committed over what it was not composed from"
        if self.record is not None and write.record.renew_time == self.record.renew_time:
            return "a write says the renewTime that is stored"
        return None

    def edited(self, tick: int, remembers: int) -> Server:
        """A label was changed, of which the record says nothing."""
        return self.with_version(tick, self.record, remembers)

    def usurped(self, tick: int, remembers: int) -> Server:
        """Somebody wrote another name into the Lease, and nothing else."""
        assert self.record is not None
        other = replace(self.record, holder_identity="x")
        if other.renew_time is not None:
            other = replace(other, renew_time=other.renew_time + timedelta(microseconds=1))
        return self.with_version(tick, other, remembers)

    def _is_base(self, write: Replace) -> bool:
        record = self.record
        return record is not None and write.base.source == (record.uid, record.resource_version)

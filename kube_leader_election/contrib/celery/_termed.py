"""What a scheduler's class is given, so that it sends in one term, and each slot once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from celery.beat import Scheduler, SchedulingError
from kombu.exceptions import OperationalError

from kube_leader_election import Leadership
from kube_leader_election._telling import logger

from ._slot import slot_of, task_id

# In seconds: about as long as a broker needs to fail over, and less than a tick may take.
REFUSED_LIMIT = 10.0
TOKEN_HEADER = "leader_fencing_token"
SLOT_HEADER = "leader_slot"


class NotSentError(BaseException):
    """A slot is to be sent later, maybe by another; of an `Exception` Celery would take it as sent.

    The scheduler that raises it has advanced, and must not be used any more.
    """


@dataclass(kw_only=True)
class Right:
    """To send, in one term. `sent`: the slot of each entry that was sent last.

    `refused_since`: from when on the broker, though it was reached, has not taken a slot.
    """

    leadership: Leadership
    election: str
    sent: dict[str, datetime | None] = field(default_factory=dict)
    refused_since: dict[tuple[str, datetime | None], float] = field(default_factory=dict)

    def ensure(self) -> None:
        """:raises NotSentError: the term is over."""
        if not self.leadership.is_valid():
            raise NotSentError("the term is over")

    def is_refused(self, entry: str, slot: datetime | None) -> bool:
        """Note that the broker has not taken it; return whether that has gone on for too long."""
        now = time.monotonic()
        return now - self.refused_since.setdefault((entry, slot), now) >= REFUSED_LIMIT

    def note_sent(self, entry: str, slot: datetime | None) -> None:
        """The broker has taken it."""
        self.refused_since.pop((entry, slot), None)
        self.sent[entry] = slot


class Termed(Scheduler):
    """Mixed into a scheduler's class, before it."""

    _right: Right
    _is_sending = _is_dropped = False

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """The task was sent, with an id that follows from the entry and its slot, and persisted.

        What cannot be written, and what the broker, though it is reached, does not take for
        `REFUSED_LIMIT`, counts as sent, as ever in Celery: it must not hold up all others.

        :raises NotSentError: the term is over, or the broker has not taken the message.
        """
        self._right.ensure()
        slot = _slot_or_none(entry)
        result = None
        try:
            if slot is None or self._right.sent.get(entry.name) != slot:
                with _stamped(entry, self._right, slot):
                    result = self._send(entry, slot, producer, kwargs)
                self._right.note_sent(entry.name, slot)
        finally:
            if advance and not isinstance(sys.exc_info()[1], NotSentError):
                self.reserve(entry)
        if self.should_sync():
            self._do_sync()
        return result

    def should_sync(self) -> bool:
        """Not before what was reserved is sent."""
        return not self._is_sending and bool(super().should_sync())

    def sync(self) -> None:
        """What was sent is persisted, if the term is not over."""
        if self._right.leadership.is_valid() and not self._is_dropped:
            super().sync()

    def _ensure_connected(self) -> Any:
        # Celery's own tries a hundred times, and the tick does not end meanwhile.
        try:
            return self.connection.ensure_connection(max_retries=1)
        except OperationalError as error:
            raise NotSentError(f"the broker was not reached: {error}") from error

    def _send(
        self, entry: Any, slot: datetime | None, producer: Any, kwargs: dict[str, Any]
    ) -> Any:
        self._is_sending = True
        try:
            return super().apply_async(entry, producer=producer, advance=False, **kwargs)
        except SchedulingError as error:
            is_brokers = isinstance(error.__context__, OperationalError)
            if is_brokers and not self._right.is_refused(entry.name, slot):
                raise NotSentError(f"the broker did not take it: {error.__context__}") from error
            raise
        finally:
            self._is_sending = False


def termed_producer(producer_class: Any, right: Right) -> Any:
    """Return a class of producers that publish by this right only, at each of their tries."""

    class Producer(producer_class):
        def _publish(self, *args: Any, **kwargs: Any) -> Any:
            right.ensure()
            return super()._publish(*args, **kwargs)

    return Producer


@contextmanager
def _stamped(entry: Any, right: Right, slot: datetime | None) -> Iterator[None]:
    """Within the block the entry's options say what the message is to say."""
    options = entry.options
    headers = {**(options.get("headers") or {}), TOKEN_HEADER: right.leadership.fencing_token}
    entry.options = {**options, "headers": headers}
    if slot is not None:
        headers[SLOT_HEADER] = slot.isoformat()
        entry.options.setdefault("task_id", task_id(right.election, entry.name, slot))
    try:
        yield
    finally:
        entry.options = options


def _slot_or_none(entry: Any) -> datetime | None:
    try:
        return slot_of(entry)
    except Exception as error:  # noqa: BLE001 (a schedule may be anybody's)
        logger.warning("entry %r of beat has no slot: %s", entry.name, type(error).__name__)
        return None

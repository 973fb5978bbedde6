"""What was written, one event after another, and who is told of it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ._kinds import Kind

Document = Mapping[str, Any]
Key = tuple[Kind, str, str]


@dataclass(frozen=True)
class Event:
    """One write: ADDED, MODIFIED or DELETED, and the object after it (or as it last was).

    Where a watch begins with what there is, a BOOKMARK without an object follows on that.
    """

    type: str
    key: Key | None
    document: Document
    version: int


@dataclass(frozen=True)
class Selection:
    """Which objects are meant: those of one kind, in one namespace or all, for which `terms` hold.

    A term is (of the name, else of the namespace; equal, else unequal; to this text).
    """

    kind: Kind
    namespace: str | None = None
    terms: tuple[tuple[bool, bool, str], ...] = ()

    def has(self, key: Key) -> bool:
        """Whether the object of this key is one of them."""
        kind, namespace, name = key
        if kind is not self.kind or self.namespace not in (None, namespace):
            return False
        return all(
            ((name if of_name else namespace) == text) is equal
            for of_name, equal, text in self.terms
        )


class Subscription:
    """The events of a selection after a version, until it is closed."""

    def __init__(
        self, selection: Selection, since: int, close: Callable[[Subscription], None]
    ) -> None:
        self._selection = selection
        self._since = since
        self._close = close
        self.closed = False
        self._events: queue.Queue[Event | None] = queue.Queue()

    def put(self, event: Event) -> None:
        """Let `next` return the event if it is one of the selection, and late enough."""
        late = event.version > self._since
        if event.key is None or (late and self._selection.has(event.key)):
            self._events.put(event)

    def next(self, timeout: float) -> Event | None:
        """Return the next event, `None` where none came within `timeout` seconds."""
        try:
            return self._events.get(timeout > 0, timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """No more events come, and who waits for one is told so."""
        self._close(self)
        self.closed = True
        self._events.put(None)

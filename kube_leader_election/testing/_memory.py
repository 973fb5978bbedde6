"""Objects as the API server keeps them: guarded by versions, written down in one order.

Each write has a version greater than that of every write before it, of whatever object. A
document that was stored is never changed, only followed by another, so it may be handed out; who
gets one does not change it either.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import _rules
from ._events import Document, Event, Key, Selection, Subscription
from ._kinds import Kind
from ._merge_patch import merged
from ._refusal import Refusal

_SYSTEM_FIELDS = (
    "namespace",
    "name",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)

# A watch from before the oldest of these is told that its version is gone.
KEPT_EVENTS = 10_000


@dataclass(frozen=True)
class Backup:
    """What there was at some time; opaque to others."""

    objects: Mapping[Key, Document] = field(repr=False)
    version: int


class Memory:
    """All objects of one API server. Thread-safe.

    Every method that is refused raises `Refusal`, with the status that the API server gives.
    """

    def __init__(self, utcnow: Callable[[], datetime]) -> None:
        self._utcnow = utcnow
        self._lock = threading.RLock()
        self._objects: dict[Key, Document] = {}
        self._version = 1
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._subscriptions: list[Subscription] = []

    @property
    def version(self) -> int:
        """The version of the last write."""
        return self._version

    def read(self, key: Key) -> Document:
        """Return the object."""
        with self._lock:
            return self._stored(key)

    def read_earlier(self, key: Key, versions: int) -> Document:
        """Return the object as it was so many of its own versions ago."""
        with self._lock:
            past = [event for event in self._events if event.key == key]
            if len(past) <= versions or past[-1 - versions].type == "DELETED":
                raise _not_found(key)
            return past[-1 - versions].document

    def list(self, selection: Selection) -> tuple[list[Document], int]:
        """Return the objects, in the order of their names, and the version of the whole."""
        with self._lock:
            found = [key for key in self._objects if selection.has(key)]
            found.sort(key=lambda key: key[1:])
            return [self._objects[key] for key in found], self._version

    def create(self, kind: Kind, namespace: str, body: object) -> Document:
        """Store a new object, and return it."""
        document = kind.decode(body)
        metadata = document["metadata"]
        _rules.check_namespace(namespace, metadata)
        _rules.version_is_not_given(document)
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"][:58] + secrets.token_hex(3)[:5]
        _rules.validate(document)
        with self._lock:
            return self._create((kind, namespace, metadata["name"]), document)

    def replace(self, key: Key, body: object) -> tuple[Document, bool]:
        """Store the object in the place of the version that it names; and whether it is new."""
        document = key[0].decode(body)
        _rules.check_name(key[1], key[2], document["metadata"])
        with self._lock:
            stored = self._objects.get(key)
            if stored is None:
                _rules.uid_is_of_the_stored(document, None)
                _rules.number(document["metadata"].get("resourceVersion"))
                _rules.validate(document)
                return self._create(key, document), True
            _rules.uid_is_of_the_stored(document, stored)
            _rules.version_is_given(document)
            _rules.version_is_of_the_stored(document, stored)
            return self._update(key, stored, document), False

    def apply(self, key: Key, body: object) -> tuple[Document, bool]:
        """Merge what is applied by force into the object, or create it; and whether it is new.

        Without field managers: a field that is no longer applied stays.
        """
        with self._lock:
            if key not in self._objects:
                return self.replace(key, body)
            document = key[0].decode(body)
            _rules.uid_is_of_the_stored(document, self._objects[key])
            return self.patch(key, document), False

    def patch(self, key: Key, patch: object) -> Document:
        """Merge the patch into the object (RFC 7396), and return it."""
        if not isinstance(patch, Mapping):
            raise Refusal(400, "a merge patch must be an object")
        with self._lock:
            stored = self._stored(key)
            try:
                document = key[0].decode(merged(stored, patch))
            except Refusal as refusal:
                raise Refusal(422, f"patch: {refusal}", causes=[("patch", str(refusal))]) from None
            _rules.check_name(key[1], key[2], document["metadata"])
            _rules.version_is_given(document)
            _rules.version_is_of_the_stored(document, stored)
            if document["metadata"].get("uid", own := stored["metadata"]["uid"]) != own:
                raise _rules.invalid("metadata.uid", "field is immutable")
            return self._update(key, stored, document)

    def delete(self, key: Key, preconditions: Mapping[str, str]) -> tuple[Document, bool]:
        """Take the object away, or mark it where finalizers keep it; and whether it is gone."""
        with self._lock:
            stored = self._stored(key)
            metadata = stored["metadata"]
            for field, wanted in preconditions.items():
                if metadata.get(field) != wanted:
                    why = f"its {field} is {metadata.get(field)}, not {wanted}"
                    raise Refusal(409, f"{_shown(key)} cannot be deleted: {why}")
            if not metadata.get("finalizers"):
                self._remove(key, stored)
                return stored, True
            if "deletionTimestamp" in metadata:
                return stored, False
            marked = {
                **metadata,
                "deletionTimestamp": self._now(),
                "deletionGracePeriodSeconds": 0,
            }
            return self._store("MODIFIED", key, {**stored, "metadata": marked}), False

    def put(self, key: Key, document: Document) -> Document:
        """Store the object whatever it says and was: by no rule, as nobody could."""
        with self._lock:
            stored = self._objects.get(key)
            if stored is None:
                return self._create(key, {**document, "metadata": {**document["metadata"]}})
            metadata = {**stored["metadata"], **document["metadata"]}
            return self._store("MODIFIED", key, {**document, "metadata": metadata})

    def drop(self, key: Key) -> None:
        """Take the object away, whatever keeps it, if there is one."""
        with self._lock:
            if key in self._objects:
                self._remove(key, self._objects[key])

    def backup(self) -> Backup:
        """Return what there is now, for `restore`."""
        with self._lock:
            return Backup(dict(self._objects), self._version)

    def restore(self, backup: Backup) -> None:
        """Let all be as it was, the versions too; nobody is told, and watches end."""
        with self._lock:
            self._objects = dict(backup.objects)
            self._version = backup.version
            self._events.clear()
        self.close()

    def watch(self, selection: Selection, since: int | None) -> Subscription:
        """Return the events after the version `since`, or first of all what there is now."""
        with self._lock:
            subscription = Subscription(selection, since or 0, self._unsubscribe)
            for event in self._past(selection, since):
                subscription.put(event)
            self._subscriptions.append(subscription)
            return subscription

    def close(self) -> None:
        """End all watches."""
        with self._lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.close()

    def _past(self, selection: Selection, since: int | None) -> Iterator[Event]:
        if since is None:
            for document in self.list(selection)[0]:
                metadata = document["metadata"]
                key = (selection.kind, metadata["namespace"], metadata["name"])
                yield Event("ADDED", key, document, int(metadata["resourceVersion"]))
            yield Event("BOOKMARK", None, {}, self._version)
            return
        oldest = self._events[0].version - 1 if self._events else self._version
        if since < oldest:
            raise Refusal(410, f"too old resource version: {since} ({oldest})")
        yield from self._events

    def _unsubscribe(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    def _stored(self, key: Key) -> Document:
        try:
            return self._objects[key]
        except KeyError:
            raise _not_found(key) from None

    def _create(self, key: Key, document: dict[str, Any]) -> Document:
        if key in self._objects:
            raise Refusal(409, f"{_shown(key)} already exists", reason="AlreadyExists")
        document["metadata"] |= {
            "namespace": key[1],
            "name": key[2],
            "uid": str(uuid.uuid4()),
            "creationTimestamp": self._now(),
        }
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            document["metadata"].pop(name, None)
        return self._store("ADDED", key, document)

    def _update(self, key: Key, stored: Document, document: dict[str, Any]) -> Document:
        metadata, old = document["metadata"], stored["metadata"]
        _rules.validate_update(metadata, old)
        metadata |= {field: old[field] for field in _SYSTEM_FIELDS if field in old}
        _rules.validate(document)
        if _rules.says_nothing_new(document, stored):
            return stored
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self._remove(key, stored)
            return document
        return self._store("MODIFIED", key, document)

    def _remove(self, key: Key, stored: Document) -> None:
        self._store("DELETED", key, stored)
        del self._objects[key]

    def _store(self, change: str, key: Key, document: Document) -> Document:
        self._version = _rules.next_version(self._version)
        metadata = {**document["metadata"], "resourceVersion": str(self._version)}
        stored = {**document, "metadata": metadata}
        self._objects[key] = stored
        event = Event(change, key, stored, self._version)
        self._events.append(event)
        for subscription in self._subscriptions:
            subscription.put(event)
        return stored

    def _now(self) -> str:
        return self._utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")


def _not_found(key: Key) -> Refusal:
    return Refusal(404, f"{_shown(key)} not found")


def _shown(key: Key) -> str:
    kind, _, name = key
    return f'{kind.resource} "{name}"'

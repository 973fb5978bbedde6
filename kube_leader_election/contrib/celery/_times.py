"""When each entry of a schedule has last run, kept in the Lease that is contended for. No Celery.

Who leads may write it and nobody else, whoever leads next finds it, and it needs no right that
an elector has not got.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kube_leader_election import LeaseError
from kube_leader_election._core.messages import Conflict, Found, Intent, Read, Replace
from kube_leader_election._core.record import as_utc
from kube_leader_election._store import Store

ANNOTATION = "kube-leader-election/celery-beat"
WRITE_EVERY = 5.0  # in seconds: each write is told to every replica that watches the Lease
# In bytes. All annotations of an object may have 256 KiB, and all of it goes with every renewal.
LARGEST = 128 * 1024

logger = logging.getLogger("kube_leader_election")


class Times:
    """Those of one term. Used by one thread."""

    def __init__(self, store: Store, holder_id: str, *, timeout: float) -> None:
        self._store = store
        self._holder_id = holder_id
        self._timeout = timeout
        self._known: dict[str, datetime] | None = None
        self._is_dirty = self._has_warned = False
        self._written_at = float("-inf")

    def known(self) -> Mapping[str, datetime]:
        """Return those of the last term and what was noted since; the Lease is read once.

        :raises LeaseError: it could not be read.
        """
        if self._known is None:
            self._known = parsed(_annotations(self._found()).get(ANNOTATION))
        return self._known

    def note(self, times: Mapping[str, datetime]) -> None:
        """These are to be kept, and no others."""
        if self._known != times:
            self._known = dict(times)
            self._is_dirty = True

    def keep(self, *, at_once: bool = False) -> None:
        """The Lease says what was noted, if it was not written to a moment ago, or `at_once`.

        Makes two requests. Where they fail that is logged, and tried again later.
        """
        now = time.monotonic()
        if not self._is_dirty or not (at_once or now - self._written_at >= WRITE_EVERY):
            return
        self._written_at = now
        text = _written(self._known or {})
        try:
            if len(text) > LARGEST:
                self._warn(f"they are more than {LARGEST} bytes")
            else:
                self._write(text)
                self._has_warned = False
            self._is_dirty = False
        except LeaseError as error:
            self._warn(str(error))

    def close(self) -> None:
        """The connection is ended."""
        self._store.close()

    def _write(self, text: str) -> None:
        for is_last in (False, False, True):  # the elector may renew meanwhile
            found = self._found()
            if found.record.holder_identity != self._holder_id:
                return
            source: Any = copy.deepcopy(found.source)
            source["metadata"]["annotations"] = {**_annotations(found), ANNOTATION: text}
            changed = Found(found.record, source)
            request = Replace(found.record, changed, Intent.RENEW)
            answer = self._store.carry(request, self._timeout)
            if isinstance(answer, Found):
                return
            if is_last or not isinstance(answer, Conflict):
                raise answer.error

    def _found(self) -> Found:
        answer = self._store.carry(Read(), self._timeout)
        if isinstance(answer, Found):
            return answer
        raise answer.error

    def _warn(self, why: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "when the entries of beat last ran was not kept in the Lease, so that the next"
                " leader may run some again, or not at all: %s",
                why,
            )


def _annotations(found: Found) -> Mapping[str, str]:
    source: Any = found.source
    return source["metadata"].get("annotations") or {}


def _written(times: Mapping[str, datetime]) -> str:
    said = {name: time.isoformat() for name, time in sorted(times.items())}
    return json.dumps(said, separators=(",", ":"))


def parsed(text: str | None) -> dict[str, datetime]:
    """Return what `text` says, as far as it can be read: what cannot was not written by us."""
    try:
        said = json.loads(text or "{}")
        return {name: as_utc(datetime.fromisoformat(time)) for name, time in said.items()}
    except (AttributeError, TypeError, ValueError):
        logger.warning("the annotation %s of the Lease cannot be read", ANNOTATION)
        return {}

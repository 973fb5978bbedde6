"""What a watch says, line by line, and how it may go wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ._events import Event, Subscription
from ._memory import Memory
from ._refusal import Refusal
from ._service import Call
from .faults import Fault, WatchFault, WatchTrouble

# kube-apiserver sends one about once a minute.
BOOKMARK_SECONDS = 60.0
# It ends a watch after 30 to 60 minutes where the client names no time.
LONGEST_SECONDS = 1800.0
# Of the bookmark after what there was when the watch began.
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class WatchStream:
    """The lines of one watch. Iterate in one thread; `close` in any."""

    def __init__(self, memory: Memory, call: Call, fault: Fault | None) -> None:
        """Begin to watch.

        :raises Refusal: 400 or 500, by a selector, a version or a time that is none.
        """
        call.check_query()
        self._memory = memory
        self._call = call
        self._fault = fault if isinstance(fault, WatchFault) else None
        self._shown = 0
        self._subscription: Subscription | None = None
        self._gone: Refusal | None = None
        self._seconds = _seconds(call.query.get("timeoutSeconds"))
        self._bookmarks = call.query.get("allowWatchBookmarks", "").lower() in ("true", "1")
        try:
            self._subscription = memory.watch(call.selection(), call.since())
        except Refusal as refusal:
            if refusal.status != 410:
                raise
            self._gone = refusal

    def close(self) -> None:
        """The iteration ends at once."""
        if self._subscription is not None:
            self._subscription.close()

    def lines(self, poll: float) -> Iterator[bytes]:
        """Yield a line for each event, and an empty one every `poll` seconds without any."""
        if self._subscription is None:
            if self._gone is not None:
                yield _line("ERROR", self._gone.document())
            return
        try:
            yield from self._lines(self._subscription, poll)
        finally:
            self.close()

    def _lines(self, subscription: Subscription, poll: float) -> Iterator[bytes]:
        ends_at = time.monotonic() + self._seconds
        bookmark_at = time.monotonic() + BOOKMARK_SECONDS
        while not subscription.closed and (left := ends_at - time.monotonic()) > 0:
            if self._ends_by_fault():
                yield from self._last_words()
                return
            event = subscription.next(min(left, poll))
            if event is not None and event.type == "BOOKMARK":
                if self._bookmarks:
                    yield self._bookmark(event.version, {INITIAL_EVENTS_END: "true"})
            elif event is not None:
                yield from self._show(event)
            elif self._bookmarks and time.monotonic() >= bookmark_at:
                bookmark_at += BOOKMARK_SECONDS
                yield self._bookmark(self._memory.version)
            else:
                yield b""

    def _ends_by_fault(self) -> bool:
        fault = self._fault
        ends = (WatchTrouble.END, WatchTrouble.ERROR)
        return fault is not None and fault.trouble in ends and self._shown >= fault.after

    def _last_words(self) -> Iterator[bytes]:
        if self._fault is not None and self._fault.trouble is WatchTrouble.ERROR:
            yield _line("ERROR", Refusal(self._fault.code, "armed by a test").document())

    def _show(self, event: Event) -> Iterator[bytes]:
        fault, number = self._fault, self._shown
        self._shown += 1
        line = _line(event.type, event.document)
        trouble = fault.trouble if fault is not None and number >= fault.after else None
        if trouble is None:
            yield line
        elif trouble is WatchTrouble.DUPLICATE:
            yield line
            yield line
        elif trouble is WatchTrouble.BOOKMARKS:
            yield self._bookmark(event.version)
        elif trouble is WatchTrouble.MISS and fault and number >= fault.after + fault.count:
            yield line

    def _bookmark(self, version: int, annotations: Mapping[str, str] | None = None) -> bytes:
        kind = self._call.kind
        metadata: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        bookmark = {"kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata}
        return _line("BOOKMARK", {**bookmark, "spec": {}})


def _seconds(text: str | None) -> float:
    if not text:
        return LONGEST_SECONDS
    if not text.isdecimal():
        raise Refusal(400, f"timeoutSeconds is {text!r}, no whole number")
    return float(text) or LONGEST_SECONDS


def _line(kind: str, document: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": document}).encode() + b"\n"

"""What can go wrong between a client and the API server, in one vocabulary.

Arm a fault with `fail_next` of a `FakeCoordinationV1Api` or an `ApiServer`. Behind HTTP it is
what the client sees on its socket; in memory the fake raises what a client would have raised.
`committed` says whether the server carries the request out all the same.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

__all__ = [
    "Fault",
    "answer",
    "bookmarks_only",
    "cut_json",
    "dribble",
    "duplicate_events",
    "end_watch",
    "error_event",
    "hang",
    "hang_in_handshake",
    "hold_answer",
    "html",
    "lose_answer",
    "lose_request",
    "miss_events",
    "padded",
    "reset",
    "stale_read",
    "stall_watch",
    "without",
]

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")

Body = bytes | str | Mapping[str, Any] | Callable[[Mapping[str, Any]], bytes]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that goes wrong with one request; made by the functions of this module."""

    committed: bool = False
    verbs: ClassVar[tuple[str, ...]] = VERBS


class Silence(Enum):
    """How there comes to be no answer."""

    CLOSE = "the connection is closed"
    RESET = "the connection is reset"
    HANG = "nothing comes, and the connection stays open"
    DRIBBLE_HEADER = "header lines come one by one, for ever"
    DRIBBLE_BODY = "the body comes byte by byte, for ever"
    HANDSHAKE = "the TLS handshake is never finished"


@dataclass(frozen=True, kw_only=True)
class NoAnswer(Fault):
    """No whole answer ever comes."""

    how: Silence


@dataclass(frozen=True, kw_only=True)
class LateAnswer(Fault):
    """The true answer comes `seconds` after the request was carried out."""

    seconds: float
    committed: bool = True


@dataclass(frozen=True, kw_only=True)
class OddAnswer(Fault):
    """Another answer comes than the true one."""

    status: int
    headers: Mapping[str, str]
    body: Body | None = field(repr=False)

    def content(self, true: Mapping[str, Any]) -> bytes:
        """Return the bytes of the body, where `true` is what would have been answered."""
        if self.body is None:
            return b""
        body = self.body(true) if callable(self.body) else self.body
        if isinstance(body, Mapping):
            return json.dumps(body).encode()
        return body.encode() if isinstance(body, str) else body


@dataclass(frozen=True, kw_only=True)
class StaleAnswer(Fault):
    """A read shows the object as it was some of its versions ago."""

    versions: int
    verbs: ClassVar[tuple[str, ...]] = ("get",)


class WatchTrouble(Enum):
    """What a watch may do instead of telling of every event once."""

    END = "it ends"
    STALL = "nothing comes any more"
    ERROR = "an ERROR event comes, and it ends"
    DUPLICATE = "every event comes twice"
    BOOKMARKS = "bookmarks come in the place of events"
    MISS = "some events do not come"


@dataclass(frozen=True, kw_only=True)
class WatchFault(Fault):
    """A watch that began well goes wrong at its event number `after` + 1."""

    trouble: WatchTrouble
    after: int = 0
    count: int = 0
    code: int = 0
    committed: bool = True
    verbs: ClassVar[tuple[str, ...]] = ("watch",)


def check_count(name: str, value: object, *, least: int) -> None:
    """`value` is a whole number, `least` or more.

    :raises ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}={value!r}: must be a whole number, {least} or more")


def is_of_connections(fault: Fault) -> bool:
    """Whether `fault` befalls a new connection, and no request."""
    return isinstance(fault, NoAnswer) and fault.how is Silence.HANDSHAKE


def lose_request() -> Fault:
    """The request is lost: it is not carried out, and the connection ends without an answer."""
    return NoAnswer(how=Silence.CLOSE)


def lose_answer() -> Fault:
    """The request is carried out, and the connection ends without an answer."""
    return NoAnswer(how=Silence.CLOSE, committed=True)


def hold_answer(seconds: float) -> Fault:
    """The request is carried out at once, and answered `seconds` later."""
    if not seconds >= 0:
        raise ValueError(f"seconds={seconds!r}: must be a number, 0 or more")
    return LateAnswer(seconds=seconds)


def hang(*, committed: bool = False) -> Fault:
    """No answer comes, and the connection stays open."""
    return NoAnswer(how=Silence.HANG, committed=committed)


def dribble(part: str = "body", *, committed: bool = False) -> Fault:
    """The answer's `part`, "header" or "body", comes a few bytes at a time and never ends."""
    parts = {"header": Silence.DRIBBLE_HEADER, "body": Silence.DRIBBLE_BODY}
    if part not in parts:
        raise ValueError(f"part={part!r}: must be 'header' or 'body'")
    return NoAnswer(how=parts[part], committed=committed)


def reset(*, committed: bool = False) -> Fault:
    """The connection is reset instead of answered."""
    return NoAnswer(how=Silence.RESET, committed=committed)


def hang_in_handshake() -> Fault:
    """The next new connection never gets through its TLS handshake, or to its first request."""
    return NoAnswer(how=Silence.HANDSHAKE)


def answer(
    status: int,
    *,
    body: Body | None = None,
    headers: Mapping[str, str] | None = None,
    committed: bool = False,
) -> Fault:
    """The answer has this status, headers and body.

    `body` is bytes or text as it is, an object for JSON, or a function of the true answer, such
    as `html`, `cut_json`, `without("metadata.uid")` or `padded(10_000_000)`. Where it is `None`,
    an error has the Status object that the API server would send, and all else has nothing.
    """
    check_count("status", status, least=100)
    return OddAnswer(status=status, headers=dict(headers or {}), body=body, committed=committed)


def stale_read(versions: int = 1) -> Fault:
    """A read shows the Lease as it was so many of its versions ago; then perhaps it was absent."""
    check_count("versions", versions, least=0)
    return StaleAnswer(versions=versions, committed=True)


def end_watch(*, after: int = 0) -> Fault:
    """The watch ends, as it may at any time, after so many events."""
    check_count("after", after, least=0)
    return WatchFault(trouble=WatchTrouble.END, after=after)


def stall_watch(*, after: int = 0) -> Fault:
    """The watch stays open and says nothing any more after so many events."""
    check_count("after", after, least=0)
    return WatchFault(trouble=WatchTrouble.STALL, after=after)


def error_event(code: int = 410, *, after: int = 0) -> Fault:
    """The watch ends with an ERROR event after so many events; 410: its version is gone."""
    check_count("after", after, least=0)
    return WatchFault(trouble=WatchTrouble.ERROR, after=after, code=code)


def duplicate_events() -> Fault:
    """The watch shows every event twice."""
    return WatchFault(trouble=WatchTrouble.DUPLICATE)


def bookmarks_only() -> Fault:
    """The watch shows a bookmark in the place of every event."""
    return WatchFault(trouble=WatchTrouble.BOOKMARKS)


def miss_events(count: int = 1, *, after: int = 0) -> Fault:
    """The watch does not show the `count` events that come after the first `after`."""
    check_count("count", count, least=1)
    check_count("after", after, least=0)
    return WatchFault(trouble=WatchTrouble.MISS, after=after, count=count)


def html(_: Mapping[str, Any]) -> bytes:
    """A body: a page, as a proxy sends it."""
    return b"<html><head><title>Bad Gateway</title></head></html>\n"


def cut_json(true: Mapping[str, Any]) -> bytes:
    """A body: the true one without its end."""
    return json.dumps(true).encode()[:-7]


def without(path: str) -> Callable[[Mapping[str, Any]], bytes]:
    """A body: the true one without the field that `path` names, as in "metadata.uid"."""
    *parents, name = path.split(".")

    def body(true: Mapping[str, Any]) -> bytes:
        document = copy.deepcopy(dict(true))
        inner = document
        for parent in parents:
            inner = inner.get(parent, {})
        inner.pop(name, None)
        return json.dumps(document).encode()

    return body


def padded(size: int) -> Callable[[Mapping[str, Any]], bytes]:
    """A body: the true one with so many bytes more."""
    return lambda true: json.dumps({**true, "padding": "x" * size}).encode()

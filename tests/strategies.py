"""What no server should answer, and one may: Leases, answers and events, for `hypothesis`

All that is hostile may contain `SECRET`, but for what the library may show: the name of a holder.
At the end is the true server, and what must hold whatever is on the way to it.
"""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kube_leader_election import LeaseError, LeaseLock
from kube_leader_election._clock import look_at
from kube_leader_election.testing import FakeClock
from kube_leader_election.testing._kinds import LEASE
from kube_leader_election.testing._routes import route
from kube_leader_election.testing._service import Service

SECRET = "hunter2-swordfish"
NAMESPACE, NAME = "default", "leader"
UID = "11111111-1111-1111-1111-111111111111"
NOW = "2026-01-01T12:00:00.123456Z"
SPEC_FIELDS = (
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaseTransitions",
    "strategy",
    "preferredHolder",
)
HUGE_BODY_BYTES = 2_200_000  # more than the library reads

Json = dict[str, Any]


def examples(count: int) -> settings:
    """So many examples by default; a profile with another `max_examples` than 100 has as many
    hundredths more, or fewer."""
    assert settings.default is not None
    return settings(max_examples=max(1, count * settings.default.max_examples // 100))


# Values

_TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "\x00", "\r\n", "\x1b[2J", "é", "\u2028", "\ud800", "a" * 5000, SECRET]
    ),
)
_INTEGERS = st.one_of(
    st.integers(-2, 40),
    st.sampled_from(
        [
            edge + step
            for edge in (2**31, 2**32, 2**53, 2**63, 2**64, 10**400, -(2**31), -(2**63))
            for step in (-1, 0, 1)
        ]
    ),
)
_FLOATS = st.sampled_from([0.0, -0.0, 15.0, 1.5, 1e308, float("inf"), float("-inf"), float("nan")])
_SCALARS = st.one_of(st.none(), st.booleans(), _INTEGERS, _FLOATS, _TEXTS)
ANYTHING: SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def times(draw: st.DrawFn) -> str:
    """A time, or what nearly is one"""
    year = draw(st.sampled_from(["2026"] * 6 + ["0000", "0001", "1969", "9999", "10000", "-0001"]))
    month, day = draw(
        st.sampled_from([("01", "01")] * 6 + [("00", "01"), ("02", "30"), ("13", "9")])
    )
    hour = draw(st.sampled_from(["00", "11", "12", "13", "23", "24", "25"]))
    rest = draw(st.sampled_from(["00:00", "59:50", "59:60", "60:00", "00"]))
    digits = draw(st.integers(0, 12))
    fraction = "." + "123456789012"[:digits] if digits else ""
    zone = draw(st.sampled_from(["Z"] * 5 + ["", "z", "+00:00", "-23:59", "+24:00", "+0530", " Z"]))
    return f"{year}-{month}-{day}{draw(st.sampled_from('TTTt _'))}{hour}:{rest}{fraction}{zone}"


_NAMES = st.sampled_from(["a", "b", "b", "B", "b ", "é", "\ud800", "\x1b[2J", "b" * 300])
_FIELDS: dict[str, SearchStrategy[Any]] = {
    "holderIdentity": _NAMES | st.sampled_from(["", None]),
    "leaseDurationSeconds": st.just(15) | _INTEGERS,
    "acquireTime": st.just(NOW) | times() | st.none(),
    "renewTime": st.just(NOW) | times() | st.none(),
    "leaseTransitions": st.just(3) | _INTEGERS,
    "strategy": st.sampled_from([None, "", "OldestEmulationVersion"]),
    "preferredHolder": _NAMES,
}
_UNNAMED = st.one_of(st.booleans(), _INTEGERS, _FLOATS, st.lists(_SCALARS, max_size=2))


@st.composite
def specs(draw: st.DrawFn) -> Json:
    """A `spec` of which each field may be absent, null, odd or of a wrong type"""
    spec = {}
    for name, right in _FIELDS.items():
        kind = draw(st.sampled_from(["right"] * 5 + ["wrong", "absent"]))
        if kind != "absent":
            wrong = _UNNAMED if name == "holderIdentity" else ANYTHING
            spec[name] = draw(right if kind == "right" else wrong)
    if draw(st.booleans()):
        spec["fieldOfTheFuture"] = draw(ANYTHING)
    return spec


RESOURCE_VERSIONS = st.one_of(
    st.integers(1, 60).map(str),
    st.sampled_from(["", "0", "007", "-1", "+1", " 1", "1_0", "9" * 40, "9" * 4999, "\u0661", "x"]),
    _SCALARS,
)
_METADATA: dict[str, SearchStrategy[Any]] = {
    "name": st.just("another") | _SCALARS,
    "namespace": st.just("another") | _SCALARS,
    "uid": st.sampled_from([UID.upper(), "", " ", "\ud800"]) | _SCALARS,
    "resourceVersion": RESOURCE_VERSIONS,
    "labels": st.none() | ANYTHING,
    "annotations": st.none() | ANYTHING,
    "ownerReferences": ANYTHING,
    "finalizers": ANYTHING,
    "deletionTimestamp": times() | ANYTHING,
    "managedFields": ANYTHING,
}


def right_metadata(version: object = "41") -> Json:
    """What the Lease bears that was asked for"""
    return {"name": NAME, "namespace": NAMESPACE, "uid": UID, "resourceVersion": version}


@st.composite
def metadata(draw: st.DrawFn) -> Json:
    """That of the Lease that was asked for, but for a few fields"""
    whole = right_metadata(draw(st.integers(1, 60).map(str)))
    for name in draw(st.lists(st.sampled_from(list(_METADATA)), max_size=3, unique=True)):
        if draw(st.booleans()):
            whole[name] = draw(_METADATA[name])
        else:
            whole.pop(name, None)
    return whole


@st.composite
def leases(draw: st.DrawFn) -> Json:
    """An object that is a Lease, more or less"""
    lease: Json = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    odd = draw(st.sampled_from(["spec"] * 3 + ["metadata", "both", "kind", "shape"]))
    lease["metadata"] = draw(
        metadata() if odd in ("metadata", "both") else st.just(right_metadata())
    )
    right = {"holderIdentity": "b", "leaseDurationSeconds": 15, "renewTime": NOW}
    lease["spec"] = draw(specs() if odd in ("spec", "both") else st.just(right))
    if odd == "kind":
        lease["kind"] = draw(st.sampled_from(["LeaseList", "Pod", "lease", "Status"]) | _SCALARS)
    elif odd == "shape":
        lease[draw(st.sampled_from(["spec", "metadata", "status", "apiVersion"]))] = draw(ANYTHING)
    return lease


STATUSES: SearchStrategy[Json] = st.fixed_dictionaries(
    {"kind": st.just("Status")},
    optional={
        "apiVersion": st.just("v1"),
        "status": st.sampled_from(["Success", "Failure"]) | _SCALARS,
        "code": st.sampled_from([200, 404, 409, 410, 500]) | _SCALARS,
        "reason": st.sampled_from(["NotFound", "Conflict", "AlreadyExists", "Expired"]) | _SCALARS,
        "message": st.just(SECRET) | _SCALARS,
        "details": ANYTHING,
    },
)


@st.composite
def json_texts(draw: st.DrawFn, things: SearchStrategy[Any]) -> bytes:
    """One of `things` as JSON, or as what was JSON once"""
    thing = draw(things)
    text = json.dumps(thing)
    spoiled = draw(
        st.sampled_from(["no"] * 8 + ["twice", "cut", "BOM", "UTF-16", "latin", "more", "deep"])
    )
    if spoiled == "twice" and text.startswith("{") and text != "{}":
        first = json.dumps(draw(leases()))
        return f"{first[:-1]}, {text[1:]}".encode()
    if spoiled == "cut":
        return text.encode()[: draw(st.integers(0, len(text)))]
    if spoiled == "deep":
        depth = draw(st.sampled_from([50, 400, 2000, 100_000]))
        return f'{text[:-1]}, "deep": {"[" * depth}{"]" * depth}}}'.encode()
    return {
        "BOM": b"\xef\xbb\xbf" + text.encode(),
        "UTF-16": text.encode("utf-16"),
        "latin": text.replace("b", "\xe9").encode("latin-1"),
        "more": text.encode() * 2,
    }.get(spoiled, text.encode())


# Answers

_PAGE = f"<html><head><title>Bad Gateway</title></head>{SECRET}</html>".encode()
BODIES: SearchStrategy[bytes] = st.one_of(
    json_texts(leases()),
    json_texts(leases()),
    json_texts(STATUSES),
    json_texts(ANYTHING),
    st.binary(max_size=40),
    st.sampled_from([b"", b"\n", _PAGE, gzip.compress(_PAGE), b"{}", b"null", b"[" * 100_000]),
)
CODES = st.one_of(
    st.sampled_from([200, 200, 200, 201, 404, 409]),
    st.sampled_from([204, 301, 302, 304, 307, 308, 401, 403, 410, 422, 429, 500, 503]),
    st.integers(200, 599),
)
_LATE = "Fri, 01 Jan 2100 00:00:00 GMT"
RETRY_AFTER = st.sampled_from(
    ["0", "1", "60", "-1", "1e9", "nan", "soon", "", "9" * 400, _LATE, "Thu, 99 Foo 99999", "\x7f"]
)


@dataclass(frozen=True)
class RawAnswer:
    """Bytes for a socket; then it is closed, stays open, or says a little more for ever"""

    data: bytes
    then: Literal["close", "stay", "drip"]


_REASONS = st.sampled_from(["OK", "", "Not Found", "x" * 300, SECRET, "\xe9\xff", "a\tb"])
_ODD_HEADERS = st.sampled_from(
    [
        "Content-Encoding: gzip",
        "Content-Encoding: br, zstd",
        "Connection: close",
        "Connection: keep-alive, close",
        "Location: http://127.0.0.1:1/",
        f"Location: //{SECRET}",
        "Content-Length: 7",
        "Content-Length: -1",
        f"Content-Length: {'9' * 30}",
        "Content-Length: seven",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        f"Set-Cookie: {SECRET}",
        f"X-{'y' * 2000}: z",
        "no colon at all",
        ": no name",
        " folded",
        "Content-Type: text/html; charset=\xff",
        "Date: yesterday",
    ]
)


_THEN: SearchStrategy[Literal["close", "stay", "drip"]] = st.sampled_from(
    ["close", "close", "close", "close", "close", "stay", "drip"]
)


@st.composite
def raw_answers(draw: st.DrawFn) -> RawAnswer:
    """An answer as it comes from a socket, right or wrong in any of its parts"""
    body = draw(
        BODIES | st.just(b" " * HUGE_BODY_BYTES) if draw(st.integers(0, 30)) == 0 else BODIES
    )
    line = draw(st.sampled_from(["HTTP/1.1"] * 8 + ["HTTP/1.0", "HTTP/9.9", "ICY", "SSH-2.0"]))
    status = draw(CODES.map(str) | st.sampled_from(["100", "101", "199", "099", "1000", "-1", "x"]))
    fields = draw(st.lists(_ODD_HEADERS, max_size=3))
    fields += [f"Retry-After: {draw(RETRY_AFTER)}"] if draw(st.booleans()) else []
    framing = draw(st.sampled_from(["length"] * 4 + ["chunks", "short", "long", "none"]))
    if framing == "chunks":
        fields.append("Transfer-Encoding: chunked")
        body = draw(
            st.sampled_from([b"%x\r\n%b\r\n0\r\n\r\n", b"%X;a=b\r\n%b\r\n", b"-%x\r\n%b"])
        ) % (
            len(body),
            body,
        )
    elif framing != "none":
        off = {"length": 0, "short": -1, "long": 1}[framing]
        fields.append(f"Content-Length: {len(body) + off}")
    first = f"{line} {status} {draw(_REASONS)}"
    data = "\r\n".join([first, *fields, "", ""]).encode("latin-1") + body
    if draw(st.sampled_from([False] * 5 + [True])):
        data = data[: draw(st.integers(0, len(data)))]
    return RawAnswer(data, draw(_THEN))


# Events of a watch

EVENTS: SearchStrategy[Json] = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["ADDED", "MODIFIED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"])
        | _SCALARS,
        "object": leases() | leases() | STATUSES | ANYTHING,
    }
)
LINES: SearchStrategy[bytes] = st.one_of(
    json_texts(EVENTS),
    json_texts(EVENTS),
    json_texts(EVENTS),
    json_texts(ANYTHING),
    st.binary(max_size=20),
    st.sampled_from([b"", b"\r", _PAGE, b"[" * 100_000, b'{"type": "BOOKMARK", "object": {}}']),
)


# What must hold


class TrueServer:
    """Keeps the Lease by the rules, for the candidate `a`, and knows since when it is granted"""

    def __init__(self, clock: FakeClock) -> None:
        self._service = Service(clock)
        self._clock = clock
        self._key = (LEASE, NAMESPACE, NAME)
        self.granted_at = float("-inf")

    def answer(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """The status and the body"""
        call = replace(route(method, path), body=json.loads(body or b"null"))
        if call.verb == "create":
            call = replace(call, name=NAME)
        reply = self._service.reply(call)
        if method != "GET" and reply.status < 300 and call.body["spec"]["holderIdentity"] == "a":
            self.granted_at = self._clock.monotonic()
        return reply.status, json.dumps(reply.document).encode()

    def put(self, **spec: Any) -> None:
        """Another has written the Lease"""
        document: Json = {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1"}
        document |= {"metadata": {"name": NAME}, "spec": spec}
        self._service.memory.put(self._key, document)

    def delete(self) -> None:
        """Another has deleted it"""
        self._service.memory.drop(self._key)


def believed_until(lock: LeaseLock, clock: FakeClock) -> float:
    """Return when, by the monotonic clock, the lock's term ends"""
    now = look_at(clock)
    term = lock._state().candidate.term(now)
    return term.ends_at(now) if term else float("-inf")


def assert_says_little(error: Exception) -> None:
    """It is one of ours with all that it must have, and shows nothing of what was answered"""
    text = f"{error} {error!r}"
    assert SECRET not in text
    assert "<html>" not in text
    if isinstance(error, LeaseError):
        assert (error.namespace, error.lease_name) == (NAMESPACE, NAME)
        assert error.verb in ("get", "create", "update", "watch")
        assert error.status is None or isinstance(error.status, int)


@contextmanager
def secretive() -> Iterator[None]:
    """Nothing that is logged within the block shows what was answered, or tells of a defect"""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(f"{record.levelname} {record.getMessage()}")  # type: ignore[method-assign]
    logger = logging.getLogger("kube_leader_election")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert not any(SECRET in line or line.startswith("ERROR") for line in told), told

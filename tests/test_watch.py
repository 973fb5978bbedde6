from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import queue
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kube_leader_election import GetLeaseError
from kube_leader_election._connection import Connection
from kube_leader_election._core.messages import (
    Bookmark,
    Deleted,
    Found,
    Intent,
    Replace,
    WatchEnded,
    WatchEvent,
    WatchOpened,
)
from kube_leader_election._core.record import read_lease
from kube_leader_election._failure import LeaseName
from kube_leader_election._raw import RawLeases
from kube_leader_election._watch import MAX_LINE_BYTES, Watch
from kube_leader_election.testing import ApiServer, faults
from tests.forks import descriptors, descriptors_of, forked, is_closed
from tests.hostile import (
    PATIENCE,
    Behaviour,
    Exchange,
    FairClock,
    HostileServer,
    answer,
    close,
    hang,
    head,
    raw,
    reset,
    tunnel,
    url_that_refuses,
    wait_until,
)

TARGET = LeaseName("default", "leader")
PATH = (
    "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    "?watch=true&allowWatchBookmarks=true&fieldSelector=metadata.name%3Dleader"
)
TTL = 15
SOON = 0.25  # for what needs no waiting, of a clock that hardly runs while the machine stands still
LIMIT = 0.3  # for opening, where nothing ever opens
THREAD_NAME = "kube-leader-election-watch"


def lease(version: int | str | None = 1, holder: Any = "a", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "leader",
            "namespace": "default",
            "uid": "u",
            "resourceVersion": None if version is None else str(version),
            **metadata,
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 20,
            "renewTime": "2026-01-01T12:00:00.123456Z",
            "fieldOfTheFuture": "é",
        },
    }


def line(kind: str, thing: object) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


def modified(version: int = 1) -> bytes:
    return line("MODIFIED", lease(version))


def found(version: int = 1) -> Found:
    return Found(read_lease(lease(version), lease_ttl=TTL), lease(version))


def status(code: object) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}


CHUNKED = head(200, {"Transfer-Encoding": "chunked", "Content-Type": "application/json"})
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(*pieces: bytes, last: bytes = LAST) -> Behaviour:
    """A stream of so many chunks, and its end."""
    return raw(CHUNKED, *(chunk(piece) for piece in pieces), last, then_close=True)


class Dictated:
    """Sends what the test says when it says so."""

    def __init__(self) -> None:
        self._pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def send(self, piece: bytes) -> None:
        self._pieces.put(piece)

    def end(self) -> None:
        """The connection is closed."""
        self._pieces.put(None)

    def __call__(self, exchange: Exchange) -> None:
        while True:
            try:
                piece = self._pieces.get(timeout=0.01)
            except queue.Empty:
                exchange.wait(0)
                continue
            if piece is None:
                raise ConnectionAbortedError
            exchange.send(piece)


class Told:
    """What a watch told, in order."""

    def __init__(self) -> None:
        self.all: list[WatchEvent] = []
        self._unread: queue.SimpleQueue[WatchEvent] = queue.SimpleQueue()

    def __call__(self, watch: Watch, event: WatchEvent) -> None:
        self.all.append(event)
        self._unread.put(event)

    def next(self) -> WatchEvent:
        return self._unread.get(timeout=PATIENCE)

    def rest(self) -> list[WatchEvent]:
        events = [self.next()]
        while not isinstance(events[-1], WatchEnded):
            events.append(self.next())
        return events

    def end(self) -> WatchEnded:
        last = self.rest()[-1]
        assert isinstance(last, WatchEnded)
        return last

    @property
    def nothing_more(self) -> bool:
        return self._unread.empty()


def make(client: Any, told: Any, **options: Any) -> Watch:
    options = {"lease_ttl": TTL, "resource_version": None, "open_timeout": PATIENCE, **options}
    return Watch(client, TARGET, deliver=told, **options)


@contextlib.contextmanager
def watching(client: Any, **options: Any) -> Iterator[tuple[Watch, Told]]:
    """A started watch. It is closed in the end, has then ended once, and says nothing after it."""
    told = Told()
    watch = make(client, told, **options)
    watch.start()
    try:
        yield watch, told
    finally:
        watch.close()
        watch.thread.join(PATIENCE)
    assert not watch.thread.is_alive()
    assert [isinstance(event, WatchEnded) for event in told.all].count(True) == 1
    assert isinstance(told.all[-1], WatchEnded)


def told_by(*script: Behaviour, tls: bool = False, **options: Any) -> list[WatchEvent]:
    """All that a watch tells of a server that behaves so."""
    with (
        HostileServer(*script, then=close, tls=tls) as server,
        watching(server.api_client(), **options) as (_, told),
    ):
        return told.rest()


def failure(ended: WatchEvent) -> GetLeaseError:
    """The error of an end, which must be one of the watch of this Lease."""
    assert isinstance(ended, WatchEnded)
    error = ended.error
    assert type(error) is GetLeaseError
    assert (error.verb, error.namespace, error.lease_name) == ("watch", "default", "leader")
    assert error.status == ended.status
    assert str(error).startswith("watch of Lease default/leader: ")
    assert "secret" not in str(error).lower()
    return error


_others: set[threading.Thread] = set()


def threads() -> list[threading.Thread]:
    """Those of the watches that the test has made"""
    running = set(threading.enumerate()) - _others
    return [thread for thread in running if thread.name == THREAD_NAME]


@contextlib.contextmanager
def soon() -> Iterator[None]:
    with FairClock() as clock:
        yield
        assert clock.seconds < SOON


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_watch() -> Iterator[None]:
    _others.clear()
    _others.update(threading.enumerate())
    yield
    wait_until(lambda: threads() == [])


both = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])


# What is asked


def test_the_one_lease_is_watched_with_bookmarks() -> None:
    with HostileServer(chunked()) as server, watching(server.api_client()) as (_, told):
        told.end()
    [request] = server.requests
    assert (request.method, request.path, request.body) == ("GET", PATH, b"")


def test_a_version_is_asked_for_as_it_is() -> None:
    with (
        HostileServer(chunked()) as server,
        watching(server.api_client(), resource_version="12 3&x=é") as (_, told),
    ):
        told.end()
    assert server.requests[0].path == f"{PATH}&resourceVersion=12%203%26x%3D%C3%A9"


def test_the_headers_and_the_path_prefix_are_those_of_the_client() -> None:
    with HostileServer(chunked()) as server:
        token = {"authorization": "Bearer secret"}
        client = server.api_client(api_key=token, host=f"{server.url}/k8s/clusters/x/")
        client.user_agent = "mine/1"
        with watching(client) as (_, told):
            told.end()
    [request] = server.requests
    assert request.path == f"/k8s/clusters/x{PATH}"
    assert request.headers["User-Agent"] == "mine/1"
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["Accept-Encoding"] == "identity"


def rotating(server: HostileServer, *tokens: str) -> Any:
    """A client that has another token each time it is asked."""
    left = iter(tokens)

    def rotate(configuration: Any) -> None:
        configuration.api_key["authorization"] = next(left)

    return server.api_client(api_key={"authorization": "x"}, refresh_api_key_hook=rotate)


def test_credentials_are_asked_for_anew_at_each_open() -> None:
    with HostileServer(then=chunked()) as server:
        client = rotating(server, "one", "two", "three")
        for _ in range(3):
            with watching(client) as (_, told):
                told.end()
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["one", "two", "three"]


def test_refused_credentials_are_asked_for_once_more() -> None:
    with (
        HostileServer(answer(status=401), chunked(modified())) as server,
        watching(rotating(server, "old", "new")) as (_, told),
    ):
        events = told.rest()
    assert events == [WatchOpened(), found(), WatchEnded()]
    assert [request.headers["Authorization"] for request in server.requests] == ["old", "new"]


def test_credentials_that_are_refused_twice_are_an_end() -> None:
    with (
        HostileServer(then=answer(status=401)) as server,
        watching(rotating(server, "old", "new", "newer")) as (_, told),
    ):
        [ended] = told.rest()
        wait_until(lambda: server.open_connections == 0)
    assert failure(ended).status == 401
    assert len(server.requests) == 2


# What is told


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED"])
def test_a_change_is_told_with_the_object_as_it_was_sent(kind: str) -> None:
    _, event, _ = told_by(chunked(line(kind, lease(7))))
    assert event == found(7)
    assert isinstance(event, Found)
    assert event.source == lease(7)
    assert event.record.lease_duration_seconds == 20


def test_what_the_lease_does_not_say_is_read_with_our_own_ttl() -> None:
    _, event, _ = told_by(chunked(line("ADDED", {**lease(), "spec": {}})), lease_ttl=33)
    assert isinstance(event, Found)
    assert event.record.lease_duration_seconds == 33


def test_a_deletion_is_told_with_its_version() -> None:
    _, event, _ = told_by(chunked(line("DELETED", lease(8))))
    assert event == Deleted(read_lease(lease(8), lease_ttl=TTL))


def test_a_bookmark_is_told_with_its_version() -> None:
    bookmark = {"kind": "Lease", "metadata": {"resourceVersion": "9", "creationTimestamp": None}}
    _, event, _ = told_by(chunked(line("BOOKMARK", bookmark)))
    assert event == Bookmark("9")


def test_an_end_by_the_server_is_no_error() -> None:
    assert told_by(chunked()) == [WatchOpened(), WatchEnded()]


def test_the_object_that_was_told_can_be_the_base_of_a_replace() -> None:
    with ApiServer() as server:
        server.put_lease("leader", holder_identity="a")
        client = server.client()
        with watching(client) as (_, told):
            assert told.next() == WatchOpened()
            base = told.next()
            assert isinstance(base, Found)
            replace = Replace(base.record, base, Intent.RENEW)
            answered = RawLeases(Connection(client), TARGET, lease_ttl=TTL).carry(replace, PATIENCE)
    assert isinstance(answered, Found)
    assert answered.record.says_the_same_as(base.record)


TWO = modified(1) + modified(2)
CRLF = TWO.replace(b"\n", b"\r\n")
CLOSES = head(200, {"Connection": "close"})
HTTP_1_0 = CLOSES.replace(b"HTTP/1.1", b"HTTP/1.0")
SIZED = head(200, {"Content-Length": str(len(TWO))})


@both
@pytest.mark.parametrize(
    "behaviour",
    [
        chunked(modified(1), modified(2)),
        chunked(TWO),
        chunked(TWO[:5], TWO[5:-9], TWO[-9:]),
        chunked(*(TWO[n : n + 1] for n in range(len(TWO)))),
        raw(*(bytes([byte]) for byte in CHUNKED + chunk(TWO) + LAST), then_close=True),
        raw(CHUNKED + chunk(TWO) + LAST),
        chunked(CRLF),
        chunked(b"\n\r\n  \n" + modified(1) + b"\n\n" + modified(2) + b"\n"),
        chunked(TWO, last=b"0;end\r\nTrailer: x\r\n\r\n"),
        raw(CLOSES, TWO, then_close=True),
        raw(HTTP_1_0, TWO, then_close=True),
        raw(HTTP_1_0.replace(b"Connection: close\r\n", b""), TWO, then_close=True),
        raw(SIZED, TWO[:700], TWO[700:]),
    ],
    ids=[
        "a chunk each",
        "one chunk",
        "split",
        "a chunk for each byte",
        "byte by byte",
        "at once",
        "crlf",
        "empty lines",
        "trailer",
        "connection close",
        "http 1.0 and close",
        "http 1.0",
        "content length",
    ],
)
def test_events_are_told_however_they_are_sent(behaviour: Behaviour, tls: bool) -> None:
    expected: list[WatchEvent] = [WatchOpened(), found(1), found(2), WatchEnded()]
    assert told_by(behaviour, tls=tls) == expected


@both
@pytest.mark.parametrize(
    ("start", "pieces"),
    [
        (CHUNKED, [chunk(modified(n)) for n in range(1, 4)]),
        (CHUNKED, [b"fff\r\n" + modified(1), modified(2), modified(3)]),
        (CHUNKED, [chunk(modified(n) + b'{"type"') for n in range(1, 2)]),
        (CLOSES, [modified(n) for n in range(1, 4)]),
        (HTTP_1_0, [modified(n) for n in range(1, 4)]),
        (head(200, {"Content-Length": "9999"}), [modified(n) for n in range(1, 4)]),
    ],
    ids=["chunks", "unfinished chunk", "unfinished event", "close", "http 1.0", "content length"],
)
def test_an_event_is_told_before_anything_more_is_sent(
    start: bytes, pieces: list[bytes], tls: bool
) -> None:
    server_says = Dictated()
    with (
        HostileServer(server_says, tls=tls) as server,
        watching(server.api_client()) as (_, told),
    ):
        server_says.send(start)
        assert told.next() == WatchOpened()
        for number, piece in enumerate(pieces, 1):
            assert told.nothing_more
            server_says.send(piece)
            assert told.next() == found(number)


def long_line(size: int) -> bytes:
    """An event of so many bytes, and its line feed."""
    short = line("ADDED", lease(padding=""))
    padded = line("ADDED", lease(padding="x" * (size - len(short) + 1)))
    assert len(padded) == size + 1
    return padded


@pytest.mark.parametrize("size", [1_000_000, 30_000_000], ids=["small chunks", "one chunk"])
def test_a_line_may_be_of_2_mib(size: int) -> None:
    data = long_line(MAX_LINE_BYTES) + modified(2)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    opened, long, short, ended = told_by(chunked(*pieces))
    assert (opened, short, ended) == (WatchOpened(), found(2), WatchEnded())
    assert isinstance(long, Found)
    assert long.record == found(1).record


def test_twenty_writes_are_told_one_by_one() -> None:
    with ApiServer(tls=True) as server:
        version = server.put_lease("leader", holder_identity="a")["metadata"]["resourceVersion"]
        with watching(server.client(), resource_version=version) as (_, told):
            assert told.next() == WatchOpened()
            for number in range(20):
                stored = server.put_lease("leader", holder_identity=f"h{number}")
                assert told.next() == Found(read_lease(stored, lease_ttl=TTL), stored)


def test_a_lease_is_followed_from_its_making_to_its_end_and_no_other_is_told() -> None:
    with ApiServer() as server:
        server.put_lease("other", holder_identity="a")
        version = server.put_lease("other", holder_identity="b")["metadata"]["resourceVersion"]
        with watching(server.client(), resource_version=version) as (_, told):
            assert told.next() == WatchOpened()
            made = server.put_lease("leader", holder_identity="a")
            server.put_lease("other", holder_identity="c")
            server.remove_lease("leader")
            assert told.next() == Found(read_lease(made, lease_ttl=TTL), made)
            gone = told.next()
    assert isinstance(gone, Deleted)
    assert gone.record.holder_identity == "a"
    assert (gone.record.version or 0) > int(made["metadata"]["resourceVersion"])


def holders(events: list[WatchEvent]) -> str:
    """Who holds the Lease, event by event; a bookmark is a dot."""
    letters = ""
    for event in events:
        if isinstance(event, Found):
            letters += event.record.holder_identity or ""
        elif isinstance(event, Bookmark):
            letters += "."
    return letters


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (faults.end_watch(), ""),
        (faults.end_watch(after=2), "bc"),
        (faults.duplicate_events(), "bbccddee"),
        (faults.bookmarks_only(), "...."),
        (faults.miss_events(2, after=1), "be"),
        (faults.stall_watch(after=3), "bcd"),
        (faults.hold_answer(0.01), "bcde"),
    ],
    ids=["end", "end after two", "duplicates", "bookmarks", "missed", "stall", "late"],
)
def test_a_watch_that_goes_wrong_is_told_as_it_comes(fault: faults.Fault, seen: str) -> None:
    with ApiServer() as server:
        version = server.put_lease("leader", holder_identity="a")["metadata"]["resourceVersion"]
        for holder in "bcde":
            server.put_lease("leader", holder_identity=holder)
        server.fail_next(fault, verb="watch")
        with watching(server.client(), resource_version=version) as (watch, told):
            assert told.next() == WatchOpened()
            wait_until(lambda: holders(told.all) == seen or not watch.thread.is_alive())
            watch.close()
            events = told.rest()
    assert holders(events) == seen
    assert events[-1] == WatchEnded()


# What ends it


@pytest.mark.parametrize("code", [400, 403, 404, 410, 418, 429, 500, 503, 504, 302, 204, 201, 999])
def test_a_refusal_is_an_end_with_its_status(code: int) -> None:
    headers = {"Location": "/elsewhere", "X-Token": "secret"}
    refusal = answer({"message": "secret"}, status=code, headers=headers)
    with HostileServer(refusal) as server, watching(server.api_client()) as (_, told):
        [ended] = told.rest()
        wait_until(lambda: server.open_connections == 0)
    error = failure(ended)
    assert error.status == code
    assert f"answered {code}" in str(error)
    assert error.__cause__ is None
    assert len(server.requests) == 1


def test_a_watch_that_is_forbidden_says_what_the_role_must_allow() -> None:
    [ended] = told_by(answer(status(403), status=403))
    assert "403 Forbidden" in str(failure(ended))
    assert "a Role must allow 'watch'" in str(failure(ended))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("7", 7.0), ("soon", None), ("Thu, 01 Jan 2026 00:00:00 GMT", 0.0)],
)
def test_a_refusal_says_how_long_to_wait(text: str, seconds: float | None) -> None:
    [ended] = told_by(answer(status=429, headers={"Retry-After": text}))
    assert isinstance(ended, WatchEnded)
    assert ended.retry_after == seconds


@pytest.mark.parametrize("code", [410, 500])
def test_an_error_event_is_an_end_with_its_code(code: int) -> None:
    with ApiServer() as server:
        version = server.put_lease("leader", holder_identity="a")["metadata"]["resourceVersion"]
        server.put_lease("leader", holder_identity="b")
        server.fail_next(faults.error_event(code, after=1), verb="watch")
        with watching(server.client(), resource_version=version) as (_, told):
            opened, event, ended = told.rest()
    assert (opened, isinstance(event, Found)) == (WatchOpened(), True)
    assert failure(ended).status == code


def with_spec(**spec: Any) -> dict[str, Any]:
    return {**lease(), "spec": spec}


DEEP = b"[" * 200_000 + b"\n"
UNREADABLE: dict[str, bytes] = {
    "html": b"<html>secret</html>\n",
    "no utf-8": b'{"type": "\xff"}\n',
    "cut json": modified()[:-9] + b"\n",
    "deep json": DEEP,
    "a list": b'["secret"]\n',
    "a number": b"1\n",
    "no type": b"{}\n",
    "another type": line("SECRET", lease()),
    "no object": b'{"type": "ADDED"}\n',
    "object is a text": line("MODIFIED", "secret"),
    "another kind": line("MODIFIED", {**lease(), "kind": "Secret"}),
    "a Status": line("MODIFIED", status(410)),
    "another name": line("MODIFIED", lease(name="secret")),
    "another namespace": line("ADDED", lease(namespace="secret")),
    "deletion of another": line("DELETED", lease(name="secret")),
    "no uid": line("MODIFIED", lease(uid=None)),
    "no version": line("MODIFIED", lease(None)),
    "deletion without a version": line("DELETED", lease(None)),
    "no metadata": line("MODIFIED", {"kind": "Lease", "spec": {}}),
    "metadata is a text": line("MODIFIED", {"kind": "Lease", "metadata": "secret"}),
    "holder is no text": line("MODIFIED", lease(holder={"secret": 1})),
    "time is none": line("MODIFIED", with_spec(holderIdentity="a", renewTime="secret")),
    "bookmark of no object": line("BOOKMARK", None),
    "bookmark of another kind": line("BOOKMARK", {**lease(), "kind": "Secret"}),
    "bookmark without metadata": line("BOOKMARK", {"kind": "Lease"}),
    "bookmark without a version": line("BOOKMARK", lease(None)),
    "bookmark with an empty version": line("BOOKMARK", lease("")),
    "bookmark with a number": line(
        "BOOKMARK", {"kind": "Lease", "metadata": {"resourceVersion": 1}}
    ),
    "error without a Status": line("ERROR", {"code": 410}),
    "error without a code": line("ERROR", status(None)),
    "error with a text for a code": line("ERROR", status("410")),
    "error with a truth for a code": line("ERROR", status(True)),
    "a byte more than 2 MiB": long_line(MAX_LINE_BYTES + 1),
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_understood_is_an_end_with_an_error(data: bytes) -> None:
    opened, before, ended = told_by(chunked(modified(1) + data + modified(2)))
    assert (opened, before) == (WatchOpened(), found(1))
    error = failure(ended)
    assert "an event came, but" in str(error)
    assert (error.status, error.__cause__) == (None, None)  # the cause would know the body


def test_a_line_without_an_end_is_an_error_and_not_kept_for_ever() -> None:
    def endless(exchange: Exchange) -> None:
        exchange.send(CHUNKED)
        while True:
            exchange.send(chunk(b"x" * 1_000_000))

    opened, ended = told_by(endless)
    assert opened == WatchOpened()
    assert "longer than 2 MiB" in str(failure(ended))


@both
@pytest.mark.parametrize(
    "behaviour",
    [
        chunked(modified(), last=b""),
        chunked(modified(), last=b"5"),
        chunked(modified(), last=b"5\r\n{"),
        chunked(modified(), last=b"secret\r\n"),
        chunked(modified(), b'{"type": "secret"'),
        raw(CLOSES, modified(), b'{"type": "secret"', then_close=True),
        raw(HTTP_1_0, modified() + modified()[:-1], then_close=True),
        raw(SIZED, modified(), then_close=True),
    ],
    ids=[
        "no last chunk",
        "cut length",
        "cut chunk",
        "no chunk",
        "cut line",
        "cut line at the end",
        "no line feed",
        "cut content",
    ],
)
def test_a_stream_that_is_cut_is_an_end_with_an_error(behaviour: Behaviour, tls: bool) -> None:
    opened, before, ended = told_by(behaviour, tls=tls)
    assert (opened, before) == (WatchOpened(), found(1))
    assert failure(ended).status is None


def test_a_connection_that_is_reset_in_the_middle_is_an_end_with_an_error() -> None:
    def behave(exchange: Exchange) -> None:
        exchange.send(CHUNKED + chunk(modified()))
        wait_until(lambda: found() in seen)
        reset(exchange)

    with HostileServer(behave) as server:
        told = Told()
        seen = told.all
        watch = make(server.api_client(), told)
        watch.start()
        error = failure(told.end())
    assert isinstance(error.__cause__, OSError)


@pytest.mark.parametrize(
    "behaviour",
    [close, reset, raw(b"secret\r\n\r\n", then_close=True), raw(b"HTTP/1.1 2", then_close=True)],
    ids=["closed", "reset", "no http", "cut"],
)
def test_no_answer_is_an_end_with_an_error(behaviour: Behaviour) -> None:
    with HostileServer(behaviour) as server, watching(server.api_client()) as (_, told):
        [ended] = told.rest()
        wait_until(lambda: server.open_connections == 0)
    error = failure(ended)
    assert error.__cause__ is not None
    assert type(error.__cause__).__name__ in str(error)
    assert len(server.requests) == 1


def test_a_refused_connection_is_an_end_with_an_error() -> None:
    with (
        HostileServer() as server,
        url_that_refuses() as url,
        watching(server.api_client(host=url)) as (_, told),
    ):
        [ended] = told.rest()
    assert "NewConnectionError" in str(failure(ended))


def test_a_certificate_of_a_stranger_is_an_end_with_an_error() -> None:
    with HostileServer(tls=True) as other, HostileServer(tls=True) as server:
        client = server.api_client(ssl_ca_cert=other.ca_file)
        with watching(client) as (_, told):
            [ended] = told.rest()
    assert "SSLError" in str(failure(ended))
    assert server.requests == []


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_what_an_auth_hook_raises_is_the_cause_of_an_end(kind: type[BaseException]) -> None:
    error = kind("secret")

    def refuse(configuration: Any) -> None:
        raise error

    with HostileServer() as server:
        client = server.api_client(api_key={"authorization": "x"}, refresh_api_key_hook=refuse)
        with watching(client) as (_, told):
            [ended] = told.rest()
    assert failure(ended).__cause__ is error
    assert server.accepted == 0


def test_an_unprintable_token_is_an_error_that_does_not_show_it() -> None:
    with HostileServer() as server:
        client = server.api_client(api_key={"authorization": "Bearer sec\r\nret"})
        with watching(client) as (_, told):
            [ended] = told.rest()
    error = failure(ended)
    assert "ret" not in f"{error} {error.__cause__}"
    assert server.requests == []


@pytest.mark.parametrize("opened", [False, True])
def test_a_deliver_that_raises_ends_the_watch(opened: bool) -> None:
    told = Told()

    def deliver(watch: Watch, event: WatchEvent) -> None:
        if isinstance(event, WatchOpened if opened else Found):
            raise RuntimeError("full")
        told(watch, event)

    with HostileServer(chunked(modified())) as server:
        make(server.api_client(), deliver).start()
        assert isinstance(failure(told.end()).__cause__, RuntimeError)
        wait_until(lambda: server.open_connections == 0)


# Opening takes no longer than it may, and reading as long as it likes


def hung_hook(gate: threading.Event) -> Callable[[Any], None]:
    def wait(configuration: Any) -> None:
        gate.wait(PATIENCE)

    return wait


@both
def test_a_head_that_does_not_come_is_an_end_with_an_error(tls: bool) -> None:
    with (
        HostileServer(hang, tls=tls) as server,
        watching(server.api_client(), open_timeout=LIMIT) as (_, told),
    ):
        [ended] = told.rest()
        wait_until(lambda: server.open_connections == 0)
    assert "Timeout" in str(failure(ended))


def test_a_handshake_that_does_not_end_is_an_end_with_an_error() -> None:
    with (
        HostileServer(tls=True, handshake=threading.Event()) as server,
        watching(server.api_client(), open_timeout=LIMIT) as (_, told),
    ):
        failure(told.end())
    assert server.requests == []


def test_a_proxy_that_hangs_is_an_end_with_an_error() -> None:
    with (
        HostileServer(hang) as proxy,
        HostileServer(tls=True) as server,
        watching(server.api_client(proxy=proxy.url), open_timeout=LIMIT) as (_, told),
    ):
        failure(told.end())
    assert server.accepted == 0


def test_a_server_that_does_not_accept_is_an_end_with_an_error() -> None:
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):  # until the queue is full and no more are let in
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        with HostileServer() as server:
            client = server.api_client(host=f"http://127.0.0.1:{deaf.getsockname()[1]}")
            with watching(client, open_timeout=LIMIT) as (_, told):
                failure(told.end())


def test_nothing_is_sent_where_an_auth_hook_took_all_the_time() -> None:
    gate = threading.Event()
    with HostileServer() as server:
        hook = hung_hook(gate)
        client = server.api_client(api_key={"authorization": "x"}, refresh_api_key_hook=hook)
        with watching(client, open_timeout=LIMIT) as (_, told):
            time.sleep(LIMIT)
            gate.set()
            assert isinstance(failure(told.end()).__cause__, TimeoutError)
    assert server.accepted == 0


@pytest.mark.parametrize("way", ["http", "https", "by a proxy", "by a proxy with TLS"])
def test_a_silence_after_the_head_has_no_limit(way: str) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(HostileServer(then=raw(CHUNKED), tls=way != "http"))
        proxy = stack.enter_context(HostileServer(then=tunnel, tls=way == "by a proxy with TLS"))
        if server.ca_file and proxy.ca_file:
            trusted = Path(server.ca_file).read_text() + Path(proxy.ca_file).read_text()
            Path(server.ca_file).write_text(trusted)
        client = server.api_client(proxy=proxy.url if "proxy" in way else None)
        watch, told = stack.enter_context(watching(client))
        assert told.next() == WatchOpened()
        sock = watch._wire._socket
        assert sock is not None
        wait_until(lambda: sock.gettimeout() is None)


# Proxies


@pytest.mark.parametrize("tls", [False, True], ids=["http proxy", "https proxy"])
def test_a_proxy_is_used_for_https(tls: bool) -> None:
    server_says = Dictated()
    with HostileServer(server_says, tls=True) as server, HostileServer(then=tunnel, tls=tls) as p:
        files = [Path(file) for file in (server.ca_file, p.ca_file) if file is not None]
        files[0].write_text("".join(file.read_text() for file in files))
        with watching(server.api_client(proxy=p.url)) as (watch, told):
            server_says.send(CHUNKED)
            assert told.next() == WatchOpened()
            for number in (1, 2):
                server_says.send(chunk(modified(number)))
                assert told.next() == found(number)
            with soon():
                watch.close()
                assert told.rest() == [WatchEnded()]
        wait_until(lambda: p.open_connections == 0)
    assert [request.method for request in p.requests] == ["CONNECT"]


def test_a_proxy_is_used_for_http_too() -> None:
    with HostileServer(chunked(modified())) as proxy:
        client = proxy.api_client(host="http://cluster.invalid", proxy=proxy.url)
        with watching(client) as (_, told):
            assert told.rest() == [WatchOpened(), found(), WatchEnded()]
    assert proxy.requests[0].path == f"http://cluster.invalid{PATH}"


# close()


@both
def test_close_ends_a_reader_at_once(tls: bool) -> None:
    with ApiServer(tls=tls) as server:
        server.put_lease("leader", holder_identity="a")
        with watching(server.client()) as (watch, told):
            wait_until(lambda: any(isinstance(event, Found) for event in told.all))
            with soon():
                watch.close()
                assert told.end() == WatchEnded()
            watch.close()


@both
def test_close_ends_the_wait_for_the_head_at_once(tls: bool) -> None:
    with HostileServer(hang, tls=tls) as server, watching(server.api_client()) as (watch, told):
        wait_until(lambda: len(server.requests) == 1)
        with soon():
            watch.close()
            assert told.rest() == [WatchEnded()]
        wait_until(lambda: server.open_connections == 0)


def test_close_ends_a_handshake_at_once() -> None:
    gate = threading.Event()
    with (
        HostileServer(tls=True, handshake=gate) as server,
        watching(server.api_client()) as (watch, told),
    ):
        wait_until(lambda: watch._wire._handles != [])
        with soon():
            watch.close()
            assert told.rest() == [WatchEnded()]
        gate.set()
        wait_until(lambda: server.open_connections == 0)
    assert server.requests == []


def test_close_ends_the_wait_for_a_proxy_at_once() -> None:
    with (
        HostileServer(hang) as proxy,
        HostileServer(tls=True) as server,
        watching(server.api_client(proxy=proxy.url)) as (watch, told),
    ):
        wait_until(lambda: len(proxy.requests) == 1)
        with soon():
            watch.close()
            assert told.rest() == [WatchEnded()]
    assert server.accepted == 0


def test_close_before_the_start_sends_nothing() -> None:
    asked: list[object] = []
    with HostileServer() as server:
        client = server.api_client(
            api_key={"authorization": "x"}, refresh_api_key_hook=asked.append
        )
        told = Told()
        watch = make(client, told)
        watch.close()
        watch.start()
        assert told.rest() == [WatchEnded()]
    assert (server.accepted, asked) == (0, [])


@contextlib.contextmanager
def slow_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Answers when the event is set; yields that."""
    gate = threading.Event()
    resolve = socket.getaddrinfo

    def slow(*args: Any, **options: Any) -> Any:
        asked.set()
        gate.wait(PATIENCE)
        return resolve(*args, **options)

    asked = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", slow)
        yield gate
        gate.set()
    assert asked.is_set()


def test_close_while_connecting_does_not_wait_and_sends_nothing_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        HostileServer() as server,
        slow_resolver(monkeypatch) as gate,
        watching(server.api_client()) as (watch, told),
    ):
        with soon():
            watch.close()
        assert told.nothing_more
        gate.set()
        assert told.rest() == [WatchEnded()]
        wait_until(lambda: server.open_connections == 0)
    assert server.requests == []


def test_close_in_a_hung_auth_hook_does_not_wait_and_connects_to_nothing_later() -> None:
    gate = threading.Event()
    with HostileServer() as server:
        hook = hung_hook(gate)
        client = server.api_client(api_key={"authorization": "x"}, refresh_api_key_hook=hook)
        with watching(client) as (watch, told):
            with soon():
                watch.close()
            gate.set()
            assert told.rest() == [WatchEnded()]
    assert server.accepted == 0


def test_nothing_is_told_after_close_though_it_has_come() -> None:
    told = Told()

    def deliver(watch: Watch, event: WatchEvent) -> None:
        if isinstance(event, Found):
            watch.close()
        told(watch, event)

    with HostileServer(chunked(modified(1) + modified(2) + b"garbage\n")) as server:
        make(server.api_client(), deliver).start()
        assert told.rest() == [WatchOpened(), found(1), WatchEnded()]


def test_close_may_be_called_by_a_signal_handler() -> None:
    with ApiServer() as server, watching(server.client()) as (watch, told):
        assert told.next() == WatchOpened()
        before = signal.signal(signal.SIGALRM, lambda *_: watch.close())
        try:
            signal.raise_signal(signal.SIGALRM)
            assert told.end() == WatchEnded()
        finally:
            signal.signal(signal.SIGALRM, before)


def test_the_connection_is_gone_when_the_end_is_told() -> None:
    left: list[int] = []
    ended = threading.Event()

    def deliver(watch: Watch, event: WatchEvent) -> None:
        if isinstance(event, WatchEnded):
            left.append(len(watch._wire._handles))
            left.append(sum(sock.fileno() >= 0 for sock in sockets))
            ended.set()
        elif watch._wire._socket is not None:
            sockets.append(watch._wire._socket)

    sockets: list[socket.socket] = []
    with HostileServer(chunked(modified())) as server:
        make(server.api_client(), deliver).start()
        assert ended.wait(PATIENCE)
    assert sockets != []
    assert left == [0, 0]


# Threads, descriptors and garbage


def test_the_thread_is_a_daemon_and_the_only_one() -> None:
    with HostileServer(raw(CHUNKED)) as server:
        client = server.api_client()
        before = set(threading.enumerate())  # of locks that the garbage collector has not come to
        with watching(client) as (watch, told):
            assert told.next() == WatchOpened()
            new = set(threading.enumerate()) - before
            assert [each for each in new if each.name.startswith("kube-leader")] == [watch.thread]
            assert watch.thread.daemon


def test_a_watch_is_started_once() -> None:
    with (
        HostileServer(raw(CHUNKED)) as server,
        watching(server.api_client()) as (watch, _),
        pytest.raises(RuntimeError, match="once"),
    ):
        watch.start()


def test_without_threads_the_end_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    told = Told()
    with HostileServer() as server:
        watch = make(server.api_client(), told)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            watch.start()
        assert told.nothing_more is False
        assert "no thread" in str(failure(told.end()))
    assert server.accepted == 0


@pytest.mark.parametrize(
    "behaviour",
    [
        raw(CHUNKED + chunk(modified())),
        chunked(modified()),
        chunked(modified(), last=b""),
        chunked(b"garbage\n"),
        raw(CLOSES, modified()),
        answer(status=403),
        answer(status=401),
        close,
        hang,
    ],
    ids=["open", "ended", "cut", "garbage", "until EOF", "403", "401", "no answer", "no head"],
)
@both
def test_a_hundred_watches_leave_no_thread_and_no_descriptor(
    behaviour: Behaviour, tls: bool
) -> None:
    with HostileServer(then=behaviour, tls=tls) as server, without_collector():
        client = server.api_client()
        before = descriptors()
        for _ in range(100 if not tls else 10):
            with watching(client) as (_, told):
                told.next() if behaviour is not hang else None
            del told, _
        wait_until(lambda: threads() == [])
        wait_until(lambda: server.open_connections == 0)
        wait_until(lambda: descriptors() <= before)


@pytest.mark.parametrize(
    "behaviour",
    [
        chunked(modified()),
        chunked(modified(), last=b""),
        chunked(b"garbage\n"),
        answer(status=403),
        close,
        reset,
    ],
    ids=["ended", "cut", "garbage", "403", "no answer", "reset"],
)
def test_a_watch_that_has_ended_is_collected_at_once(behaviour: Behaviour) -> None:
    with HostileServer(then=behaviour) as server, without_collector():
        told = Told()
        watch = make(server.api_client(), told)
        watch.start()
        told.end()
        watch.thread.join(PATIENCE)
        alive: list[Callable[[], object]]
        alive = [weakref.ref(watch), weakref.ref(watch._wire), weakref.ref(watch.thread)]
        del watch, told
        wait_until(lambda: [ref() for ref in alive] == [None] * 3)


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told_by(chunked(modified(), b"garbage\n"))
    told_by(answer(status=403))
    told_by(close)
    assert [each for each in caplog.records if each.name.startswith("kube_leader")] == []


# A fork


@both
def test_after_a_fork_the_stream_of_the_parent_goes_on(tls: bool) -> None:
    server_says = Dictated()
    with (
        HostileServer(server_says, tls=tls) as server,
        watching(server.api_client()) as (watch, told),
    ):
        server_says.send(CHUNKED + chunk(modified(1)))
        assert [told.next(), told.next()] == [WatchOpened(), found(1)]
        wait_until(lambda: server.open_connections == 1)
        held = descriptors_of(watch._wire)

        def child() -> bool:
            clean = all(map(is_closed, held))
            watch.close()
            gc.collect()
            return clean and told.nothing_more and not watch.thread.is_alive()

        with forked(child):
            pass
        assert len(held) == 2
        server_says.send(chunk(modified(2)))
        assert told.next() == found(2)
    assert server.accepted == 1


def test_a_child_watches_by_a_connection_of_its_own() -> None:
    with ApiServer() as server:
        server.put_lease("leader", holder_identity="a")
        client = server.client()
        with watching(client) as (_, told):
            assert told.next() == WatchOpened()

            def child() -> bool:
                with watching(client) as (_, of_child):
                    return of_child.next() == WatchOpened() and holders([of_child.next()]) == "a"

            with forked(child):
                pass
            server.put_lease("leader", holder_identity="b")
            wait_until(lambda: holders(told.all).endswith("b"))


def test_a_stream_that_was_closed_in_the_parent_ends_though_a_child_lives() -> None:
    ready, done = os.pipe(), os.pipe()
    with HostileServer(raw(CHUNKED)) as server, watching(server.api_client()) as (watch, told):
        assert told.next() == WatchOpened()

        def child() -> bool:
            os.write(ready[1], b".")
            return os.read(done[0], 1) == b"."

        with forked(child):
            os.read(ready[0], 1)
            watch.close()
            wait_until(lambda: server.open_connections == 0)
            os.write(done[1], b".")
    for descriptor in (*ready, *done):
        os.close(descriptor)

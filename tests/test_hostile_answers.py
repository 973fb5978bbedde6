"""Whatever comes from a socket, as an answer or as the events of a watch: rows 4, 14 and 20"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_leader_election import (
    LeaderElector,
    LeaderElectorParams,
    LeaseError,
    LeaseLock,
    LeaseLockParams,
    NotLeadingError,
)
from kube_leader_election._core.messages import (
    Bookmark,
    Deleted,
    Found,
    WatchEnded,
    WatchEvent,
    WatchOpened,
)
from kube_leader_election._failure import LeaseName
from kube_leader_election._watch import Watch
from kube_leader_election.testing import FakeClock
from tests.electors import SHORTEST
from tests.hostile import PATIENCE, Exchange, HostileServer, answer
from tests.strategies import (
    CODES,
    LINES,
    NAME,
    NAMESPACE,
    NOW,
    SECRET,
    RawAnswer,
    TrueServer,
    assert_says_little,
    believed_until,
    examples,
    raw_answers,
    secretive,
)

TARGET = LeaseName(NAMESPACE, NAME)
CALL_TIMEOUT = 0.2  # what is not whole by then is no answer
TTL = 15
BELIEF = 0.98 * TTL
CREDENTIALS = {"authorization": f"Bearer {SECRET}"}


class OnTheWay:
    """Answers with what is armed, and else as the true server does; a watch then just ends"""

    def __init__(self, server: TrueServer, armed: Iterable[RawAnswer] = ()) -> None:
        self._server = server
        self.armed = list(armed)
        self.asked_at = time.monotonic()

    def __call__(self, exchange: Exchange) -> None:
        request = exchange.request
        self.asked_at = time.monotonic()
        if self.armed:
            odd = self.armed.pop(0)
            exchange.send(odd.data)
            while odd.then == "drip":
                exchange.wait(0.02)
                exchange.send(b"x")
            if odd.then == "close":
                raise ConnectionAbortedError
        elif "watch=true" in request.path:
            answer(status=500)(exchange)
        else:
            status, body = self._server.answer(request.method, request.path, request.body)
            answer(status=status, body=body)(exchange)


def call(lock: LeaseLock, action: str) -> object:
    """What the call has returned or raised, which it did in time"""
    began_at = time.monotonic()
    came: object
    try:
        came = getattr(lock, action)()
    except (LeaseError, NotLeadingError) as error:
        assert_says_little(error)
        came = error
    assert time.monotonic() - began_at < CALL_TIMEOUT + PATIENCE
    return came


@pytest.mark.fault_row(number=4)
@pytest.mark.fault_row(number=14)
@examples(40)
@given(
    st.lists(raw_answers(), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from(["try_acquire_or_renew", "try_acquire_or_renew", "read", "step_down"]),
)
def test_whatever_bytes_are_answered_a_call_ends_in_time_and_the_lock_recovers(
    armed: list[RawAnswer], leads: bool, action: str
) -> None:
    clock = FakeClock()
    true = TrueServer(clock)
    way = OnTheWay(true)
    params = LeaseLockParams(lease_name=NAME, holder_id="a", call_timeout=CALL_TIMEOUT)
    with HostileServer(then=way) as server, secretive():
        lock = LeaseLock(server.api_client(api_key=CREDENTIALS), NAMESPACE, params, clock=clock)
        if leads:
            call(lock, "try_acquire_or_renew")
        else:
            true.put(holderIdentity="b", leaseDurationSeconds=TTL, renewTime=NOW)
        clock.advance(4.0)
        before = believed_until(lock, clock)
        way.armed = list(armed)
        came = call(lock, action)
        assert believed_until(lock, clock) <= max(before, true.granted_at + BELIEF)
        if action == "try_acquire_or_renew" and not isinstance(came, Exception):
            assert bool(came) == lock.is_leader()
        way.armed = []
        true.put(holderIdentity="", leaseDurationSeconds=1, renewTime=NOW)
        gives_up_at = time.monotonic() + PATIENCE
        while not (came := call(lock, "try_acquire_or_renew")) or isinstance(came, Exception):
            assert time.monotonic() < gives_up_at, came
            clock.advance(20.0)
        assert lock.is_leader()


class Line:
    """In the place of a watch's connection: what is said over it"""

    given_up = False

    def __init__(self, status: int, pieces: list[bytes], *, is_cut: bool) -> None:
        self.status = status
        self.headers = {"Retry-After": "soon", "X-Secret": SECRET}
        self._pieces = pieces
        self._is_cut = is_cut

    def send(self, method: str, path: str, *, deadline_at: float) -> Line:
        return self

    def pieces(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._is_cut:
            raise EOFError(SECRET)

    def close(self) -> None:
        pass

    hang_up = close


def told_by(watch: Watch) -> list[WatchEvent]:
    told: list[WatchEvent] = []
    watch._deliver = lambda _, event: told.append(event)
    watch._run()
    return told


def watch_of(line: Any) -> Watch:
    from kubernetes.client import ApiClient, Configuration

    watch = Watch(
        ApiClient(Configuration()),
        TARGET,
        lease_ttl=TTL,
        resource_version="1",
        open_timeout=1.0,
        deliver=lambda _watch, _event: None,
    )
    watch._wire = line
    return watch


@pytest.mark.fault_row(number=20)
@examples(80)
@given(
    st.lists(LINES, max_size=5),
    st.sampled_from([200] * 8 + [401, 403, 410, 500]) | CODES,
    st.integers(0, 4000),
    st.booleans(),
)
def test_whatever_a_watch_says_only_events_of_the_lease_are_told_and_then_one_end(
    lines: list[bytes], status: int, cut_at: int, is_cut: bool
) -> None:
    said = b"".join(line + b"\n" for line in lines)
    pieces = [piece for piece in (said[:cut_at], said[cut_at:]) if piece]
    with secretive():
        *events, end = told_by(watch_of(Line(status, pieces, is_cut=is_cut)))
    assert isinstance(end, WatchEnded)
    if end.error is not None:
        assert isinstance(end.error, LeaseError)
        assert_says_little(end.error)
    if status != 200:
        assert (events, end.status) == ([], status)
        return
    assert events[:1] == [WatchOpened()]
    for event in events[1:]:
        assert isinstance(event, Found | Deleted | Bookmark)
        if isinstance(event, Found):
            source: Any = event.source
            assert (source["metadata"]["name"], source["metadata"]["namespace"]) == (
                NAME,
                NAMESPACE,
            )
        if not isinstance(event, Bookmark):
            assert event.record.uid
            assert event.record.resource_version


def let_time_pass(clock: FakeClock, way: OnTheWay, until: Callable[[], bool]) -> None:
    """Slowly while something is asked, and fast where the elector waits for long"""
    gives_up_at = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < gives_up_at
        is_quiet = time.monotonic() > way.asked_at + 0.05
        clock.advance(0.5 if is_quiet else 0.02)
        time.sleep(0.005)


@pytest.mark.fault_row(number=14)
@pytest.mark.fault_row(number=20)
@examples(6)
@given(st.lists(raw_answers(), min_size=5, max_size=12))
def test_whatever_bytes_are_answered_an_elector_believes_no_longer_and_recovers(
    armed: list[RawAnswer],
) -> None:
    clock = FakeClock()
    true = TrueServer(clock)
    way = OnTheWay(true)
    overlong: list[float] = []

    def leads(elector: LeaderElector) -> bool:
        now = clock.monotonic()
        is_leader = elector.is_leader()
        if is_leader and now > true.granted_at + SHORTEST["renew_deadline"]:
            overlong.append(now)
        return is_leader

    def is_through() -> bool:
        leads(elector)
        return not way.armed

    params = LeaderElectorParams(lease_name=NAME, holder_id="a", **SHORTEST)
    with HostileServer(then=way) as server, secretive():
        client = server.api_client(api_key=CREDENTIALS)
        elector = LeaderElector(client, NAMESPACE, params, clock=clock)
        with elector:
            let_time_pass(clock, way, lambda: leads(elector))
            way.armed = list(armed)
            let_time_pass(clock, way, is_through)
            true.put(holderIdentity="", leaseDurationSeconds=1, renewTime=NOW)
            granted_at = true.granted_at
            let_time_pass(clock, way, lambda: leads(elector) and true.granted_at > granted_at)
            assert elector.healthy()
    assert overlong == []

"""Whatever a Lease says, in raw JSON, in a model or in an event of a watch: rows 14, 20 and 34"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from kubernetes.client import ApiClient, Configuration, CoordinationV1Api
from kubernetes.client.exceptions import ApiException
from urllib3 import HTTPHeaderDict

from kube_leader_election import LeaseError, LeaseLock, LeaseLockParams, NotLeadingError
from kube_leader_election._connection import Response
from kube_leader_election._core.messages import Bookmark, Deleted, Failed, Found, Read
from kube_leader_election._core.messages import Request as CoreRequest
from kube_leader_election._core.record import EARLIEST, LATEST, LeaseRecord, UnreadableLeaseError
from kube_leader_election._core.watching import LONGEST_SILENCE
from kube_leader_election._failure import LeaseName
from kube_leader_election._raw import RawLeases, read_target
from kube_leader_election.testing import FakeClock
from tests.core.campaigning import LOST, Elector, Fate, World, held
from tests.core.talk import Trouble
from tests.strategies import (
    ANYTHING,
    BODIES,
    CODES,
    NAME,
    NAMESPACE,
    NOW,
    RESOURCE_VERSIONS,
    RETRY_AFTER,
    SECRET,
    UID,
    Json,
    TrueServer,
    assert_says_little,
    believed_until,
    examples,
    json_texts,
    leases,
    metadata,
    right_metadata,
    secretive,
    specs,
    times,
)

TARGET = LeaseName(NAMESPACE, NAME)
TTL = 15
BELIEF = 0.98 * TTL


@dataclass(frozen=True)
class Odd:
    """An answer of something on the way; `passes_on`: the server has carried the request out"""

    status: int
    headers: dict[str, str]
    body: bytes
    passes_on: bool = False


@dataclass(frozen=True)
class Nothing:
    """No answer comes"""

    passes_on: bool


Answer = Odd | Nothing | None  # None: the true one


class Channel:
    """In the place of a connection: what is on the way to the true server"""

    def __init__(self, server: TrueServer) -> None:
        self._server = server
        self.script: list[Answer] = []
        self.asked: list[tuple[str, Answer]] = []

    def request(
        self, method: str, path: str, body: bytes | None = None, *, timeout: float
    ) -> Response:
        answer = self.script.pop(0) if self.script else None
        self.asked.append((method, answer))
        if answer is None or answer.passes_on:
            status, true = self._server.answer(method, path, body)
        if isinstance(answer, Nothing):
            raise ConnectionResetError(SECRET)
        if isinstance(answer, Odd):
            return Response(answer.status, HTTPHeaderDict(answer.headers), answer.body)
        return Response(status, HTTPHeaderDict(), true)

    def close(self) -> None:
        pass


CLIENT = CoordinationV1Api(ApiClient(Configuration()))


class Scene:
    """A `LeaseLock` that speaks raw JSON to a channel, and what must hold after each call"""

    def __init__(self, *, skew: float | None = 0.0) -> None:
        self.clock = FakeClock()
        self.server = TrueServer(self.clock)
        self.channel = Channel(self.server)
        self._seen: dict[bytes, float] = {}
        params = LeaseLockParams(lease_name=NAME, holder_id="a", max_clock_skew=skew)
        self.lock = LeaseLock(CLIENT, NAMESPACE, params, clock=self.clock)
        connection: Any = self.channel
        self.lock._state().store._raw = RawLeases(connection, TARGET, lease_ttl=TTL)

    @property
    def believed_until(self) -> float:
        return believed_until(self.lock, self.clock)

    def call(self, action: str, *script: Answer) -> object:
        """What the call has returned, or raised"""
        before, asked_before = self.believed_until, len(self.channel.asked)
        self.channel.script = list(script)
        came: object
        try:
            came = getattr(self.lock, action)()
        except (LeaseError, NotLeadingError) as error:
            came = error
            assert_says_little(error)
        self.channel.script = []
        after = self.believed_until
        assert after <= max(before, self.server.granted_at + BELIEF)
        if action == "step_down":
            assert not self.lock.is_leader()
        if action == "try_acquire_or_renew" and not isinstance(came, Exception):
            assert bool(came) == self.lock.is_leader()
        self._assert_no_write_over_a_holder(self.channel.asked[asked_before:])
        return came

    def _assert_no_write_over_a_holder(self, asked: list[tuple[str, Answer]]) -> None:
        for (method, answer), (next_method, _) in itertools.pairwise(asked):
            if method != "GET" or not isinstance(answer, Odd):
                continue
            # Of what was seen before, the duration may be over by our own clock.
            now = self.clock.monotonic()
            is_new = self._seen.setdefault(answer.body, now) == now
            if is_new and not may_be_written(answer, self.clock.utcnow()):
                assert next_method == "GET", answer


# By which the library is judged, and which knows nothing of it.

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?(Z|[+-]\d\d:\d\d)?", re.ASCII
)


def may_be_written(answer: Odd, now: datetime) -> bool:
    """Whether a newcomer who trusts the wall clock may write after it has read that

    Where that is not plain, it may.
    """
    if answer.status not in (200, 201):
        try:
            body = json.loads(answer.body)
        except (ValueError, RecursionError):
            return False
        is_status = isinstance(body, dict) and body.get("kind") == "Status"
        return is_status and answer.status in (404, 409)
    try:
        lease = json.loads(answer.body)
    except (ValueError, RecursionError):
        return False
    if not isinstance(lease, dict) or lease.get("kind") != "Lease":
        return False
    bears, spec = lease.get("metadata"), lease.get("spec")
    if not isinstance(bears, dict) or not isinstance(spec, dict | None):
        return False
    if (bears.get("name"), bears.get("namespace")) != (NAME, NAMESPACE):
        return False
    if not all(
        bears.get(field) and isinstance(bears[field], str) for field in ("uid", "resourceVersion")
    ):
        return False
    return _is_free(spec or {}, now)


def _is_free(spec: Json, now: datetime) -> bool:
    holder, duration = spec.get("holderIdentity"), spec.get("leaseDurationSeconds")
    if holder is None or holder in ("", "a"):
        return True
    if not isinstance(holder, str):
        return False
    renewed = spec.get("renewTime")
    if renewed is None:
        renewed = spec.get("acquireTime")
        if renewed is None:
            return True
    if not isinstance(renewed, str):
        return False
    found = _TIME.fullmatch(renewed)
    if found is None:
        return not renewed.startswith("10000-")
    if not isinstance(duration, int) or isinstance(duration, bool) or duration <= 0:
        duration = TTL
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        zone = found[8] if found[8] and found[8] != "Z" else "+00:00"
        behind = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[4:]))
        ends = moment - behind + timedelta(seconds=duration)
    except (ValueError, OverflowError):
        return True
    return ends < now


# Raw JSON

_NOTHING = st.builds(Nothing, st.booleans())
_ODD: SearchStrategy[Answer] = st.builds(
    Odd,
    CODES,
    st.dictionaries(
        st.just("Retry-After") | st.just("X-Secret"), RETRY_AFTER | st.just(SECRET), max_size=2
    ),
    BODIES,
    st.booleans(),
)
_LEASE = st.builds(Odd, st.just(200), st.just({}), json_texts(leases()))
_ANSWERS: SearchStrategy[Answer] = st.one_of(_LEASE, _LEASE, _ODD, _NOTHING, st.none())
_STEPS = st.tuples(
    st.sampled_from([0.0, 0.0, 1.0, 5.0, BELIEF, 16.0, 40.0]),
    st.sampled_from(["none"] * 6 + ["b takes it", "deleted"]),
    st.sampled_from(["try_acquire_or_renew"] * 6 + ["step_down", "read"]),
    st.lists(_ANSWERS, max_size=4),
)


@pytest.mark.fault_row(number=14)
@pytest.mark.fault_row(number=34)
@examples(80)
@given(st.lists(_STEPS, min_size=1, max_size=6), st.sampled_from([0.0, 2.0, None]))
def test_whatever_is_answered_belief_does_not_grow_and_the_lock_recovers(
    steps: list[Any], skew: float | None
) -> None:
    scene = Scene(skew=skew)
    with secretive():
        for seconds, other, action, script in steps:
            scene.clock.advance(seconds)
            if other == "b takes it":
                scene.server.put(holderIdentity="b", leaseDurationSeconds=15, renewTime=NOW)
            elif other == "deleted":
                scene.server.delete()
            scene.call(action, *script)
        # What a Lease bears that is there is all that matters, and that of `b` has long expired.
        scene.server.put(holderIdentity="b", leaseDurationSeconds=1, renewTime=NOW)
        scene.clock.advance(100.0)
        scene.call("try_acquire_or_renew")
        scene.clock.advance(100.0)
        assert scene.call("try_acquire_or_renew")
        assert scene.lock.is_leader()


@pytest.mark.fault_row(number=14)
@examples(100)
@given(json_texts(leases()) | BODIES, CODES)
def test_a_newcomer_writes_nothing_over_what_names_a_holder_or_is_no_lease(
    body: bytes, status: int
) -> None:
    scene = Scene()
    odd = Odd(status, {}, body)
    scene.call("try_acquire_or_renew", odd, Nothing(passes_on=False))
    assert not scene.lock.is_leader()


@pytest.mark.fault_row(number=34)
@examples(100)
@given(
    st.none()
    | st.fixed_dictionaries(
        {"metadata": st.just(right_metadata("1")) | metadata(), "spec": specs()},
    ),
    st.sampled_from(["read", "try_acquire_or_renew"]),
)
def test_a_leader_believes_no_longer_whatever_it_reads_and_leads_again(
    fields: Json | None, action: str
) -> None:
    scene = Scene()
    assert scene.call("try_acquire_or_renew")
    scene.clock.advance(5.0)
    before = scene.believed_until
    script: list[Answer] = []
    if fields is not None:
        script.append(Odd(200, {}, json.dumps({"kind": "Lease", **fields}).encode()))
        script.append(Nothing(passes_on=False))
    scene.call(action, *script)
    if action == "read" or script:
        assert scene.believed_until <= before
    scene.clock.advance(1.0)
    assert scene.call("try_acquire_or_renew")
    assert scene.believed_until == scene.clock.monotonic() + BELIEF


# Models


class Reluctant:
    """A client whose reads show what was armed; it stores nothing and counts what is written"""

    def __init__(self, lease: object) -> None:
        self.lease = lease
        self.written = 0

    def read_namespaced_lease(self, name: str, namespace: str) -> Any:
        return self.lease

    def create_namespaced_lease(self, namespace: str, body: Any) -> Any:
        return self._refuse()

    def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any:
        return self._refuse()

    def _refuse(self) -> Any:
        self.written += 1
        raise ApiException(status=500, reason=SECRET)


_MOMENTS = st.one_of(
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=-23))])),
    st.sampled_from([EARLIEST, LATEST]),
)
_ATTRIBUTES: dict[str, SearchStrategy[Any]] = {
    "holder_identity": st.sampled_from(["b", "", None, 7, True, b"b", ["b"]]) | ANYTHING,
    "lease_duration_seconds": st.just(15) | ANYTHING,
    "acquire_time": _MOMENTS | times() | ANYTHING,
    "renew_time": _MOMENTS | times() | ANYTHING,
    "lease_transitions": ANYTHING,
    "uid": st.just(UID) | ANYTHING,
    "resource_version": st.just("41") | RESOURCE_VERSIONS | ANYTHING,
    "labels": ANYTHING,
}


class Unhelpful:
    """Its attributes, and a comparison, raise"""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(SECRET)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError(SECRET)

    __hash__ = object.__hash__


def as_object(fields: Json) -> object:
    bears = {name: fields[name] for name in ("uid", "resource_version", "labels") if name in fields}
    says = {name: value for name, value in fields.items() if name not in bears}
    return SimpleNamespace(metadata=SimpleNamespace(**bears), spec=SimpleNamespace(**says))


def as_model(fields: Json) -> object:
    from kubernetes.client import V1Lease, V1LeaseSpec, V1ObjectMeta

    lease: Any = V1Lease()
    lease.spec, lease.metadata = V1LeaseSpec(), V1ObjectMeta()
    for name, value in fields.items():
        owner = lease.metadata if name in ("uid", "resource_version", "labels") else lease.spec
        # Past whatever the model checks: its data may have come by another way.
        vars(owner)[name if name in vars(owner) else f"_{name}"] = value
    return lease


_LEASE_OBJECTS: SearchStrategy[Callable[[Json], object]] = st.sampled_from(
    [as_object, as_object, as_model, as_model, lambda fields: {"spec": fields}]
)
_OTHER_OBJECTS = st.one_of(
    ANYTHING,
    st.builds(SimpleNamespace, spec=ANYTHING, metadata=ANYTHING),
    st.sampled_from([object(), Unhelpful(), SimpleNamespace(spec=Unhelpful(), metadata=None)]),
)


@pytest.mark.fault_row(number=34)
@examples(100)
@given(
    st.one_of(
        st.builds(
            lambda make, fields: (make(fields), fields.get("holder_identity")),
            _LEASE_OBJECTS,
            st.fixed_dictionaries({}, optional=_ATTRIBUTES),
        ),
        st.tuples(_OTHER_OBJECTS, st.none()),
    ),
    st.sampled_from([0.0, None]),
)
def test_whatever_an_object_says_it_is_a_lease_or_an_error_of_ours(
    answer: tuple[object, object], skew: float | None
) -> None:
    lease, holder = answer
    api, clock = Reluctant(lease), FakeClock()
    params = LeaseLockParams(lease_name=NAME, holder_id="a", max_clock_skew=skew)
    lock = LeaseLock(api, NAMESPACE, params, clock=clock)
    for act in (lock.read, lock.try_acquire_or_renew, lock.try_acquire_or_renew, lock.step_down):
        try:
            act()
        except (LeaseError, NotLeadingError) as error:
            assert_says_little(error)
        assert not lock.is_leader()
    if holder is not None and not isinstance(holder, str):
        assert api.written == 0
    api.lease = as_object({"uid": UID, "resource_version": "42", "holder_identity": ""})
    assert lock.read() is not None


# The core, told by answers and by events of a watch

_STRANGE = st.builds(
    lambda spec, version: {
        "kind": "Lease",
        "metadata": {**right_metadata(version), "uid": "another"},
        "spec": spec,
    },
    specs(),
    st.integers(1, 60).map(str) | st.sampled_from(["0", "007", "9" * 40, "x"]),
)
_EVENTS = st.tuples(
    st.floats(0, 30), st.sampled_from(["read", "found", "deleted", "bookmark"]), _STRANGE
)


def recorded(lease: Json) -> LeaseRecord | None:
    """What the store makes of it, `None` where it cannot be read"""
    try:
        return read_target(lease, TARGET, lease_ttl=TTL)
    except UnreadableLeaseError:
        return None


def tell(elector: Elector, kind: str, record: LeaseRecord | None) -> None:
    watch = elector.watch
    if watch is None or record is None:
        return
    if kind == "bookmark":
        watch.tell(Bookmark(record.resource_version or "0"))
    elif kind != "read":
        watch.tell(Deleted(record) if kind == "deleted" else Found(record))


@pytest.mark.fault_row(number=20)
@pytest.mark.fault_row(number=34)
@examples(40)
@given(st.lists(_EVENTS, min_size=1, max_size=8), st.booleans())
def test_an_elector_that_is_told_of_strange_leases_believes_no_longer_and_recovers(
    events: list[tuple[float, str, Json]], leads_first: bool
) -> None:
    world = World()
    if not leads_first:
        world.server.put(held("b", renewed=-5.0))
    answers: list[Fate] = []

    def fate(request: CoreRequest) -> Fate:
        return answers.pop(0) if answers and isinstance(request, Read) else Fate()

    elector = Elector(world, fate=fate)
    committed_at = [float("-inf")]
    carry_out = world.server.carry_out

    def note(request: CoreRequest) -> Any:
        before = world.server.version
        answer = carry_out(request)
        if world.server.version != before:
            committed_at.append(elector.sent[-1].at)
        return answer

    world.server.carry_out = note  # type: ignore[method-assign]

    def check() -> None:
        term = elector.candidate.term(elector.clock())
        assert term is None or term.ends_at(elector.clock()) <= max(committed_at) + 10.0

    world.check = check
    longest = 0
    for at, kind, lease in sorted(events, key=lambda event: event[0]):
        record = recorded(lease)
        longest = max(longest, record.lease_duration_seconds if record else 0)
        read = Fate(answer=Failed(Trouble("odd")) if record is None else Found(record))

        def happen(
            kind: str = kind, record: LeaseRecord | None = record, read: Fate = read
        ) -> None:
            answers.append(read if kind == "read" else LOST)
            tell(elector, kind, record)

        world.at(at, happen)
    world.run(31.0)
    answers.clear()
    # Whatever it was told of, what is there now is a Lease that nobody holds.
    world.server.put(held(None, renewed=31.0))
    # A silent watch is checked after half the duration, or an hour.
    world.run(31.0 + min(longest, 2 * LONGEST_SILENCE) / 2 + 120.0)
    assert elector.is_leader()


@example(b"{")
@examples(15)
@given(BODIES)
def test_a_lock_is_of_use_to_other_threads_after_an_odd_answer(body: bytes) -> None:
    scene = Scene()
    scene.call("try_acquire_or_renew", Odd(200, {}, body), Nothing(passes_on=True))
    scene.server.put(holderIdentity="", leaseDurationSeconds=1, renewTime=NOW)
    thread = threading.Thread(target=scene.call, args=("try_acquire_or_renew",))
    thread.start()
    thread.join()
    assert scene.lock.is_leader()

"""A `LeaseLock` with a real client, and a server that misbehaves in every way that there is."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import Configuration, CoordinationV1Api
from kubernetes.config.incluster_config import InClusterConfigLoader

from kube_leader_election import (
    AcquireLeaseError,
    CreateLeaseError,
    GetLeaseError,
    LeaderElectionError,
    LeaseError,
    LeaseLock,
    LeaseLockParams,
    ReleaseLeaseError,
    RenewLeaseError,
)
from kube_leader_election.testing import ApiServer, FakeClock, faults
from kube_leader_election.testing.faults import Fault
from tests.conftest import stored_spec, verbs
from tests.hostile import (
    PATIENCE,
    Behaviour,
    FairClock,
    HostileServer,
    answer,
    close,
    head,
    raw,
    relay,
    reset,
    wait_until,
)

CALL_TIMEOUT = 1.0  # enough for a busy machine to bring a request to the server
LONG = 15.0  # the most that the default lease_ttl allows, for calls that end before
LATE = 0.25

OURS = ("kube_leader_election",)
UID = "11111111-1111-1111-1111-111111111111"
TIME = "2024-01-01T12:00:00.000000Z"
SECRET = "hunter2"


@pytest.fixture(autouse=True, scope="module")
def _cheap_collections() -> Iterator[None]:
    gc.collect()
    gc.freeze()  # the models of the client are many, and collections count as lateness
    yield
    gc.unfreeze()


def document(**changes: Any) -> dict[str, Any]:
    """A whole and free Lease, but for `changes`; a value of `...` takes a field out."""
    metadata = {"name": "leader", "namespace": "default", "uid": UID, "resourceVersion": "41"}
    spec = {"holderIdentity": "", "renewTime": TIME, "acquireTime": TIME, "leaseTransitions": 1}
    fields = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
    lease: dict[str, Any] = {**fields, "metadata": metadata}
    for path, value in changes.items():
        *parents, name = path.split("__")
        where = lease
        for parent in parents:
            where = where[parent]
        where.pop(name, None)
        if value is not ...:
            where[name] = value
    return lease


def html(status: int, *, committed: bool = False) -> Fault:
    headers = {"Content-Type": "text/html"}
    return faults.answer(status, body=faults.html, headers=headers, committed=committed)


def says(body: Any) -> Fault:
    """A 200 whose body is bytes as they are, or anything else as JSON."""
    return faults.answer(200, body=body if isinstance(body, bytes) else json.dumps(body))


def redirect(status: int) -> Fault:
    """To where the Lease could be had."""
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/leader"
    return faults.answer(status, headers={"Location": path}, body=document())


NEVER_WHOLE = {
    "hangs": faults.hang(),
    "dribbles a body": faults.dribble("body"),
}
NO_ANSWER: dict[str, Fault | Behaviour] = {
    "closes": faults.lose_request(),
    "resets": faults.reset(),
    "speaks something else": raw(b"SSH-2.0-OpenSSH_9.6\r\n", then_close=True),
    "cuts the body": raw(
        head(200, {"Content-Length": "9999"}) + json.dumps(document()).encode(), then_close=True
    ),
    "10 MB": faults.answer(200, body={**document(), "padding": "x" * 10_000_000}),
    "10 MB of an error": faults.answer(503, body=b" " * 10_000_000),
}
NO_LEASE = {
    "HTML": html(200),
    "empty": says(b""),
    "cut JSON": says(json.dumps(document()).encode()[:-7]),
    "two objects": says(json.dumps(document()).encode() * 2),
    "no UTF-8": says(b'{"kind": "Lease", "spec": "\xff\xfe"}'),
    "nested too deep": says(b"[" * 100_000),
    "null": says(None),
    "a list": says([document()]),
    "a text": says("Lease"),
    "an empty object": says({}),
    "a Status": says({"kind": "Status", "status": "Success"}),
    "wrong kind": says(document(kind="LeaseList")),
    "no kind": says(document(kind=...)),
    "no metadata": says(document(metadata=...)),
    "metadata null": says(document(metadata=None)),
    "metadata a list": says(document(metadata=[])),
    "no uid": says(document(metadata__uid=...)),
    "uid empty": says(document(metadata__uid="")),
    "uid a number": says(document(metadata__uid=1)),
    "no resourceVersion": says(document(metadata__resourceVersion=...)),
    "resourceVersion empty": says(document(metadata__resourceVersion="")),
    "resourceVersion a number": says(document(metadata__resourceVersion=41)),
    "another name": says(document(metadata__name="other")),
    "no name": says(document(metadata__name=...)),
    "spec a list": says(document(spec=[])),
    "spec a text": says(document(spec="free")),
    "holder a number": says(document(spec__holderIdentity=7)),
    "holder without a readable time": says(
        document(spec__holderIdentity="b", spec__renewTime="yesterday")
    ),
}
RETRY_AFTER = {
    "429 with Retry-After 60": (429, "60"),
    "429 with Retry-After 0": (429, "0"),
    "503 with a date": (503, "Fri, 01 Jan 2100 00:00:00 GMT"),
    "503 with garbage": (503, "soon"),
}
STATUSES: dict[str, tuple[Fault, int]] = {
    **{
        name: (faults.answer(status, headers={"Retry-After": after}), status)
        for name, (status, after) in RETRY_AFTER.items()
    },
    **{
        f"{status}": (faults.answer(status), status)
        for status in (400, 403, 408, 410, 413, 418, 422, 500)
    },
    **{f"{status} in HTML": (html(status), status) for status in (404, 409, 500, 502, 503, 504)},
    "404 that is a Lease": (faults.answer(404, body=document()), 404),
    "404 that is empty": (faults.answer(404, body=b""), 404),
    "204": (faults.answer(204), 204),
    **{f"redirect {status}": (redirect(status), status) for status in (301, 302, 303, 307, 308)},
}

KINDS: list[type[LeaseError]] = [
    GetLeaseError,
    CreateLeaseError,
    AcquireLeaseError,
    RenewLeaseError,
    ReleaseLeaseError,
]
VERBS = {GetLeaseError: "get", CreateLeaseError: "create"}
VERB_OF = {"GET": "get", "POST": "create", "PUT": "update"}


@dataclass
class Scene:
    """A lock whose next call makes the request of which `kind` tells, last of all its requests."""

    kind: type[LeaseError]
    server: ApiServer
    lock: LeaseLock
    clock: FakeClock
    configuration: Any
    sent: int = 0
    between: HostileServer | None = None

    @property
    def verb(self) -> str:
        return VERBS.get(self.kind, "update")

    @property
    def well_before(self) -> int:
        """How many requests of the next call precede that of which `kind` tells."""
        return 0 if self.kind is GetLeaseError else 1

    def fail(self, *these: Fault, times: int | None = 1) -> None:
        """These befall the request of which `kind` tells, and those after it."""
        for fault in these:
            self.server.fail_next(fault, skip=self.well_before, times=times)

    @contextlib.contextmanager
    def meeting(self, what: Fault | Behaviour) -> Iterator[None]:
        """`what` befalls the request of which `kind` tells."""
        if isinstance(what, Fault):
            self.fail(what)
            yield
        else:
            with self.interpose(what):
                yield

    @contextlib.contextmanager
    def interpose(self, *behaviours: Behaviour) -> Iterator[HostileServer]:
        """As `fail`, with what no API server does: another one stands between."""
        through = relay(self.server.url)
        script = [*[through] * self.well_before, *behaviours]
        with HostileServer(*script, then=through) as self.between:
            self.configuration.host = self.between.url
            yield self.between

    def call(self) -> LeaseError:
        with FairClock() as clock, pytest.raises(LeaseError) as caught:
            self.act()
        assert clock.seconds < CALL_TIMEOUT + LATE
        return caught.value

    def act(self) -> None:
        if self.kind is ReleaseLeaseError:
            self.lock.step_down()
        else:
            self.lock.try_acquire_or_renew()

    @property
    def asked(self) -> list[str]:
        if self.between is not None:
            return [VERB_OF[request.method] for request in self.between.requests]
        return verbs(self.server)[self.sent :]

    @property
    def users(self) -> list[str]:
        """Whose credentials were sent."""
        return [request.user for request in self.server.requests[self.sent :]]

    def token(self, user: str) -> str:
        return f"Bearer {self.server.token(user)}"


@contextlib.contextmanager
def scene(kind: type[LeaseError], *these: Fault, call_timeout: float = LONG) -> Iterator[Scene]:
    """`these` take the place of the request of which `kind` tells, and of those after it."""
    clock = FakeClock()
    with ApiServer(clock=clock) as server:
        if kind is AcquireLeaseError:
            server.put_lease("leader", holder_identity="b", acquire_time=None, renew_time=None)
        client: Any = CoordinationV1Api(server.client())
        params = LeaseLockParams(lease_name="leader", holder_id="a", call_timeout=call_timeout)
        lock = LeaseLock(client, "default", params, clock=clock)
        at = Scene(kind, server, lock, clock, client.api_client.configuration)
        if kind in (RenewLeaseError, ReleaseLeaseError):
            lock.try_acquire_or_renew()
            clock.advance(1)
            at.sent = len(server.requests)
        at.fail(*these)
        yield at


def assert_is_one_failure(scene: Scene, status: int | None) -> None:
    """One request failed and was not sent again, its error says so, and all is well afterwards."""
    kind, lock = scene.kind, scene.lock
    led = lock.is_leader()
    error = scene.call()
    asked = scene.asked
    assert type(error) is kind
    assert error.status == status
    assert (error.namespace, error.lease_name) == ("default", "leader")
    assert asked == (["get"] if kind is GetLeaseError else ["get", scene.verb])
    assert lock.is_leader() is (led and kind is not ReleaseLeaseError)
    scene.act()
    assert lock.is_leader() is (kind is not ReleaseLeaseError)


# Each takes the whole call_timeout. The ways in which an answer may never end are those of
# test_connection.py, and the other kinds of error meet one below.
@pytest.mark.parametrize(
    ("kind", "fault"), [(GetLeaseError, "hangs"), (RenewLeaseError, "dribbles a body")]
)
def test_an_answer_that_never_ends_is_given_up_in_time(kind: type[LeaseError], fault: str) -> None:
    with scene(kind, NEVER_WHOLE[fault], call_timeout=CALL_TIMEOUT) as at:
        assert_is_one_failure(at, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", NO_ANSWER)
def test_a_connection_that_fails_is_an_error(kind: type[LeaseError], fault: str) -> None:
    with scene(kind) as at, at.meeting(NO_ANSWER[fault]):
        assert_is_one_failure(at, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", NO_LEASE)
def test_an_answer_that_is_no_such_lease_is_an_error(kind: type[LeaseError], fault: str) -> None:
    with scene(kind, NO_LEASE[fault]) as at:
        assert_is_one_failure(at, 200)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", STATUSES)
def test_a_status_is_an_error(kind: type[LeaseError], fault: str) -> None:
    what, status = STATUSES[fault]
    with scene(kind, what) as at:
        assert_is_one_failure(at, status)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_an_answer_to_a_write_that_says_something_else_is_an_error(kind: type[LeaseError]) -> None:
    with scene(kind, says(document(spec__holderIdentity="b"))) as at:
        assert_is_one_failure(at, 200)


def test_a_server_that_nobody_runs_is_an_error() -> None:
    with scene(GetLeaseError) as at:
        with at.server.refuse_connections():
            error = at.call()
        assert type(error) is GetLeaseError
        assert error.status is None
        assert at.asked == []


def test_two_slow_answers_share_one_call_timeout() -> None:
    call_timeout = 2 * CALL_TIMEOUT
    with ApiServer() as server:
        server.fail_next(faults.hold_answer(call_timeout * 0.6), times=2)
        params = LeaseLockParams(lease_name="leader", call_timeout=call_timeout)
        lock = LeaseLock(server.client(), "default", params)
        with FairClock() as clock, pytest.raises(CreateLeaseError) as caught:
            lock.try_acquire_or_renew()
        assert clock.seconds < call_timeout + LATE
    assert caught.value.status is None
    assert lock.is_leader() is False


def test_the_longest_lease_ttl_can_be_claimed() -> None:
    with ApiServer() as server:
        params = LeaseLockParams(lease_name="leader", lease_ttl=2**31 - 1)
        result = LeaseLock(server.client(), "default", params).try_acquire_or_renew()
    assert result.acquired_lease is True


# Committed, but not known to be

LOST = {
    "hang": faults.hang(committed=True),
    "reset": faults.reset(committed=True),
    "close": faults.lose_answer(),
    "200 in HTML": html(200, committed=True),
    "502 in HTML": html(502, committed=True),
    "500": faults.answer(500, committed=True),
    "408": faults.answer(408, committed=True),
    "an empty object": faults.answer(200, body={}, committed=True),
}


def assert_is_recognised(at: Scene) -> None:
    token = at.lock.fencing_token
    error = at.call()
    stored = at.server.stored_lease("leader")
    result = at.lock.try_acquire_or_renew()
    assert type(error) is at.kind
    assert at.asked == ["get", at.verb, "get"]
    assert result.acquired_lease is True
    assert stored is not None
    assert result.fencing_token == (token or int(stored["metadata"]["resourceVersion"]))


@pytest.mark.parametrize("kind", KINDS[1:4])
@pytest.mark.parametrize("fault", [name for name in LOST if name != "hang"])
def test_a_write_whose_answer_was_lost_is_recognised_and_not_sent_again(
    kind: type[LeaseError], fault: str
) -> None:
    with scene(kind, LOST[fault]) as at:
        assert_is_recognised(at)


def test_a_write_whose_answer_never_came_is_recognised_and_not_sent_again() -> None:
    with scene(CreateLeaseError, LOST["hang"], call_timeout=CALL_TIMEOUT) as at:
        assert_is_recognised(at)


@pytest.mark.parametrize("fault", ["hang", "reset", "200 in HTML", "500"])
def test_a_release_whose_answer_was_lost_is_no_leading(fault: str) -> None:
    call_timeout = CALL_TIMEOUT if fault == "hang" else LONG
    with scene(ReleaseLeaseError, LOST[fault], call_timeout=call_timeout) as at:
        error = at.call()
        assert type(error) is ReleaseLeaseError
        assert at.asked == ["get", "update"]
        assert at.lock.is_leader() is False
        assert stored_spec(at.server)["holderIdentity"] == ""


# Belief keeps to its own deadline


def fastest(ask: Callable[[], object]) -> float:
    """In seconds, of a hundred times."""

    def measure() -> float:
        began = time.perf_counter()
        ask()
        return time.perf_counter() - began

    return min(measure() for _ in range(100))


def test_is_leader_does_not_wait_and_turns_false_while_a_renewal_hangs() -> None:
    gate = threading.Event()
    results: list[bool] = []
    with scene(RenewLeaseError) as at:
        lock, clock, token = at.lock, at.clock, at.lock.fencing_token
        at.server.before_next(lambda: gate.wait(PATIENCE), verb="update")
        at_rest = fastest(lock.is_leader)
        # It was acquired at -1 s, and leads for 14.7 s.
        thread = threading.Thread(
            target=lambda: results.append(lock.try_acquire_or_renew().acquired_lease)
        )
        thread.start()
        wait_until(lambda: at.asked == ["get", "update"])
        while_it_hangs = fastest(lock.is_leader)
        seen = [lock.is_leader()]
        clock.advance(13.699)
        seen += [lock.is_leader(), lock.fencing_token == token]
        clock.advance(0.002)
        seen += [lock.is_leader(), lock.fencing_token == token]
        repr(lock)
        hung = thread.is_alive()
        # What is confirmed now was composed 13.701 s ago, so a second of it is left.
        gate.set()
        thread.join()
        seen += [lock.is_leader(), lock.fencing_token == token]
        clock.advance(1)
        seen.append(lock.is_leader())
    assert seen == [True, True, True, False, False, True, False, False]
    assert hung
    assert while_it_hangs < 20 * at_rest
    assert token is not None
    assert results == [True]


def test_stepping_down_ends_leading_at_once_while_a_renewal_hangs() -> None:
    gate = threading.Event()
    with scene(RenewLeaseError) as at:
        lock = at.lock
        at.server.before_next(lambda: gate.wait(PATIENCE), verb="update")
        renewing = threading.Thread(target=lock.try_acquire_or_renew)
        renewing.start()
        wait_until(lambda: at.asked == ["get", "update"])
        led = lock.is_leader()
        stepping_down = threading.Thread(target=lock.step_down)
        stepping_down.start()
        wait_until(lambda: not lock.is_leader())
        hung = renewing.is_alive() and stepping_down.is_alive()
        gate.set()
        renewing.join()
        stepping_down.join()
        assert led
        assert hung
        assert lock.is_leader() is False
        assert stored_spec(at.server)["holderIdentity"] == ""
        assert at.asked == ["get", "update", "get", "update"]


def test_an_answer_that_comes_when_nothing_is_left_of_its_write_makes_no_leader() -> None:
    with scene(RenewLeaseError) as at:
        at.server.before_next(lambda: at.clock.advance(14.7), verb="update")
        result = at.lock.try_acquire_or_renew()
        assert result.acquired_lease is False
        assert result.fencing_token is None
        assert at.lock.is_leader() is False


# One that hangs is no different, but takes a call_timeout each time.
ERRORS: dict[str, Fault] = {
    "reset": faults.reset(),
    "200 in HTML": html(200),
    "403": faults.answer(403),
    "500": faults.answer(500),
    "429": faults.answer(429, headers={"Retry-After": "60"}),
}


@pytest.mark.parametrize("fault", ERRORS)
def test_a_leader_leads_on_after_errors_until_its_own_deadline(fault: str) -> None:
    led = []
    with scene(RenewLeaseError) as at:
        at.fail(ERRORS[fault], times=None)
        # At 1, 5, 9 and 13 s after it was acquired; then at 14.6 and 14.8 s.
        for seconds in (4, 4, 4, 1.6, 0.2):
            at.call()
            at.clock.advance(seconds)
            led.append(at.lock.is_leader())
    assert led == [True, True, True, True, False]


# Credentials


def rotating(*tokens: str) -> Callable[[Configuration], None]:
    left = iter(tokens)

    def hook(configuration: Configuration) -> None:
        configuration.api_key["authorization"] = next(left)

    return hook


def test_a_rotated_token_is_used_in_the_next_request() -> None:
    with scene(GetLeaseError) as at:
        for user in ("old", "new"):
            at.configuration.api_key["authorization"] = at.token(user)
            at.lock.read()
        assert at.users == ["old", "new"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_401_asks_for_the_token_once_more_and_sends_the_same_again(
    kind: type[LeaseError],
) -> None:
    with scene(kind, faults.answer(401)) as at:
        users = [*["before"] * at.well_before, "old", "new"]
        tokens = [at.token(user) for user in [*users, *["later"] * 2]]
        at.configuration.refresh_api_key_hook = rotating(*tokens)
        at.act()
        refused, repeated = at.server.requests[at.sent :][at.well_before : at.well_before + 2]
        assert at.users[: len(users)] == users
    accepted = {GetLeaseError: 404, CreateLeaseError: 201}.get(kind, 200)
    assert (refused.status, repeated.status) == (401, accepted)
    assert (refused.verb, refused.name) == (repeated.verb, repeated.name)
    assert refused.body == repeated.body
    assert at.lock.is_leader() is (kind is not ReleaseLeaseError)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_401_is_an_error(kind: type[LeaseError]) -> None:
    with scene(kind, *[faults.answer(401)] * 2) as at:
        led = at.lock.is_leader()
        error = at.call()
        assert type(error) is kind
        assert error.status == 401
        assert at.asked == (["get"] * 2 if kind is GetLeaseError else ["get", at.verb, at.verb])
        assert at.lock.is_leader() is (led and kind is not ReleaseLeaseError)


@pytest.mark.parametrize(
    ("kind", "then"),
    [*itertools.product(KINDS, ["reset", "503"]), (AcquireLeaseError, "hang")],
)
def test_what_comes_after_a_401_is_within_the_same_call_timeout(
    kind: type[LeaseError], then: str
) -> None:
    fault = {"reset": faults.reset(), "503": faults.answer(503), "hang": faults.hang()}[then]
    call_timeout = CALL_TIMEOUT if then == "hang" else LONG
    with scene(kind, faults.answer(401), fault, call_timeout=call_timeout) as at:
        error = at.call()
        assert type(error) is kind
        assert error.status == (503 if then == "503" else None)
        assert at.asked == (["get"] * 2 if kind is GetLeaseError else ["get", at.verb, at.verb])


def test_a_token_file_that_was_rotated_is_read_by_the_in_cluster_configuration(
    tmp_path: Path,
) -> None:
    token, certificate = tmp_path / "token", tmp_path / "ca.crt"
    certificate.write_text("none is needed for http")
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    configuration = Configuration()
    make_loader: Any = InClusterConfigLoader
    loader = make_loader(
        token_filename=str(token), cert_filename=str(certificate), environ=environment
    )
    with ApiServer() as server:
        token.write_text(server.token("old"))
        loader.load_and_set(configuration)
        client = server.client()
        configuration.host = loader.host = server.url
        configuration.ssl_ca_cert = loader.ssl_ca_cert = None
        client.configuration = configuration
        lock = LeaseLock(client, "default", LeaseLockParams(lease_name="leader"))
        lock.read()
        token.write_text(server.token("new"))
        # The client itself looks into the file once a minute.
        loader.token_expires_at -= loader._token_refresh_period
        lock.read()
        assert [request.user for request in server.requests] == ["old", "new"]


# Secrets


def chain_of(error: BaseException) -> list[BaseException]:
    chain = [error]
    for link in chain:
        chain += [e for e in (link.__cause__, link.__context__) if e and e not in chain]
    return chain


def shown(error: BaseException) -> str:
    """All that a user may print or log of an error of ours."""
    ours = [link for link in chain_of(error) if isinstance(link, LeaderElectionError)]
    assert ours
    return "\n".join(f"{link} {link!r} {link.args!r} {vars(link)!r}" for link in ours)


def with_secrets(status: int) -> Behaviour:
    payload = {"kind": "Status", "message": SECRET, "items": [SECRET]}
    return answer(payload, status=status, headers={"X-Secret": SECRET, "Location": f"/{SECRET}"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "behaviour",
    [
        close,
        reset,
        with_secrets(200),
        with_secrets(302),
        with_secrets(401),
        with_secrets(403),
        with_secrets(500),
        answer(document(metadata__name=SECRET)),
        answer(document(kind=SECRET)),
        answer(document(spec=[SECRET])),
        answer(body=f"<html>{SECRET}".encode()),
        answer(body=f'{{"kind": "Lease", "{SECRET}'.encode()),
        raw(head(200, {"Content-Length": SECRET}), then_close=True),
        raw(f"{SECRET}\r\n\r\n".encode(), then_close=True),
        raw(f"HTTP/1.1 OK {SECRET}\r\n\r\n".encode(), then_close=True),
    ],
)
def test_no_token_header_or_body_is_shown(
    kind: type[LeaseError], behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="kube_leader_election")
    with scene(kind) as at, at.interpose(*[behaviour] * 2) as server:
        at.configuration.api_key["authorization"] = f"Bearer {SECRET}"
        error = at.call()
        texts = [shown(error), repr(at.lock)]
    texts += [record.getMessage() for record in caplog.records if record.name in OURS]
    assert SECRET not in "\n".join(texts)
    assert {request.headers["Authorization"] for request in server.requests} == {f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    "token", [f"{SECRET}\nX: y", f"{SECRET}\r\n\r\nX", f"{SECRET}\x00", f"\u20ac{SECRET}"]
)
def test_a_token_that_cannot_be_sent_is_shown_nowhere(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with scene(GetLeaseError) as at:
        at.configuration.api_key["authorization"] = f"Bearer {token}"
        error = at.call()
        asked = at.asked
    everything = "".join(traceback.format_exception(error)) + caplog.text + shown(error)
    assert SECRET not in everything
    assert SECRET not in repr([(link.args, str(link)) for link in chain_of(error)])
    assert asked == []


def test_a_failure_is_logged_by_its_user_and_not_by_us(caplog: pytest.LogCaptureFixture) -> None:
    with scene(RenewLeaseError, faults.answer(500)) as at:
        caplog.clear()
        caplog.set_level(logging.INFO, logger="kube_leader_election")
        at.call()
    assert [record.getMessage() for record in caplog.records if record.name in OURS] == []

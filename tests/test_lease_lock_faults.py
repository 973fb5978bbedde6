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
from tests.fakes import FakeApi, FakeClock
from tests.hostile import (
    Behaviour,
    Exchange,
    FairClock,
    HostileServer,
    answer,
    close,
    dribble,
    endless_continue,
    hang,
    head,
    hold,
    raw,
    reset,
    url_that_refuses,
    wait_until,
)
from tests.lease_http import LeaseFront

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


def refuse(status: int, **headers: str) -> Behaviour:
    fields = {name.replace("_", "-"): text for name, text in headers.items()}
    return answer({"kind": "Status", "code": status}, status=status, headers=fields)


def html(status: int) -> Behaviour:
    body = b"<html><title>404 page not found</title></html>"
    return answer(status=status, body=body, headers={"Content-Type": "text/html"})


def redirect(status: int) -> Behaviour:
    """To where the Lease could be had."""

    def behave(exchange: Exchange) -> None:
        headers = {"Location": exchange.request.path}
        answer(document(), status=status, headers=headers)(exchange)

    return behave


NEVER_WHOLE: dict[str, Behaviour] = {
    "hangs": hang,
    "dribbles a header": dribble(b"HTTP/1.1 200 OK\r\n", itertools.repeat(b"A: b\r\n")),
    "dribbles the status line": dribble(b"HTTP/1.1", itertools.repeat(b" ")),
    "dribbles a body": dribble(head(200, {"Content-Length": "99999"}), itertools.repeat(b" ")),
    "dribbles chunks": dribble(
        head(200, {"Transfer-Encoding": "chunked"}), itertools.repeat(b"1\r\n \r\n")
    ),
    "continues for ever": endless_continue,
}
NO_ANSWER: dict[str, Behaviour] = {
    "closes": close,
    "resets": reset,
    "speaks something else": raw(b"SSH-2.0-OpenSSH_9.6\r\n", then_close=True),
    "cuts the body": raw(
        head(200, {"Content-Length": "9999"}) + json.dumps(document()).encode(), then_close=True
    ),
    "10 MB": answer({**document(), "padding": "x" * 10_000_000}),
    "10 MB of an error": answer(status=503, body=b" " * 10_000_000),
}
NO_LEASE: dict[str, Behaviour] = {
    "HTML": html(200),
    "empty": answer(body=b""),
    "cut JSON": answer(body=json.dumps(document()).encode()[:-7]),
    "two objects": answer(body=json.dumps(document()).encode() * 2),
    "no UTF-8": answer(body=b'{"kind": "Lease", "spec": "\xff\xfe"}'),
    "nested too deep": answer(body=b"[" * 100_000),
    "null": answer(body=b"null"),
    "a list": answer([document()]),
    "a text": answer("Lease"),
    "an empty object": answer({}),
    "a Status": answer({"kind": "Status", "status": "Success"}),
    "wrong kind": answer(document(kind="LeaseList")),
    "no kind": answer(document(kind=...)),
    "no metadata": answer(document(metadata=...)),
    "metadata null": answer(document(metadata=None)),
    "metadata a list": answer(document(metadata=[])),
    "no uid": answer(document(metadata__uid=...)),
    "uid empty": answer(document(metadata__uid="")),
    "uid a number": answer(document(metadata__uid=1)),
    "no resourceVersion": answer(document(metadata__resourceVersion=...)),
    "resourceVersion empty": answer(document(metadata__resourceVersion="")),
    "resourceVersion a number": answer(document(metadata__resourceVersion=41)),
    "another name": answer(document(metadata__name="other")),
    "no name": answer(document(metadata__name=...)),
    "spec a list": answer(document(spec=[])),
    "spec a text": answer(document(spec="free")),
    "holder a number": answer(document(spec__holderIdentity=7)),
    "holder without a readable time": answer(
        document(spec__holderIdentity="b", spec__renewTime="yesterday")
    ),
}
STATUSES: dict[str, tuple[Behaviour, int]] = {
    "429 with Retry-After 60": (refuse(429, Retry_After="60"), 429),
    "429 with Retry-After 0": (refuse(429, Retry_After="0"), 429),
    "503 with a date": (refuse(503, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT"), 503),
    "503 with garbage": (refuse(503, Retry_After="soon"), 503),
    **{f"{status}": (refuse(status), status) for status in (400, 403, 408, 410, 413, 418, 422)},
    **{f"{status} in HTML": (html(status), status) for status in (500, 502, 503, 504)},
    "500": (refuse(500), 500),
    "404 in HTML": (html(404), 404),
    "404 that is a Lease": (answer(document(), status=404), 404),
    "404 that is empty": (answer(status=404, body=b""), 404),
    "409 in HTML": (html(409), 409),
    "204": (raw(head(204)), 204),
    **{f"redirect {status}": (redirect(status), status) for status in (301, 302, 303, 307, 308)},
}

KINDS: list[type[LeaseError]] = [
    GetLeaseError,
    CreateLeaseError,
    AcquireLeaseError,
    RenewLeaseError,
    ReleaseLeaseError,
]
METHODS = {GetLeaseError: "GET", CreateLeaseError: "POST"}


@dataclass
class Scene:
    """A lock whose next call makes the request of which `kind` tells, last of all its requests."""

    kind: type[LeaseError]
    server: HostileServer
    lock: LeaseLock
    clock: FakeClock
    api: FakeApi
    configuration: Any

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
        return [request.method for request in self.server.requests]


@contextlib.contextmanager
def scene(
    kind: type[LeaseError],
    *faults: Callable[[LeaseFront], Behaviour],
    call_timeout: float = LONG,
    **settings: Any,
) -> Iterator[Scene]:
    """`faults` take the place of the request of which `kind` tells, and of those after it."""
    api, clock = FakeApi(), FakeClock()
    front = LeaseFront(api)
    leads = kind in (RenewLeaseError, ReleaseLeaseError)
    well = [front] * (0 if kind is GetLeaseError else 3 if leads else 1)
    script: list[Behaviour] = [*well, *(fault(front) for fault in faults)]
    if kind is AcquireLeaseError:
        api.put(holder_identity="b", renew_time=None)
    with HostileServer(*script, then=front) as server:
        client = CoordinationV1Api(server.api_client(**settings))
        params = LeaseLockParams(lease_name="leader", holder_id="a", call_timeout=call_timeout)
        lock = LeaseLock(client, "default", params, clock=clock)
        if leads:
            lock.try_acquire_or_renew()
            clock.advance(1)
            server.requests.clear()
        yield Scene(kind, server, lock, clock, api, client.api_client.configuration)


def timeout_of(behaviour: Behaviour) -> float:
    return CALL_TIMEOUT if behaviour is hang else LONG


def always(behaviour: Behaviour) -> Callable[[LeaseFront], Behaviour]:
    return lambda _: behaviour


def assert_is_one_failure(scene: Scene, status: int | None) -> None:
    """One request failed and was not sent again, its error says so, and all is well afterwards."""
    kind, lock = scene.kind, scene.lock
    led = lock.is_leader()
    error = scene.call()
    asked = scene.asked
    assert type(error) is kind
    assert error.status == status
    assert (error.namespace, error.lease_name) == ("default", "leader")
    assert asked == (["GET"] if kind is GetLeaseError else ["GET", METHODS.get(kind, "PUT")])
    assert lock.is_leader() is (led and kind is not ReleaseLeaseError)
    scene.act()
    assert lock.is_leader() is (kind is not ReleaseLeaseError)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [(kind, name) for kind in (GetLeaseError, RenewLeaseError) for name in NEVER_WHOLE]
    + [(kind, "hangs") for kind in (CreateLeaseError, AcquireLeaseError, ReleaseLeaseError)],
)
def test_an_answer_that_never_ends_is_given_up_in_time(kind: type[LeaseError], fault: str) -> None:
    with scene(kind, always(NEVER_WHOLE[fault]), call_timeout=CALL_TIMEOUT) as at:
        assert_is_one_failure(at, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", NO_ANSWER)
def test_a_connection_that_fails_is_an_error(kind: type[LeaseError], fault: str) -> None:
    with scene(kind, always(NO_ANSWER[fault])) as at:
        assert_is_one_failure(at, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", NO_LEASE)
def test_an_answer_that_is_no_such_lease_is_an_error(kind: type[LeaseError], fault: str) -> None:
    with scene(kind, always(NO_LEASE[fault])) as at:
        assert_is_one_failure(at, 200)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", STATUSES)
def test_a_status_is_an_error(kind: type[LeaseError], fault: str) -> None:
    behaviour, status = STATUSES[fault]
    with scene(kind, always(behaviour)) as at:
        assert_is_one_failure(at, status)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_an_answer_to_a_write_that_says_something_else_is_an_error(kind: type[LeaseError]) -> None:
    with scene(kind, always(answer(document(spec__holderIdentity="b")))) as at:
        assert_is_one_failure(at, 200)


def test_a_server_that_nobody_runs_is_an_error() -> None:
    params = LeaseLockParams(lease_name="leader", call_timeout=LONG)
    with HostileServer() as server, url_that_refuses() as url:
        client = CoordinationV1Api(server.api_client(host=url))
        with FairClock() as clock, pytest.raises(GetLeaseError) as caught:
            LeaseLock(client, "default", params).try_acquire_or_renew()
        assert clock.seconds < CALL_TIMEOUT + LATE
    assert caught.value.status is None
    assert server.requests == []


def test_two_slow_answers_share_one_call_timeout() -> None:
    front = LeaseFront(FakeApi())
    call_timeout = 2 * CALL_TIMEOUT

    def slowly(exchange: Exchange) -> None:
        exchange.wait(call_timeout * 0.6)
        front(exchange)

    with HostileServer(then=slowly) as server:
        params = LeaseLockParams(lease_name="leader", call_timeout=call_timeout)
        lock = LeaseLock(server.api_client(), "default", params)
        with FairClock() as clock, pytest.raises(CreateLeaseError) as caught:
            lock.try_acquire_or_renew()
        assert clock.seconds < call_timeout + LATE
    assert caught.value.status is None
    assert lock.is_leader() is False


def test_the_longest_lease_ttl_can_be_claimed() -> None:
    with HostileServer(then=LeaseFront(FakeApi())) as server:
        params = LeaseLockParams(lease_name="leader", lease_ttl=2**31 - 1)
        result = LeaseLock(server.api_client(), "default", params).try_acquire_or_renew()
    assert result.acquired_lease is True


# Committed, but not known to be


def commit_then(behaviour: Behaviour) -> Callable[[LeaseFront], Behaviour]:
    """The write is carried out; the answer is what `behaviour` makes of it."""

    def fault(front: LeaseFront) -> Behaviour:
        def behave(exchange: Exchange) -> None:
            front._carry_out(exchange.request)
            behaviour(exchange)

        return behave

    return fault


@pytest.mark.parametrize("kind", KINDS[1:4])
@pytest.mark.parametrize(
    "behaviour", [hang, reset, close, html(200), html(502), refuse(500), refuse(408), answer({})]
)
def test_a_write_whose_answer_was_lost_is_recognised_and_not_sent_again(
    kind: type[LeaseError], behaviour: Behaviour
) -> None:
    with scene(kind, commit_then(behaviour), call_timeout=timeout_of(behaviour)) as at:
        token = at.lock.fencing_token
        error = at.call()
        result = at.lock.try_acquire_or_renew()
        assert type(error) is kind
        assert at.asked == ["GET", METHODS.get(kind, "PUT"), "GET"]
        assert result.acquired_lease is True
        assert result.fencing_token == (token or int(stored_version(at.api)))


def stored_version(api: FakeApi) -> str:
    return str(api.leases["default", "leader"].metadata.resource_version)


@pytest.mark.parametrize("behaviour", [hang, reset, html(200), refuse(500)])
def test_a_release_whose_answer_was_lost_is_no_leading(behaviour: Behaviour) -> None:
    call_timeout = timeout_of(behaviour)
    with scene(ReleaseLeaseError, commit_then(behaviour), call_timeout=call_timeout) as at:
        error = at.call()
        assert type(error) is ReleaseLeaseError
        assert at.asked == ["GET", "PUT"]
        assert at.lock.is_leader() is False
        assert at.api.spec().holder_identity == ""


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
    with scene(RenewLeaseError, lambda front: hold(gate, front)) as at:
        lock, clock = at.lock, at.clock
        at_rest = fastest(lock.is_leader)
        # It was acquired at -1 s, and leads for 14.7 s.
        thread = threading.Thread(
            target=lambda: results.append(lock.try_acquire_or_renew().acquired_lease)
        )
        thread.start()
        wait_until(lambda: at.asked == ["GET", "PUT"])
        while_it_hangs = fastest(lock.is_leader)
        seen = [lock.is_leader()]
        clock.advance(13.699)
        seen += [lock.is_leader(), lock.fencing_token == 1]
        clock.advance(0.002)
        seen += [lock.is_leader(), lock.fencing_token == 1]
        repr(lock)
        hung = thread.is_alive()
        # What is confirmed now was composed 13.701 s ago, so a second of it is left.
        gate.set()
        thread.join()
        seen += [lock.is_leader(), lock.fencing_token == 1]
        clock.advance(1)
        seen.append(lock.is_leader())
    assert seen == [True, True, True, False, False, True, False, False]
    assert hung
    assert while_it_hangs < 20 * at_rest
    assert results == [True]


def test_stepping_down_ends_leading_at_once_while_a_renewal_hangs() -> None:
    gate = threading.Event()
    with scene(RenewLeaseError, lambda front: hold(gate, front)) as at:
        lock = at.lock
        renewing = threading.Thread(target=lock.try_acquire_or_renew)
        renewing.start()
        wait_until(lambda: at.asked == ["GET", "PUT"])
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
        assert at.api.spec().holder_identity == ""
        assert at.asked == ["GET", "PUT", "GET", "PUT"]


def test_an_answer_that_comes_when_nothing_is_left_of_its_write_makes_no_leader() -> None:
    clocks: list[FakeClock] = []

    def late(front: LeaseFront) -> Behaviour:
        def behave(exchange: Exchange) -> None:
            clocks[0].advance(14.7)
            front(exchange)

        return behave

    with scene(RenewLeaseError, late) as at:
        clocks.append(at.clock)
        result = at.lock.try_acquire_or_renew()
        assert result.acquired_lease is False
        assert result.fencing_token is None
        assert at.lock.is_leader() is False


@pytest.mark.parametrize(
    "behaviour", [hang, reset, html(200), refuse(403), refuse(500), refuse(429, Retry_After="60")]
)
def test_a_leader_leads_on_after_errors_until_its_own_deadline(behaviour: Behaviour) -> None:
    led = []
    faults = [always(behaviour)] * 99
    with scene(RenewLeaseError, *faults, call_timeout=timeout_of(behaviour)) as at:
        # At 1, 5, 9 and 13 s after it was acquired; then at 14.6 and 14.8 s.
        for seconds in (4, 4, 4, 1.6, 0.2):
            at.call()
            at.clock.advance(seconds)
            led.append(at.lock.is_leader())
    assert led == [True, True, True, True, False]


# Credentials


def with_token(token: str) -> dict[str, Any]:
    return {"api_key": {"authorization": f"Bearer {token}"}}


def tokens(server: HostileServer) -> list[str]:
    return [request.headers["Authorization"] for request in server.requests]


def rotating(*names: str) -> Callable[[Configuration], None]:
    left = iter(names)

    def hook(configuration: Configuration) -> None:
        configuration.api_key["authorization"] = f"Bearer {next(left)}"

    return hook


def test_a_rotated_token_is_used_in_the_next_request() -> None:
    with scene(GetLeaseError, **with_token("old")) as at:
        at.lock.read()
        at.configuration.api_key["authorization"] = "Bearer new"
        at.lock.read()
    assert tokens(at.server) == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_401_asks_for_the_token_once_more_and_sends_the_same_again(
    kind: type[LeaseError],
) -> None:
    names = ["0", "1", "2", "old", "new", "5"]
    with scene(kind, always(refuse(401)), refresh_api_key_hook=None, **with_token("-")) as at:
        well_before = 0 if kind is GetLeaseError else 1
        at.configuration.refresh_api_key_hook = rotating(*names[3 - well_before :])
        at.act()
        refused, repeated = at.server.requests[well_before : well_before + 2]
    assert (refused.headers["Authorization"], repeated.headers["Authorization"]) == (
        "Bearer old",
        "Bearer new",
    )
    assert (refused.method, refused.path) == (repeated.method, repeated.path)
    assert refused.body == repeated.body
    assert at.lock.is_leader() is (kind is not ReleaseLeaseError)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_401_is_an_error(kind: type[LeaseError]) -> None:
    with scene(kind, *[always(refuse(401))] * 9) as at:
        led = at.lock.is_leader()
        error = at.call()
        method = METHODS.get(kind, "PUT")
        assert type(error) is kind
        assert error.status == 401
        assert at.asked == (["GET"] * 2 if kind is GetLeaseError else ["GET", method, method])
        assert at.lock.is_leader() is (led and kind is not ReleaseLeaseError)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("then", "status"), [(hang, None), (reset, None), (refuse(503), 503)])
def test_what_comes_after_a_401_is_within_the_same_call_timeout(
    kind: type[LeaseError], then: Behaviour, status: int | None
) -> None:
    faults = always(refuse(401)), always(then)
    with scene(kind, *faults, call_timeout=timeout_of(then)) as at:
        error = at.call()
        assert type(error) is kind
        assert error.status == status
        method = METHODS.get(kind, "PUT")
        assert at.asked == (["GET"] * 2 if kind is GetLeaseError else ["GET", method, method])


def test_a_token_file_that_was_rotated_is_read_by_the_in_cluster_configuration(
    tmp_path: Path,
) -> None:
    token, certificate = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("old")
    certificate.write_text("none is needed for http")
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    configuration = Configuration()
    make_loader: Any = InClusterConfigLoader
    loader = make_loader(
        token_filename=str(token), cert_filename=str(certificate), environ=environment
    )
    loader.load_and_set(configuration)
    with HostileServer(then=LeaseFront(FakeApi())) as server:
        client = server.api_client()
        configuration.host = loader.host = server.url
        configuration.ssl_ca_cert = loader.ssl_ca_cert = None
        client.configuration = configuration
        lock = LeaseLock(client, "default", LeaseLockParams(lease_name="leader"))
        lock.read()
        token.write_text("new")
        # The client itself looks into the file once a minute.
        loader.token_expires_at -= loader._token_refresh_period
        lock.read()
    assert [text.lower() for text in tokens(server)] == ["bearer old", "bearer new"]


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
    with scene(kind, *[always(behaviour)] * 2, **with_token(SECRET)) as at:
        error = at.call()
        texts = [shown(error), repr(at.lock)]
    texts += [record.getMessage() for record in caplog.records if record.name in OURS]
    assert SECRET not in "\n".join(texts)
    assert all(text.endswith(SECRET) for text in tokens(at.server))


@pytest.mark.parametrize(
    "token", [f"{SECRET}\nX: y", f"{SECRET}\r\n\r\nX", f"{SECRET}\x00", f"\u20ac{SECRET}"]
)
def test_a_token_that_cannot_be_sent_is_shown_nowhere(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with scene(GetLeaseError, **with_token(token)) as at:
        error = at.call()
        asked = at.asked
    everything = "".join(traceback.format_exception(error)) + caplog.text + shown(error)
    assert SECRET not in everything
    assert SECRET not in repr([(link.args, str(link)) for link in chain_of(error)])
    assert asked == []


def test_a_failure_is_logged_by_its_user_and_not_by_us(caplog: pytest.LogCaptureFixture) -> None:
    with scene(RenewLeaseError, always(refuse(500))) as at:
        caplog.clear()
        caplog.set_level(logging.INFO, logger="kube_leader_election")
        at.call()
    assert [record.getMessage() for record in caplog.records if record.name in OURS] == []

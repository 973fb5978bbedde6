"""LeaseLock against a real API server: what no stand-in for it can confirm"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from http.client import HTTPResponse
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from kube_leader_election import (
    AcquireLeaseError,
    CreateLeaseError,
    GetLeaseError,
    LeaseError,
    LeaseLock,
    LeaseLockParams,
    NotLeadingError,
    ReleaseLeaseError,
    RenewLeaseError,
)
from kube_leader_election._core.record import MAX_INT32, LeaseRecord
from tests.apiserver import objects
from tests.apiserver.server import ADMIN, NOBODY, ApiServer
from tests.programs import CHECKOUT, wait_until

pytestmark = pytest.mark.apiserver

NAME = "leader"
LONG_AGO = "2020-01-01T00:00:00.000000Z"
FOREVER = MAX_INT32
LONG = 15.0  # the most that the default lease_ttl allows, for calls that end before


class Leases:
    """The Leases of one namespace, as JSON, and candidates for them"""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server = server
        self.namespace = namespace
        self.path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    def lock(self, holder_id: str | None = None, *, client: Any = None, **params: Any) -> LeaseLock:
        call_timeout = min(LONG, params.get("lease_ttl", LONG))
        fixed = {"lease_name": NAME, "holder_id": holder_id, "call_timeout": call_timeout}
        params = {**fixed, **params}
        client = client or self.server.api_client()
        return LeaseLock(client, self.namespace, LeaseLockParams(**params))

    def client(self, folder: Path, *, url: str = "", token: str = "") -> Any:
        """A client of a kubeconfig in which the address or the token is another one"""
        kubeconfig = objects.kubeconfig(
            server=url or self.server.url,
            ca_file=str(self.server.ca_file),
            user=ADMIN,
            token=token or self.server.token(ADMIN),
        )
        path = folder / "kubeconfig"
        path.write_text(json.dumps(kubeconfig))
        return new_client(path)

    def create(self, spec: dict[str, Any] | None, **metadata: Any) -> dict[str, Any]:
        lease: dict[str, Any] = {"metadata": {"name": NAME, **metadata}}
        if spec is not None:
            lease["spec"] = spec
        return self._call(201, "POST", self.path, lease)

    def get(self) -> dict[str, Any]:
        return self._call(200, "GET", f"{self.path}/{NAME}")

    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.get()["spec"]
        return spec

    def update(self, **spec: Any) -> None:
        lease = self.get()
        lease["spec"].update(spec)
        self._call(200, "PUT", f"{self.path}/{NAME}", lease)

    def delete(self) -> None:
        self._call(200, "DELETE", f"{self.path}/{NAME}")

    def requests_of(self, act: Callable[[], object]) -> list[tuple[str, int]]:
        """What arrived at the server because of `act`"""
        before = len(self.server.requests(namespace=self.namespace))
        act()
        return self.server.requests(namespace=self.namespace)[before:]

    def _call(self, expected: int, method: str, path: str, body: object = None) -> dict[str, Any]:
        status, answer = self.server.call(method, path, body)
        assert status == expected, answer
        found: dict[str, Any] = answer
        return found


def new_client(kubeconfig: Path) -> Any:
    from kubernetes import config

    new: Any = config.new_client_from_config  # untyped
    return new(str(kubeconfig))


@pytest.fixture
def leases(apiserver: ApiServer, apiserver_namespace: str) -> Leases:
    return Leases(apiserver, apiserver_namespace)


def micro_time(seconds_from_now: float) -> str:
    time = datetime.now(timezone.utc) + timedelta(seconds=seconds_from_now)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def held(**spec: Any) -> dict[str, Any]:
    """What a Lease says that another took just now"""
    now = micro_time(0)
    start = {"holderIdentity": "ghost", "leaseDurationSeconds": 15, "leaseTransitions": 3}
    return {**start, "acquireTime": now, "renewTime": now, **spec}


def expired(**spec: Any) -> dict[str, Any]:
    return held(**{"acquireTime": LONG_AGO, "renewTime": LONG_AGO, **spec})


# Requests, counted at the server.


def test_the_first_call_reads_and_creates(leases: Leases) -> None:
    assert leases.requests_of(leases.lock().try_acquire_or_renew) == [("get", 404), ("create", 201)]


def test_a_renewal_reads_and_replaces(leases: Leases) -> None:
    lock = leases.lock()
    lock.try_acquire_or_renew()
    assert leases.requests_of(lock.try_acquire_or_renew) == [("get", 200), ("update", 200)]


def test_a_takeover_reads_and_replaces(leases: Leases) -> None:
    leases.create(expired())
    assert leases.requests_of(leases.lock().try_acquire_or_renew) == [("get", 200), ("update", 200)]


def test_a_refusal_reads_only(leases: Leases) -> None:
    leases.create(held())
    assert leases.requests_of(leases.lock().try_acquire_or_renew) == [("get", 200)]


def test_stepping_down_reads_and_replaces(leases: Leases) -> None:
    lock = leases.lock()
    lock.try_acquire_or_renew()
    assert leases.requests_of(lock.step_down) == [("get", 200), ("update", 200)]


def test_stepping_down_from_anothers_lease_reads_only(leases: Leases) -> None:
    leases.create(held())
    lock = leases.lock()

    def step_down() -> None:
        with pytest.raises(NotLeadingError):
            lock.step_down()

    assert leases.requests_of(step_down) == [("get", 200)]
    assert leases.spec()["holderIdentity"] == "ghost"


def test_asking_who_leads_makes_no_request(leases: Leases) -> None:
    lock = leases.lock()
    lock.try_acquire_or_renew()
    assert leases.requests_of(lambda: [lock.is_leader(), lock.fencing_token, repr(lock)]) == []


def test_a_refused_write_is_not_tried_again(leases: Leases) -> None:
    lock = leases.lock(client=leases.server.api_client(NOBODY))
    leases.server.grant(NOBODY, leases.namespace, ["get"])

    def refused() -> None:
        with pytest.raises(CreateLeaseError):
            lock.try_acquire_or_renew()

    assert leases.requests_of(refused) == [("get", 404), ("create", 403)]


# What is kept, and what is written.


def test_foreign_fields_survive_ten_renewals(leases: Leases) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner"}
    foreign = {"strategy": "OldestEmulationVersion", "preferredHolder": "somebody"}
    before = leases.create(
        expired(**foreign),
        labels={"app.kubernetes.io/name": "work"},
        annotations={"example.org/note": "keep, \u2603"},
        finalizers=["example.org/keep"],
        ownerReferences=[{**owner, "uid": "6a2b1b1e-0000-4000-8000-000000000001"}],
    )
    assert before["spec"].items() >= foreign.items()  # else the server has dropped them
    lock = leases.lock()
    results = [lock.try_acquire_or_renew() for _ in range(11)]
    after = leases.get()
    assert all(results)
    assert after["spec"].items() >= foreign.items()
    assert after["spec"]["renewTime"] != before["spec"]["renewTime"]
    changed = {"resourceVersion", "managedFields"}
    assert without(after["metadata"], changed) == without(before["metadata"], changed)


def without(fields: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def test_a_new_lease_says_who_since_when_and_for_how_long(leases: Leases) -> None:
    before = micro_time(0)
    leases.lock("a", lease_ttl=20).try_acquire_or_renew()
    after = micro_time(0)
    spec = leases.spec()
    assert before <= spec["acquireTime"] == spec["renewTime"] <= after
    assert without(spec, {"acquireTime", "renewTime"}) == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 20,
        "leaseTransitions": 0,
    }


def test_a_takeover_counts_a_transition_and_a_renewal_none(leases: Leases) -> None:
    leases.create(expired())
    lock = leases.lock("a")
    lock.try_acquire_or_renew()
    taken = leases.spec()
    lock.try_acquire_or_renew()
    renewed = leases.spec()
    assert (taken["holderIdentity"], taken["leaseTransitions"]) == ("a", 4)
    assert taken["acquireTime"] == taken["renewTime"] < renewed["renewTime"]
    assert without(renewed, {"renewTime"}) == without(taken, {"renewTime"})


def test_a_released_lease_says_nobody_and_is_taken_at_once(leases: Leases) -> None:
    first, second = leases.lock("a"), leases.lock("b")
    first.try_acquire_or_renew()
    assert not second.try_acquire_or_renew()
    first.step_down()
    spec = leases.spec()
    assert spec.get("holderIdentity", "") == ""
    assert (spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (1, 0)
    assert spec["acquireTime"] == spec["renewTime"]
    assert second.try_acquire_or_renew()
    assert leases.spec()["leaseTransitions"] == 1


@pytest.mark.parametrize("kept", ["2020-01-01T00:00:00.000000Z", "2020-01-01T00:00:00.120000Z"])
def test_a_kept_time_is_written_back_with_six_digits(leases: Leases, kept: str) -> None:
    leases.create(held(holderIdentity="a", acquireTime=kept, renewTime=kept))
    assert leases.lock("a").try_acquire_or_renew()
    assert leases.spec()["acquireTime"] == kept


def test_every_renewal_changes_the_lease(leases: Leases) -> None:
    lock = leases.lock()
    versions = []
    for _ in range(20):
        lock.try_acquire_or_renew()
        versions.append(int(leases.get()["metadata"]["resourceVersion"]))
    assert versions == sorted(set(versions))


def test_the_highest_count_of_transitions_stays(leases: Leases) -> None:
    leases.create(expired(leaseTransitions=MAX_INT32))
    assert leases.lock().try_acquire_or_renew()
    assert leases.spec()["leaseTransitions"] == MAX_INT32


# How a Lease is read.


@pytest.mark.parametrize("spec", [None, {}, dict.fromkeys(expired())], ids=["absent", "{}", "null"])
def test_a_lease_that_says_nothing_is_taken_at_once(
    leases: Leases, spec: dict[str, Any] | None
) -> None:
    leases.create(spec)
    assert leases.lock("a").try_acquire_or_renew()
    assert leases.spec()["holderIdentity"] == "a"


@pytest.mark.parametrize(
    "spec",
    [
        {"holderIdentity": None},
        {"holderIdentity": ""},
        {"acquireTime": None, "renewTime": None},
        {"acquireTime": LONG_AGO, "renewTime": None},
        {"leaseDurationSeconds": None, "renewTime": LONG_AGO},
        {"leaseTransitions": None, "renewTime": LONG_AGO},
        # The server answers null to the first of these, and to the last with a year before 0.
        {"acquireTime": LONG_AGO, "renewTime": "0001-01-01T00:00:00.000000Z"},
        {"renewTime": "0000-01-01T00:00:00.000000Z"},
        {"renewTime": "0000-01-01T00:00:00.000000+05:00"},
    ],
    ids=str,
)
def test_a_free_or_expired_lease_is_taken_at_once(leases: Leases, spec: dict[str, Any]) -> None:
    leases.create(held(**spec))
    assert leases.lock("a").try_acquire_or_renew()
    assert leases.spec()["holderIdentity"] == "a"


@pytest.mark.parametrize(("duration", "acquired"), [(1, True), (3600, False), (None, True)])
def test_the_duration_that_counts_is_the_one_in_the_lease(
    leases: Leases, duration: int | None, acquired: bool
) -> None:
    leases.create(held(leaseDurationSeconds=duration, renewTime=micro_time(-10)))
    assert leases.lock("a", lease_ttl=5).try_acquire_or_renew().acquired_lease is acquired


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"leaseDurationSeconds": None},
        {"leaseDurationSeconds": FOREVER, "renewTime": LONG_AGO},
        {"renewTime": None},
        {"renewTime": "9999-12-31T23:59:59.999999Z"},
        # The server answers with the year 10000.
        {"renewTime": "9999-12-31T23:59:59.000000-05:00"},
        {"strategy": "OldestEmulationVersion"},
    ],
    ids=str,
)
def test_a_lease_that_another_holds_is_left_alone(leases: Leases, spec: dict[str, Any]) -> None:
    before = leases.create(held(**spec))
    result = leases.lock("a").try_acquire_or_renew()
    assert not result
    assert result.lease is not None
    assert result.lease.holder_identity == "ghost"
    assert leases.get() == before


def test_a_lease_whose_holder_was_cleared_by_hand_is_taken_at_once(leases: Leases) -> None:
    first, second = leases.lock("a"), leases.lock("b")
    first.try_acquire_or_renew()
    assert not second.try_acquire_or_renew()
    leases.update(holderIdentity="")
    assert second.try_acquire_or_renew()
    assert not first.try_acquire_or_renew()
    assert not first.is_leader()


def test_after_an_edit_by_another_the_leader_keeps_the_lease_and_the_edit(leases: Leases) -> None:
    lock = leases.lock()
    token = lock.try_acquire_or_renew().fencing_token
    lease = leases.get()
    lease["metadata"]["labels"] = {"edited": "yes"}
    leases.server.call("PUT", f"{leases.path}/{NAME}", lease)
    assert lock.try_acquire_or_renew().fencing_token == token
    assert leases.get()["metadata"]["labels"] == {"edited": "yes"}


@pytest.mark.parametrize("name", ["a.b-c.0", "0", "x" * 63 + "." + "y" * 189])
def test_every_name_that_is_accepted_is_accepted_by_the_server(leases: Leases, name: str) -> None:
    assert leases.lock(lease_name=name).try_acquire_or_renew()
    status, lease = leases.server.call("GET", f"{leases.path}/{name}")
    assert (status, lease["metadata"]["name"]) == (200, name)


def test_a_holder_of_any_printable_characters_is_kept(leases: Leases) -> None:
    holder_id = 'a "b" \\ \u00e9\u2603\U0001f600 </x>'
    assert leases.lock(holder_id).try_acquire_or_renew()
    assert leases.spec()["holderIdentity"] == holder_id
    assert leases.lock(holder_id).try_acquire_or_renew()
    assert leases.spec()["leaseTransitions"] == 0


def test_reading_says_what_the_lease_says(leases: Leases) -> None:
    lock = leases.lock()
    before = lock.read()
    created = leases.create(held(acquireTime=LONG_AGO, renewTime="2020-01-01T00:00:00.000001Z"))
    start = datetime(2020, 1, 1, tzinfo=timezone.utc)
    assert before is None
    assert lock.read() == LeaseRecord(
        holder_identity="ghost",
        lease_duration_seconds=15,
        acquire_time=start,
        renew_time=start + timedelta(microseconds=1),
        lease_transitions=3,
        uid=created["metadata"]["uid"],
        resource_version=created["metadata"]["resourceVersion"],
    )


# Deletion.


def test_a_leader_whose_lease_was_deleted_begins_a_new_term_with_a_greater_token(
    leases: Leases,
) -> None:
    lock = leases.lock()
    before = lock.try_acquire_or_renew()
    leases.delete()
    after = lock.try_acquire_or_renew()
    assert before.fencing_token is not None
    assert after.fencing_token is not None
    assert after.fencing_token > before.fencing_token


def test_a_standby_waits_for_the_holder_of_a_deleted_lease(leases: Leases) -> None:
    leader, standby = leases.lock("a", lease_ttl=5), leases.lock("b", lease_ttl=5)
    leader.try_acquire_or_renew()
    standby.try_acquire_or_renew()
    leases.delete()
    began = time.monotonic()
    first = standby.try_acquire_or_renew()
    wait_until(standby.try_acquire_or_renew, 30)
    assert (first.acquired_lease, first.lease) == (False, None)
    assert time.monotonic() - began > 5  # from the answer that `first` is made of
    assert not leader.is_leader()


def test_a_candidate_that_never_saw_the_deleted_lease_creates_it_at_once(leases: Leases) -> None:
    leases.lock().try_acquire_or_renew()
    leases.delete()
    assert leases.lock().try_acquire_or_renew()


def test_fencing_tokens_of_a_thousand_terms_increase_also_over_deletions(leases: Leases) -> None:
    tokens = []
    client = leases.server.api_client()
    lock = leases.lock(client=client)
    for term in range(1000):
        if term % 10 == 9:
            leases.delete()
            lock = leases.lock(client=client)  # never saw it, so need not wait
        tokens.append(lock.try_acquire_or_renew().fencing_token)
        if term % 10 != 8:
            lock.step_down()
    assert None not in tokens
    assert tokens == sorted(set(tokens), key=lambda token: token or 0)


# Contention.


def contend(kubeconfig: Path, namespace: str, holder_id: str, orders: Connection) -> None:
    """Makes one attempt per order and sends its outcome, until there are no more orders"""
    params = LeaseLockParams(lease_name=NAME, holder_id=holder_id, call_timeout=LONG)
    lock = LeaseLock(new_client(kubeconfig), namespace, params)
    with orders, suppress(EOFError):
        lock.read()  # connects
        orders.send("ready")
        while True:
            orders.recv()
            orders.send(attempt(lock))


def attempt(lock: LeaseLock) -> object:
    try:
        return lock.try_acquire_or_renew().acquired_lease
    except LeaseError as error:
        return error


@pytest.mark.parametrize("start", [threading.Thread, get_context("spawn").Process])
def test_of_eight_that_race_for_an_expired_lease_exactly_one_acquires_it(
    leases: Leases, monkeypatch: pytest.MonkeyPatch, start: Callable[..., Any]
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    leases.create(held())
    outcomes, holders = [], []
    with contenders(leases, start, 8) as racers:
        for _ in range(50):
            leases.update(**expired())
            for racer in racers:
                racer.send("go")
            outcomes.append([racer.recv() for racer in racers])
            holders.append(leases.spec()["holderIdentity"])
    assert outcomes == [[str(number) == holder for number in range(8)] for holder in holders]
    requests = leases.server.requests(namespace=leases.namespace)
    assert ("update", 409) in requests  # there was a race


@contextmanager
def contenders(
    leases: Leases, start: Callable[..., Any], number: int
) -> Iterator[list[Connection]]:
    """One end of a pipe to each; all end when the with-block does"""
    kubeconfig = leases.server.kubeconfig()
    with ExitStack() as stack:
        ours = []
        for index in range(number):
            mine, theirs = Pipe()
            arguments = (kubeconfig, leases.namespace, str(index), theirs)
            racer = start(target=contend, args=arguments, daemon=True)
            racer.start()
            stack.callback(racer.join, 30)
            if not isinstance(racer, threading.Thread):
                theirs.close()
            ours.append(stack.enter_context(mine))
        for mine in ours:
            assert mine.recv() == "ready"
        yield ours


# Errors.


def test_a_user_without_rights_is_told_the_verb(leases: Leases) -> None:
    lock = leases.lock(client=leases.server.api_client(NOBODY))
    with pytest.raises(GetLeaseError, match="a Role must allow 'get' on leases") as refused:
        lock.try_acquire_or_renew()
    assert (refused.value.status, refused.value.verb) == (403, "get")


def test_a_namespace_that_is_not_there_is_an_error_of_the_create(apiserver: ApiServer) -> None:
    lock = Leases(apiserver, "nowhere").lock()
    with pytest.raises(CreateLeaseError, match="there is no such namespace") as refused:
        lock.try_acquire_or_renew()
    assert (refused.value.status, lock.is_leader()) == (404, False)


def test_a_namespace_that_ends_is_an_error_of_the_create(leases: Leases) -> None:
    leases.server.call("DELETE", f"/api/v1/namespaces/{leases.namespace}")
    probe = {"metadata": {"name": "probe"}, "spec": {}}
    path = f"{leases.path}?dryRun=All"
    wait_until(lambda: leases.server.call("POST", path, probe)[0] == 403)
    with pytest.raises(CreateLeaseError) as refused:
        leases.lock().try_acquire_or_renew()
    assert refused.value.status == 403


def test_a_rejected_token_is_an_error_after_it_was_read_once_more(
    leases: Leases, tmp_path: Path
) -> None:
    lock = leases.lock(client=leases.client(tmp_path, token="rejected"))
    refused = []

    def attempt() -> None:
        with pytest.raises(GetLeaseError) as error:
            lock.try_acquire_or_renew()
        refused.append(error.value.status)

    assert leases.requests_of(attempt) == [("get", 401)] * 2
    assert refused == [401]


def test_a_silent_server_is_an_error_in_time_and_the_term_goes_on(leases: Leases) -> None:
    lock = leases.lock(lease_ttl=60, call_timeout=3)
    lock.try_acquire_or_renew()
    leases.server.pause()
    with pytest.raises(GetLeaseError, match="no whole answer within") as unknown:
        lock.try_acquire_or_renew()
    leading = lock.is_leader()
    leases.server.resume()
    assert unknown.value.status is None
    assert leading
    assert lock.try_acquire_or_renew()


# A lost answer.


class Front(http.server.ThreadingHTTPServer):
    """Hands requests on to the API server, and loses the next answers to a method it is told"""

    daemon_threads = True

    def __init__(self, server: ApiServer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.apiserver = server
        self.lose: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Front
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.hand_on()

    def do_POST(self) -> None:
        self.hand_on()

    def do_PUT(self) -> None:
        self.hand_on()

    def hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with closing(self.server.apiserver.connect()) as connection:
            connection.request(self.command, self.path, body or None, dict(self.headers))
            answer = connection.getresponse()
            self.answer(answer, answer.read())

    def answer(self, answer: HTTPResponse, body: bytes) -> None:
        if self.command in self.server.lose:
            self.server.lose.remove(self.command)
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def front(apiserver: ApiServer) -> Iterator[Front]:
    with Front(apiserver) as front:
        thread = threading.Thread(target=front.serve_forever, args=(0.01,))
        thread.start()
        yield front
        front.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("spec", "method", "kind"),
    [
        ("absent", "POST", CreateLeaseError),
        ("expired", "PUT", AcquireLeaseError),
    ],
)
def test_a_write_that_began_a_term_is_recognised_though_its_answer_was_lost(
    leases: Leases, front: Front, tmp_path: Path, spec: str, method: str, kind: type[LeaseError]
) -> None:
    if spec == "expired":
        leases.create(expired())
    lock = leases.lock(client=leases.client(tmp_path, url=front.url), lease_ttl=600)
    front.lose.append(method)
    with pytest.raises(kind) as unknown:
        lock.try_acquire_or_renew()
    after_the_loss = lock.is_leader()
    began = int(leases.get()["metadata"]["resourceVersion"])
    requests = leases.requests_of(lock.try_acquire_or_renew)
    assert (unknown.value.status, after_the_loss) == (None, False)
    assert requests == [("get", 200)]  # young enough, so not yet to be renewed
    assert (lock.is_leader(), lock.fencing_token) == (True, began)


def test_a_renewal_whose_answer_was_lost_is_sent_once_and_the_term_goes_on(
    leases: Leases, front: Front, tmp_path: Path
) -> None:
    lock = leases.lock(client=leases.client(tmp_path, url=front.url))
    token = lock.try_acquire_or_renew().fencing_token
    front.lose.append("PUT")

    def renew() -> None:
        with pytest.raises(RenewLeaseError):
            lock.try_acquire_or_renew()

    assert leases.requests_of(renew) == [("get", 200), ("update", 200)]
    assert lock.is_leader()
    assert lock.try_acquire_or_renew().fencing_token == token
    assert leases.spec()["leaseTransitions"] == 0


def test_a_release_whose_answer_was_lost_is_a_release(
    leases: Leases, front: Front, tmp_path: Path
) -> None:
    lock = leases.lock(client=leases.client(tmp_path, url=front.url))
    lock.try_acquire_or_renew()
    front.lose.append("PUT")
    with pytest.raises(ReleaseLeaseError):
        lock.step_down()
    assert not lock.is_leader()
    assert leases.lock().try_acquire_or_renew()
    assert not lock.try_acquire_or_renew()


# A fork.

_FORK = """
import json, os, sys
from kubernetes import config
from kube_leader_election import LeaseLock, LeaseLockParams

kubeconfig, namespace = sys.argv[1:]
client = config.new_client_from_config(kubeconfig)

def lock_for(name):
    params = LeaseLockParams(lease_name=name, holder_id=f"holder-{name}", lease_ttl=600)
    return LeaseLock(client, namespace, params)

locks = {name: lock_for(name) for name in ("a", "b")}
for lock in locks.values():
    assert lock.try_acquire_or_renew()

def right_reads(order):
    names = [order[turn % 2] for turn in range(300)]
    return sum(locks[name].read().holder_identity == f"holder-{name}" for name in names)

ours, theirs = os.pipe()
child = os.fork()
leading = [lock.is_leader() for lock in locks.values()]
report = {"leading": leading, "right": right_reads("ab" if child else "ba")}
if not child:
    report["leading"] += [lock.is_leader() for lock in locks.values()]
    report["acquired"] = [bool(lock.try_acquire_or_renew()) for lock in locks.values()]
    os.write(theirs, json.dumps(report).encode())
    os._exit(0)
os.close(theirs)
told = os.read(ours, 10000).decode()
os.waitpid(child, 0)
report["renewed"] = [bool(lock.try_acquire_or_renew()) for lock in locks.values()]
print(json.dumps(report), told, sep="\\n")
"""


def test_a_forked_child_does_not_lead_and_both_read_the_right_leases(leases: Leases) -> None:
    kubeconfig = leases.server.kubeconfig()
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORK]
    done = subprocess.run(
        [*command, str(kubeconfig), leases.namespace],
        cwd=CHECKOUT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=240,
    )
    parent, child = (json.loads(line) for line in done.stdout.splitlines())
    assert parent == {"leading": [True, True], "right": 300, "renewed": [True, True]}
    assert child == {"leading": [False] * 4, "right": 300, "acquired": [False, False]}

"""Rows 11 to 15: the server refuses, asks for patience, or makes no sense"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration
from kubernetes.config.incluster_config import InClusterConfigLoader

from kube_leader_election import (
    AcquireLeaseError,
    CreateLeaseError,
    GetLeaseError,
    LeaseError,
    ReleaseLeaseError,
    RenewLeaseError,
)
from kube_leader_election.testing import faults
from kube_leader_election.testing.faults import Fault
from tests.apiserver.server import USERS
from tests.fault_rows.world import (
    BELIEF,
    CANDIDATE,
    EXPIRED,
    NAME,
    SHORT,
    Http,
    Real,
    cases,
)
from tests.programs import wait_until

# Roles

VERBS = ["get", "create", "update", "watch"]
FORBIDDEN: dict[str, tuple[str, type[LeaseError]]] = {
    "a read": ("get", GetLeaseError),
    "a create": ("create", CreateLeaseError),
    "a takeover": ("update", AcquireLeaseError),
    "a renewal": ("update", RenewLeaseError),
}


@pytest.mark.fault_row(number=11)
@pytest.mark.parametrize("forbidden", cases(FORBIDDEN))
def test_what_is_forbidden_is_an_error_that_names_verb_and_resource_until_it_is_allowed(
    http: Http, forbidden: tuple[str, type[LeaseError]]
) -> None:
    verb, kind = forbidden
    if kind is AcquireLeaseError:
        http.put(**EXPIRED)
    lock = http.leader() if kind is RenewLeaseError else http.lock()
    http.fail(faults.answer(403), verb, times=2)
    for _ in range(2):
        error, asked = http.failure(lock, kind, 403)
        assert f"(a Role must allow {verb!r} on leases.coordination.k8s.io there" in str(error)
        assert asked[-1] == (verb, 403)
    assert lock.try_acquire_or_renew()


@pytest.mark.fault_row(number=11)
def test_a_release_that_is_forbidden_is_an_error_and_the_term_is_over(http: Http) -> None:
    leader = http.leader()
    http.fail(faults.answer(403), "update")
    http.failure(leader, ReleaseLeaseError, 403, leader.step_down)
    assert not leader.is_leader()
    assert http.spec["holderIdentity"] == "a"


@pytest.mark.fault_row(number=11)
@pytest.mark.apiserver
def test_a_leader_whose_role_is_taken_away_believes_until_its_deadline_and_recovers(
    real: Real,
) -> None:
    leader, server, namespace = real.leader(), real.server, real.others.namespace
    token = leader.fencing_token
    server.revoke(USERS[0], namespace, VERBS)
    error, asked = real.failure(leader, GetLeaseError, 403)
    assert "(a Role must allow 'get' on leases.coordination.k8s.io there)" in str(error)
    assert asked == [("get", 403)]
    server.grant(USERS[0], namespace, ["get"])
    error, asked = real.failure(leader, RenewLeaseError, 403)
    assert "(a Role must allow 'update' on leases.coordination.k8s.io there)" in str(error)
    assert asked == [("get", 200), ("update", 403)]
    real.clock.advance(BELIEF - 0.01)
    assert (leader.is_leader(), leader.fencing_token) == (True, token)
    real.clock.advance(0.02)
    assert not leader.is_leader()
    server.grant(USERS[0], namespace, VERBS)
    assert leader.try_acquire_or_renew()


# Credentials


class TokenFile:
    """Read anew for each request; what is in `while_reading` is done right after it was read"""

    def __init__(self, path: Path, token: str) -> None:
        self.path = path
        self.path.write_text(token)
        self.read = 0
        self.while_reading: list[Callable[[], object]] = []

    def __call__(self, configuration: Configuration) -> None:
        self.read += 1
        for name in configuration.api_key:  # the client versions differ in it
            configuration.api_key[name] = f"Bearer {self.path.read_text()}"
        if self.while_reading:
            self.while_reading.pop(0)()

    def client(self, client: Any) -> Any:
        client.api_client.configuration.refresh_api_key_hook = self
        return client


@pytest.mark.fault_row(number=12)
def test_a_token_that_was_rotated_while_the_request_was_on_its_way_is_read_once_more(
    http: Http, tmp_path: Path
) -> None:
    stand_in = http.stand_in
    file = TokenFile(tmp_path / "token", stand_in.token(CANDIDATE))
    leader = http.leader(client=file.client(http.client()))
    token = leader.fencing_token
    file.read = 0
    file.while_reading = [lambda: file.path.write_text(stand_in.rotate_token(CANDIDATE))]
    http.clock.advance(1)
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]
    assert file.read == 3
    assert (leader.is_leader(), leader.fencing_token) == (True, token)
    assert len(http.told) == 1


@pytest.mark.fault_row(number=12)
@pytest.mark.apiserver
def test_a_token_that_the_server_refuses_is_read_once_more(real: Real, tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "token", "expired")
    good = real.server.token(USERS[0])
    file.while_reading = [lambda: file.path.write_text(good)]
    before = len(real.server.requests(namespace=real.others.namespace))
    assert real.lock(client=file.client(real.client())).try_acquire_or_renew()
    asked = real.server.requests(namespace=real.others.namespace)[before:]
    assert asked == [("get", 401), ("get", 404), ("create", 201)]


@pytest.mark.fault_row(number=12)
def test_a_token_file_that_was_rotated_long_ago_costs_no_request(
    http: Http, tmp_path: Path
) -> None:
    file, certificate = tmp_path / "token", tmp_path / "ca.crt"
    file.write_text(http.stand_in.token(CANDIDATE))
    certificate.write_text("none is needed for http")
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    make_loader: Any = InClusterConfigLoader
    loader = make_loader(
        token_filename=str(file), cert_filename=str(certificate), environ=environment
    )
    configuration: Any = Configuration()
    loader.load_and_set(configuration)
    configuration.host = loader.host = http.stand_in.url
    configuration.ssl_ca_cert = loader.ssl_ca_cert = configuration.proxy = None
    leader = http.leader(client=ApiClient(configuration))
    file.write_text(http.stand_in.rotate_token(CANDIDATE))
    # The client itself looks into the file once a minute.
    loader.token_expires_at -= loader._token_refresh_period
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]


@pytest.mark.fault_row(number=12)
@pytest.mark.parametrize(("verb", "kind"), [("get", GetLeaseError), ("update", RenewLeaseError)])
def test_credentials_that_are_refused_twice_are_an_error_and_the_term_goes_on(
    http: Http, verb: str, kind: type[LeaseError]
) -> None:
    leader = http.leader()
    http.fail(faults.answer(401), verb, times=2)
    _, asked = http.failure(leader, kind, 401)
    assert asked == ([] if verb == "get" else [("get", 200)]) + [(verb, 401)] * 2
    assert leader.try_acquire_or_renew()


@pytest.mark.fault_row(number=12)
def test_a_write_whose_credentials_were_refused_is_sent_again_as_it_was(http: Http) -> None:
    leader = http.leader()
    http.fail(faults.answer(401), "update")
    asked = http.asked_by(leader.try_acquire_or_renew)
    assert asked == [("get", 200), ("update", 401), ("update", 200)]
    refused, repeated = http.bodies("update")
    assert refused == repeated


@pytest.mark.fault_row(number=12)
def test_what_follows_refused_credentials_is_within_the_time_of_the_call(http: Http) -> None:
    leader = http.leader(call_timeout=SHORT)
    http.fail(faults.answer(401), "update")
    http.fail(faults.hang(), "update")
    _, asked = http.failure(leader, RenewLeaseError, None)
    assert asked == [("get", 200), ("update", 401), ("update", None)]
    assert leader.try_acquire_or_renew()


# The server says later, or something that cannot be

RETRY_AFTER = {
    "no time": None,
    "0": "0",
    "1": "1",
    "a while": "20",
    "a minute": "60",
    "a thousand years": "31556952000",
    "less than nothing": "-1",
    "a date": "Fri, 01 Jan 2100 00:00:00 GMT",
    "a date that is past": "Thu, 01 Jan 1970 00:00:00 GMT",
    "garbage": "soon",
    "nothing": "",
}


@pytest.mark.fault_row(number=13)
@pytest.mark.parametrize("retry_after", cases(RETRY_AFTER))
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("verb", "kind"), [("get", GetLeaseError), ("update", RenewLeaseError)])
def test_a_leader_told_to_come_later_is_told_at_once_and_comes_at_its_next_call(
    http: Http, retry_after: str | None, status: int, verb: str, kind: type[LeaseError]
) -> None:
    leader = http.leader()
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    http.fail(faults.answer(status, headers=headers), verb)
    _, asked = http.failure(leader, kind, status)
    assert asked == ([] if verb == "get" else [("get", 200)]) + [(verb, status)]
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]


@pytest.mark.fault_row(number=13)
@pytest.mark.parametrize("status", [429, 503])
def test_a_standby_told_to_come_later_is_told_at_once_and_comes_at_its_next_call(
    http: Http, status: int
) -> None:
    standby = http.lock()
    http.fail(faults.answer(status, headers={"Retry-After": "60"}), "create")
    _, asked = http.failure(standby, CreateLeaseError, status)
    assert asked == [("get", 404), ("create", status)]
    assert http.asked_by(standby.try_acquire_or_renew) == [("get", 404), ("create", 201)]


UNKNOWN: dict[str, tuple[Fault, int | None]] = {
    **{f"{status}": (faults.answer(status), status) for status in (500, 502, 504)},
    **{
        f"{status} in HTML": (faults.answer(status, body=faults.html), status)
        for status in (200, 404, 409, 500, 502, 504)
    },
    "nested too deep": (faults.answer(200, body=b"[" * 100_000), 200),
    "404 that is empty": (faults.answer(404, body=b""), 404),
    "an empty body": (faults.answer(200, body=b""), 200),
    "no content": (faults.answer(204), 204),
    "cut JSON": (faults.answer(200, body=faults.cut_json), 200),
    "null": (faults.answer(200, body="null"), 200),
    "a list": (faults.answer(200, body="[]"), 200),
    "no UTF-8": (faults.answer(200, body=b'{"kind": "Lease\xff"}'), 200),
    "a wrong kind": (faults.answer(200, body={"kind": "LeaseList", "items": []}), 200),
    "a Status": (faults.answer(200, body={"kind": "Status", "status": "Success"}), 200),
    "no kind": (faults.answer(200, body=faults.without("kind")), 200),
    "no metadata": (faults.answer(200, body=faults.without("metadata")), 200),
    "no uid": (faults.answer(200, body=faults.without("metadata.uid")), 200),
    "no resourceVersion": (
        faults.answer(200, body=faults.without("metadata.resourceVersion")),
        200,
    ),
    "no name": (faults.answer(200, body=faults.without("metadata.name")), 200),
    "10 MB": (faults.answer(200, body=faults.padded(10_000_000)), None),
    "10 MB of an error": (faults.answer(500, body=b" " * 10_000_000), None),
}


@pytest.mark.fault_row(number=14)
@pytest.mark.parametrize("answer", cases(UNKNOWN))
def test_what_cannot_be_understood_is_an_error_and_never_a_free_lease(
    http: Http, answer: tuple[Fault, int | None]
) -> None:
    fault, status = answer
    http.put(**EXPIRED)
    before = http.lease()
    standby = http.lock()
    http.fail(fault, "get")
    _, asked = http.failure(standby, GetLeaseError, status)
    assert [verb for verb, _ in asked] == ["get"]
    assert http.lease() == before
    assert standby.try_acquire_or_renew()


@pytest.mark.fault_row(number=14)
@pytest.mark.parametrize("answer", cases(UNKNOWN))
def test_a_renewal_whose_answer_cannot_be_understood_is_an_error_and_no_end_of_the_term(
    http: Http, answer: tuple[Fault, int | None]
) -> None:
    fault, status = answer
    leader = http.leader()
    token = leader.fencing_token
    http.fail(fault, "update")
    _, asked = http.failure(leader, RenewLeaseError, status)
    assert [verb for verb, _ in asked] == ["get", "update"]
    assert leader.try_acquire_or_renew().fencing_token == token


@pytest.mark.fault_row(number=14)
@pytest.mark.parametrize("answer", cases(UNKNOWN))
def test_a_create_whose_answer_cannot_be_understood_is_an_error_and_makes_no_leader(
    http: Http, answer: tuple[Fault, int | None]
) -> None:
    fault, status = answer
    standby = http.lock()
    http.fail(fault, "create")
    _, asked = http.failure(standby, CreateLeaseError, status)
    assert [verb for verb, _ in asked] == ["get", "create"]
    assert standby.try_acquire_or_renew()


@pytest.mark.fault_row(number=15)
@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("kind", [CreateLeaseError, AcquireLeaseError, RenewLeaseError])
def test_a_write_that_was_found_invalid_is_surfaced_and_tried_once_for_each_call(
    http: Http, status: int, kind: type[LeaseError]
) -> None:
    verb = "create" if kind is CreateLeaseError else "update"
    if kind is AcquireLeaseError:
        http.put(**EXPIRED)
    lock = http.leader() if kind is RenewLeaseError else http.lock()
    found = 404 if kind is CreateLeaseError else 200
    http.fail(faults.answer(status), verb, times=3)
    for _ in range(3):
        error, asked = http.failure(lock, kind, status)
        assert f"answered {status}" in str(error)
        assert asked == [("get", found), (verb, status)]
    assert lock.try_acquire_or_renew()


@pytest.mark.fault_row(number=15)
@pytest.mark.apiserver
def test_a_write_that_a_policy_of_the_cluster_denies_is_surfaced_until_the_policy_is_gone(
    real: Real,
) -> None:
    leader = real.leader()
    with updates_denied(real):
        for _ in range(2):
            _, asked = real.failure(leader, RenewLeaseError, 422)
            assert asked == [("get", 200), ("update", 422)]
    assert leader.try_acquire_or_renew()


@contextmanager
def updates_denied(real: Real) -> Iterator[None]:
    """A policy of admission, as a webhook would, denies all updates of Leases of the namespace"""
    namespace, others = real.others.namespace, real.others
    path = "/apis/admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": ["coordination.k8s.io"],
        "apiVersions": ["v1"],
        "resources": ["leases"],
        "operations": ["UPDATE"],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": "not here"}],
    }
    binding = {
        "policyName": namespace,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    kinds = {"validatingadmissionpolicies": policy, "validatingadmissionpolicybindings": binding}

    def denied() -> bool:
        lease = real.lease()
        lease["metadata"]["labels"] = {"probe": "probe"}
        reply = others.request("PUT", f"{others.path}/{NAME}", lease, dryRun="All")
        return reply.status == 422

    try:
        for kind, spec in kinds.items():
            body = {"metadata": {"name": namespace}, "spec": spec}
            reply = others.request("POST", f"{path}/{kind}", body)
            assert reply.status == 201, reply
        wait_until(denied)
        yield
    finally:
        for kind in kinds:
            others.request("DELETE", f"{path}/{kind}/{namespace}")
    wait_until(lambda: not denied())

"""Rows 6, 9 and 10: somebody else writes the Lease, or ends it, or its namespace"""

from __future__ import annotations

from typing import Any

import pytest

from kube_leader_election import (
    CreateLeaseError,
    NotLeadingError,
    RenewLeaseError,
)
from kube_leader_election.testing import faults
from tests.apiserver.server import ADMIN
from tests.conformance.leases import HttpLeases
from tests.fault_rows.world import (
    EXPIRED,
    NAME,
    NOW,
    TTL,
    Http,
    Real,
    Server,
)
from tests.programs import wait_until

# Somebody else writes


def foreign(number: int) -> dict[str, Any]:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "0"}
    return {
        "labels": {"edited": str(number)},
        "annotations": {"example.com/note": f"kept \u2603 {number}"},
        "finalizers": ["example.com/keep"],
        "ownerReferences": [owner],
    }


@pytest.mark.fault_row(number=6)
def test_a_leader_whose_lease_got_labels_meanwhile_renews_again_and_keeps_them(
    server: Server,
) -> None:
    leader = server.leader()
    token = leader.fencing_token
    server.clock.advance(1)
    server.race(lambda: server.edit(**foreign(1)), lambda: server.edit(**foreign(2)))
    asked = server.asked_by(leader.try_acquire_or_renew)
    assert asked == [("get", 200), ("update", 409)] * 2 + [("get", 200), ("update", 200)]
    assert (leader.is_leader(), leader.fencing_token) == (True, token)
    lease = server.lease()
    assert lease["metadata"].items() >= foreign(2).items()
    assert lease["spec"]["renewTime"] > "2026-01-01T12:00:01"
    assert len(server.told) == 1


@pytest.mark.fault_row(number=6)
def test_a_third_conflict_is_an_error_and_the_term_goes_on(server: Server) -> None:
    leader = server.leader()
    server.race(*(lambda number=number: server.edit(**foreign(number)) for number in range(3)))
    _, asked = server.failure(leader, RenewLeaseError, 409)
    assert asked == [("get", 200), ("update", 409)] * 3
    assert server.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]


@pytest.mark.fault_row(number=6)
def test_a_lease_that_got_labels_meanwhile_is_released_and_keeps_them(server: Server) -> None:
    leader = server.leader()
    server.race(lambda: server.edit(**foreign(1)))
    asked = server.asked_by(leader.step_down)
    assert asked == [("get", 200), ("update", 409), ("get", 200), ("update", 200)]
    assert server.spec.get("holderIdentity", "") == ""
    assert server.lease()["metadata"].items() >= foreign(1).items()


@pytest.mark.fault_row(number=9)
@pytest.mark.parametrize("when", ["between two calls", "between read and write"])
def test_a_leader_whose_lease_was_deleted_and_made_again_by_another_has_lost(
    server: Server, when: str
) -> None:
    leader = server.leader()
    token = leader.fencing_token
    spec = {"holderIdentity": "b", "leaseDurationSeconds": TTL, "renewTime": NOW}
    if when == "between two calls":
        server.make_again(spec)
        assert server.asked_by(leader.try_acquire_or_renew) == [("get", 200)]
    else:
        server.race(lambda: server.make_again(spec))
        asked = server.asked_by(leader.try_acquire_or_renew)
        assert asked == [("get", 200), ("update", 409), ("get", 200)]
    assert (leader.is_leader(), leader.fencing_token) == (False, None)
    assert server.spec["holderIdentity"] == "b"
    assert [line.split(": ", 1)[1] for line in server.told[1:]] == ["'a' leads no more"]
    server.clock.advance(TTL + 1)
    assert leader.try_acquire_or_renew()
    assert leader.fencing_token is not None
    assert token is not None
    assert leader.fencing_token > token


@pytest.mark.fault_row(number=9)
def test_a_copy_of_our_own_record_in_a_lease_made_again_is_not_ours(server: Server) -> None:
    leader = server.leader()
    server.make_again(server.spec)
    before = server.lease()
    assert server.asked_by(leader.try_acquire_or_renew) == [("get", 200)]
    assert not leader.is_leader()
    with pytest.raises(NotLeadingError):
        leader.step_down()
    assert server.lease() == before


@pytest.mark.fault_row(number=9)
def test_a_standby_does_not_take_a_lease_that_was_made_again_before_it_wrote(
    server: Server,
) -> None:
    server.put(**EXPIRED)
    standby = server.lock()
    spec = {"holderIdentity": "c", "leaseDurationSeconds": TTL, "renewTime": NOW}
    server.race(lambda: server.make_again(spec))
    asked = server.asked_by(standby.try_acquire_or_renew)
    assert asked == [("get", 200), ("update", 409), ("get", 200)]
    assert not standby.is_leader()
    assert server.spec["holderIdentity"] == "c"


# The namespace


@pytest.mark.fault_row(number=10)
@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "there is no such namespace"), (403, "the namespace must not be on its way out")],
)
def test_a_create_that_its_namespace_does_not_allow_is_one_clear_error_for_each_call(
    http: Http, status: int, reason: str
) -> None:
    standby = http.lock()
    http.fail(faults.answer(status), "create", times=2)
    for _ in range(2):
        error, asked = http.failure(standby, CreateLeaseError, status)
        assert reason in str(error)
        assert asked == [("get", 404), ("create", status)]
    assert standby.try_acquire_or_renew()


@pytest.mark.fault_row(number=10)
@pytest.mark.apiserver
def test_a_namespace_that_is_not_there_is_one_clear_error_for_each_call_until_it_is(
    real: Real,
) -> None:
    namespace = f"{real.others.namespace}-later"
    server = real.server
    later = HttpLeases(server.url, namespace=namespace, ca_file=server.ca_file)
    real.others = later
    standby = real.lock(client=server.api_client(ADMIN))
    for _ in range(2):
        before = len(server.requests(namespace=namespace))
        error, _ = real.failure(standby, CreateLeaseError, 404)
        assert "there is no such namespace" in str(error)
        assert server.requests(namespace=namespace)[before:] == [("get", 404), ("create", 404)]
    server.create_namespace(namespace)
    assert standby.try_acquire_or_renew()


@pytest.mark.fault_row(number=10)
@pytest.mark.apiserver
def test_in_a_namespace_that_ends_a_leader_renews_and_nobody_creates(real: Real) -> None:
    leader = real.leader()
    namespace = f"/api/v1/namespaces/{real.others.namespace}"
    assert real.others.request("DELETE", namespace).status == 200
    probe = {"metadata": {"name": "probe"}, "spec": {}}
    wait_until(lambda: real.others.create(probe, dryRun="All").status == 403)
    assert real.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]
    real.others.delete(NAME)
    standby = real.lock("b")
    for _ in range(2):
        error, asked = real.failure(standby, CreateLeaseError, 403)
        assert "the namespace must not be on its way out" in str(error)
        assert asked == [("get", 404), ("create", 403)]

"""Rows 6 to 10, 31 and 36: somebody else writes the Lease, or ends it, or its namespace"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kube_leader_election import (
    CreateLeaseError,
    LeaseLock,
    NotLeadingError,
    RenewLeaseError,
)
from kube_leader_election.testing import faults
from tests.apiserver.server import ADMIN
from tests.conformance.leases import HttpLeases
from tests.fault_rows.world import (
    BELIEF,
    EXPIRED,
    HELD,
    NAME,
    NOW,
    TTL,
    Asked,
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


WHEN = ["between two calls", "between read and write"]


def meet(
    server: Server,
    lock: LeaseLock,
    act: Callable[[], object],
    when: str,
    *,
    absent: bool = False,
) -> Asked:
    """Another does `act`, now or before the next call's write; what that asked after its read"""
    if when == WHEN[0]:
        act()
    else:
        server.race(act)
    first, *more = server.asked_by(lock.try_acquire_or_renew)
    assert first == ("get", 404 if absent and when == WHEN[0] else 200)
    return more


def changes(server: Server) -> list[str]:
    """What was logged without the Lease's name and the tokens"""
    return [line.split(": ", 1)[1].split(", fencing token")[0] for line in server.told]


@pytest.mark.fault_row(number=7)
@pytest.mark.parametrize("when", WHEN)
def test_a_leader_whose_lease_another_takes_leads_no_more_and_contends_again(
    server: Server, when: str
) -> None:
    leader = server.leader()
    token = leader.fencing_token
    asked = meet(server, leader, lambda: server.put(**HELD), when)
    assert asked == ([("update", 409), ("get", 200)] if when == WHEN[1] else [])
    assert (leader.is_leader(), leader.fencing_token) == (False, None)
    before = server.lease()
    with pytest.raises(NotLeadingError) as caught:
        leader.step_down()
    assert caught.value.holder_identity == "b"
    server.clock.advance(TTL - 0.01)
    assert not leader.try_acquire_or_renew()
    assert server.lease() == before
    server.clock.advance(0.02)
    assert leader.try_acquire_or_renew()
    assert (leader.fencing_token or 0) > (token or 0)
    assert server.spec["leaseTransitions"] == 4
    assert changes(server) == ["'a' leads", "'a' leads no more", "'a' leads"]


@pytest.mark.fault_row(number=7)
@pytest.mark.parametrize("when", WHEN)
def test_a_leader_whose_lease_somebody_frees_begins_a_new_term(server: Server, when: str) -> None:
    leader = server.leader()
    token = leader.fencing_token
    free = {**HELD, "holder_identity": ""}
    asked = meet(server, leader, lambda: server.put(**free), when)
    tried = [("update", 409), ("get", 200)] if when == WHEN[1] else []
    assert asked == [*tried, ("update", 200)]
    assert leader.is_leader()
    assert (leader.fencing_token or 0) > (token or 0)
    assert server.spec["leaseTransitions"] == 4


@pytest.mark.fault_row(number=8)
@pytest.mark.parametrize("when", WHEN)
def test_a_leader_whose_lease_was_deleted_makes_it_again_as_a_new_term(
    server: Server, when: str
) -> None:
    leader, standby = server.leader(), server.lock("b")
    token, uid = leader.fencing_token, server.lease()["metadata"]["uid"]
    assert not standby.try_acquire_or_renew()
    asked = meet(server, leader, lambda: server.others.delete(NAME), when, absent=True)
    tried = [("update", 409), ("get", 404)] if when == WHEN[1] else []
    assert asked == [*tried, ("create", 201)]
    assert leader.is_leader()
    assert (leader.fencing_token or 0) > (token or 0)
    lease = server.lease()
    assert lease["metadata"]["uid"] != uid
    assert lease["spec"]["leaseTransitions"] == 0
    assert not standby.try_acquire_or_renew()


@pytest.mark.fault_row(number=8)
def test_a_leader_whose_term_is_over_does_not_make_its_deleted_lease_at_once(
    server: Server,
) -> None:
    leader = server.leader()
    server.clock.advance(BELIEF + 0.01)
    server.others.delete(NAME)
    assert server.asked_by(leader.try_acquire_or_renew) == [("get", 404)]
    server.clock.advance(TTL - 0.01)
    assert server.asked_by(leader.try_acquire_or_renew) == [("get", 404)]
    server.clock.advance(0.02)
    assert leader.try_acquire_or_renew()


@pytest.mark.fault_row(number=8)
@pytest.mark.parametrize(("seen", "waits"), [([1, 2], TTL), ([40, 1], 40)])
def test_a_standby_makes_a_deleted_lease_only_after_the_longest_duration_that_it_saw(
    server: Server, seen: list[int], waits: int
) -> None:
    standby = server.lock(max_clock_skew=None)
    for seconds in seen:
        server.put(**{**HELD, "lease_duration_seconds": seconds, "lease_transitions": seconds})
        assert not standby.try_acquire_or_renew()
    server.clock.advance(0.5)
    server.others.delete(NAME)
    for passing in (0.0, waits - 0.01):
        server.clock.advance(passing)
        assert server.asked_by(standby.try_acquire_or_renew) == [("get", 404)]
    server.clock.advance(0.02)
    assert server.asked_by(standby.try_acquire_or_renew) == [("get", 404), ("create", 201)]
    assert standby.is_leader()


@pytest.mark.fault_row(number=8)
def test_a_standby_that_loses_a_deleted_lease_between_read_and_write_makes_none(
    server: Server,
) -> None:
    server.put(**EXPIRED)
    standby = server.lock()
    server.race(lambda: server.others.delete(NAME))
    asked = server.asked_by(standby.try_acquire_or_renew)
    assert asked == [("get", 200), ("update", 409), ("get", 404)]
    assert not standby.is_leader()
    assert server.others.read(NAME).status == 404


@pytest.mark.fault_row(number=9)
@pytest.mark.parametrize("when", WHEN)
def test_a_leader_whose_lease_was_deleted_and_made_again_by_another_has_lost(
    server: Server, when: str
) -> None:
    leader = server.leader()
    token = leader.fencing_token
    spec = {"holderIdentity": "b", "leaseDurationSeconds": TTL, "renewTime": NOW}
    asked = meet(server, leader, lambda: server.make_again(spec), when)
    assert asked == ([("update", 409), ("get", 200)] if when == WHEN[1] else [])
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


# One name for two

NAMESAKE = (
    "another process leads under our holder_id 'a': give every candidate its own, or leave"
    " holder_id unset"
)


@pytest.mark.fault_row(number=31)
def test_a_leader_whose_namesake_took_its_lease_up_warns_once_and_releases_nothing(
    server: Server,
) -> None:
    leader, namesake = server.leader(), server.lock()
    server.clock.advance(1)
    assert namesake.try_acquire_or_renew()
    for _ in range(3):
        server.clock.advance(1)
        assert not leader.try_acquire_or_renew()
        assert namesake.try_acquire_or_renew()
        assert (leader.is_leader(), namesake.is_leader()) == (False, True)
    before = server.lease()
    with pytest.raises(NotLeadingError):
        leader.step_down()
    assert server.lease() == before
    assert changes(server) == ["'a' leads", "'a' leads", NAMESAKE, "'a' leads no more"]


@pytest.mark.fault_row(number=31)
def test_a_namesake_s_lease_is_waited_out_as_anybody_s(server: Server) -> None:
    leader = server.leader()
    server.put(**{**HELD, "holder_identity": "a"})
    for seconds in (0, TTL - 0.01):
        server.clock.advance(seconds)
        assert server.asked_by(leader.try_acquire_or_renew) == [("get", 200)]
        assert not leader.is_leader()
    server.clock.advance(0.02)
    assert leader.try_acquire_or_renew()
    assert server.spec["leaseTransitions"] == 4


@pytest.mark.fault_row(number=31)
def test_locks_that_were_given_no_name_have_different_ones(server: Server) -> None:
    leader, standby = server.leader(holder_id=None), server.lock(None)
    assert leader.holder_id != standby.holder_id
    assert server.spec["holderIdentity"] == leader.holder_id
    assert not standby.try_acquire_or_renew()
    with pytest.raises(NotLeadingError):
        standby.step_down()
    assert leader.try_acquire_or_renew()


# Kubernetes appoints the holder


@pytest.mark.fault_row(number=36)
def test_whom_kubernetes_prefers_and_by_what_strategy_is_kept_in_every_write(
    server: Server,
) -> None:
    appointed = {"strategy": "OldestEmulationVersion", "preferredHolder": "c"}
    server.put(**EXPIRED)
    lease = server.lease()
    lease["spec"] |= appointed
    assert server.others.replace(NAME, lease).status == 200
    lock = server.lock()
    for write in (lock.try_acquire_or_renew, lock.try_acquire_or_renew, lock.step_down):
        server.clock.advance(1)
        assert server.asked_by(write) == [("get", 200), ("update", 200)]
        assert server.spec.items() >= appointed.items()
    assert server.spec.get("holderIdentity", "") == ""


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

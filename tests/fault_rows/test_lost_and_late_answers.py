"""Rows 1 to 5: requests and answers that are lost, late, or come bit by bit"""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
from tests.electors import Doing
from tests.fault_rows.outages import before_requests, break_off, nothing, way
from tests.fault_rows.world import (
    BELIEF,
    EXPIRED,
    HELD,
    NAME,
    NOW,
    SHORT,
    Http,
    Server,
    cases,
)
from tests.hostile import wait_until
from tests.proxy import Kind, Proxy

# A request is lost

LOST = {"lost": faults.lose_request(), "reset": faults.reset()}


@pytest.mark.fault_row(number=1)
@pytest.mark.parametrize("fault", cases(LOST))
def test_a_renewal_that_was_lost_is_tried_again_with_the_same_version_at_the_next_call(
    http: Http, fault: Fault
) -> None:
    leader = http.leader()
    token = leader.fencing_token
    http.fail(fault, "update")
    _, asked = http.failure(leader, RenewLeaseError, None)
    assert asked == [("get", 200), ("update", None)]
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]
    lost, repeated = (body["metadata"]["resourceVersion"] for body in http.bodies("update"))
    assert lost == repeated
    assert leader.fencing_token == token


@pytest.mark.fault_row(number=1)
@pytest.mark.parametrize("fault", cases(LOST))
def test_a_create_that_was_lost_makes_no_leader_and_is_tried_again_at_the_next_call(
    http: Http, fault: Fault
) -> None:
    standby = http.lock()
    http.fail(fault, "create")
    _, asked = http.failure(standby, CreateLeaseError, None)
    assert asked == [("get", 404), ("create", None)]
    assert http.asked_by(standby.try_acquire_or_renew) == [("get", 404), ("create", 201)]
    assert standby.is_leader()


@pytest.mark.fault_row(number=1)
def test_a_takeover_that_was_lost_makes_no_leader_and_is_tried_again_at_the_next_call(
    http: Http,
) -> None:
    http.put(**EXPIRED)
    standby = http.lock()
    http.fail(faults.lose_request(), "update")
    _, asked = http.failure(standby, AcquireLeaseError, None)
    assert asked == [("get", 200), ("update", None)]
    assert http.spec["holderIdentity"] == "b"
    assert http.asked_by(standby.try_acquire_or_renew) == [("get", 200), ("update", 200)]
    assert standby.is_leader()


@pytest.mark.fault_row(number=1)
def test_a_release_that_was_lost_ends_the_term_and_is_tried_again_at_the_next_call(
    http: Http,
) -> None:
    leader = http.leader()
    http.fail(faults.lose_request(), "update")
    _, asked = http.failure(leader, ReleaseLeaseError, None, leader.step_down)
    assert asked == [("get", 200), ("update", None)]
    assert not leader.is_leader()
    assert http.spec["holderIdentity"] == "a"
    assert http.asked_by(leader.step_down) == [("get", 200), ("update", 200)]
    assert http.spec.get("holderIdentity", "") == ""
    assert [line.split(": ", 1)[1] for line in http.told] == [
        f"'a' leads, fencing token {http.version - 1}",
        "'a' leads no more",
    ]


@pytest.mark.fault_row(number=1)
@pytest.mark.parametrize("verb", ["get", "update"])
def test_a_leader_whose_requests_are_all_lost_believes_until_its_deadline_and_no_longer(
    http: Http, verb: str
) -> None:
    leader = http.leader()
    http.fail(faults.lose_request(), verb, times=None)
    for seconds in (5, 5, 4.69):
        http.clock.advance(seconds)
        http.failure(leader, GetLeaseError if verb == "get" else RenewLeaseError, None)
        assert leader.is_leader()
    http.clock.advance(0.02)
    assert not leader.is_leader()
    assert leader.fencing_token is None


# A write is committed, and its answer lost

ANSWER_LOST = {
    "the connection closes": faults.lose_answer(),
    "the connection is reset": faults.reset(committed=True),
    "a proxy says 502": faults.answer(502, body=faults.html, committed=True),
    "the server says 500": faults.answer(500, committed=True),
    "the server says 504": faults.answer(504, committed=True),
    "the answer is cut": faults.answer(200, body=faults.cut_json, committed=True),
}


def status_of(fault: Fault) -> int | None:
    return fault.status if isinstance(fault, faults.OddAnswer) else None


@pytest.mark.fault_row(number=2)
@pytest.mark.parametrize("fault", cases(ANSWER_LOST))
def test_a_renewal_whose_answer_was_lost_is_sent_once_and_recognised_by_one_read(
    http: Http, fault: Fault
) -> None:
    leader = http.leader()
    token = leader.fencing_token
    http.clock.advance(5)
    http.fail(fault, "update")
    _, asked = http.failure(leader, RenewLeaseError, status_of(fault))
    assert asked == [("get", 200), ("update", status_of(fault))]
    assert len(http.bodies("update")) == 1
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200)]
    assert (leader.is_leader(), leader.fencing_token) == (True, token)
    assert len(http.told) == 1


@pytest.mark.fault_row(number=2)
def test_a_recognised_renewal_counts_from_when_it_was_sent(http: Http) -> None:
    leader = http.leader()
    http.clock.advance(5)
    http.fail(faults.lose_answer(), "update")
    http.failure(leader, RenewLeaseError, None)
    http.clock.advance(4)
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200)]
    http.clock.advance(BELIEF - 4 - 0.01)
    assert leader.is_leader()
    http.clock.advance(0.02)
    assert not leader.is_leader()


@pytest.mark.fault_row(number=2)
def test_a_renewal_that_nobody_has_recognised_extends_no_belief(http: Http) -> None:
    leader = http.leader()
    http.clock.advance(5)
    http.fail(faults.lose_answer(), "update")
    http.failure(leader, RenewLeaseError, None)
    http.clock.advance(BELIEF - 5 - 0.01)
    assert leader.is_leader()
    http.clock.advance(0.02)
    assert not leader.is_leader()


@pytest.mark.fault_row(number=2)
def test_a_recognised_renewal_that_is_due_again_is_renewed_in_the_same_call(http: Http) -> None:
    leader = http.leader()
    token = leader.fencing_token
    http.clock.advance(5)
    http.fail(faults.lose_answer(), "update")
    http.failure(leader, RenewLeaseError, None)
    http.clock.advance(BELIEF / 3 + 0.01)
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]
    assert (leader.is_leader(), leader.fencing_token) == (True, token)


@pytest.mark.fault_row(number=2)
def test_a_renewal_that_was_committed_and_answered_409_is_recognised_in_the_same_call(
    http: Http,
) -> None:
    leader = http.leader()
    token = leader.fencing_token
    http.fail(faults.answer(409, committed=True), "update")
    asked = http.asked_by(leader.try_acquire_or_renew)
    assert asked == [("get", 200), ("update", 409), ("get", 200)]
    assert (leader.is_leader(), leader.fencing_token) == (True, token)
    assert len(http.told) == 1


@pytest.mark.fault_row(number=2)
def test_a_renewal_whose_answer_was_lost_is_recognised_also_after_a_later_one_was_refused(
    http: Http,
) -> None:
    leader = http.leader()
    token = leader.fencing_token
    http.clock.advance(1)
    http.fail(faults.lose_answer(), "update")
    http.failure(leader, RenewLeaseError, None)
    http.clock.advance(1)
    http.fail(faults.stale_read(), "get")
    asked = http.asked_by(leader.try_acquire_or_renew)
    assert asked == [("get", 200), ("update", 409), ("get", 200)]
    assert (leader.is_leader(), leader.fencing_token) == (True, token)
    http.clock.advance(BELIEF - 1 - 0.01)
    assert leader.is_leader()
    http.clock.advance(0.02)
    assert not leader.is_leader()


@pytest.mark.fault_row(number=2)
@pytest.mark.parametrize("fault", cases(ANSWER_LOST))
def test_a_takeover_whose_answer_was_lost_is_recognised_as_the_beginning_of_the_term(
    http: Http, fault: Fault
) -> None:
    http.put(**EXPIRED)
    standby = http.lock()
    http.fail(fault, "update")
    _, asked = http.failure(standby, AcquireLeaseError, status_of(fault))
    assert asked == [("get", 200), ("update", status_of(fault))]
    began = http.version
    assert http.asked_by(standby.try_acquire_or_renew) == [("get", 200)]
    assert (standby.is_leader(), standby.fencing_token) == (True, began)
    assert http.spec["leaseTransitions"] == 4


@pytest.mark.fault_row(number=2)
def test_our_name_with_a_time_that_we_did_not_send_is_not_taken_for_the_lost_renewal(
    http: Http,
) -> None:
    leader = http.leader()
    http.fail(faults.lose_request(), "update")
    http.failure(leader, RenewLeaseError, None)
    later = "2026-01-01T12:00:00.654321Z"
    http.put(**{**HELD, "holder_identity": "a", "lease_transitions": 0, "renew_time": later})
    before = http.lease()
    told = len(http.told)
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200)]
    assert not leader.is_leader()
    leader.try_acquire_or_renew()
    assert http.lease() == before
    warning, end = http.told[told:]
    assert "another process leads under our holder_id 'a'" in warning
    assert end.endswith("'a' leads no more")


@pytest.mark.fault_row(number=2)
@pytest.mark.parametrize("fault", cases(ANSWER_LOST))
def test_a_release_whose_answer_was_lost_is_never_taken_for_leading(
    http: Http, fault: Fault
) -> None:
    leader = http.leader()
    token = leader.fencing_token
    http.fail(fault, "update")
    _, asked = http.failure(leader, ReleaseLeaseError, status_of(fault), leader.step_down)
    assert asked == [("get", 200), ("update", status_of(fault))]
    assert not leader.is_leader()
    assert http.lock("b").try_acquire_or_renew()
    assert not leader.try_acquire_or_renew()
    assert http.spec["holderIdentity"] == "b"
    assert token is not None
    assert http.version > token


@pytest.mark.fault_row(number=3)
@pytest.mark.parametrize("fault", cases(ANSWER_LOST))
def test_a_create_whose_answer_was_lost_is_recognised_at_the_next_call(
    http: Http, fault: Fault
) -> None:
    standby = http.lock()
    http.fail(fault, "create")
    _, asked = http.failure(standby, CreateLeaseError, status_of(fault))
    assert asked == [("get", 404), ("create", status_of(fault))]
    began = http.version
    assert http.asked_by(standby.try_acquire_or_renew) == [("get", 200)]
    assert (standby.is_leader(), standby.fencing_token) == (True, began)
    assert len(http.told) == 1


@pytest.mark.fault_row(number=3)
def test_a_create_that_exists_already_is_read_and_is_ours(http: Http) -> None:
    standby = http.lock()
    http.fail(faults.lose_answer(), "create")
    http.failure(standby, CreateLeaseError, None)
    http.clock.advance(1)
    http.fail(faults.stale_read(), "get")
    # The absence that it was shown has ended what the first create could begin.
    asked = http.asked_by(standby.try_acquire_or_renew)
    assert asked == [("get", 404), ("create", 409), ("get", 200), ("update", 200)]
    assert (standby.is_leader(), standby.fencing_token) == (True, http.version)
    assert http.spec["leaseTransitions"] == 0


@pytest.mark.fault_row(number=3)
def test_a_create_that_was_committed_and_answered_409_is_recognised_in_the_same_call(
    http: Http,
) -> None:
    standby = http.lock()
    http.fail(faults.answer(409, committed=True), "create")
    asked = http.asked_by(standby.try_acquire_or_renew)
    assert asked == [("get", 404), ("create", 409), ("get", 200)]
    assert (standby.is_leader(), standby.fencing_token) == (True, http.version)


@pytest.mark.fault_row(number=3)
def test_a_create_that_another_was_quicker_with_is_no_leading(http: Http) -> None:
    standby = http.lock()
    http.stand_in.before_next(lambda: http.put(**HELD), verb="create")
    asked = http.asked_by(standby.try_acquire_or_renew)
    assert asked == [("get", 404), ("create", 409), ("get", 200)]
    assert not standby.is_leader()
    assert http.spec["holderIdentity"] == "b"
    assert http.told == []


# An answer comes late, or bit by bit


@pytest.mark.fault_row(number=4)
def test_a_call_ends_in_time_where_the_answer_is_late_and_a_late_success_extends_no_belief(
    http: Http,
) -> None:
    leader = http.leader(call_timeout=SHORT)
    token = leader.fencing_token
    http.clock.advance(5)
    http.fail(faults.hold_answer(60), "update")
    _, asked = http.failure(leader, RenewLeaseError, None)
    assert asked == [("get", 200), ("update", None)]
    renewed = http.spec["renewTime"]
    assert renewed != NOW
    http.clock.advance(BELIEF - 5 - 0.01)
    assert leader.is_leader()
    http.clock.advance(0.02)
    assert not leader.is_leader()
    assert leader.try_acquire_or_renew()
    assert leader.fencing_token != token


@pytest.mark.fault_row(number=4)
def test_a_create_that_is_answered_late_is_an_error_in_time_and_recognised_afterwards(
    http: Http,
) -> None:
    standby = http.lock(call_timeout=SHORT)
    http.fail(faults.hold_answer(60), "create")
    http.failure(standby, CreateLeaseError, None)
    assert http.asked_by(standby.try_acquire_or_renew) == [("get", 200)]
    assert standby.is_leader()


@pytest.mark.fault_row(number=4)
def test_an_answer_after_our_deadline_but_within_the_time_of_its_own_write_begins_a_new_term(
    http: Http,
) -> None:
    leader = http.leader()
    token = leader.fencing_token
    http.clock.advance(5)
    http.race(lambda: http.clock.advance(BELIEF - 4))
    assert leader.try_acquire_or_renew()
    assert token is not None
    assert leader.fencing_token == http.version > token
    http.clock.advance(3.99)
    assert leader.is_leader()
    http.clock.advance(0.02)
    assert not leader.is_leader()


@pytest.mark.fault_row(number=4)
def test_an_answer_when_nothing_is_left_of_its_own_write_makes_no_leader(http: Http) -> None:
    leader = http.leader()
    http.clock.advance(5)
    http.race(lambda: http.clock.advance(BELIEF))
    assert not leader.try_acquire_or_renew()
    assert not leader.is_leader()
    assert leader.try_acquire_or_renew()


@pytest.mark.fault_row(number=4)
def test_a_renewal_that_is_recognised_after_our_deadline_begins_a_new_term(http: Http) -> None:
    leader = http.leader()
    token = leader.fencing_token
    http.clock.advance(10)
    http.fail(faults.lose_answer(), "update")
    http.failure(leader, RenewLeaseError, None)
    began = http.version
    http.clock.advance(BELIEF - 10 + 0.01)
    assert not leader.is_leader()
    assert leader.try_acquire_or_renew().fencing_token == began
    assert token is not None
    assert began > token


@pytest.mark.fault_row(number=5)
@pytest.mark.parametrize(
    ("part", "verb", "kind"),
    [
        ("header", "get", GetLeaseError),
        ("body", "get", GetLeaseError),
        ("body", "update", RenewLeaseError),
    ],
)
def test_a_call_ends_in_time_where_its_answer_dribbles(
    http: Http, part: str, verb: str, kind: type[LeaseError]
) -> None:
    leader = http.leader(call_timeout=SHORT)
    http.fail(faults.dribble(part), verb)
    _, asked = http.failure(leader, kind, None)
    assert [verb for verb, _ in asked] == (["get"] if verb == "get" else ["get", "update"])
    assert leader.try_acquire_or_renew()


# On the way


def broken_once(proxy: Proxy, kind: Kind, until: Callable[[], bool]) -> Doing[None]:
    """All connections are broken once something of that kind is held, and the condition holds"""

    def wait_and_break() -> None:
        wait_until(lambda: proxy.held(kind) > 0 and until())
        break_off(proxy)

    return Doing(wait_and_break)


@pytest.mark.fault_row(number=1)
def test_a_renewal_that_is_lost_on_the_way_is_sent_again_by_the_next_call(server: Server) -> None:
    with way(server) as (proxy, client):
        leader = server.leader(client=client)
        token = leader.fencing_token
        before_requests(client, nothing, lambda: proxy.hold("requests"))
        breaking = broken_once(proxy, "requests", lambda: True)
        _, asked = server.failure(leader, RenewLeaseError, None)
        breaking.result()
        assert asked == [("get", 200)]
        assert server.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]
        assert (leader.is_leader(), leader.fencing_token) == (True, token)


@pytest.mark.fault_row(number=2)
def test_a_renewal_whose_answer_is_lost_on_the_way_is_recognised_by_one_read(
    server: Server,
) -> None:
    with way(server) as (proxy, client):
        leader = server.leader(client=client)
        token, before = leader.fencing_token, server.spec["renewTime"]
        server.clock.advance(1)
        before_requests(client, nothing, lambda: proxy.hold("answers"))
        breaking = broken_once(proxy, "answers", lambda: server.spec["renewTime"] != before)
        _, asked = server.failure(leader, RenewLeaseError, None)
        breaking.result()
        assert asked == [("get", 200), ("update", 200)]
        assert server.asked_by(leader.try_acquire_or_renew) == [("get", 200)]
        assert (leader.is_leader(), leader.fencing_token) == (True, token)


@pytest.mark.fault_row(number=3)
def test_a_create_whose_answer_is_lost_on_the_way_is_recognised_by_one_read(
    server: Server,
) -> None:
    with way(server) as (proxy, client):
        standby = server.lock(client=client)
        before_requests(client, nothing, lambda: proxy.hold("answers"))
        breaking = broken_once(proxy, "answers", lambda: server.others.read(NAME).status == 200)
        _, asked = server.failure(standby, CreateLeaseError, None)
        breaking.result()
        assert asked == [("get", 404), ("create", 201)]
        assert server.asked_by(standby.try_acquire_or_renew) == [("get", 200)]
        assert (standby.is_leader(), standby.fencing_token) == (True, server.version)


@pytest.mark.fault_row(number=4)
def test_an_answer_that_is_held_up_on_the_way_ends_the_call_in_time_and_extends_no_belief(
    server: Server,
) -> None:
    with way(server) as (proxy, client):
        leader = server.leader(client=client, call_timeout=server.short)
        token = leader.fencing_token
        server.clock.advance(5)
        before_requests(client, nothing, lambda: proxy.hold("answers"))
        _, asked = server.failure(leader, RenewLeaseError, None)
        proxy.let_pass()
        assert asked == [("get", 200), ("update", 200)]
        server.clock.advance(BELIEF - 5 - 0.01)
        assert leader.is_leader()
        server.clock.advance(0.02)
        assert not leader.is_leader()
        assert leader.try_acquire_or_renew()
        assert token is not None
        assert (leader.fencing_token or 0) > token


@pytest.mark.fault_row(number=5)
def test_an_answer_that_dribbles_on_the_way_ends_the_call_in_time(server: Server) -> None:
    with way(server) as (proxy, client):
        leader = server.leader(client=client, call_timeout=server.short)
        token = leader.fencing_token
        with proxy.dribbling("answers", every=0.4):
            server.failure(leader, GetLeaseError, None)
        assert leader.try_acquire_or_renew()
        assert leader.fencing_token == token

"""Rows 33 and 34: electors asked by many threads, and Leases that say odd things"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kube_leader_election import LeaderState
from tests.electors import lead, pass_time, term_of
from tests.fault_rows.candidates import (
    FOLLOWING,
    LEADING,
    LOOKED_AT_AFTER,
    STANDBY,
    Replica,
    alive,
    asked,
    assert_told,
    count,
    follow,
    lead_watching,
    renew,
    told,
)
from tests.fault_rows.test_forks_and_threads import in_threads
from tests.fault_rows.test_odd_leases import LEFT, LEFT_IF_STORED, TAKEN, TAKEN_IF_STORED
from tests.fault_rows.world import EXPIRED, HELD, LONG_AGO, MAX_INT32, TTL, Http, Server, cases
from tests.hostile import wait_until

LEADS, LEADS_NO_MORE = "'a' leads", "'a' leads no more"

# What a Lease may say


def assert_is_taken_at_once(server: Server, spec: dict[str, Any], **params: Any) -> None:
    server.put(**{**HELD, **spec})
    a = Replica(server, **params)
    lead_watching(server, a.elector)
    assert asked(server) == [("get", 200), ("update", 200)]
    assert server.spec["holderIdentity"] == "a"
    assert server.spec["leaseDurationSeconds"] == TTL
    renew(server, a.elector)
    with alive(a.elector):
        assert_told(server, [LEADS])


def assert_is_left_alone(server: Server, spec: dict[str, Any], **params: Any) -> None:
    server.put(**{**HELD, **spec})
    before = server.lease()
    a = Replica(server, **params)
    follow(a.elector, "b")
    with alive(a.elector):
        assert server.lease() == before
    a.elector.stop()
    assert server.lease() == before
    assert {verb for verb, _ in asked(server)} == {"get"}
    assert (a.heard, told(server)) == ([], [])


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("spec", cases(TAKEN))
def test_a_lease_that_says_free_or_expired_is_taken_at_once_by_who_trusts_wall_clocks(
    server: Server, spec: dict[str, Any]
) -> None:
    assert_is_taken_at_once(server, spec, max_clock_skew=0.1)


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("spec", cases({name: TAKEN[name] for name in list(TAKEN)[:3]}))
def test_a_lease_that_says_free_is_taken_at_once(server: Server, spec: dict[str, Any]) -> None:
    assert_is_taken_at_once(server, spec)


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("spec", cases(TAKEN_IF_STORED))
def test_a_lease_that_no_server_should_store_is_taken_where_it_has_expired(
    http: Http, spec: dict[str, Any]
) -> None:
    assert_is_taken_at_once(http, spec, max_clock_skew=0.1)


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("spec", cases(LEFT))
def test_a_lease_that_may_still_be_held_is_left_alone(server: Server, spec: dict[str, Any]) -> None:
    assert_is_left_alone(server, spec, max_clock_skew=0.1)


WAITED_OUT = {
    "times null": {"acquire_time": None, "renew_time": None},
    "renewed long ago": {"renew_time": LONG_AGO},
    "duration null": {"lease_duration_seconds": None},
    "everything null but the holder": {**dict.fromkeys(HELD), "holder_identity": "b"},
    "renewed after the year 9999": {"renew_time": "9999-12-31T23:59:59.999999-05:00"},
}


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("spec", cases(WAITED_OUT))
def test_who_trusts_no_wall_clock_waits_a_holder_out_whatever_its_times(
    server: Server, spec: dict[str, Any]
) -> None:
    server.put(**{**HELD, **spec})
    a = Replica(server)
    since = server.clock.monotonic()
    follow(a.elector, "b")
    pass_time(server.clock, a.elector.is_leader, step=0.2)
    with alive(a.elector):
        assert TTL <= server.clock.monotonic() - since < TTL + LOOKED_AT_AFTER
        renew(server, a.elector)
        assert_told(server, [LEADS])


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("duration", [MAX_INT32, 2**64, 10**400])
def test_the_lease_of_who_promised_more_than_can_be_counted_is_never_taken(
    http: Http, duration: int
) -> None:
    http.put(**{**HELD, "lease_duration_seconds": duration})
    before = http.lease()
    a = Replica(http)
    follow(a.elector, "b")
    until = http.clock.monotonic() + 10 * TTL
    pass_time(http.clock, lambda: http.clock.monotonic() > until, step=5)
    with alive(a.elector):
        assert a.elector.state is FOLLOWING
        assert http.lease() == before
        assert told(http) == []


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("spec", cases(LEFT_IF_STORED))
def test_a_lease_that_no_server_should_store_is_left_alone_where_it_may_be_held(
    http: Http, spec: dict[str, Any]
) -> None:
    assert_is_left_alone(http, spec)


@pytest.mark.fault_row(number=34)
def test_a_lease_without_a_spec_is_taken_at_once(server: Server) -> None:
    assert server.others.create({"metadata": {"name": "leader"}}).status == 201
    a = Replica(server)
    lead_watching(server, a.elector)
    with alive(a.elector):
        assert_told(server, [LEADS])


ODD = {"the holder": {"holder_identity": 7}, "the time": {"renew_time": "yesterday"}}


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("odd", cases(ODD))
def test_a_holder_who_cannot_be_told_or_timed_is_one_warning_and_never_a_free_lease(
    http: Http, odd: dict[str, Any]
) -> None:
    http.put(**{**HELD, **odd})
    before = http.stand_in.stored_lease("leader")
    a = Replica(http)
    a.elector.start()
    pass_time(http.clock, lambda: count(http, "get") >= 5)
    assert http.stand_in.stored_lease("leader") == before
    assert a.elector.state is STANDBY
    assert len(told(http)) == 1
    http.put(**{**HELD, "holder_identity": ""})
    pass_time(http.clock, a.elector.is_leader)
    with alive(a.elector):
        wait_until(lambda: told(http)[1:] == [LEADS])


@pytest.mark.fault_row(number=34)
def test_a_leader_whose_lease_gets_odd_leads_on_or_again_and_its_watch_goes_on(
    http: Http,
) -> None:
    a = Replica(http)
    token = lead_watching(http, a.elector)
    http.put(**{**HELD, "holder_identity": 7})
    http.put(**{**HELD, "renew_time": "yesterday"})
    http.put(**{**HELD, "holder_identity": None, "lease_transitions": "many"})
    pass_time(http.clock, lambda: a.elector.is_leader() and (a.elector.fencing_token or 0) > token)
    renew(http, a.elector, 2)
    with alive(a.elector):
        assert http.spec["holderIdentity"] == "a"
        assert count(http, "get") <= 5


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize(
    ("stored", "written"), [(None, 1), (MAX_INT32 - 1, MAX_INT32), (MAX_INT32, MAX_INT32)]
)
def test_a_takeover_counts_transitions_as_far_as_they_can_be_counted(
    server: Server, stored: int | None, written: int
) -> None:
    server.put(**{**EXPIRED, "holder_identity": "", "lease_transitions": stored})
    lead(server.elector(clock=server.clock))
    assert server.spec["leaseTransitions"] == written


# Threads


@pytest.mark.fault_row(number=33)
def test_all_threads_that_ask_an_elector_are_told_the_same(server: Server) -> None:
    a = Replica(server)
    a.elector.start()
    terms = in_threads(*[lambda: a.elector.wait_until_leading(30)] * 8)
    assert {id(term) for term in terms} == {id(a.elector.leadership)}

    def all_that_it_says() -> tuple[bool, LeaderState, str | None, int | None]:
        elector = a.elector
        return elector.is_leader(), elector.state, elector.holder_identity, elector.fencing_token

    token = a.elector.fencing_token
    expected = (True, LEADING, "a", token)
    assert in_threads(*[all_that_it_says] * 8) == [expected] * 8
    in_threads(*[a.elector.stop] * 8)
    assert in_threads(*[all_that_it_says] * 8) == [(False, STANDBY, None, None)] * 8
    assert [each for each in asked(server) if each[0] == "update"] == [("update", 200)]
    wait_until(lambda: a.has_led(1, and_leads=False))
    assert_told(server, [LEADS, LEADS_NO_MORE])


@pytest.mark.fault_row(number=33)
def test_one_request_of_an_elector_is_under_way_whoever_asks_it_to_stop(http: Http) -> None:
    a = Replica(http)
    lead_watching(http, a.elector)
    gate = threading.Event()
    http.stand_in.before_next(gate.wait, verb="update")
    http.clock.advance(LOOKED_AT_AFTER)
    wait_until(lambda: count(http, "update") == 1)
    in_threads(*[lambda: a.elector.stop(wait=False)] * 8)
    assert asked(http)[2:] == [("update", None)]
    gate.set()
    a.elector.stop()
    assert asked(http)[2:] == [("update", 200)] * 2
    assert http.spec.get("holderIdentity", "") == ""


@pytest.mark.fault_row(number=33)
def test_electors_that_are_started_at_once_in_threads_make_one_leader(server: Server) -> None:
    replicas = [Replica(server, name) for name in "abcd"]
    in_threads(*(each.elector.start for each in replicas))
    wait_until(lambda: any(each.elector.is_leader() for each in replicas))
    while replicas:
        (leader,) = [each for each in replicas if each.elector.is_leader()]
        name = server.spec["holderIdentity"]
        for each in replicas:
            wait_until(lambda: each.elector.holder_identity == name)  # noqa: B023
        assert [each.elector.is_leader() for each in replicas].count(True) == 1
        term_of(leader.elector)
        leader.elector.stop()
        replicas.remove(leader)
        if replicas:
            wait_until(lambda: any(each.elector.is_leader() for each in replicas))
    assert server.spec.get("holderIdentity", "") == ""
    assert asked(server).count(("create", 201)) == 1

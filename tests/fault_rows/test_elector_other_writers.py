"""Rows 6 to 9, 31 and 36: somebody else writes the Lease of an elector, or ends it"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kube_leader_election import LeaderElector
from tests.electors import lead, pass_time, term_of
from tests.fault_rows.candidates import (
    DEADLINE,
    FOLLOWING,
    LOOKED_AT_AFTER,
    RENEWED_AFTER,
    STANDBY,
    Meddler,
    Replica,
    alive,
    asked,
    assert_told,
    count,
    follow,
    lead_watching,
    renew,
    told,
    told_of_terms,
    watched,
)
from tests.fault_rows.test_other_writers import foreign
from tests.fault_rows.world import HELD, NOW, TTL, Server, cases
from tests.hostile import wait_until

LEADS, LEADS_NO_MORE = "'a' leads", "'a' leads no more"
NAMESAKE = (
    "another process leads under our holder_id 'a': give every candidate its own, or leave"
    " holder_id unset"
)
HELD_JSON = {
    "holderIdentity": "b",
    "leaseDurationSeconds": TTL,
    "acquireTime": NOW,
    "renewTime": NOW,
    "leaseTransitions": 3,
}
WAYS = ["its watch", "a conflict"]


def meet(server: Server, meddler: Meddler, act: Callable[[], object], way: str) -> None:
    """Another does `act`, which the leader is shown by its watch, or by its next renewal"""
    if way == "its watch":
        act()
    else:
        meddler.before_each_write(act)
        server.clock.advance(RENEWED_AFTER)


def lost(elector: LeaderElector, act: Callable[[], object]) -> None:
    """Because of `act` its term ends, while there is much left of it"""
    leadership = term_of(elector)
    act()
    wait_until(leadership.lost.is_set)
    assert leadership.remaining() == 0


# Labels


@pytest.mark.fault_row(number=6)
def test_a_leader_whose_lease_got_labels_meanwhile_renews_again_and_keeps_them(
    server: Server,
) -> None:
    meddler = Meddler(server)
    a, b = server.elector(client=meddler.client, clock=server.clock), Replica(server, "b")
    token = lead(a).fencing_token
    follow(b.elector, "a")
    before = len(asked(server))
    meddler.before_each_write(lambda: server.edit(**foreign(1)), lambda: server.edit(**foreign(2)))
    renew(server, a)
    with alive(a, b.elector):
        wait_until(lambda: asked(server)[-1] == ("update", 200))
        tried = [status for verb, status in asked(server)[before:] if verb == "update"]
        assert tried == [409, 409, 200]
        assert (a.is_leader(), a.fencing_token) == (True, token)
        lease = server.lease()
        assert lease["metadata"].items() >= foreign(2).items()
        assert lease["spec"]["renewTime"] > "2026-01-01T12:00:03"
        assert_told(server, [LEADS])
        assert b.heard == []


@pytest.mark.fault_row(number=6)
def test_a_third_conflict_is_one_warning_and_the_term_goes_on(server: Server) -> None:
    meddler = Meddler(server)
    a = server.elector(client=meddler.client, clock=server.clock)
    leadership = lead(a)
    meddler.before_each_write(
        *(lambda number=number: server.edit(**foreign(number)) for number in range(3))
    )
    server.clock.advance(RENEWED_AFTER)
    wait_until(lambda: len(server.told) == 2)
    assert asked(server)[2:] == [("update", 409), ("get", 200)] * 2 + [("update", 409)]
    assert "409" in server.told[1]
    server.clock.advance(2)
    wait_until(lambda: leadership.remaining() > DEADLINE - 0.01)
    wait_until(lambda: asked(server)[-1] == ("update", 200))
    assert len(asked(server)) <= 10
    with alive(a):
        assert a.leadership is leadership
        assert len(server.told) == 2


@pytest.mark.fault_row(number=6)
def test_a_lease_that_got_labels_meanwhile_is_released_and_keeps_them(server: Server) -> None:
    meddler = Meddler(server)
    a = server.elector(client=meddler.client, clock=server.clock)
    lead(a)
    meddler.before_each_write(lambda: server.edit(**foreign(1)))
    a.stop()
    assert asked(server)[2:] == [("update", 409), ("get", 200), ("update", 200)]
    assert server.spec.get("holderIdentity", "") == ""
    assert server.lease()["metadata"].items() >= foreign(1).items()
    assert_told(server, [LEADS, LEADS_NO_MORE])


# Another holder


@pytest.mark.fault_row(number=7)
@pytest.mark.parametrize("way", WAYS)
def test_a_leader_whose_lease_another_takes_is_told_at_once_and_contends_again(
    server: Server, way: str
) -> None:
    meddler = Meddler(server)
    a = Replica(server, client=meddler.client)
    token = lead_watching(server, a.elector)
    lost(a.elector, lambda: meet(server, meddler, lambda: server.put(**HELD), way))
    wait_until(lambda: a.elector.state is FOLLOWING)
    assert (a.elector.holder_identity, a.elector.fencing_token) == ("b", None)
    wait_until(lambda: a.has_led(1, and_leads=False))
    assert server.spec == HELD_JSON
    pass_time(server.clock, a.elector.is_leader)
    wait_until(lambda: a.has_led(1, and_leads=True))
    with alive(a.elector):
        assert (term_of(a.elector).fencing_token or 0) > token
        assert server.spec["leaseTransitions"] == 4
        assert_told(server, [LEADS, LEADS_NO_MORE, LEADS])


@pytest.mark.fault_row(number=7)
def test_who_is_shown_another_holder_writes_nothing_before_that_one_s_promise_is_over(
    server: Server,
) -> None:
    a = server.elector(clock=server.clock)
    lead_watching(server, a)
    lost(a, lambda: server.put(**{**HELD, "lease_duration_seconds": 40}))
    wait_until(lambda: a.holder_identity == "b")
    writes, reads = count(server, "update"), count(server, "get")
    server.clock.advance(39.9)
    wait_until(lambda: count(server, "get") > reads)
    assert (count(server, "update"), a.holder_identity) == (writes, "b")
    server.clock.advance(0.2)
    wait_until(a.is_leader)
    assert_told(server, [LEADS, LEADS_NO_MORE, LEADS])


@pytest.mark.fault_row(number=7)
def test_of_two_whose_leader_was_replaced_one_leads_when_the_intruder_s_promise_is_over(
    server: Server,
) -> None:
    a, b = Replica(server), Replica(server, "b")
    lead_watching(server, a.elector)
    follow(b.elector, "a")
    server.put(**{**HELD, "holder_identity": "c"})
    for each in (a, b):
        wait_until(lambda: each.elector.holder_identity == "c")  # noqa: B023
    pass_time(server.clock, lambda: a.elector.is_leader() or b.elector.is_leader())
    leader = "a" if a.elector.is_leader() else "b"
    for each in (a, b):
        wait_until(lambda: each.elector.holder_identity == leader)  # noqa: B023
    with alive(a.elector, b.elector):
        assert a.elector.is_leader() is not b.elector.is_leader()
        assert_told(server, [LEADS, LEADS_NO_MORE, f"{leader!r} leads"])


# A deletion


@pytest.mark.fault_row(number=8)
@pytest.mark.parametrize("way", WAYS)
def test_a_leader_whose_lease_is_deleted_makes_it_again_as_a_new_term(
    server: Server, way: str
) -> None:
    meddler = Meddler(server)
    a, b = Replica(server, client=meddler.client), Replica(server, "b")
    token = lead_watching(server, a.elector)
    follow(b.elector, "a")
    uid = server.lease()["metadata"]["uid"]
    lost(
        a.elector,
        lambda: meet(server, meddler, lambda: server.others.delete("leader"), way),
    )
    wait_until(lambda: a.has_led(1, and_leads=True))
    with alive(a.elector, b.elector):
        assert (term_of(a.elector).fencing_token or 0) > token
        # Its watch may have told of the second before that was answered.
        wait_until(lambda: asked(server).count(("create", 201)) == 2)
        lease = server.lease()
        assert lease["metadata"]["uid"] != uid
        assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("a", 0)
        renew(server, a.elector, 6)
        assert b.heard == []
        assert_told(server, [LEADS, LEADS_NO_MORE, LEADS])


@pytest.mark.fault_row(number=8)
def test_a_standby_makes_a_deleted_lease_only_after_the_longest_duration_that_it_saw(
    server: Server,
) -> None:
    a = server.elector(clock=server.clock)
    server.put(**HELD)
    follow(a, "b")
    for holder, seconds in (("c", 40), ("d", 1)):
        server.put(**{**HELD, "holder_identity": holder, "lease_duration_seconds": seconds})
        wait_until(lambda: a.holder_identity == holder)  # noqa: B023
    server.others.delete("leader")
    wait_until(lambda: a.holder_identity is None)
    reads = count(server, "get")
    server.clock.advance(39.9)
    wait_until(lambda: count(server, "get") > reads)
    assert (count(server, "create"), a.state) == (0, STANDBY)
    server.clock.advance(0.2)
    wait_until(a.is_leader)
    with alive(a):
        assert_told(server, [LEADS])


# A deletion, and another Lease


def make(server: Server, spec: dict[str, Any]) -> None:
    """Another makes the Lease, which is not there"""
    lease = {"metadata": {"name": "leader"}, "spec": spec}
    assert server.others.create(lease).status == 201


COPIES: dict[str, dict[str, Any] | None] = {
    "it is another's": HELD_JSON,
    "it says what ours did": None,
}


@pytest.mark.fault_row(number=9)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spec", cases(COPIES))
def test_a_lease_that_was_deleted_and_made_again_is_lost_whatever_it_says(
    server: Server, spec: dict[str, Any] | None, way: str
) -> None:
    meddler = Meddler(server)
    a = Replica(server, client=meddler.client)
    token = lead_watching(server, a.elector)
    made = spec or server.spec
    if way == "its watch":
        meddler.before_each_write(lambda: make(server, made))
        lost(a.elector, lambda: server.others.delete("leader"))
    else:
        lost(a.elector, lambda: meet(server, meddler, lambda: server.make_again(made), way))
    wait_until(lambda: a.elector.holder_identity == made["holderIdentity"])
    assert (a.elector.state, a.elector.fencing_token) == (FOLLOWING, None)
    assert server.spec == made
    pass_time(server.clock, a.elector.is_leader)
    wait_until(lambda: a.has_led(1, and_leads=True))
    with alive(a.elector):
        assert (term_of(a.elector).fencing_token or 0) > token
        warned = [] if spec else [NAMESAKE]
        assert_told(server, [LEADS, LEADS_NO_MORE, *warned, LEADS])


# One name for two


@pytest.mark.fault_row(number=31)
def test_of_two_electors_under_one_name_one_leads_and_the_other_waits(server: Server) -> None:
    one, two = Replica(server), Replica(server)
    lead_watching(server, one.elector)
    follow(two.elector, "a")
    renew(server, one.elector, 6)
    assert (one.elector.is_leader(), two.elector.is_leader()) == (True, False)
    before = server.spec
    two.elector.stop()
    assert server.spec == before
    with alive(one.elector):
        wait_until(lambda: one.heard == ["started"])
        assert two.heard == []
        assert_told(server, [LEADS])


@pytest.mark.fault_row(number=31)
def test_an_elector_is_led_after_by_its_namesake_once_it_has_released(server: Server) -> None:
    one, two = Replica(server), Replica(server)
    lead_watching(server, one.elector)
    follow(two.elector, "a")
    one.elector.stop()
    wait_until(two.elector.is_leader)
    with alive(two.elector):
        assert not one.elector.is_leader()
        # That it has a namesake may be seen by the first before its watch is closed.
        wait_until(lambda: told_of_terms(server) == [LEADS, LEADS_NO_MORE, LEADS])


@pytest.mark.fault_row(number=31)
@pytest.mark.parametrize("way", WAYS)
def test_a_leader_whose_namesake_takes_its_lease_warns_once_and_releases_nothing(
    server: Server, way: str
) -> None:
    meddler = Meddler(server)
    a = Replica(server, client=meddler.client)
    lead_watching(server, a.elector)
    mine = {**HELD, "holder_identity": "a"}
    lost(a.elector, lambda: meet(server, meddler, lambda: server.put(**mine), way))
    for seconds in (16, 17):
        server.put(**{**mine, "lease_duration_seconds": seconds})
    wait_until(lambda: a.elector.holder_identity == "a")
    assert_told(server, [LEADS, LEADS_NO_MORE, NAMESAKE])
    before = server.spec
    with alive(a.elector):
        assert a.elector.state is FOLLOWING
    a.elector.stop()
    assert server.spec == before
    assert_told(server, [LEADS, LEADS_NO_MORE, NAMESAKE])


@pytest.mark.fault_row(number=31)
def test_electors_that_were_given_no_name_have_different_ones(server: Server) -> None:
    one, two = Replica(server, None), Replica(server, None)
    lead_watching(server, one.elector)
    name = server.spec["holderIdentity"]
    follow(two.elector, name)
    one.elector.stop()
    wait_until(two.elector.is_leader)
    assert server.spec["holderIdentity"] not in (name, "")


# Kubernetes appoints the holder

APPOINTED = {"strategy": "OldestEmulationVersion", "preferredHolder": "c"}
LEFT_ALONE = (
    "it is left alone: its spec.strategy is 'OldestEmulationVersion', so that Kubernetes itself"
    " appoints its holder; use another lease_name"
)


def appoint(server: Server, **spec: Any) -> dict[str, Any]:
    """The Lease says `spec` as well, or does not say what is None; returned is all it says"""
    lease = server.lease()
    lease["spec"] |= spec
    lease["spec"] = {name: value for name, value in lease["spec"].items() if value is not None}
    assert server.others.replace("leader", lease).status == 200
    return server.spec


@pytest.mark.fault_row(number=36)
@pytest.mark.parametrize("holder", ["b", None])
def test_a_lease_whose_holder_kubernetes_appoints_is_not_contended_for(
    server: Server, holder: str | None
) -> None:
    server.put(**{**HELD, "holder_identity": holder})
    before = appoint(server, **APPOINTED)
    assert before.items() >= APPOINTED.items()
    a = server.elector(clock=server.clock)
    a.start()
    wait_until(lambda: watched(server) == 1)
    since = server.clock.monotonic()
    pass_time(server.clock, lambda: count(server, "get") == 7)
    assert server.clock.monotonic() >= since + 5 * LOOKED_AT_AFTER
    with alive(a):
        assert (a.holder_identity, a.state) == (holder, FOLLOWING if holder else STANDBY)
        assert server.spec == before
        assert {verb for verb, _ in server.requests()} == {"get", "watch"}
        assert_told(server, [LEFT_ALONE])
    appoint(server, **dict.fromkeys(APPOINTED))
    pass_time(server.clock, a.is_leader)
    assert_told(server, [LEFT_ALONE, LEADS])


@pytest.mark.fault_row(number=36)
def test_a_leader_of_a_lease_that_gets_a_strategy_ends_at_its_deadline_and_renews_no_more(
    server: Server,
) -> None:
    a, b = Replica(server), Replica(server, "b")
    lead_watching(server, a.elector)
    follow(b.elector, "a")
    leadership = term_of(a.elector)
    before = appoint(server, **APPOINTED)
    wait_until(lambda: told(server).count(LEFT_ALONE) == 2)
    server.clock.advance(DEADLINE - 0.01)
    assert leadership.is_valid()
    server.clock.advance(0.02)
    assert not a.elector.is_leader()
    wait_until(lambda: a.has_led(1, and_leads=False))
    until = server.clock.monotonic() + 3 * TTL
    pass_time(server.clock, lambda: server.clock.monotonic() > until)
    with alive(a.elector, b.elector):
        assert server.spec == before
        assert b.heard == []
        assert_told(server, [LEADS, LEFT_ALONE, LEFT_ALONE, LEADS_NO_MORE])

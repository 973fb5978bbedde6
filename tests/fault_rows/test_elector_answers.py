"""Rows 1 to 5: requests and answers of an elector that are lost, late, or come bit by bit"""

from __future__ import annotations

from typing import Any

import pytest

from kube_leader_election import LeaderState
from kube_leader_election.testing import faults
from kube_leader_election.testing.faults import Fault
from tests.electors import lead, pass_time, term_of
from tests.fault_rows.candidates import (
    Replica,
    alive,
    asked,
    follow,
    lead_watching,
)
from tests.fault_rows.outages import (
    DEADLINE,
    LEADS,
    LEADS_NO_MORE,
    LONGEST_RETRY_PERIOD,
    PATIENT,
    RETRY_PERIOD,
    another_user,
    before_requests,
    break_off,
    ends_at,
    fall_due,
    lead_term,
    nothing,
    patient,
    renewed,
    takes_over_at,
    told,
    warned,
    was_asked,
    way,
)
from tests.fault_rows.test_lost_and_late_answers import ANSWER_LOST, LOST, status_of
from tests.fault_rows.world import HELD, Http, Server, cases
from tests.hostile import wait_until

FREE: dict[str, Any] = {**HELD, "holder_identity": None}
MADE = [("get", 404), ("create", 201)]

# Of the defaults, where an attempt has 2 s of the machine's time.
HASTY_DEADLINE, HASTY_RETRY_PERIOD = 10.0, 2.0


# A request is lost


@pytest.mark.fault_row(number=1)
@pytest.mark.parametrize("fault", cases(LOST))
@pytest.mark.usefixtures("unwatched")
def test_a_leader_whose_renewal_was_lost_sends_one_with_the_same_version(
    http: Http, fault: Fault
) -> None:
    a = patient(http)
    leadership = lead(a)
    http.fail(fault, "update")
    fall_due(http)
    wait_until(lambda: len(told(http)) == 2)
    fall_due(http, RETRY_PERIOD)
    renewed(leadership)
    with alive(a):
        was_asked(http, [*MADE, ("update", None), ("update", 200)])
        lost, repeated = (body["metadata"]["resourceVersion"] for body in http.bodies("update"))
        assert lost == repeated
        assert a.leadership is leadership
        warned(told(http), LEADS, "no answer (")


@pytest.mark.fault_row(number=1)
def test_a_renewal_that_never_arrived_costs_a_leader_no_term(server: Server) -> None:
    with way(server) as (proxy, client):
        a = patient(server, client=client)
        leadership = lead_term(server, a)
        proxy.hold("requests")
        fall_due(server)
        wait_until(lambda: proxy.held("requests") > 0)
        break_off(proxy)
        wait_until(lambda: len(told(server)) == 2)
        fall_due(server, RETRY_PERIOD)
        renewed(leadership)
        with alive(a):
            was_asked(server, [*MADE, ("update", 200)])
            assert a.leadership is leadership
            warned(told(server), LEADS, "no answer (")


@pytest.mark.fault_row(number=1)
def test_a_leader_whose_requests_are_all_lost_leads_until_its_deadline_and_then_follows(
    server: Server,
) -> None:
    with way(server) as (proxy, client):
        a = Replica(server, client=client, **PATIENT)
        b = Replica(server, "b", client=another_user(server), **PATIENT)
        began_at = server.clock.monotonic()
        token = lead_watching(server, a.elector)
        follow(b.elector, "a")
        with proxy.refusing():
            proxy.reset()
            ends_at(server, a.elector, began_at + DEADLINE)
            takes_over_at(server, b.elector, began_at + PATIENT["lease_ttl"])
            wait_until(lambda: a.has_led(1, and_leads=False))
        fall_due(server, LONGEST_RETRY_PERIOD)
        wait_until(lambda: a.elector.holder_identity == "b")
        with alive(a.elector, b.elector):
            assert a.elector.state is LeaderState.FOLLOWING
            assert (term_of(b.elector).fencing_token or 0) > token
            assert server.spec["leaseTransitions"] == 1
            roles = sorted([LEADS, LEADS_NO_MORE, "'b' leads"])
            wait_until(lambda: sorted(each for each in told(server) if each in roles) == roles)
            # What renews fails, then what reads: broken, refused, or begun too late.
            assert len(told(server)) <= len(roles) + 6


@pytest.mark.fault_row(number=1)
@pytest.mark.parametrize("verb", ["get", "create", "update"])
@pytest.mark.usefixtures("unwatched")
def test_a_standby_whose_request_was_lost_sends_it_again_and_leads(http: Http, verb: str) -> None:
    if verb == "update":
        http.put(**FREE)
    http.fail(faults.lose_request(), verb)
    a = patient(http)
    a.start()
    wait_until(lambda: len(told(http)) == 1)
    fall_due(http, LONGEST_RETRY_PERIOD)
    wait_until(lambda: len(told(http)) == 2)
    read, write = (
        (("get", 200), ("update", 200)) if verb == "update" else (("get", 404), ("create", 201))
    )
    failed = [("get", None)] if verb == "get" else [read, (verb, None)]
    with alive(a):
        was_asked(http, [*failed, read, write])
        warned(told(http), "no answer (", LEADS)


# A write is committed, and its answer lost


@pytest.mark.fault_row(number=2)
@pytest.mark.parametrize("fault", cases(ANSWER_LOST))
def test_a_leader_recognises_a_renewal_whose_answer_was_lost_by_its_watch_with_no_request(
    http: Http, fault: Fault
) -> None:
    a = patient(http)
    leadership = lead_term(http, a)
    http.fail(fault, "update")
    for failures in (1, 1):
        fall_due(http)
        renewed(leadership)
        wait_until(lambda: len(told(http)) == 1 + failures)  # noqa: B023
    with alive(a):
        was_asked(http, [*MADE, ("update", status_of(fault)), ("update", 200)])
        assert a.leadership is leadership
        warned(told(http), LEADS, why(fault))


@pytest.mark.fault_row(number=2)
@pytest.mark.parametrize("fault", cases(ANSWER_LOST))
@pytest.mark.usefixtures("unwatched")
def test_a_leader_recognises_a_renewal_whose_answer_was_lost_by_two_more_requests(
    http: Http, fault: Fault
) -> None:
    a = patient(http)
    leadership = lead(a)
    http.fail(fault, "update")
    fall_due(http)
    sent_at = http.clock.monotonic()
    wait_until(lambda: len(told(http)) == 2)
    fall_due(http, RETRY_PERIOD)
    renewed(leadership, DEADLINE - RETRY_PERIOD)
    with alive(a):
        extra = [("update", 409), ("get", 200)]
        was_asked(http, [*MADE, ("update", status_of(fault)), *extra])
        warned(told(http), LEADS, why(fault))
    http.stand_in.fail_next(faults.lose_request(), verb="update", times=None)
    ends_at(http, a, sent_at + DEADLINE)


def why(fault: Fault) -> str:
    status = status_of(fault)
    return "no answer (" if status is None else f"answered {status}"


@pytest.mark.fault_row(number=2)
def test_a_renewal_whose_answer_was_lost_costs_a_leader_no_term(server: Server) -> None:
    with way(server) as (proxy, client):
        a = patient(server, client=client)
        leadership = lead_term(server, a)
        before = server.spec["renewTime"]
        proxy.hold("answers")
        fall_due(server)
        wait_until(lambda: server.spec["renewTime"] != before)
        break_off(proxy)
        wait_until(lambda: len(told(server)) == 2)
        fall_due(server, RETRY_PERIOD)
        renewed(leadership, DEADLINE - RETRY_PERIOD)
        fall_due(server)
        renewed(leadership)
        with alive(a):
            # It may be recognised by the next watch before anything is asked, or meanwhile.
            wait_until(lambda: asked(server)[-1] == ("update", 200))
            first, *more, last = asked(server)[2:]
            assert first == last == ("update", 200)
            assert len(more) <= 3
            assert more.count(("update", 409)) <= 1
            assert a.leadership is leadership
            warned(told(server), LEADS, "no answer (")


@pytest.mark.fault_row(number=2)
@pytest.mark.parametrize("fault", cases(ANSWER_LOST))
@pytest.mark.usefixtures("unwatched")
def test_a_takeover_whose_answer_was_lost_begins_the_term_of_an_elector(
    http: Http, fault: Fault
) -> None:
    http.put(**FREE)
    http.fail(fault, "update")
    a = patient(http)
    a.start()
    wait_until(lambda: len(told(http)) == 1)
    began = http.version
    fall_due(http, LONGEST_RETRY_PERIOD)
    wait_until(lambda: len(told(http)) == 2)
    with alive(a):
        assert asked(http)[:2] == [("get", 200), ("update", status_of(fault))]
        was_asked(http, [("get", 200)], [("update", 409), ("get", 200)], since=2)
        assert (a.fencing_token, http.spec["leaseTransitions"]) == (began, 4)
        warned(told(http), why(fault), LEADS)


@pytest.mark.fault_row(number=2)
@pytest.mark.parametrize("fault", cases(ANSWER_LOST))
def test_an_elector_whose_release_was_not_answered_leads_no_more_and_another_does(
    http: Http, fault: Fault
) -> None:
    a, b = patient(http), patient(http, "b", client=another_user(http))
    token = lead_watching(http, a)
    follow(b, "a")
    http.fail(fault, "update")
    a.stop()
    assert (a.is_leader(), a.state) == (False, LeaderState.STANDBY)
    wait_until(b.is_leader)
    with alive(b):
        assert (b.fencing_token or 0) > token
        assert ("update", status_of(fault)) in asked(http)


@pytest.mark.fault_row(number=3)
@pytest.mark.parametrize("fault", cases(ANSWER_LOST))
def test_a_create_whose_answer_was_lost_begins_the_term_of_an_elector(
    http: Http, fault: Fault
) -> None:
    http.fail(fault, "create")
    a = patient(http)
    a.start()
    wait_until(lambda: len(told(http)) == 1)
    began = http.version
    fall_due(http, LONGEST_RETRY_PERIOD)
    wait_until(lambda: len(told(http)) == 2)
    with alive(a):
        was_asked(http, [("get", 404), ("create", status_of(fault)), ("get", 200)])
        assert a.fencing_token == began
        warned(told(http), why(fault), LEADS)


@pytest.mark.fault_row(number=3)
def test_a_create_that_exists_already_is_read_and_is_the_elector_s_own(http: Http) -> None:
    http.fail(faults.lose_answer(), "create")
    a = patient(http)
    a.start()
    wait_until(lambda: len(told(http)) == 1)
    http.fail(faults.stale_read(), "get")
    fall_due(http, LONGEST_RETRY_PERIOD)
    wait_until(lambda: len(told(http)) == 2)
    with alive(a):
        conflict = [("get", 404), ("create", 409), ("get", 200)]
        assert asked(http)[:5] == [("get", 404), ("create", None), *conflict]
        assert a.fencing_token == http.version
        assert http.spec["leaseTransitions"] == 0
        warned(told(http), "no answer (", LEADS)


@pytest.mark.fault_row(number=3)
def test_a_create_whose_answer_was_lost_on_the_way_makes_a_leader_all_the_same(
    server: Server,
) -> None:
    with way(server) as (proxy, client):
        before_requests(client, nothing, lambda: proxy.hold("answers"))  # the read, the create
        a = patient(server, client=client)
        a.start()
        wait_until(lambda: server.others.read("leader").status == 200)
        break_off(proxy)
        began = server.version
        pass_time(server.clock, a.is_leader)
        with alive(a):
            assert (a.fencing_token, server.spec["leaseTransitions"]) == (began, 0)


# An answer comes late, or bit by bit


@pytest.mark.fault_row(number=4)
@pytest.mark.usefixtures("unwatched")
def test_an_attempt_whose_answer_is_late_ends_in_time_and_its_write_is_recognised(
    http: Http,
) -> None:
    a = http.elector(clock=http.clock)
    leadership = lead(a)
    http.fail(faults.hold_answer(60), "update")
    fall_due(http, HASTY_DEADLINE / 3)
    wait_until(lambda: len(told(http)) == 2)
    fall_due(http, HASTY_RETRY_PERIOD)
    renewed(leadership, HASTY_DEADLINE - HASTY_RETRY_PERIOD)
    with alive(a):
        was_asked(http, [("update", None), ("update", 409), ("get", 200)], since=2)
        assert a.leadership is leadership
        warned(told(http), LEADS, "no whole answer within ")


@pytest.mark.fault_row(number=4)
def test_an_answer_after_the_deadline_begins_a_new_term_while_its_write_counts(
    server: Server,
) -> None:
    with way(server) as (proxy, client):
        a = Replica(server, client=client, **PATIENT)
        began_at = server.clock.monotonic()
        token = lead_watching(server, a.elector)
        before = server.spec["renewTime"]
        proxy.hold("answers")
        fall_due(server)
        wait_until(lambda: server.spec["renewTime"] != before)
        renewed_at = server.clock.monotonic()
        ends_at(server, a.elector, began_at + DEADLINE)
        wait_until(lambda: a.has_led(1, and_leads=False))
        assert server.clock.monotonic() < renewed_at + DEADLINE
        proxy.let_pass()
        wait_until(lambda: a.has_led(1, and_leads=True))
        with alive(a.elector):
            began = a.elector.fencing_token
            wait_until(lambda: asked(server)[:3] == [*MADE, ("update", 200)])
            assert token < (began or 0) <= server.version
            wait_until(lambda: len(told(server)) == 3)
            assert told(server) == [LEADS, LEADS_NO_MORE, LEADS]


@pytest.mark.fault_row(number=4)
def test_an_answer_when_nothing_is_left_of_its_write_begins_no_term(server: Server) -> None:
    with way(server) as (proxy, client):
        a = patient(server, client=client)
        token = lead_watching(server, a)
        before = server.spec["renewTime"]
        proxy.hold("answers")
        fall_due(server)
        wait_until(lambda: server.spec["renewTime"] != before)
        late = server.version
        server.clock.advance(DEADLINE)
        assert not a.is_leader()
        wait_until(lambda: told(server) == [LEADS, LEADS_NO_MORE])
        proxy.let_pass()
        pass_time(server.clock, a.is_leader)
        with alive(a):
            assert token < late < (a.fencing_token or 0)


@pytest.mark.fault_row(number=5)
@pytest.mark.parametrize("part", ["header", "body"])
@pytest.mark.usefixtures("unwatched")
def test_an_attempt_whose_answer_dribbles_ends_in_time(http: Http, part: str) -> None:
    a = http.elector(clock=http.clock)
    leadership = lead(a)
    http.fail(faults.dribble(part), "update")
    fall_due(http, HASTY_DEADLINE / 3)
    wait_until(lambda: len(told(http)) == 2)
    fall_due(http, HASTY_RETRY_PERIOD)
    renewed(leadership, HASTY_DEADLINE)
    with alive(a):
        was_asked(http, [("update", None), ("update", 200)], since=2)
        assert a.leadership is leadership
        warned(told(http), LEADS, "no whole answer within ")


@pytest.mark.fault_row(number=5)
def test_a_way_on_which_answers_dribble_costs_a_leader_no_term(server: Server) -> None:
    with way(server) as (proxy, client):
        a = server.elector(client=client, clock=server.clock)
        leadership = lead_term(server, a)
        with proxy.dribbling("answers", every=0.4):
            fall_due(server, HASTY_DEADLINE / 3)
            wait_until(lambda: len(told(server)) == 2)
        fall_due(server, HASTY_RETRY_PERIOD)
        wait_until(lambda: leadership.remaining() > HASTY_DEADLINE - HASTY_RETRY_PERIOD - 1)
        with alive(a):
            assert a.leadership is leadership
            warned(told(server), LEADS, "no whole answer within ")

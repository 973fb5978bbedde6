"""Rows 10 to 15: the server refuses an elector, asks it for patience, or makes no sense"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from kubernetes.client import CoordinationV1Api

from kube_leader_election import LeaderElector, LeaderState
from kube_leader_election.testing import faults
from kube_leader_election.testing.faults import Fault
from tests.apiserver.server import ADMIN, USERS
from tests.conformance.leases import HttpLeases
from tests.electors import lead, pass_time, term_of
from tests.fault_rows.candidates import alive, asked, count, follow, lead_watching
from tests.fault_rows.outages import (
    DEADLINE,
    LEADS,
    LEADS_NO_MORE,
    LITTLE,
    LONGEST_RETRY_PERIOD,
    PATIENT,
    RENEWED_AFTER,
    RETRY_PERIOD,
    another_user,
    ends_at,
    fall_due,
    lead_term,
    pass_slowly,
    patient,
    renewed,
    takes_over_at,
    told,
    warned,
    was_asked,
)
from tests.fault_rows.test_refusals import RETRY_AFTER, UNKNOWN, TokenFile, updates_denied
from tests.fault_rows.world import CANDIDATE, HELD, NAME, Asked, Http, Real, Server, cases
from tests.hostile import wait_until
from tests.programs import wait_until as wait_long_until

# From the start on, in seconds: 10, 20, 40, 60, 60 ... between, a fifth more or less.
LONG, FEWEST_IN_LONG, MOST_IN_LONG = 600.0, 7, 16
LONGEST_BACKOFF = 1.2 * 60
VERBS = ["get", "create", "update", "watch"]


def be_refused_for_long(server: Server, elector: LeaderElector, refusal: str) -> None:
    """Whatever it asks is refused, and it asks less and less often; that is told once

    Or again, where time has passed by an attempt that was under way.
    """
    elector.start()
    wait_until(lambda: len(told(server)) == 1)
    until = server.clock.monotonic() + LONG
    pass_time(server.clock, lambda: server.clock.monotonic() > until, step=1.0)
    with alive(elector):
        assert elector.state is LeaderState.STANDBY
        assert all(refusal in line for line in told(server))
        assert len(told(server)) <= 3


def recovers(server: Server, elector: LeaderElector) -> None:
    """It leads after its longest wait, at the latest"""
    server.clock.advance(LONGEST_BACKOFF)
    wait_until(elector.is_leader)
    wait_until(lambda: told(server)[-1] == LEADS)
    with alive(elector):
        assert len(told(server)) <= 4


# The namespace


@pytest.mark.fault_row(number=10)
@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "there is no such namespace"), (403, "the namespace must not be on its way out")],
)
def test_where_its_namespace_does_not_allow_a_create_an_elector_asks_less_and_less_often(
    http: Http, status: int, reason: str
) -> None:
    # As many as in two minutes: after 10, 30, 70 and 130 s, a fifth more or less.
    http.fail(faults.answer(status), "create", times=4)
    a = patient(http)
    a.start()
    wait_until(lambda: count(http, "create") == 1)
    tried_at = [http.clock.monotonic()]
    for tries in range(2, 6):
        pass_time(http.clock, lambda: count(http, "create") >= tries)  # noqa: B023
        tried_at.append(http.clock.monotonic())
    waits = [after - before for before, after in pairwise(tried_at)]
    assert all(
        wait >= 0.8 * at_least - 3 for wait, at_least in zip(waits, (10, 20, 40, 60), strict=True)
    )
    wait_until(a.is_leader)
    wait_until(lambda: len(told(http)) == 2)
    with alive(a):
        assert asked(http) == [("get", 404), ("create", status)] * 4 + [
            ("get", 404),
            ("create", 201),
        ]
        assert reason in told(http)[0]
        assert told(http)[1] == LEADS


@pytest.mark.fault_row(number=10)
@pytest.mark.apiserver
def test_an_elector_whose_namespace_is_absent_asks_less_and_less_often_until_it_is_there(
    real: Real,
) -> None:
    server, namespace = real.server, f"{real.others.namespace}-later"
    real.others = HttpLeases(
        server.url, namespace=namespace, ca_file=server.ca_file, token=server.token(ADMIN)
    )
    a = patient(real, client=server.api_client(ADMIN))
    be_refused_for_long(real, a, "there is no such namespace")

    def creates() -> int:
        return server.requests(user=ADMIN, namespace=namespace).count(("create", 404))

    wait_until(lambda: server.requests(user=ADMIN, namespace=namespace)[-1] == ("create", 404))
    assert FEWEST_IN_LONG <= creates() <= MOST_IN_LONG
    server.create_namespace(namespace)
    recovers(real, a)


@pytest.mark.fault_row(number=10)
@pytest.mark.apiserver
def test_in_a_namespace_that_ends_an_elector_renews_and_creates_no_lease(real: Real) -> None:
    a = patient(real)
    leadership = lead_term(real, a)
    assert (
        real.others.request("DELETE", f"/api/v1/namespaces/{real.others.namespace}").status == 200
    )
    probe = {"metadata": {"name": "probe"}, "spec": {}}
    wait_long_until(lambda: real.others.create(probe, dryRun="All").status == 403)
    fall_due(real)
    renewed(leadership)
    assert real.others.delete(NAME).status == 200
    wait_until(leadership.lost.is_set)
    # At once, or a little later where the answer to the renewal came after all that.
    pass_slowly(real, lambda: len(told(real)) == 3)
    until = real.clock.monotonic() + LONG
    pass_time(real.clock, lambda: real.clock.monotonic() > until, step=1.0)
    with alive(a):
        assert a.state is LeaderState.STANDBY
        assert sorted(told(real)[:2]) == sorted([LEADS, LEADS_NO_MORE])
        # Between the creates of the term's time and later ones it waits the promise out.
        assert len(told(real)) <= 4
        assert all("must not be on its way out" in line for line in told(real)[2:])
        assert FEWEST_IN_LONG <= count(real, "create") - 1 <= MOST_IN_LONG


# Roles


def allow(server: Server, *, all_verbs: bool) -> None:
    """The candidate may do everything with Leases, or nothing"""
    assert isinstance(server, Real)
    if all_verbs:
        server.server.grant(USERS[0], server.others.namespace, VERBS)
    else:
        server.server.revoke(USERS[0], server.others.namespace, VERBS)


@pytest.mark.fault_row(number=11)
@pytest.mark.apiserver
def test_a_leader_whose_role_is_taken_away_and_given_back_in_time_keeps_its_term(
    real: Real,
) -> None:
    a = patient(real)
    leadership = lead_term(real, a)
    allow(real, all_verbs=False)
    fall_due(real)
    wait_until(lambda: len(told(real)) == 2)
    allow(real, all_verbs=True)
    fall_due(real, RETRY_PERIOD)
    renewed(leadership)
    with alive(a):
        assert a.leadership is leadership
        was_asked(real, [("update", 403), ("update", 200)], since=2)
        advice = "(a Role must allow 'update' on leases.coordination.k8s.io there)"
        warned(told(real), LEADS, f"answered 403 Forbidden {advice}")


@pytest.mark.fault_row(number=11)
@pytest.mark.apiserver
def test_a_leader_whose_role_is_taken_away_leads_until_its_deadline_and_another_takes_over(
    real: Real,
) -> None:
    a, b = patient(real), patient(real, "b", client=another_user(real))
    began_at = real.clock.monotonic()
    token = lead_watching(real, a)
    follow(b, "a")
    allow(real, all_verbs=False)
    ends_at(real, a, began_at + DEADLINE)
    takes_over_at(real, b, began_at + PATIENT["lease_ttl"])
    assert (term_of(b).fencing_token or 0) > token
    allow(real, all_verbs=True)
    b.stop()
    pass_time(real.clock, a.is_leader)
    with alive(a):
        # Five ends and beginnings; what renews is refused, then what reads.
        assert len(told(real)) <= 5 + 4


@pytest.mark.fault_row(number=11)
@pytest.mark.apiserver
def test_a_standby_without_a_role_asks_less_and_less_often_until_it_has_one(real: Real) -> None:
    allow(real, all_verbs=False)
    a = patient(real)
    be_refused_for_long(real, a, "(a Role must allow 'get' on leases.coordination.k8s.io there)")
    assert FEWEST_IN_LONG <= len(asked(real)) <= MOST_IN_LONG
    allow(real, all_verbs=True)
    recovers(real, a)


@pytest.mark.fault_row(number=11)
@pytest.mark.parametrize("verb", ["get", "create", "update"])
@pytest.mark.usefixtures("unwatched")
def test_a_standby_that_is_forbidden_a_verb_is_told_which_and_recovers(
    http: Http, verb: str
) -> None:
    if verb == "update":
        http.put(**{**HELD, "holder_identity": None})
    http.fail(faults.answer(403), verb, times=3)
    a = patient(http)
    a.start()
    pass_time(http.clock, a.is_leader)
    wait_until(lambda: len(told(http)) == 2)
    with alive(a):
        assert [each for each in asked(http) if each[1] == 403] == [(verb, 403)] * 3
        assert f"(a Role must allow {verb!r} on leases.coordination.k8s.io there" in told(http)[0]
        assert told(http)[1] == LEADS


@pytest.mark.fault_row(number=11)
@pytest.mark.usefixtures("unwatched")
def test_a_leader_that_is_forbidden_to_renew_tries_on_until_its_deadline(http: Http) -> None:
    http.fail(faults.answer(403), "update", times=4)
    began_at = http.clock.monotonic()
    a = patient(http)
    lead(a)
    fall_due(http)
    for tries in range(1, 5):
        wait_until(lambda: count(http, "update") == tries)  # noqa: B023
        wait_until(lambda: len(told(http)) == 2)
        if tries < 4:
            http.clock.advance(RETRY_PERIOD)
    ends_at(http, a, began_at + DEADLINE)
    pass_time(http.clock, a.is_leader)
    wait_until(lambda: len(told(http)) >= 4)
    with alive(a):
        assert asked(http).count(("update", 403)) == 4
        warned(told(http), LEADS, "answered 403 Forbidden", LEADS_NO_MORE, LEADS)


# Credentials


@pytest.mark.fault_row(number=12)
@pytest.mark.usefixtures("unwatched")
def test_an_elector_reads_a_token_once_more_that_was_rotated_meanwhile(
    http: Http, tmp_path: Path
) -> None:
    stand_in = http.stand_in
    file = TokenFile(tmp_path / "token", stand_in.token(CANDIDATE))
    a = patient(http, client=file.client(http.elector_client()))
    leadership = lead(a)
    wait_until(lambda: count(http, "watch") == 1)
    file.read = 0
    file.while_reading = [lambda: file.path.write_text(stand_in.rotate_token(CANDIDATE))]
    fall_due(http)
    renewed(leadership)
    with alive(a):
        assert file.read == 2
        was_asked(http, [("update", 200)], since=2)
        assert a.leadership is leadership
        assert told(http) == [LEADS]


@pytest.mark.fault_row(number=12)
@pytest.mark.apiserver
def test_an_elector_renews_with_the_new_token_after_a_rotation(real: Real, tmp_path: Path) -> None:
    # One that may not watch, since a watch would read the file as well.
    user, namespace = USERS[2], real.others.namespace
    real.server.grant(user, namespace, ["get", "create", "update"])
    file = TokenFile(tmp_path / "token", real.server.token(user))
    client = CoordinationV1Api(real.server.api_client(user))
    a = patient(real, client=file.client(client))
    leadership = lead(a)
    wait_until(lambda: any("is polled" in line for line in real.told))
    rotated = real.server.rotate_token(user)
    # Just restarted, it may not know the Role yet.
    path = f"{real.others.path}/{NAME}"
    wait_until(lambda: real.server.call("GET", path, user=user)[0] == 200)
    before = len(real.server.requests(namespace=namespace))
    file.while_reading = [lambda: file.path.write_text(rotated)]
    fall_due(real)
    renewed(leadership)

    def requests() -> Asked:
        return [*real.server.requests(namespace=namespace)[before:]]

    with alive(a):
        wait_until(lambda: ("update", 200) in requests())
        assert requests() == [("update", 401), ("update", 200)]
        assert a.leadership is leadership
        assert told(real) == [LEADS]


@pytest.mark.fault_row(number=12)
@pytest.mark.usefixtures("unwatched")
def test_an_elector_whose_credentials_are_refused_tries_on_and_keeps_its_term(http: Http) -> None:
    a = patient(http)
    leadership = lead(a)
    http.fail(faults.answer(401), "update", times=4)
    fall_due(http)
    for tries in (2, 4):
        wait_until(lambda: count(http, "update") == tries)  # noqa: B023
        wait_until(lambda: len(told(http)) == 2)
        fall_due(http, RETRY_PERIOD)
    renewed(leadership)
    with alive(a):
        was_asked(http, [("update", 401)] * 4 + [("update", 200)], since=2)
        assert a.leadership is leadership
        warned(told(http), LEADS, "answered 401 Unauthorized")


# The server says later, or something that cannot be

LAST_TRY_AFTER = DEADLINE - RETRY_PERIOD  # before the deadline, as long as an attempt may take
ASKED_TO_WAIT = {  # since the last renewal, in seconds, until the second try
    **dict.fromkeys(RETRY_AFTER, RENEWED_AFTER + RETRY_PERIOD),
    "a while": RENEWED_AFTER + 20.0,
    **dict.fromkeys(["a minute", "a thousand years", "a date"], LAST_TRY_AFTER),
}


@pytest.mark.fault_row(number=13)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("how_long", RETRY_AFTER)
@pytest.mark.usefixtures("unwatched")
def test_a_leader_waits_as_long_as_it_is_asked_to_but_keeps_its_term(
    http: Http, how_long: str, status: int
) -> None:
    began_at = http.clock.monotonic()
    a = patient(http)
    leadership = lead(a)
    text = RETRY_AFTER[how_long]
    http.fail(
        faults.answer(status, headers={} if text is None else {"Retry-After": text}), "update"
    )
    tried_at: list[float] = []
    for _ in range(2):
        http.stand_in.before_next(lambda: tried_at.append(http.clock.monotonic()), verb="update")
    http.clock.advance(RENEWED_AFTER + LITTLE)
    wait_until(lambda: len(told(http)) == 2)
    due_at = began_at + ASKED_TO_WAIT[how_long]
    http.clock.advance(due_at - LITTLE - http.clock.monotonic())
    wait_until(a.healthy)
    http.clock.advance(3 * LITTLE)
    renewed(leadership)
    with alive(a):
        assert due_at <= tried_at[1] <= due_at + 3 * LITTLE
        was_asked(http, [("update", status), ("update", 200)], since=2)
        assert a.leadership is leadership
        warned(told(http), LEADS, f"answered {status}")


@pytest.mark.fault_row(number=13)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("text", "seconds"), [("1", 12.0), ("31", 31.0), ("31556952000", 60.0)])
@pytest.mark.usefixtures("unwatched")
def test_a_standby_waits_as_long_as_it_is_asked_to_and_a_minute_at_most(
    http: Http, text: str, seconds: float, status: int
) -> None:
    http.fail(faults.answer(status, headers={"Retry-After": text}), "create")
    a = patient(http)
    a.start()
    wait_until(lambda: len(told(http)) == 1)
    if seconds > LONGEST_RETRY_PERIOD:
        http.clock.advance(seconds - LITTLE)
        wait_until(a.healthy)
        was_asked(http, [("get", 404), ("create", status)])
        http.clock.advance(2 * LITTLE)
    else:
        fall_due(http, seconds)
    wait_until(a.is_leader)
    wait_until(lambda: len(told(http)) == 2)
    with alive(a):
        was_asked(http, [("get", 404), ("create", 201)], [("create", 201)], since=2)
        warned(told(http), f"answered {status}", LEADS)


def why(status: int | None) -> str:
    return "no answer (" if status is None else f"answered {status}"


@pytest.mark.fault_row(number=14)
@pytest.mark.parametrize("answer", cases(UNKNOWN))
@pytest.mark.usefixtures("unwatched")
def test_an_elector_takes_nothing_that_it_cannot_understand_for_a_free_lease(
    http: Http, answer: tuple[Fault, int | None]
) -> None:
    fault, status = answer
    http.put(**HELD)
    before = http.lease()
    http.fail(fault, "get")
    a = patient(http)
    a.start()
    wait_until(lambda: len(told(http)) == 1)
    assert (a.state, a.holder_identity) == (LeaderState.STANDBY, None)
    fall_due(http, LONGEST_RETRY_PERIOD)
    wait_until(lambda: a.holder_identity == "b")
    with alive(a):
        assert http.lease() == before
        assert [verb for verb, _ in asked(http)] == ["get", "get"]
        warned(told(http), why(status))


@pytest.mark.fault_row(number=14)
@pytest.mark.parametrize("answer", cases(UNKNOWN))
@pytest.mark.usefixtures("unwatched")
def test_a_renewal_whose_answer_cannot_be_understood_ends_no_term_of_an_elector(
    http: Http, answer: tuple[Fault, int | None]
) -> None:
    fault, status = answer
    a = patient(http)
    leadership = lead(a)
    http.fail(fault, "update")
    fall_due(http)
    wait_until(lambda: len(told(http)) == 2)
    fall_due(http, RETRY_PERIOD)
    renewed(leadership)
    with alive(a):
        assert [verb for verb, _ in asked(http)[2:]] == ["update", "update"]
        assert a.leadership is leadership
        warned(told(http), LEADS, why(status))


# What is written is refused


@pytest.mark.fault_row(number=15)
@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("verb", ["create", "update"])
@pytest.mark.usefixtures("unwatched")
def test_a_standby_whose_write_was_found_invalid_asks_less_and_less_often(
    http: Http, status: int, verb: str
) -> None:
    if verb == "update":
        http.put(**{**HELD, "holder_identity": None})
    http.fail(faults.answer(status), verb, times=4)
    a = patient(http)
    began_at = http.clock.monotonic()
    a.start()
    pass_time(http.clock, a.is_leader)
    wait_until(lambda: len(told(http)) == 2)
    with alive(a):
        assert http.clock.monotonic() - began_at >= 0.8 * (10 + 20 + 40 + 60)
        assert count(http, verb) == 5
        warned(told(http), f"answered {status}", LEADS)


@pytest.mark.fault_row(number=15)
@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.usefixtures("unwatched")
def test_a_leader_whose_renewal_was_found_invalid_tries_on_and_keeps_its_term(
    http: Http, status: int
) -> None:
    a = patient(http)
    leadership = lead(a)
    http.fail(faults.answer(status), "update", times=2)
    fall_due(http)
    for tries in (1, 2):
        wait_until(lambda: count(http, "update") == tries)  # noqa: B023
        wait_until(lambda: len(told(http)) == 2)
        fall_due(http, RETRY_PERIOD)
    renewed(leadership)
    with alive(a):
        was_asked(http, [("update", status)] * 2 + [("update", 200)], since=2)
        assert a.leadership is leadership
        warned(told(http), LEADS, f"answered {status}")


@pytest.mark.fault_row(number=15)
@pytest.mark.apiserver
def test_a_leader_whose_renewals_a_policy_denies_leads_until_its_deadline_and_again_without_it(
    real: Real,
) -> None:
    a = patient(real)
    began_at = real.clock.monotonic()
    token = lead_watching(real, a)
    with updates_denied(real):
        fall_due(real)
        wait_until(lambda: len(told(real)) == 2)
        ends_at(real, a, began_at + DEADLINE)
        wait_until(lambda: told(real)[-1] == LEADS_NO_MORE)
        denied = asked(real).count(("update", 422))
        assert 1 <= denied <= 4
    pass_time(real.clock, a.is_leader)
    with alive(a):
        assert (term_of(a).fencing_token or 0) > token
        wait_until(lambda: told(real)[-1] == LEADS)
        begins = [line.split(" ", 2)[:2] for line in told(real)]
        assert begins[:2] == [LEADS.split(" "), ["answered", "422"]]
        assert len(told(real)) <= 5

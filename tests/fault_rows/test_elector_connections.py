"""Rows 16 to 18: connections of an elector die or never come to be, and servers are away"""

from __future__ import annotations

import random
import socket
from itertools import pairwise
from pathlib import Path

import pytest
import trustme

from kube_leader_election import LeaderState
from kube_leader_election._core.messages import WatchEnded
from kube_leader_election.testing import faults
from tests.core.campaigning import Elector, Fate, World, held, refused
from tests.core.talk import Trouble
from tests.electors import lead, pass_time, term_of
from tests.fault_rows.candidates import Replica, alive, follow, lead_watching
from tests.fault_rows.outages import (
    DEADLINE,
    LEADS,
    LEADS_NO_MORE,
    LITTLE,
    LONGEST_RETRY_PERIOD,
    PATIENT,
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
    way,
)
from tests.fault_rows.world import CANDIDATE, Http, Real, Server
from tests.hostile import wait_until

MADE = [("get", 404), ("create", 201)]

# Of the defaults, where an attempt has 2 s of the machine's time.
HASTY_DEADLINE, HASTY_RETRY_PERIOD = 10.0, 2.0

# Connections


@pytest.mark.fault_row(number=16)
@pytest.mark.usefixtures("unwatched")
def test_a_leader_whose_connection_is_reset_has_a_fresh_one_for_the_next_try(http: Http) -> None:
    a = patient(http)
    leadership = lead(a)
    http.fail(faults.reset(), "update")
    fall_due(http)
    wait_until(lambda: len(told(http)) == 2)
    fall_due(http, RETRY_PERIOD)
    renewed(leadership)
    with alive(a):
        was_asked(http, [("update", None), ("update", 200)], since=2)
        assert a.leadership is leadership
        warned(told(http), LEADS, "no answer (")


@pytest.mark.fault_row(number=16)
def test_a_leader_renews_over_a_fresh_connection_where_the_kept_one_was_broken(
    server: Server,
) -> None:
    with way(server) as (proxy, client):
        a = patient(server, client=client)
        leadership = lead_term(server, a)
        proxy.reset()
        wait_until(lambda: proxy.open_connections == 0)
        fall_due(server)
        renewed(leadership)
        with alive(a):
            was_asked(server, [*MADE, ("update", 200)])
            assert a.leadership is leadership
            assert told(server) == [LEADS]


@pytest.mark.fault_row(number=16)
def test_a_leader_whose_connections_are_refused_for_a_while_keeps_its_term(
    server: Server,
) -> None:
    with way(server) as (proxy, client):
        a = patient(server, client=client)
        leadership = lead_term(server, a)
        with proxy.refusing():
            proxy.reset()
            wait_until(lambda: proxy.open_connections == 0)
            fall_due(server)
            wait_until(lambda: len(told(server)) == 2)
        fall_due(server, RETRY_PERIOD)
        renewed(leadership)
        with alive(a):
            was_asked(server, [*MADE, ("update", 200)])
            assert a.leadership is leadership
            warned(told(server), LEADS, "no answer (")


@pytest.mark.fault_row(number=16)
def test_a_standby_whose_connections_are_refused_leads_once_they_are_not(server: Server) -> None:
    with way(server) as (proxy, client):
        a = patient(server, client=client)
        with proxy.refusing():
            a.start()
            wait_until(lambda: len(told(server)) == 1)
            for _ in range(5):
                fall_due(server, LONGEST_RETRY_PERIOD)
        fall_due(server, LONGEST_RETRY_PERIOD)
        wait_until(a.is_leader)
        wait_until(lambda: len(told(server)) == 2)
        with alive(a):
            was_asked(server, MADE, [MADE[0], *MADE])
            warned(told(server), "no answer (", LEADS)


@pytest.mark.fault_row(number=16)
@pytest.mark.usefixtures("unwatched")
def test_a_leader_whose_server_s_name_cannot_be_resolved_for_a_while_keeps_its_term(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    a = patient(http)
    leadership = lead(a)
    http.stand_in.cut_connections()
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown)
        fall_due(http)
        wait_until(lambda: len(told(http)) == 2)
    fall_due(http, RETRY_PERIOD)
    renewed(leadership)
    with alive(a):
        was_asked(http, [*MADE, ("update", 200)])
        assert a.leadership is leadership
        warned(told(http), LEADS, "no answer (")


@pytest.mark.fault_row(number=16)
def test_an_elector_does_not_trust_a_certificate_of_a_stranger_and_leads_once_it_may(
    https: Http, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    client = https.stand_in.client(CANDIDATE)
    client.configuration.ssl_ca_cert = str(tmp_path / "ca.crt")
    a = patient(https, client=client)
    a.start()
    wait_until(lambda: len(told(https)) == 1)
    was_asked(https, [])
    client.configuration.ssl_ca_cert = str(https.stand_in.ca_file)
    fall_due(https, LONGEST_RETRY_PERIOD)
    wait_until(a.is_leader)
    wait_until(lambda: len(told(https)) == 2)
    with alive(a):
        warned(told(https), "no answer (SSLError)", LEADS)


@pytest.mark.fault_row(number=16)
def test_an_attempt_whose_handshake_never_ends_ends_in_time(https: Http) -> None:
    https.stand_in.fail_next(faults.hang_in_handshake())
    a = https.elector(clock=https.clock)
    a.start()
    wait_until(lambda: len(told(https)) == 1)
    fall_due(https, 1.2 * HASTY_RETRY_PERIOD)
    wait_until(a.is_leader)
    wait_until(lambda: len(told(https)) == 2)
    with alive(a):
        was_asked(https, MADE)
        warned(told(https), "no whole answer within ", LEADS)


# A peer without a word


@pytest.mark.fault_row(number=17)
def test_a_leader_whose_server_vanishes_for_a_while_keeps_its_term(server: Server) -> None:
    with way(server) as (proxy, client):
        a = server.elector(client=client, clock=server.clock)
        leadership = lead_term(server, a)
        with proxy.dropping():
            fall_due(server, HASTY_DEADLINE / 3)
            wait_until(lambda: len(told(server)) == 2)
        # What was kept stays silent for ever: it is another connection that is used.
        fall_due(server, HASTY_RETRY_PERIOD)
        renewed(leadership, HASTY_DEADLINE)
        with alive(a):
            was_asked(server, [*MADE, ("update", 200)])
            assert a.leadership is leadership
            warned(told(server), LEADS, "no whole answer within ")


@pytest.mark.fault_row(number=17)
def test_a_leader_whose_server_has_vanished_leads_until_its_deadline_while_it_waits(
    server: Server,
) -> None:
    with way(server) as (proxy, client):
        a = Replica(server, client=client, **PATIENT)
        b = patient(server, "b", client=another_user(server))
        began_at = server.clock.monotonic()
        token = lead_watching(server, a.elector)
        follow(b, "a")
        with proxy.dropping():
            fall_due(server)
            wait_until(lambda: proxy.lost("requests") > 0)
            ends_at(server, a.elector, began_at + DEADLINE)
            wait_until(lambda: a.has_led(1, and_leads=False))
            wait_until(lambda: told(server) == [LEADS, LEADS_NO_MORE])
            takes_over_at(server, b, began_at + PATIENT["lease_ttl"])
        proxy.reset()
        pass_slowly(server, lambda: a.elector.holder_identity == "b")
        with alive(a.elector, b):
            assert a.elector.state is LeaderState.FOLLOWING
            assert (term_of(b).fencing_token or 0) > token
            assert len(told(server)) <= 3 + 4


@pytest.mark.fault_row(number=17)
def test_a_standby_whose_server_vanished_without_a_word_takes_over_when_it_is_back(
    server: Server,
) -> None:
    with way(server) as (proxy, client):
        a = server.elector(clock=server.clock)
        b = server.elector("b", client=client, clock=server.clock)
        lead_watching(server, a)
        follow(b, "a")
        proxy.drop()
        a.stop()
        assert told(server) == [LEADS, LEADS_NO_MORE]
        server.clock.advance(15 / 2 + LITTLE)
        wait_until(lambda: len(told(server)) == 3)
        proxy.heal()
        fall_due(server, 1.2 * HASTY_RETRY_PERIOD)
        wait_until(b.is_leader)
        wait_until(lambda: "'b' leads" in told(server))
        with alive(b):
            warned(told(server), LEADS, LEADS_NO_MORE, "no whole answer within ", "'b' leads")


# Servers are away


@pytest.mark.fault_row(number=18)
@pytest.mark.apiserver
def test_a_leader_keeps_its_term_while_kube_apiserver_is_restarted(real: Real) -> None:
    a = patient(real)
    leadership = lead_term(real, a)
    real.server.kube_apiserver.kill()
    fall_due(real)
    wait_until(lambda: len(told(real)) == 2)
    real.server.restore()
    fall_due(real, RETRY_PERIOD)
    renewed(leadership)
    with alive(a):
        was_asked(real, [*MADE, ("update", 200)])
        assert a.leadership is leadership
        warned(told(real), LEADS, "no answer (")


@pytest.mark.fault_row(number=18)
@pytest.mark.apiserver
def test_of_two_whose_kube_apiserver_is_away_for_long_one_leads_when_it_is_back(
    real: Real,
) -> None:
    a, b = Replica(real, **PATIENT), Replica(real, "b", **PATIENT)
    began_at = real.clock.monotonic()
    token = lead_watching(real, a.elector)
    follow(b.elector, "a")
    real.server.kube_apiserver.kill()
    ends_at(real, a.elector, began_at + DEADLINE)
    wait_until(lambda: a.has_led(1, and_leads=False))
    until = real.clock.monotonic() + 2 * PATIENT["lease_ttl"]
    pass_time(real.clock, lambda: real.clock.monotonic() > until)
    assert [each.elector.is_leader() for each in (a, b)] == [False, False]
    real.server.restore()
    pass_slowly(real, lambda: a.elector.is_leader() or b.elector.is_leader())
    leader, other = (a, b) if a.elector.is_leader() else (b, a)
    pass_slowly(real, lambda: other.elector.holder_identity == leader.elector.holder_id)
    with alive(a.elector, b.elector):
        assert not other.elector.is_leader()
        assert (term_of(leader.elector).fencing_token or 0) > token
        # An end and two beginnings; each of both has failed to renew or read, in two ways.
        assert len(told(real)) <= 3 + 2 * 3


@pytest.mark.fault_row(number=18)
@pytest.mark.apiserver
def test_a_leader_keeps_its_term_while_etcd_stands_still_for_less_than_the_margin(
    real: Real,
) -> None:
    a = real.elector(clock=real.clock)
    leadership = lead_term(real, a)
    real.server.etcd.pause()
    fall_due(real, HASTY_DEADLINE / 3)
    wait_until(lambda: len(told(real)) == 2)
    real.server.restore()
    fall_due(real, HASTY_RETRY_PERIOD)
    # The write that was not answered may count.
    renewed(leadership, HASTY_DEADLINE - HASTY_RETRY_PERIOD)
    with alive(a):
        assert a.leadership is leadership
        warned(told(real), LEADS, "no whole answer within ")


@pytest.mark.fault_row(number=18)
@pytest.mark.apiserver
def test_a_leader_leads_until_its_deadline_while_etcd_stands_still_and_again_when_it_runs(
    real: Real,
) -> None:
    a = Replica(real, **PATIENT)
    began_at = real.clock.monotonic()
    token = lead_watching(real, a.elector)
    real.server.etcd.pause()
    fall_due(real)
    ends_at(real, a.elector, began_at + DEADLINE)
    wait_until(lambda: a.has_led(1, and_leads=False))
    real.server.restore()
    pass_slowly(real, lambda: a.has_led(1, and_leads=True))
    with alive(a.elector):
        assert (term_of(a.elector).fencing_token or 0) > token
        wait_until(lambda: told(real)[-1] == LEADS)
        lines = [line for line in told(real) if line in (LEADS, LEADS_NO_MORE)]
        assert lines == [LEADS, LEADS_NO_MORE, LEADS]
        assert len(told(real)) <= 3 + 2


# They do not all come back at once

MANY = 20
AWAY_FOR = 60.0


@pytest.mark.fault_row(number=18)
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("watches", [True, False])
def test_standbys_that_have_lost_their_server_do_not_come_back_all_at_once(
    seed: int, watches: bool
) -> None:
    world = World()
    world.server.put(held("z", duration=3600))
    jitter = random.Random(seed).random
    electors = [
        Elector(world, f"standby-{number}", jitter=jitter, watches=watches)
        for number in range(MANY)
    ]
    world.run(1)
    for each in electors:
        each.fate = lambda _: refused(None)
        each.watch_refusal = lambda: WatchEnded(Trouble("away"))
    for watch in [*world.server.watches]:
        watch.end(WatchEnded(Trouble("away")))
    world.run(AWAY_FOR)
    for each in electors:
        each.fate, each.watch_refusal = lambda _: Fate(), lambda: None
    world.run(AWAY_FOR + 80)
    for acts in ("attempts", "opened") if watches else ("attempts",):
        back_at = sorted(
            next(at for at in instants_of(each, acts) if at > AWAY_FOR) for each in electors
        )
        assert back_at[-1] - back_at[0] >= 1.0
        assert all(after - before > 0 for before, after in pairwise(back_at))
        assert most_within(0.1, back_at) <= MANY / 2


def instants_of(elector: Elector, acts: str) -> list[float]:
    return elector.attempts if acts == "attempts" else [at for at, _ in elector.opened]


def most_within(seconds: float, instants: list[float]) -> int:
    return max(sum(at <= each <= at + seconds for each in instants) for at in instants)

"""Rows 16 to 18: connections die or never come to be, and servers are away"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trustme

from kube_leader_election import (
    GetLeaseError,
    LeaseError,
    RenewLeaseError,
)
from kube_leader_election.testing import faults
from tests.fault_rows.world import (
    BELIEF,
    CANDIDATE,
    SHORT,
    TTL,
    Http,
    Real,
    Server,
)

# Connections


@pytest.mark.fault_row(number=16)
@pytest.mark.parametrize(("verb", "kind"), [("get", GetLeaseError), ("update", RenewLeaseError)])
def test_a_reset_is_our_error_and_the_next_call_goes_over_a_fresh_connection(
    http: Http, verb: str, kind: type[LeaseError]
) -> None:
    leader = http.leader()
    http.fail(faults.reset(), verb)
    _, asked = http.failure(leader, kind, None)
    assert asked == ([] if verb == "get" else [("get", 200)]) + [(verb, None)]
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]


@pytest.mark.fault_row(number=16)
def test_a_refused_connection_is_our_error_until_the_server_is_back(server: Server) -> None:
    leader = server.leader()
    token = leader.fencing_token
    with server.refusing():
        errors = [server.failure(leader, GetLeaseError, None) for _ in range(2)]
    assert [asked for _, asked in errors] == [[], []]
    assert all(isinstance(error.__cause__, Exception) for error, _ in errors)
    assert server.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]
    assert (leader.is_leader(), leader.fencing_token) == (True, token)


@pytest.mark.fault_row(number=16)
def test_a_kept_connection_that_the_server_has_ended_is_replaced_by_a_fresh_one(
    server: Server,
) -> None:
    leader = server.leader()
    server.cut()
    assert server.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]


@pytest.mark.fault_row(number=16)
def test_a_name_that_cannot_be_resolved_is_our_error_until_it_can(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    leader = http.leader()
    http.stand_in.cut_connections()
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown)
        _, asked = http.failure(leader, GetLeaseError, None)
    assert asked == []
    assert leader.try_acquire_or_renew()


@pytest.mark.fault_row(number=16)
def test_a_certificate_that_is_not_trusted_is_our_error_until_it_is(
    https: Http, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    client = https.stand_in.client(CANDIDATE)
    client.configuration.ssl_ca_cert = str(tmp_path / "ca.crt")
    lock = https.lock(client=client)
    error, asked = https.failure(lock, GetLeaseError, None)
    assert asked == []
    assert "SSLError" in str(error)
    client.configuration.ssl_ca_cert = str(https.stand_in.ca_file)
    assert lock.try_acquire_or_renew()


@pytest.mark.fault_row(number=16)
def test_a_handshake_that_never_ends_is_our_error_in_time(https: Http) -> None:
    lock = https.lock(call_timeout=SHORT)
    https.stand_in.fail_next(faults.hang_in_handshake())
    _, asked = https.failure(lock, GetLeaseError, None)
    assert asked == []


@pytest.mark.fault_row(number=17)
def test_a_peer_that_falls_silent_ends_the_call_in_time_and_its_connection_is_not_used_again(
    server: Server,
) -> None:
    leader = server.leader(call_timeout=server.short)
    token = leader.fencing_token
    with server.silent():
        server.failure(leader, GetLeaseError, None)
    *reads, write = server.asked_by(leader.try_acquire_or_renew)
    # What was asked of the silent one is answered now, as a success or not, and in any order.
    assert ("get", 200) in reads
    assert {verb for verb, _ in reads} == {"get"}
    assert write == ("update", 200)
    assert (leader.is_leader(), leader.fencing_token) == (True, token)


@pytest.mark.fault_row(number=17)
def test_a_peer_that_falls_silent_on_a_write_ends_the_call_in_time_and_the_write_is_sent_once(
    http: Http,
) -> None:
    leader = http.leader(call_timeout=SHORT)
    http.fail(faults.hang(), "update")
    _, asked = http.failure(leader, RenewLeaseError, None)
    assert asked == [("get", 200), ("update", None)]
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]


# Servers are away


@pytest.mark.fault_row(number=18)
@pytest.mark.apiserver
@pytest.mark.parametrize("away", ["kube-apiserver", "etcd"])
def test_a_leader_whose_server_is_away_for_less_than_the_margin_keeps_its_term(
    real: Real, away: str
) -> None:
    leader = real.leader(call_timeout=real.short)
    token = leader.fencing_token
    be_away(real, away)
    real.clock.advance(BELIEF / 2)
    real.failure(leader, GetLeaseError, None)
    real.server.restore()
    assert leader.try_acquire_or_renew().fencing_token == token


@pytest.mark.fault_row(number=18)
@pytest.mark.apiserver
@pytest.mark.parametrize("away", ["kube-apiserver", "etcd"])
def test_a_leader_whose_server_is_away_for_longer_believes_until_its_deadline(
    real: Real, away: str
) -> None:
    leader, standby = real.leader(call_timeout=real.short), real.lock("b")
    token = leader.fencing_token
    assert not standby.try_acquire_or_renew()
    be_away(real, away)
    real.clock.advance(BELIEF - 0.01)
    assert (leader.is_leader(), leader.fencing_token) == (True, token)
    real.clock.advance(0.02)
    assert not leader.is_leader()
    real.server.restore()
    real.clock.advance(TTL)
    assert standby.try_acquire_or_renew()
    assert token is not None
    assert (standby.fencing_token or 0) > token
    assert not leader.try_acquire_or_renew()


def be_away(real: Real, server: str) -> None:
    if server == "etcd":
        real.server.etcd.pause()
    else:
        real.server.kube_apiserver.kill()

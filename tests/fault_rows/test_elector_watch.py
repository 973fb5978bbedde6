"""Rows 19 to 21: an elector is shown the past, or its watch does not tell it what happens"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from kube_leader_election.testing import faults
from kube_leader_election.testing.faults import Fault
from tests.electors import lead, pass_time, term_of
from tests.fault_rows.candidates import (
    DEADLINE,
    LOOKED_AT_AFTER,
    RENEWED_AFTER,
    RETRY_PERIOD,
    Meddler,
    Replica,
    alive,
    assert_told,
    catch_up,
    count,
    follow,
    lead_watching,
    renew,
    told,
    watched,
    watching_by,
)
from tests.fault_rows.test_other_writers import foreign
from tests.fault_rows.world import EXPIRED, HELD, TTL, Http, Real, Server, cases
from tests.hostile import Exchange, HostileServer, head, relay, wait_until
from tests.proxy import Proxy

LEADS, LEADS_NO_MORE = "'a' leads", "'a' leads no more"
FREE = {**HELD, "holder_identity": ""}


def passed(server: Server, since: float) -> float:
    return server.clock.monotonic() - since


# The past


@pytest.mark.fault_row(number=19)
@pytest.mark.parametrize("versions", [1, 2, 3])
def test_a_leader_that_reads_its_own_past_leads_on_and_the_guarded_write_decides(
    http: Http, versions: int
) -> None:
    meddler = Meddler(http)
    a = http.elector(client=meddler.client, clock=http.clock)
    leadership = lead(a)
    renew(http, a, 3)
    meddler.before_each_write(lambda: http.edit(**foreign(1)))
    http.fail(faults.stale_read(versions), "get")
    http.clock.advance(RENEWED_AFTER)
    pass_time(http.clock, lambda: leadership.remaining() > DEADLINE - 0.5, step=0.1)
    renew(http, a)
    with alive(a):
        assert (a.leadership, leadership.is_valid()) == (leadership, True)
        assert http.lease()["metadata"]["labels"] == foreign(1)["labels"]
        assert_told(http, [LEADS])


@pytest.mark.fault_row(number=19)
@pytest.mark.parametrize("past", ["absent", "free"])
def test_a_standby_that_reads_the_past_takes_nothing_from_who_holds_the_lease(
    http: Http, past: str
) -> None:
    if past == "free":
        http.put(**FREE)
    http.put(**HELD)
    before = http.lease()
    http.fail(faults.stale_read(), "get")
    a = Replica(http)
    follow(a.elector, "b")
    with alive(a.elector):
        assert http.lease() == before
        tried = [status for verb, status in http.requests() if verb in ("create", "update")]
        assert set(tried) <= {409}
        assert (a.heard, told(http)) == ([], [])


class Stream:
    """All that candidates ask is passed on, but the watch, which tells what the test says"""

    def __init__(self, http: Http) -> None:
        self._relay = relay(http.stand_in.url)
        self._said: list[bytes] = []
        self._open = threading.Event()
        self._told = 0

    def __call__(self, exchange: Exchange) -> None:
        if "watch=true" not in exchange.request.path:
            self._relay(exchange)
            return
        exchange.send(head(200, {"Content-Type": "application/json", "Connection": "close"}))
        sent = 0
        self._open.set()
        while True:
            for line in self._said[sent:]:
                exchange.send(line)
                sent += 1
            self._told = sent
            exchange.wait(0.005)

    def tell(self, kind: str, lease: dict[str, Any]) -> None:
        """Such an event was sent"""
        assert self._open.wait(30)
        self._said.append(json.dumps({"type": kind, "object": lease}).encode() + b"\n")
        wait_until(lambda: self._told == len(self._said))


@contextmanager
def dictated(http: Http) -> Iterator[tuple[Stream, ApiClient]]:
    stream = Stream(http)
    with HostileServer(then=stream) as hostile:
        yield stream, hostile.api_client()


@pytest.mark.fault_row(number=19)
def test_events_that_are_older_than_what_it_knows_end_no_term_and_are_told_to_nobody(
    http: Http,
) -> None:
    http.put(**EXPIRED)
    http.put(**{**HELD, "holder_identity": "old"})
    old = http.lease()
    http.put(**FREE)
    with dictated(http) as (stream, client):
        leaders: list[str] = []
        a = http.elector(client=client, clock=http.clock, on_new_leader=leaders.append)
        leadership = lead(a)

        def renew_and_tell() -> None:
            renew(http, a)
            stream.tell("MODIFIED", http.lease())  # else the watch is late, and closed for that
            catch_up(a)

        for kind in ("ADDED", "MODIFIED", "DELETED"):
            stream.tell(kind, old)
        renew_and_tell()
        renew_and_tell()
        for kind in ("DELETED", "MODIFIED"):
            stream.tell(kind, old)
        renew_and_tell()
        assert (a.leadership, leaders) == (leadership, ["a"])
        http.put(**{**HELD, "holder_identity": "new"})
        stream.tell("MODIFIED", http.lease())
        wait_until(leadership.lost.is_set)
        stream.tell("MODIFIED", old)
        pass_time(http.clock, a.is_leader)
        wait_until(lambda: leaders == ["a", "new", "a"])
        with alive(a):
            assert_told(http, [LEADS, LEADS_NO_MORE, LEADS])
        a.stop()


def one_leads_again(server: Server, a: Replica, b: Replica, *, renewed: int) -> int:
    """After two more writes one of them leads; how often both seemed to meanwhile"""
    both = 0

    def is_so() -> bool:
        nonlocal both
        lead = [each.elector.is_leader() for each in (a, b)]
        both += all(lead)
        return any(lead) and count(server, "update") >= renewed + 3

    pass_time(server.clock, is_so, step=0.1)
    return both


@pytest.mark.fault_row(number=19)
def test_a_leader_leads_on_after_a_restore_that_lowered_all_versions(http: Http) -> None:
    a, b = Replica(http), Replica(http, "b")
    token = lead_watching(http, a.elector)
    follow(b.elector, "a")
    backup = http.stand_in.backup()
    renew(http, a.elector, 3)
    newest = http.version
    http.stand_in.restore(backup)
    assert http.version < newest
    renew(http, a.elector, 6)
    with alive(a.elector, b.elector):
        assert (a.elector.fencing_token, a.heard, b.heard) == (token, ["started"], [])
        assert_told(http, [LEADS])


@pytest.mark.fault_row(number=19)
@pytest.mark.apiserver
def test_after_etcd_was_restored_a_leader_leads_on_and_a_standby_comes_after_it(
    real: Real, tmp_path: Path
) -> None:
    data, backup = real.server.folder / "etcd", tmp_path / "etcd"
    a, b = Replica(real), Replica(real, "b")
    lead_watching(real, a.elector)
    follow(b.elector, "a")
    with real.refusing():
        real.server.etcd.kill()
        shutil.copytree(data, backup)
    for writes in range(1, 4):
        pass_time(real.clock, lambda: count(real, "update") >= writes, step=0.1)  # noqa: B023
    newest = real.version
    with real.refusing():
        real.server.etcd.kill()
        shutil.rmtree(data)
        shutil.copytree(backup, data)
    assert real.version < newest
    assert one_leads_again(real, a, b, renewed=count(real, "update")) == 0
    leader, other = (a, b) if a.elector.is_leader() else (b, a)
    leader.elector.stop()
    pass_time(real.clock, other.elector.is_leader, step=0.1)
    with alive(other.elector):
        wait_until(lambda: other.heard[-1:] == ["started"])


# A watch that goes wrong

ONCE: dict[str, Fault] = {
    "its end": faults.end_watch(),
    "its end after an event": faults.end_watch(after=1),
    "410 in the answer": faults.answer(410),
    "410 in an event": faults.error_event(410),
    "410 in an event after another": faults.error_event(410, after=1),
    "500 in an event": faults.error_event(500, after=1),
    "500 in the answer": faults.answer(500),
    "429 with a wish": faults.answer(429, headers={"Retry-After": "3"}),
    "no watch but a page": faults.answer(200, body=faults.html),
    "a reset": faults.reset(),
    "no answer": faults.lose_request(),
    "bookmarks alone": faults.bookmarks_only(),
    "silence": faults.stall_watch(),
    "silence after an event": faults.stall_watch(after=1),
    "duplicates": faults.duplicate_events(),
    "a missed event": faults.miss_events(1),
    "403": faults.answer(403),
}
ALWAYS = {
    name: ONCE[name]
    for name in (
        "its end",
        "410 in the answer",
        "410 in an event",
        "500 in the answer",
        "bookmarks alone",
        "silence",
        "403",
    )
}


def told_but_for_polling(server: Server) -> list[str]:
    """What was logged but for why the Lease is polled, which must not be more than once"""
    lines = server.told
    polled = [line for line in lines if "is polled" in line]
    assert len(polled) <= 1
    return [line for line in told(server) if not any(line in text for text in polled)]


@pytest.mark.fault_row(number=20)
@pytest.mark.parametrize("fault", cases(ONCE))
def test_whatever_becomes_of_its_watch_a_standby_sees_the_changes_and_takes_a_free_lease(
    http: Http, fault: Fault
) -> None:
    http.put(**HELD)
    http.fail(fault, "watch")
    a = Replica(http)
    follow(a.elector, "b")
    since = http.clock.monotonic()
    http.put(**{**HELD, "holder_identity": "c"})
    pass_time(http.clock, lambda: a.elector.holder_identity == "c", step=0.2)
    http.put(**FREE)
    pass_time(http.clock, a.elector.is_leader, step=0.2)
    with alive(a.elector):
        assert passed(http, since) < 2 * (LOOKED_AT_AFTER + RETRY_PERIOD) + 5
        assert count(http, "watch") <= 8
        assert count(http, "get") <= 12
        wait_until(lambda: told_but_for_polling(http) == [LEADS])
        wait_until(lambda: a.heard == ["started"])


@pytest.mark.fault_row(number=20)
@pytest.mark.parametrize("fault", cases(ALWAYS))
def test_whatever_becomes_of_every_watch_a_standby_takes_an_expired_lease_in_time(
    http: Http, fault: Fault
) -> None:
    http.put(**HELD)
    http.fail(fault, "watch", times=None)
    a = Replica(http)
    since = http.clock.monotonic()
    follow(a.elector, "b")
    pass_time(http.clock, a.elector.is_leader, step=0.1)
    with alive(a.elector):
        assert TTL <= passed(http, since) < TTL + LOOKED_AT_AFTER
        assert count(http, "watch") <= 12
        assert count(http, "get") <= 16
        wait_until(lambda: told_but_for_polling(http) == [LEADS])


@pytest.mark.fault_row(number=20)
def test_a_watch_that_ends_again_and_again_after_a_while_is_no_error(http: Http) -> None:
    http.put(**HELD)
    http.fail(faults.end_watch(after=1), "watch", times=None)
    a = Replica(http)
    follow(a.elector, "b")
    for number in range(1, 6):
        wait_until(lambda: watched(http) >= number)  # noqa: B023
        http.clock.advance(RETRY_PERIOD + 0.5)
        http.put(**{**HELD, "lease_transitions": number})
        pass_time(http.clock, lambda: watched(http) > number, step=0.1)  # noqa: B023
    with alive(a.elector):
        assert (a.elector.holder_identity, told(http)) == ("b", [])


@pytest.mark.fault_row(number=20)
@pytest.mark.parametrize("fault", cases(ALWAYS))
def test_a_leader_renews_whatever_becomes_of_every_watch_and_sees_by_its_renewal_that_it_is_lost(
    http: Http, fault: Fault
) -> None:
    http.fail(fault, "watch", times=None)
    a = Replica(http)
    lead(a.elector)
    renew(http, a.elector, 4)
    wait_until(lambda: a.heard == ["started"])
    leadership = term_of(a.elector)
    http.put(**HELD)
    http.clock.advance(RENEWED_AFTER)
    wait_until(leadership.lost.is_set)
    assert leadership.remaining() == 0
    wait_until(lambda: a.elector.holder_identity == "b")
    with alive(a.elector):
        wait_until(lambda: told_but_for_polling(http) == [LEADS, LEADS_NO_MORE])


@pytest.mark.fault_row(number=20)
@pytest.mark.apiserver
def test_a_standby_watches_again_after_the_server_was_restarted_and_is_told_of_a_release(
    real: Real,
) -> None:
    a, b = Replica(real), Replica(real, "b")
    lead_watching(real, a.elector)
    follow(b.elector, "a")
    wait_until(lambda: watched(real) >= 2)
    real.server.restart()
    # Its watch cache begins anew: what was watched before is too old for it.
    real.edit(**foreign(1))
    before = watched(real)
    pass_time(
        real.clock,
        lambda: watched(real) >= before + 2 and count(real, "update") > 0,
        step=0.1,
    )
    a.elector.stop()
    pass_time(real.clock, b.elector.is_leader, step=0.1)
    with alive(b.elector):
        wait_until(lambda: b.heard == ["started"])


# A watch that is silent, and a release that is missed


@contextmanager
def behind(server: Server) -> Iterator[tuple[Proxy, Any]]:
    """A way for watches alone, and a client whose watches take it"""
    if isinstance(server, Http):
        url = server.stand_in.url
    else:
        assert isinstance(server, Real)
        url = server.server.url
    scheme, port = url.split(":")[0], int(url.rpartition(":")[2])
    with Proxy(port, scheme=scheme) as proxy:
        yield proxy, watching_by(server, proxy.url)


@pytest.mark.fault_row(number=20)
@pytest.mark.fault_row(number=21)
@pytest.mark.parametrize("how", ["late", "lost"])
def test_a_release_that_a_silent_watch_does_not_tell_is_seen_by_one_read_at_half_the_duration(
    server: Server, how: str
) -> None:
    with behind(server) as (proxy, client):
        server.put(**HELD)
        a = Replica(server, client=client)
        follow(a.elector, "b")
        wait_until(lambda: watched(server) == 1)
        wait_until(lambda: proxy.open_connections == 1)
        server.put(**{**HELD, "holder_identity": "c"})
        wait_until(lambda: a.elector.holder_identity == "c")
        stop = proxy.hold if how == "late" else proxy.drop
        stop("answers")
        server.put(**FREE)
        since, reads = server.clock.monotonic(), count(server, "get")
        server.clock.advance(LOOKED_AT_AFTER - 0.1)
        wait_until(lambda: how == "lost" or proxy.held("answers") > 0)
        assert not a.elector.is_leader()
        assert count(server, "get") == reads
        pass_time(server.clock, a.elector.is_leader, step=0.1)
        with alive(a.elector):
            assert passed(server, since) < TTL
            assert count(server, "get") == reads + 1
            proxy.heal()
            assert_told(server, [LEADS])
            renew(server, a.elector, 3)
            wait_until(lambda: a.heard == ["started"])


@pytest.mark.fault_row(number=21)
def test_the_lease_of_who_is_gone_is_taken_over_when_it_expires_though_the_watch_is_silent(
    server: Server,
) -> None:
    with behind(server) as (proxy, client):
        server.put(**HELD)
        a = Replica(server, client=client)
        follow(a.elector, "b")
        wait_until(lambda: watched(server) == 1)
        server.put(**{**HELD, "holder_identity": "c"})
        wait_until(lambda: a.elector.holder_identity == "c")
        since = server.clock.monotonic()
        proxy.drop("answers")
        pass_time(server.clock, a.elector.is_leader, step=0.1)
        with alive(a.elector):
            assert TTL <= passed(server, since) < TTL + RETRY_PERIOD
            assert count(server, "get") == 2
            proxy.heal()
            assert_told(server, [LEADS])


@pytest.mark.fault_row(number=21)
@pytest.mark.parametrize("missed", [1, 2])
def test_a_release_whose_event_is_missed_is_seen_by_a_read_and_taken_over(
    http: Http, missed: int
) -> None:
    http.put(**HELD)
    http.fail(faults.miss_events(missed), "watch")
    a = Replica(http)
    follow(a.elector, "b")
    wait_until(lambda: watched(http) == 1)
    for _ in range(missed):
        http.put(**FREE)
    since = http.clock.monotonic()
    pass_time(http.clock, a.elector.is_leader, step=0.1)
    with alive(a.elector):
        assert passed(http, since) < LOOKED_AT_AFTER + RETRY_PERIOD
        assert count(http, "get") == 2
        assert_told(http, [LEADS])


@pytest.mark.fault_row(number=21)
def test_a_leader_whose_loss_its_silent_watch_does_not_tell_is_told_by_its_renewal(
    server: Server,
) -> None:
    with behind(server) as (proxy, client):
        a = Replica(server, client=client)
        lead_watching(server, a.elector)
        leadership = term_of(a.elector)
        proxy.drop("answers")
        server.put(**HELD)
        server.clock.advance(RENEWED_AFTER)
        wait_until(leadership.lost.is_set)
        assert server.clock.monotonic() < 1000 + DEADLINE
        wait_until(lambda: a.elector.holder_identity == "b")
        proxy.heal()
        pass_time(server.clock, a.elector.is_leader)
        with alive(a.elector):
            assert_told(server, [LEADS, LEADS_NO_MORE, LEADS])

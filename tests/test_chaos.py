"""The proxy between client and server, and the judge of the chaos run"""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kube_leader_election import LeaseLock, LeaseLockParams, RenewLeaseError
from kube_leader_election.testing import ApiServer
from tests.chaos import beliefs, fence, figures, verdict
from tests.chaos.drawing import draw
from tests.chaos.evidence import (
    Belief,
    Evidence,
    Fault,
    FencedWrite,
    Hole,
    LeaseWrite,
    Process,
    Requests,
    Violation,
    Window,
)
from tests.chaos.lanes import Lanes
from tests.chaos.timing import LEADER_WITHIN
from tests.forks import descriptors
from tests.hostile import wait_until
from tests.proxy import HOST, Proxy

_PATIENCE = 30.0
_SILENCE = 0.05  # in seconds; what does not come in this time is taken not to come


class Line:
    """One connection through a proxy, and both its ends."""

    def __init__(self, proxy: Proxy, listener: socket.socket) -> None:
        self.client = socket.create_connection((HOST, proxy.port), _PATIENCE)
        self.server, _ = listener.accept()
        self.server.settimeout(_PATIENCE)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.close()
        self.server.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as sock:
        sock.settimeout(_PATIENCE)
        yield sock


@pytest.fixture
def proxy(listener: socket.socket) -> Iterator[Proxy]:
    with Proxy(listener.getsockname()[1]) as proxy:
        yield proxy


@pytest.fixture
def line(proxy: Proxy, listener: socket.socket) -> Iterator[Line]:
    with Line(proxy, listener) as line:
        yield line


def read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := sock.recv(count - len(data))):
        data += piece
    return data


def is_silent(sock: socket.socket) -> bool:
    sock.settimeout(_SILENCE)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(_PATIENCE)
    return False


def is_reset(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1)) and False
    except ConnectionResetError:
        return True


def test_what_is_sent_arrives_both_ways_and_so_does_the_end(line: Line) -> None:
    line.client.sendall(b"question")
    assert read(line.server, 8) == b"question"
    line.client.shutdown(socket.SHUT_WR)
    assert line.server.recv(1) == b""
    line.server.sendall(b"answer")
    line.server.close()
    assert read(line.client, 99) == b"answer"


def test_a_held_answer_comes_when_it_is_let_pass_and_requests_go_through(
    proxy: Proxy, line: Line
) -> None:
    with proxy.holding("answers"):
        line.client.sendall(b"question")
        assert read(line.server, 8) == b"question"
        line.server.sendall(b"answer")
        wait_until(lambda: proxy.held("answers") == 6)
        assert is_silent(line.client)
    assert read(line.client, 6) == b"answer"
    assert proxy.held("answers") == 0


def test_a_held_request_arrives_although_its_sender_has_gone(proxy: Proxy, line: Line) -> None:
    with proxy.holding("requests"):
        line.client.sendall(b"question")
        line.client.close()
        wait_until(lambda: proxy.held("requests") == 8)
        assert is_silent(line.server)
    assert read(line.server, 99) == b"question"


def test_what_is_held_for_longer_is_not_let_pass_by_a_new_connection(
    proxy: Proxy, listener: socket.socket
) -> None:
    with proxy.holding(), Line(proxy, listener) as line:
        line.client.sendall(b"question")
        wait_until(lambda: proxy.held("requests") == 8)
        assert is_silent(line.server)


def test_what_is_dropped_is_lost_and_nobody_is_told(proxy: Proxy, line: Line) -> None:
    with proxy.dropping("answers"):
        line.client.sendall(b"question")
        assert read(line.server, 8) == b"question"
        line.server.sendall(b"answer")
        wait_until(lambda: proxy.lost("answers") == 6)
        assert is_silent(line.client)
    line.server.sendall(b"another")
    wait_until(lambda: proxy.lost("answers") == 13)
    assert is_silent(line.client), "a stream with a hole"
    line.client.sendall(b"more")
    assert read(line.server, 4) == b"more"


def test_who_loses_nothing_in_a_drop_goes_on_after_it(proxy: Proxy, line: Line) -> None:
    with proxy.dropping():
        pass
    line.client.sendall(b"question")
    assert read(line.server, 8) == b"question"


def test_what_is_held_is_lost_by_a_drop(proxy: Proxy, line: Line) -> None:
    with proxy.holding("answers"):
        line.server.sendall(b"answer")
        wait_until(lambda: proxy.held("answers") == 6)
        proxy.drop("answers")
    assert is_silent(line.client)
    assert proxy.lost("answers") == 6


def test_the_end_of_a_dropped_connection_is_told_to_nobody(proxy: Proxy, line: Line) -> None:
    with proxy.dropping():
        line.server.close()
        assert is_silent(line.client)


def test_a_dribble_lets_one_byte_pass_at_a_time(proxy: Proxy, line: Line) -> None:
    began_at = time.monotonic()
    proxy.dribble("answers", every=0.05)
    line.server.sendall(b"1234")
    assert read(line.client, 4) == b"1234"
    assert time.monotonic() - began_at >= 0.15
    with proxy.dribbling("answers", every=3600):
        line.server.sendall(b"567")
        assert read(line.client, 1) == b"5"
        assert is_silent(line.client)
    assert read(line.client, 2) == b"67"


def test_a_reset_breaks_every_connection_on_both_sides(
    proxy: Proxy, listener: socket.socket
) -> None:
    with Line(proxy, listener) as one, Line(proxy, listener) as another:
        proxy.reset()
        ends = [one.client, one.server, another.client, another.server]
        assert [is_reset(end) for end in ends] == [True] * 4
    wait_until(lambda: proxy.open_connections == 0)


def test_a_reset_breaks_what_is_held_too(proxy: Proxy, line: Line) -> None:
    with proxy.holding("answers"):
        line.server.sendall(b"answer")
        wait_until(lambda: proxy.held("answers") == 6)
        proxy.reset()
        assert is_reset(line.client)


def test_who_is_refused_is_let_in_at_the_same_port_later(
    proxy: Proxy, listener: socket.socket, line: Line
) -> None:
    with proxy.refusing():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, proxy.port), _PATIENCE)
        line.client.sendall(b"goes on")
        assert read(line.server, 7) == b"goes on"
    with Line(proxy, listener) as another:
        another.client.sendall(b"question")
        assert read(another.server, 8) == b"question"


def test_where_the_server_is_gone_the_client_is_reset(
    proxy: Proxy, listener: socket.socket
) -> None:
    listener.close()
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection((HOST, proxy.port), _PATIENCE) as client,
    ):
        client.recv(1)


def test_many_proxies_leave_no_thread_and_no_descriptor_behind(listener: socket.socket) -> None:
    gc.collect()
    held = descriptors()
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            proxy = stack.enter_context(Proxy(listener.getsockname()[1]))
            line = stack.enter_context(Line(proxy, listener))
            proxy.hold("answers")
            proxy.drop("requests")
            line.client.sendall(b"question")
            line.server.sendall(b"answer")
        socket.create_connection((HOST, proxy.port), _PATIENCE).close()
    assert "proxy" not in [thread.name for thread in threading.enumerate()]
    assert descriptors() <= held  # what other tests have left behind may go meanwhile


def test_a_write_commits_through_tls_while_its_answer_is_held() -> None:
    with ApiServer(tls=True) as server, Proxy(int(server.url.rpartition(":")[2])) as proxy:
        client = server.client()
        client.configuration.host = proxy.url
        params = LeaseLockParams(lease_name="leader", holder_id="a", call_timeout=1.0)
        lock = LeaseLock(client, "default", params)
        assert lock.try_acquire_or_renew()
        token, before = lock.fencing_token, server.stored_lease("leader")
        server.before_next(lambda: proxy.hold("answers"), verb="update")
        with pytest.raises(RenewLeaseError):
            lock.try_acquire_or_renew()
        assert server.stored_lease("leader") != before
        proxy.let_pass()
        assert lock.try_acquire_or_renew().fencing_token == token


# The judge, on made-up evidence.


def belief(
    replica: str, since: float, until: float, token: int, *, process: int = 1, asked: float = 0.001
) -> Belief:
    """Certain from `since` to `until`, each of which is an end of a question that took `asked`."""
    times = (since - asked, since, until, until + asked)
    return Belief(replica, process, token, *times)


def process(replica: str, *log: str, exit_code: int | None = None) -> Process:
    return Process(replica, 1, f"{replica}.1", 0.0, log, exit_code)


HEALTHY = (
    "WARNING kube_leader_election: one attempt has only 0.50 s",
    "INFO kube_leader_election: Lease chaos/leader: 'a.1' leads, fencing token 10",
    "INFO kube_leader_election: Lease chaos/leader: 'a.1' leads no more",
)


def healthy() -> Evidence:
    """Three terms of two replicas, a fault in the second, and nothing wrong."""
    return Evidence(
        beliefs=[belief("a", 1, 9, 10), belief("b", 12, 20, 30), belief("a", 20.1, 40, 50)],
        lease_writes=[
            LeaseWrite(0.9, "ADDED", 10, "a.1", "uid"),
            LeaseWrite(5.0, "MODIFIED", 20, "a.1", "uid"),
            LeaseWrite(11.9, "MODIFIED", 30, "b.1", "uid"),
            LeaseWrite(20.0, "MODIFIED", 50, "a.1", "uid"),
        ],
        fenced_writes=[
            FencedWrite("a", 10, 2.0, 2.1, True),
            FencedWrite("b", 30, 13.0, 13.1, True),
            FencedWrite("a", 10, 14.0, 14.1, False),
        ],
        faults=[Fault("stopped", "a", 9.0, 14.0), Fault("terminated", "b", 19.0, 20.05)],
        quiet=[Window(15, 19), Window(25, 40)],
        processes=[process("a", *HEALTHY), process("b", exit_code=0)],
        requests=[Requests("a", tuple(range(40)))],
    )


def rules(evidence: Evidence) -> list[str]:
    return sorted({violation.rule for violation in verdict.judge(evidence)})


def test_nothing_is_wrong_with_a_healthy_run() -> None:
    assert verdict.judge(healthy()) == []


@pytest.mark.parametrize(
    "other",
    [
        belief("b", 8, 20, 30),
        belief("b", 2, 3, 30),
        belief("b", 9, 20, 30),
        belief("a", 5, 6, 30, process=2),
        belief("b", 0.5, 20, 30),
    ],
)
def test_two_believers_at_one_instant_are_seen(other: Belief) -> None:
    found = list(verdict.two_leaders([belief("a", 1, 9, 10), other]))
    assert [each.rule for each in found] == ["two leaders"]
    assert found[0].at == max(1, other.since)


def test_believers_whose_times_only_may_overlap_are_not_accused() -> None:
    later = Belief("b", 1, 30, 8.9, 9.1, 20, 21)
    assert not list(verdict.two_leaders([belief("a", 1, 9, 10), later]))


def test_one_answer_in_the_middle_of_anothers_term_is_enough() -> None:
    once = Belief("b", 1, 30, 5.0, 5.1, 5.0, 5.1)
    assert len(list(verdict.two_leaders([belief("a", 1, 9, 10), once]))) == 1


def test_one_answer_that_may_have_been_after_the_term_is_not() -> None:
    once = Belief("b", 1, 30, 8.5, 9.5, 8.5, 9.5)
    assert not list(verdict.two_leaders([belief("a", 1, 9, 10), once]))


def test_a_long_term_is_compared_with_every_later_one() -> None:
    others = [belief("b", 2, 3, 20), belief("c", 5, 6, 30), belief("d", 50, 60, 40)]
    assert len(list(verdict.two_leaders([belief("a", 1, 9, 10), *others]))) == 2


@pytest.mark.parametrize("token", [30, 29, 9])
def test_a_token_that_is_not_greater_than_every_earlier_one_is_seen(token: int) -> None:
    evidence = healthy()
    evidence.beliefs[2] = belief("a", 20.1, 40, token)
    evidence.lease_writes.append(LeaseWrite(20.0, "MODIFIED", token, "a.1", "uid"))
    assert rules(evidence) == ["tokens"]


def test_a_term_that_goes_on_after_its_end_is_seen() -> None:
    evidence = healthy()
    evidence.beliefs.append(belief("a", 9.5, 10, 10))
    assert rules(evidence) == ["tokens"]


@pytest.mark.parametrize("write", [(30, "a.1"), (31, "b.1")])
def test_a_token_is_a_version_at_which_the_lease_was_its_holders(write: tuple[int, str]) -> None:
    evidence = healthy()
    evidence.lease_writes[2] = LeaseWrite(11.9, "MODIFIED", *write, "uid")
    assert rules(evidence) == ["tokens"]
    evidence.unseen = [(29, 40)]
    assert rules(evidence) == []


def test_an_accepted_write_with_an_old_token_is_seen() -> None:
    evidence = healthy()
    evidence.fenced_writes[2] = FencedWrite("a", 10, 14.0, 14.1, True)
    assert rules(evidence) == ["fencing"]


def test_a_leader_that_the_table_refuses_is_seen() -> None:
    evidence = healthy()
    evidence.fenced_writes.append(FencedWrite("b", 30, 15.0, 15.1, False))
    assert rules(evidence) == ["fencing"]


def test_a_quiet_time_without_a_leader_is_seen_where_it_is_too_long() -> None:
    evidence = healthy()
    evidence.quiet = [Window(40, 40 + LEADER_WITHIN - 0.1), Window(100, 100 + LEADER_WITHIN + 0.1)]
    assert [each.at for each in verdict.judge(evidence)] == [100]


def test_a_leader_that_comes_too_late_is_seen() -> None:
    evidence = healthy()
    evidence.beliefs = [belief("a", 1, 9, 10), belief("a", 9 + LEADER_WITHIN + 0.1, 40, 50)]
    evidence.quiet = [Window(5, 30)]
    assert rules(evidence) == ["no leader"]


def test_the_time_in_which_the_machine_stood_still_does_not_count() -> None:
    evidence = healthy()
    evidence.quiet = [Window(40, 40 + LEADER_WITHIN + 1)]
    evidence.holes = [Hole("", 41, 42), Hole("a", 41.5, 42.5)]
    assert rules(evidence) == []
    evidence.holes = [Hole("", 41, 41.6), Hole("a", 41, 41.6)]
    assert rules(evidence) == ["no leader"]
    evidence.holes = [Hole("", 30, 40.5)]
    assert rules(evidence) == ["no leader"]


def test_terms_that_follow_each_other_in_a_quiet_time_are_seen() -> None:
    evidence = healthy()
    evidence.beliefs = [belief("a", n, n + 0.5, 10) for n in (26, 27, 28)]
    assert [each.rule for each in verdict.restless(evidence)] == ["restless"]
    evidence.holes = [Hole("a", 26, 27)]
    assert list(verdict.restless(evidence)) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"exit_code": 1}, "exit"),
        ({"exit_code": -15}, "exit"),
        ({"log": (*HEALTHY, "Traceback (most recent call last):")}, "log"),
        ({"log": ("ERROR kube_leader_election: a callback has failed",)}, "log"),
        ({"log": ("WARNING urllib3.connectionpool: Retrying",)}, "log"),
        ({"log": (*HEALTHY, HEALTHY[1])}, "log"),
        ({"log": (HEALTHY[0],) * 60}, "log"),
    ],
)
def test_a_replica_that_fails_or_says_what_it_should_not_is_seen(
    change: dict[str, Any], rule: str
) -> None:
    evidence = healthy()
    facts = {"replica": "a", "number": 1, "holder_id": "a.1", "began_at": 0.0, **change}
    evidence.processes[0] = Process(**facts)
    assert rules(evidence) == [rule]


def test_a_hot_loop_is_seen() -> None:
    evidence = healthy()
    evidence.requests = [Requests("a", tuple(n / 10 for n in range(100)))]
    assert rules(evidence) == ["hot loop"]


def test_what_a_replica_complains_of_is_seen() -> None:
    evidence = healthy()
    evidence.complaints = [(3.0, "a.1", "a forked child ended with 1")]
    assert rules(evidence) == ["complaint"]


def test_a_replica_that_was_not_asked_is_told_of_unless_it_was_stopped() -> None:
    evidence = healthy()
    evidence.holes = [Hole("a", 9.5, 14.1), Hole("b", 10, 11.5), Hole("", 1, 2)]
    assert list(verdict.overlooked(evidence)) == [1.5]


def test_what_was_going_on_is_told_with_a_violation() -> None:
    faults = [Fault("stopped", "a", 9, 14), Fault("cut off", "b", 30, 40)]
    assert verdict.going_on(faults, 15) == faults[:1]


def test_figures_tell_how_fast_a_leader_was_followed() -> None:
    evidence = healthy()
    assert list(figures.takeovers("terminated", evidence)) == [pytest.approx(0.1)]
    assert any("3 terms in 40 s" in line for line in figures.lines(evidence, 40))


def test_the_drawing_has_all_lanes_and_says_what_was_violated() -> None:
    evidence = healthy()
    evidence.beliefs.append(belief("b", 55, 70, 60))
    evidence.quiet.append(Window(60, 61))
    text = draw(evidence, [Violation(39.0, "two leaders", "a & b")], 0.0, "seed 7")
    drawn = [each.text for each in ElementTree.fromstring(text).iter()]
    for told in ("a", "b", "server", "lease", "two leaders", "a & b", "token 60"):
        assert told in drawn
    assert len(text) < 20_000


def test_notes_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    notes = beliefs.Notes(path)
    reader = beliefs.Reader(path, "a", 3)
    now = time.monotonic()
    for number, token in enumerate([None, 10, 10, 10, None, 11, 12, None]):
        notes.note(token, now + number, now + number + 0.5)
    assert [(each.token, each.since, each.until) for each in reader.beliefs()] == [
        (10, now + 1.5, now + 3),
        (11, now + 5.5, now + 5),
        (12, now + 6.5, now + 6),
    ]
    assert reader.asked_at == now + 7
    assert not reader.has_seen
    notes.note_sight()
    assert reader.has_seen


def test_a_hole_between_notes_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    notes = beliefs.Notes(path)
    now = time.monotonic()
    for at in (now, now + 0.01, now + 2.0, now + 2.01):
        notes.note(None, at, at)
    assert beliefs.Reader(path, "a", 1).holes() == [Hole("a", now + 0.01, now + 2.0)]


def test_the_fenced_table_refuses_an_older_token_only(tmp_path: Path) -> None:
    path = tmp_path / "table"
    fence.make_table(path)
    done = [fence.write(path, "a", token) for token in (5, 5, 7, 6, 7)]
    assert [each is not None and each.accepted for each in done] == [True, True, True, False, True]
    assert [each.token for each in fence.accepted_writes(path)] == [5, 5, 7, 7]


def test_a_lane_has_one_fault_at_a_time_and_all_end() -> None:
    lanes = Lanes()
    done: list[str] = []
    begin, end = lambda: done.append("begin"), lambda: done.append("end")
    finish = lanes.take("a", "network", "cut off", 0.0, begin, end)
    assert finish is not None
    assert lanes.take("a", "network", "late", 0.0, begin, end) is None
    lanes.do_what_is_due()
    assert done == ["begin", "end"]
    assert not lanes.is_on(finish)
    lanes.take("a", "network", "late", 3600.0, begin, end)
    lanes.end_all()
    assert [each.kind for each in lanes.faults] == ["cut off", "late"]
    assert done == ["begin", "end"] * 2

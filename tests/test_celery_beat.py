"""Celery beat in several replicas: real processes, a real Redis, and Leases over HTTP"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from tests.beat.replicas import ENTRIES, INNERS, Beats
from tests.beat.verdict import EXACT, SLACK, Sent, judge
from tests.programs import wait_until
from tests.proxy import Proxy

pytestmark = pytest.mark.celery

LEASE_TTL = 3


class Start(Protocol):
    def __call__(self, inner: str, *arguments: str, **environment: str) -> Beats: ...


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts two replicas, of which one leads and has sent."""
    begun: list[Beats] = []
    before = dict(os.environ)

    def begin(inner: str, *arguments: str, **environment: str) -> Beats:
        beats = Beats(tmp_path / "beats", inner, environment=environment).__enter__()
        begun.append(beats)
        first = beats.start(*arguments)
        beats.wait_for(2)
        beats.wait_until_ready(first, beats.start(*arguments))
        return beats

    yield begin
    for beats in begun:
        beats.__exit__(None, None, None)
    os.environ.clear()
    os.environ.update(before)


def follower(beats: Beats) -> str:
    (name,) = set(beats.programs) - {beats.leader()}
    return name


def of(sent: list[Sent], pid: int) -> list[Sent]:
    return [one for one in sent if one.pid == pid]


def assert_exact(sent: list[Sent], *, slack: float = EXACT) -> None:
    for entry, every in ENTRIES.items():
        verdict = judge(sent, entry, every, slack=slack)
        assert (verdict.again, verdict.doubles, verdict.lost) == ([], [], [])


@pytest.mark.parametrize("inner", INNERS)
def test_in_a_rolling_restart_no_slot_is_sent_twice_and_none_is_lost(
    start: Start, inner: str
) -> None:
    beats = start(inner)
    for _ in range(3):
        leader = beats.leader()
        pid = beats.programs[leader].pid
        count = len(beats.sent())
        beats.end(leader)
        assert beats.wait_for_the_end(leader) == 0
        beats.wait_for(2, after=count)
        assert {one.pid for one in beats.sent()[count + 1 :]} != {pid}
        beats.wait_until_ready(beats.start())
    tokens = [one.token for one in beats.sent()]
    assert tokens == sorted(tokens)
    assert len(set(tokens)) == 4
    assert_exact(beats.sent(), slack=SLACK.get(inner, EXACT))


@pytest.mark.parametrize("inner", INNERS)
def test_an_entry_that_has_never_run_does_not_wait_anew_for_each_leader(
    start: Start, inner: str
) -> None:
    beats = start(inner)
    (built_at,) = beats.built_at(beats.leader())
    beats.end(leader := beats.leader())
    beats.wait_for_the_end(leader)
    wait_until(lambda: beats.sent("in-8-s"))
    first = beats.sent("in-8-s")[0]
    assert first.pid == beats.programs[beats.leader()].pid
    assert first.slot - 8 <= built_at + 0.001  # as it is written in the log


@pytest.mark.parametrize("inner", INNERS)
def test_after_a_crash_no_slot_is_lost_and_none_sent_under_two_ids(
    start: Start, inner: str
) -> None:
    beats = start(inner)
    count = len(beats.sent())
    beats.kill(beats.leader())
    beats.wait_for(3, after=count)
    verdict = judge(beats.sent(), "each-second", 1.0, slack=SLACK.get(inner, EXACT))
    assert (verdict.doubles, verdict.lost) == ([], [])


def test_a_publish_that_sigterm_interrupts_is_finished_before_the_lease_is_released(
    start: Start,
) -> None:
    beats = start("lease")
    leader = beats.leader()
    pid = beats.programs[leader].pid
    (beats.folder / "slow").write_text("1.5")
    wait_until((beats.folder / "publishing").exists)
    count = len(of(beats.sent(), pid))
    (beats.folder / "slow").unlink()
    beats.end(leader)
    assert beats.wait_for_the_end(leader) == 0
    assert len(of(beats.sent(), pid)) == count + 1
    beats.wait_for(2, after=len(beats.sent()))
    assert_exact(beats.sent())


def test_a_leader_that_stood_still_sends_nothing_when_it_goes_on(start: Start) -> None:
    beats = start("database")
    leader, other = beats.leader(), follower(beats)
    beats.programs[leader].pause()
    wait_until(lambda: of(beats.sent(), beats.programs[other].pid))
    count = len(beats.sent())
    beats.programs[leader].resume()
    beats.wait_for(3, after=count)
    assert {one.pid for one in beats.sent()[count:]} == {beats.programs[other].pid}
    verdict = judge(beats.sent(), "each-second", 1.0)
    assert (verdict.doubles, verdict.lost) == ([], [])


def test_nothing_is_sent_while_the_lease_can_not_be_renewed(start: Start) -> None:
    beats = start("lease")
    with beats.server.refuse_connections():
        beats.server.cut_connections()
        time.sleep(LEASE_TTL + 1)
        count = len(beats.sent())
        time.sleep(2)
        assert len(beats.sent()) == count
    beats.wait_for(3, after=count)
    verdict = judge(beats.sent(), "each-second", 1.0)
    assert (verdict.doubles, verdict.lost) == ([], [])


def test_a_leader_whose_broker_stands_still_lets_another_lead(start: Start) -> None:
    beats = start("database", BEAT_LIMITS="[2, 10]")
    leader = beats.leader()
    beats.redis.pause()
    wait_until(lambda: "is let go: a tick of beat has not ended" in beats.output(leader))
    wait_until(lambda: beats.leader() != leader)
    beats.redis.resume()
    count = len(beats.sent())
    beats.wait_for(4, after=count)
    verdict = judge(beats.sent(), "each-second", 1.0)
    assert (verdict.doubles, verdict.lost) == ([], [])


def test_sigterm_ends_a_leader_whose_broker_stands_still(start: Start) -> None:
    beats = start("lease", BEAT_LIMITS="[60, 1]")
    leader = beats.leader()
    beats.redis.pause()
    time.sleep(1.5)  # a publish is under way
    beats.end(leader)
    assert beats.wait_for_the_end(leader) == 0
    beats.redis.resume()
    count = len(beats.sent())
    beats.wait_for(3, after=count)
    assert judge(beats.sent(), "each-second", 1.0).doubles == []


@pytest.mark.parametrize("inner", ["lease", "database"])
def test_what_was_due_while_there_was_no_broker_is_sent_when_there_is(
    start: Start, inner: str
) -> None:
    beats = start(inner)
    leader = beats.leader()
    beats.redis.kill()
    wait_until(lambda: "beat could not send" in beats.output(leader))
    time.sleep(2)
    beats.redis.start()
    beats.wait_for(4, after=len(beats.sent()))
    verdict = judge(beats.sent(), "each-second", 1.0)
    assert (verdict.doubles, verdict.lost) == ([], [])


def test_a_leader_that_alone_does_not_reach_the_broker_lets_another_lead(
    start: Start, tmp_path: Path
) -> None:
    beats = start("lease", BEAT_LIMITS="[2, 10]")
    with Proxy(beats.redis.port, scheme="redis") as proxy:
        for name in list(beats.programs):
            beats.end(name)
            beats.wait_for_the_end(name)
        broker = f"{proxy.url}/0"
        lonely = beats.start(BEAT_BROKER=broker)
        beats.wait_for(1, after=len(beats.sent()))
        other = beats.start(BEAT_BROKER=beats.redis.url)
        beats.wait_until_ready(other)
        with proxy.refusing():
            proxy.reset()
            wait_until(lambda: "is let go: beat could not send" in beats.output(lonely))
            wait_until(lambda: of(beats.sent(), beats.programs[other].pid))
    assert judge(beats.sent(), "each-second", 1.0).doubles == []


def test_what_the_database_did_not_take_is_not_sent_again(start: Start) -> None:
    beats = start("database", BEAT_DATABASE_TIMEOUT="0.1")
    leader = beats.leader()
    with closing(sqlite3.connect(beats.folder / "database")) as database:
        database.execute("BEGIN EXCLUSIVE")
        wait_until(lambda: beats.sent("in-8-s"))
        wait_until(lambda: "Database error while sync" in beats.output(leader))
        database.rollback()
    beats.wait_for(2, after=len(beats.sent()))
    beats.end(leader)
    assert beats.wait_for_the_end(leader) == 0
    beats.wait_for(3, after=len(beats.sent()))
    assert_exact(beats.sent())


def test_of_workers_with_beat_one_sends_and_the_next_follows(start: Start) -> None:
    beats = start("lease")
    count = len(beats.sent())
    options = ["--beat", "--pool=solo", "--without-gossip", "--without-mingle", "-Q", "none"]
    workers = [beats.start(*options, "-n", f"{n}@here", command="worker") for n in (1, 2)]
    beats.wait_until_ready(*workers)
    for name in set(beats.programs) - set(workers):
        beats.end(name)
        beats.wait_for_the_end(name)
    beats.wait_for(2, after=len(beats.sent()))
    leader = beats.leader()
    assert leader in workers
    beats.end(leader)
    beats.wait_for_the_end(leader)
    beats.wait_for(3, after=len(beats.sent()))
    assert beats.leader() in set(workers) - {leader}
    assert len({one.pid for one in beats.sent()[count:]}) >= 2
    assert_exact(beats.sent())


def test_who_leads_and_who_follows_answer_a_ping(start: Start) -> None:
    beats = start("lease")
    for number in (1, 2):
        beats.wait_until_ready(beats.start("--enable-remote-control", "-n", f"beat{number}@here"))
    for name in list(beats.programs)[:2]:
        beats.end(name)
        beats.wait_for_the_end(name)
    pinged: set[str] = set()

    def all_answer() -> bool:
        pinged.update(beats.ping())
        return pinged == {"beat1@here", "beat2@here"}

    wait_until(all_answer)


def test_a_schedule_on_the_disk_of_one_replica_alone_goes_on_in_the_next(start: Start) -> None:
    beats = start("shelve", "--schedule", "own-schedule")
    leader, other = beats.leader(), follower(beats)
    assert list((beats.folder / leader).glob("own-schedule*"))
    assert not list((beats.folder / other).glob("own-schedule*"))  # it opens none while it follows
    beats.end(leader)
    beats.wait_for_the_end(leader)
    beats.wait_for(2, after=len(beats.sent()))
    assert_exact(beats.sent())
    assert len({one.pid for one in beats.sent()}) == 2

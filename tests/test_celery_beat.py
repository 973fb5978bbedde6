"""Celery beat in several replicas: real processes, a real Redis, and Leases over HTTP"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.beat.replicas import INNERS, Beats
from tests.beat.verdict import Sent, judge
from tests.programs import wait_until

pytestmark = pytest.mark.celery

LEASE_TTL = 3
# For which nobody may have sent in a rolling restart, on a machine that is busy.
STALL = 2.5


class Start(Protocol):
    def __call__(self, inner: str, **environment: str) -> Beats: ...


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts two replicas, of which one leads and has sent."""
    begun: list[Beats] = []
    before = dict(os.environ)

    def begin(inner: str, **environment: str) -> Beats:
        beats = Beats(tmp_path / "beats", inner, environment=environment).__enter__()
        begun.append(beats)
        first = beats.start()
        beats.wait_for(2)
        beats.wait_until_ready(first, beats.start())
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


def assert_exact(sent: list[Sent], *, patience: float = STALL) -> None:
    verdict = judge(sent, "each-second", 1.0, patience)
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
    assert_exact(beats.sent())


@pytest.mark.parametrize("inner", INNERS)
def test_after_a_crash_no_slot_is_lost_and_none_sent_under_two_ids(
    start: Start, inner: str
) -> None:
    beats = start(inner)
    count = len(beats.sent())
    beats.kill(beats.leader())
    beats.wait_for(3, after=count)
    verdict = judge(beats.sent(), "each-second", 1.0, LEASE_TTL + STALL)
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

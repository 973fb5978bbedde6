"""Rows 24 to 26 and 37: clocks jump, run at other rates, stand still; machines sleep"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from kube_leader_election import LeaderElector
from kube_leader_election.testing import FakeClock, FakeCoordinationV1Api, faults
from tests.electors import Electors, lead, pass_time, term_of
from tests.fault_rows.candidates import (
    DEADLINE,
    LOOKED_AT_AFTER,
    Replica,
    alive,
    assert_told,
    count,
    follow,
    lead_watching,
    renew,
)
from tests.fault_rows.test_stale_reads_and_clocks import (
    JUMPS,
    RATES,
    LocalClock,
    TrueWall,
    machine_sleeps,
)
from tests.fault_rows.world import HELD, MICRO_TIME, START, TTL, Http, Server, cases
from tests.hostile import PATIENCE, wait_until

LEADS, LEADS_NO_MORE = "'a' leads", "'a' leads no more"


# The wall


@pytest.mark.fault_row(number=24)
@pytest.mark.parametrize("seconds", cases(JUMPS))
@pytest.mark.parametrize("skew", [None, 1.0])
def test_a_jump_of_the_wall_clock_ends_no_term_of_an_elector_and_lengthens_none(
    http: Http, skew: float | None, seconds: float
) -> None:
    a = Replica(http, max_clock_skew=skew)
    token = lead_watching(http, a.elector)
    times = [http.spec["renewTime"]]
    for jump in (seconds, 0, -seconds):
        http.clock.shift_wall(jump)
        renew(http, a.elector)
        times.append(http.spec["renewTime"])
    assert times == sorted(set(times))
    leadership = term_of(a.elector)
    http.fail(faults.answer(503), "update", times=None)
    http.clock.shift_wall(seconds)
    http.clock.advance(DEADLINE - 0.01)
    assert (leadership.is_valid(), a.elector.fencing_token) == (True, token)
    http.clock.advance(0.02)
    assert not a.elector.is_leader()
    wait_until(lambda: a.has_led(1, and_leads=False))
    with alive(a.elector):
        assert count(http, "update") <= 5


@pytest.mark.fault_row(number=24)
@pytest.mark.parametrize("seconds", cases(JUMPS))
def test_a_standby_whose_wall_clock_jumps_waits_for_the_whole_duration_and_leads(
    http: Http, seconds: float
) -> None:
    http.put(**HELD)
    a = Replica(http)
    follow(a.elector, "b")
    since = http.clock.monotonic()
    http.clock.shift_wall(seconds)
    pass_time(http.clock, a.elector.is_leader, step=0.1)
    with alive(a.elector):
        assert TTL <= http.clock.monotonic() - since < TTL + LOOKED_AT_AFTER
        assert_told(http, [LEADS])


@pytest.mark.fault_row(number=24)
@pytest.mark.parametrize(
    "start",
    [
        datetime(1, 1, 1, 0, 0, 1, tzinfo=timezone.utc),
        datetime.max.replace(tzinfo=timezone.utc) - timedelta(seconds=30),
    ],
)
def test_at_the_ends_of_the_calendar_an_elector_leads_and_hands_over(
    http: Http, start: datetime
) -> None:
    http.clock = FakeClock(start=start)
    a, b = Replica(http), Replica(http, "b")
    lead_watching(http, a.elector)
    follow(b.elector, "a")
    renew(http, a.elector, 3)
    a.elector.stop()
    pass_time(http.clock, b.elector.is_leader, step=0.1)
    with alive(b.elector):
        assert_told(http, [LEADS, LEADS_NO_MORE, "'b' leads"])


@pytest.mark.fault_row(number=24)
def test_the_end_of_daylight_saving_time_is_not_noticed(http: Http) -> None:
    clock = LocalClock()
    http.clock = clock
    a, b = Replica(http), Replica(http, "b")
    token = lead_watching(http, a.elector)
    follow(b.elector, "a")
    for hours in (1, 2, 1):
        clock.offset = timedelta(hours=hours)
        renew(http, a.elector, 2)
    with alive(a.elector, b.elector):
        assert (a.elector.fencing_token, b.heard) == (token, [])
        assert http.spec["renewTime"].startswith("2026-01-01T12:00:20.12345")
        assert_told(http, [LEADS])


# Rates


class CutOff:
    """A client whose writes are lost once it is cut off"""

    def __init__(self, api: FakeCoordinationV1Api) -> None:
        self.is_cut = False
        self.read_namespaced_lease = api.read_namespaced_lease
        self.create_namespaced_lease = api.create_namespaced_lease
        self._api = api

    def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any:
        if self.is_cut:
            raise ConnectionResetError
        return self._api.replace_namespaced_lease(name, namespace, body)


def both_lead(rates: tuple[float, float], skew: float | None) -> bool:
    """Whether a leader that is cut off leads still when a standby does, at the earliest

    It may lead for as long as is allowed at all. The standby sees its write as soon as it is made.
    """
    api = FakeCoordinationV1Api()
    clocks = [TrueWall(rate=rate) if skew else FakeClock(rate=rate) for rate in rates]
    options: dict[str, Any] = {"max_clock_skew": skew, "renew_deadline": 14.7 - (skew or 0)}
    with Electors(None, None) as make:
        client = CutOff(api)
        leader = make("a", client=client, clock=clocks[0], **options)
        standby = make("b", client=api, clock=clocks[1], **options)
        lead(leader)
        standby.start()
        wait_until(lambda: standby.holder_identity == "a")
        client.is_cut = True
        for clock in clocks:
            clock.advance(TTL / rates[1] - 0.001)
        seen = len(api.requests)
        wait_until(lambda: len(api.requests) > seen)
        assert not standby.is_leader()
        for clock in clocks:
            clock.advance(0.0011)
        wait_until(standby.is_leader)
        return leader.is_leader()


@pytest.mark.fault_row(number=25)
@pytest.mark.parametrize("rates", cases(RATES))
def test_no_two_electors_lead_whose_clocks_are_wrong_by_up_to_one_percent(
    rates: tuple[float, float],
) -> None:
    assert not both_lead(rates, None)


@pytest.mark.fault_row(number=25)
def test_no_two_electors_lead_whose_clocks_are_wrong_by_five_percent_and_that_is_declared() -> None:
    assert not both_lead((0.95, 1.05), 1.13)


@pytest.mark.fault_row(number=25)
@pytest.mark.parametrize(("rates", "skew"), [((0.95, 1.05), None), ((0.95, 1.05), 1.0)])
def test_two_electors_whose_clocks_are_worse_than_was_declared_lead_at_once(
    rates: tuple[float, float], skew: float | None
) -> None:
    assert both_lead(rates, skew)


# Sleep


@pytest.mark.fault_row(number=26)
def test_who_led_before_its_machine_slept_does_not_when_it_wakes_and_is_told_before_it_writes(
    http: Http,
) -> None:
    begun = threading.Event()
    writes: list[int] = []
    a = http.elector(
        clock=http.clock,
        on_started_leading=lambda _: begun.set(),
        on_stopped_leading=lambda: writes.append(count(http, "update")),
    )
    token = lead_watching(http, a)
    leadership = term_of(a)
    assert begun.wait(PATIENCE)
    http.clock.advance(3600)
    assert (a.is_leader(), leadership.is_valid(), a.fencing_token) == (False, False, None)
    assert leadership.lost.wait(30)
    pass_time(http.clock, a.is_leader)
    with alive(a):
        assert writes == [0]
        assert (term_of(a).fencing_token or 0) > token
        assert_told(http, [LEADS, LEADS_NO_MORE, LEADS])


@pytest.mark.fault_row(number=26)
def test_who_slept_while_another_took_its_lease_follows_when_it_wakes(http: Http) -> None:
    asleep = FakeClock(start=START)
    a, b = Replica(http, clock=asleep), Replica(http, "b")
    token = lead_watching(http, a.elector)
    follow(b.elector, "a")
    http.clock.advance(TTL + 0.01)
    wait_until(b.elector.is_leader)
    before = http.lease()
    asleep.advance(DEADLINE)  # no longer: it may have seen what the other wrote already
    assert not a.elector.is_leader()
    wait_until(lambda: a.elector.holder_identity == "b")
    with alive(a.elector, b.elector):
        assert http.lease() == before
        assert (b.elector.fencing_token or 0) > token


@pytest.mark.fault_row(number=26)
@pytest.mark.parametrize("runs_on", [True, False], ids=["boottime", "monotonic"])
def test_by_the_machine_s_own_clocks_too_a_sleep_ends_a_term_at_once(
    http: Http, monkeypatch: pytest.MonkeyPatch, *, runs_on: bool
) -> None:
    sleep = machine_sleeps(monkeypatch, runs_on=runs_on)
    a: LeaderElector = http.elector()
    leadership = lead(a)
    token = leadership.fencing_token
    sleep(DEADLINE)
    assert (a.is_leader(), leadership.is_valid()) == (False, False)
    assert leadership.lost.wait(30)
    wait_until(a.is_leader)
    with alive(a):
        assert (a.fencing_token or 0) > (token or 0)
        assert_told(http, [LEADS, LEADS_NO_MORE, LEADS])


# Whole seconds, and clocks that stand still


class StandingWall(FakeClock):
    """Its wall stands still while time passes"""

    def __init__(self, start: datetime) -> None:
        super().__init__(start=start)
        self._stands_at = start

    def utcnow(self) -> datetime:
        return self._stands_at


WHOLE_SECOND = START.replace(microsecond=0)


@pytest.mark.fault_row(number=37)
@pytest.mark.parametrize("start", [START, WHOLE_SECOND], ids=["any time", "a whole second"])
@pytest.mark.parametrize("kind", [FakeClock, StandingWall], ids=["it runs", "it stands still"])
def test_every_write_of_an_elector_moves_the_lease_and_has_six_digits(
    server: Server, kind: Callable[..., FakeClock], start: datetime
) -> None:
    server.clock = kind(start=start)
    a = Replica(server)
    lead_watching(server, a.elector)
    said = [(server.spec, server.version)]
    for _ in range(3):
        renew(server, a.elector)
        said.append((server.spec, server.version))
    a.elector.stop()
    said.append((server.spec, server.version))
    *renewals, release = times = [spec["renewTime"] for spec, _ in said]
    assert renewals == sorted(set(renewals))
    assert release not in renewals
    versions = [version for _, version in said]
    assert versions == sorted(set(versions))
    texts = times + [spec["acquireTime"] for spec, _ in said]
    assert all(MICRO_TIME.fullmatch(text) for text in texts)
    assert_told(server, [LEADS, LEADS_NO_MORE])

"""Scripts, each of which some mutant cannot follow: schedules, conversations, and clocks by hand.

What a script asserts is true of the production code, and its name says what that is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from kube_leader_election import LeaderElector, LeaderElectorParams, LeaseLock, LeaseLockParams
from kube_leader_election._core.messages import Create, Read
from kube_leader_election.testing import FakeClock, FakeCoordinationV1Api
from kube_leader_election.testing.simulation import (
    Happening,
    OnRequest,
    Replica,
    Rules,
    Schedule,
    What,
    play,
)
from tests.core.talk import (
    TTL,
    as_stored,
    at,
    attempt,
    candidate,
    leader,
    lease,
    stepping_down,
)
from tests.forks import forked

SCRIPTS: dict[str, Callable[[], None]] = {}

_PAUSE = 0.5


def _script(script: Callable[[], None]) -> Callable[[], None]:
    SCRIPTS[script.__name__] = script
    return script


# Clocks and processes.


class _PausedClock(FakeClock):
    """Time passes after each look at one of its clocks, while it `pauses`."""

    pauses = True

    def monotonic(self) -> float:
        seen = super().monotonic()
        self._pause()
        return seen

    def utcnow(self) -> datetime:
        seen = super().utcnow()
        self._pause()
        return seen

    def _pause(self) -> None:
        if self.pauses:
            self.advance(_PAUSE)


@_script
def a_pause_between_the_two_clocks_lets_nobody_believe_for_longer_than_the_lease_says() -> None:
    clock, api = _PausedClock(), FakeCoordinationV1Api()
    lock = LeaseLock(api, "default", LeaseLockParams(lease_name="leader"), clock=clock)
    result = lock.try_acquire_or_renew()
    assert result.lease is not None
    assert result.lease.renew_time is not None
    clock.pauses = False
    promised_until = result.lease.renew_time + timedelta(seconds=15)
    clock.advance((promised_until - clock.utcnow()).total_seconds())
    assert not lock.is_leader(), "the lock believes for longer than its Lease says"


@_script
def a_forked_child_does_not_lead_by_the_lock_of_its_parent() -> None:
    lock = LeaseLock(FakeCoordinationV1Api(), "default", LeaseLockParams(lease_name="leader"))
    assert lock.try_acquire_or_renew()
    with forked(lambda: not lock.is_leader()):
        pass


@_script
def a_forked_child_does_not_lead_in_the_term_of_its_parent_s_elector() -> None:
    params = LeaderElectorParams(lease_name="leader")
    with LeaderElector(FakeCoordinationV1Api(), "default", params) as elector:
        term = elector.wait_until_leading(60)
        assert term
        with forked(lambda: not (elector.is_leader() or term.is_valid())):
            pass


# Conversations.


@_script
def a_renewal_that_shows_after_step_down_begins_no_term() -> None:
    me, found = leader()
    renewing = attempt(me).found(found, at(1))
    renewal = as_stored(renewing.request, version=3)
    renewing.failed(at(2))
    stepping_down(me).failed(at(3))
    attempt(me).found(renewal, at(4))
    assert not me.is_leader(at(4)), "it leads by what it wrote before it stepped down"


@_script
def a_late_answer_begins_no_term_after_an_event_that_ended_one() -> None:
    me, found = leader()
    renewing = attempt(me).found(found, at(3))
    me.observe(lease("b", version=4, renewed=3), at(3.5))
    assert not me.is_leader(at(3.5))
    renewing.stored(at(4), version=3)
    assert not me.is_leader(at(4)), "it leads beside another by an answer that came late"


@_script
def an_event_older_than_what_was_seen_ends_no_term() -> None:
    me, _ = leader(version=10)
    me.observe(lease("b", version=9), at(1))
    assert me.is_leader(at(1)), "an older record ended the term"


@_script
def a_deletion_older_than_what_was_seen_ends_no_term() -> None:
    me, _ = leader(version=10)
    me.observe_deletion(lease("b", version=9).record, at(1))
    assert me.is_leader(at(1)), "an older deletion ended the term"


@_script
def the_tenth_version_is_newer_than_the_ninth() -> None:
    standby = candidate(skew=None)
    attempt(standby).found(lease("b", version=9), at(0))
    standby.observe(lease(None, version=10), at(1))
    assert standby.acts_at(at(1)) == 1, "the event of a release passes for old"


@_script
def what_an_event_has_overtaken_is_not_acted_on() -> None:
    standby = candidate(skew=None)
    reading = attempt(standby)
    standby.observe(lease("b", version=3), at(1))
    reading.found(lease(None, version=2), at(1))
    assert reading.asked == [Read()], "it writes over what is known to be past"


@_script
def what_a_holder_writes_anew_counts_anew_though_its_clocks_stand_still() -> None:
    standby = candidate(skew=None)
    attempt(standby).found(lease("b", version=1, transitions=0), at(0))
    attempt(standby).found(lease("b", version=3, transitions=2), at(TTL - 1))
    waiting = attempt(standby).found(lease("b", version=3, transitions=2), at(TTL))
    assert waiting.asked == [Read()], "it takes over from one whose term is a second old"


@_script
def no_two_writes_are_alike_while_the_wall_clock_stands_still() -> None:
    me, found = leader()
    times = [found.record.renew_time]
    for second in range(1, 4):
        renewing = attempt(me).found(found, at(second, wall=0))
        times.append(renewing.written.renew_time)
        found = as_stored(renewing.request, version=2 + second)
        renewing.tell(found, at(second, wall=0))
    assert len(set(times)) == len(times), "two writes have one renewTime"


@_script
def a_lease_that_was_made_late_is_not_led_before_who_led_since_ends() -> None:
    standby = candidate(skew=None, adopts=False)
    standby.observe(lease("b", version=1), at(0))
    standby.observe_deletion(lease("b", version=2).record, at(1))
    creating = attempt(standby).absent(at(1 + TTL))
    assert isinstance(creating.request, Create)
    late = as_stored(creating.request, version=5, uid="uid-3")
    creating.failed(at(12))
    standby.observe(lease("b", version=3, uid="uid-2", renewed=11), at(13))
    standby.observe(late, at(14))  # its Lease was deleted again, which nobody has told
    assert standby.acts_at(at(14)) >= 13 + TTL, "it may lead beside another"


@_script
def the_lease_of_a_namesake_is_not_released() -> None:
    me, _ = leader(adopts=False, skew=None)
    stepping = stepping_down(me).found(lease("a", version=3, renewed=3), at(3))
    assert stepping.request is None, "it releases the Lease of its namesake"


# Schedules.


def _holds(schedule: Schedule) -> None:
    violation = play(schedule).violation
    assert violation is None, str(violation)


def _lost(replica: str, first: int) -> tuple[OnRequest, ...]:
    """Return that all its requests are lost, from the one of this number on."""
    return tuple(OnRequest(replica, number, None) for number in range(first, first + 40))


@_script
def a_slow_answer_to_a_read_makes_nobody_too_early() -> None:
    slowly = tuple(OnRequest("b", number, 0.7) for number in range(3))
    leads = Replica(Rules.LOCK, "a")
    reads = Replica(Rules.ELECTOR, "b", watches=False, starts_at=0.5)
    _holds(Schedule(1, (leads, reads), (*slowly, *_lost("a", 5))))


@_script
def a_lease_that_was_restored_is_believed_though_its_version_is_lower() -> None:
    restored = Happening(8.0, What.RESTORE, seconds=4.0)
    _holds(Schedule(1, (Replica(Rules.LOCK, "a"),), (restored,), 9.0))


@_script
def the_end_of_a_term_is_told_in_time_whenever_the_next_attempt_is() -> None:
    refused = tuple(OnRequest("a", number, status=503) for number in range(4, 40))
    _holds(Schedule(1, (Replica(Rules.ELECTOR, "a"),), refused))


@_script
def a_holder_is_waited_out_for_as_long_as_its_lease_says() -> None:
    leads = Replica(Rules.LOCK, "a", lease_ttl=6)
    waits = Replica(Rules.LOCK, "b", lease_ttl=3, starts_at=0.5)
    _holds(Schedule(1, (leads, waits), _lost("a", 6)))


@_script
def the_wall_clocks_are_trusted_by_no_more_than_is_declared() -> None:
    leads = Replica(Rules.LOCK, "a", max_clock_skew=1.0, ahead=-0.5)
    waits = Replica(Rules.LOCK, "b", max_clock_skew=1.0, ahead=0.5, starts_at=0.5, retry_period=0.1)
    _holds(Schedule(1, (leads, waits), _lost("a", 6)))


@_script
def renewals_are_told_apart_by_who_sees_whole_seconds_though_the_wall_clock_was_set_back() -> None:
    leads = Replica(
        Rules.LOCK, "a", lease_ttl=4, max_clock_skew=1.0, retry_period=0.8, starts_at=0.18
    )
    waits = Replica(Rules.CLIENT_GO, "b", lease_ttl=4, starts_at=0.28, retry_period=0.05)
    set_back = Happening(3.42, What.WALL_JUMP, "a", -0.83)
    _holds(Schedule(1, (leads, waits), (set_back, *_lost("a", 11))))


@_script
def by_the_wall_no_lease_ends_before_its_holder_does() -> None:
    # Its last renewal is at the end of a second.
    leads = Replica(Rules.LOCK, "a", max_clock_skew=0.0, starts_at=0.75)
    waits = Replica(Rules.LOCK, "b", max_clock_skew=0.0, starts_at=0.9, retry_period=0.1)
    _holds(Schedule(1, (leads, waits), _lost("a", 4)))

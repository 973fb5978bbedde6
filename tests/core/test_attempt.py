"""Outcomes of one attempt, by what is found: absent, free, ours, held, expired."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from kube_leader_election._core.attempt import LeaseLockResult, acquire_or_renew, step_down
from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import (
    Absent,
    Create,
    Found,
    Instant,
    Intent,
    Read,
    Replace,
)
from kube_leader_election._core.record import LATEST, MAX_INT32

from .talk import (
    BELIEF,
    TTL,
    Talk,
    Trouble,
    as_stored,
    at,
    attempt,
    candidate,
    leader,
    lease,
    time_at,
)

MICROSECOND = timedelta(microseconds=1)


def intent(talk: Talk[LeaseLockResult]) -> Intent:
    assert isinstance(talk.request, Replace)
    return talk.request.intent


def test_an_absent_lease_is_created() -> None:
    talk = attempt(candidate()).absent(at(1))
    assert isinstance(talk.request, Create)
    talk.stored(at(2), version=5)
    assert talk.result.acquired_lease
    assert talk.result.fencing_token == 5
    assert talk.result.lease is not None
    assert talk.result.lease.holder_identity == "a"


def test_what_a_create_says() -> None:
    written = attempt(candidate()).absent(at(1)).written
    assert written.holder_identity == "a"
    assert written.lease_duration_seconds == TTL
    assert written.acquire_time == written.renew_time == time_at(1)
    assert written.lease_transitions == 0
    assert written.uid is None


def test_a_held_lease_is_refused_after_a_read_alone() -> None:
    talk = attempt(candidate()).found(lease("b"), at(1))
    assert not talk.result.acquired_lease
    assert talk.result.lease == lease("b").record
    assert talk.result.fencing_token is None
    assert talk.asked == [Read()]


def test_a_free_lease_is_taken_at_once() -> None:
    talk = attempt(candidate(skew=None)).found(lease(None), at(0))
    assert intent(talk) is Intent.ACQUIRE
    assert talk.stored(at(0), version=2).result.acquired_lease


def test_what_taking_over_says() -> None:
    found = lease("b", version=7, duration=3, transitions=4, uid="u")
    talk = attempt(candidate()).found(found, at(100))
    written = talk.written
    assert written.holder_identity == "a"
    assert written.lease_duration_seconds == TTL
    assert written.acquire_time == written.renew_time == time_at(100)
    assert written.lease_transitions == 5
    assert written.uid == "u"


def test_a_write_replaces_the_very_object_that_was_read() -> None:
    found = lease(None)
    talk = attempt(candidate()).found(found, at(0))
    assert isinstance(talk.request, Replace)
    assert talk.request.base is found


def test_the_most_transitions_that_fit_an_int32_stay() -> None:
    talk = attempt(candidate()).found(lease(None, transitions=MAX_INT32), at(0))
    assert talk.written.lease_transitions == MAX_INT32


def test_our_lease_is_renewed_at_every_attempt() -> None:
    leading, stored = leader()
    talk = attempt(leading).found(stored, at(1))
    assert intent(talk) is Intent.RENEW
    assert talk.stored(at(1), version=3).result.acquired_lease


def test_what_a_renewal_says() -> None:
    leading, stored = leader()
    written = attempt(leading).found(stored, at(3)).written
    assert written.holder_identity == "a"
    assert written.acquire_time == time_at(0)
    assert written.renew_time == time_at(3)
    assert written.lease_transitions == 0


def test_a_renewal_of_an_adopted_record_promises_our_own_ttl() -> None:
    found = lease("a", duration=3 * TTL)
    assert attempt(candidate()).found(found, at(3)).written.lease_duration_seconds == TTL


def test_a_renewal_of_an_adopted_record_differs_from_it_though_no_time_has_passed() -> None:
    written = attempt(candidate()).found(lease("a", renewed=3), at(3)).written
    assert written.renew_time != time_at(3)


def test_what_is_written_has_no_version_before_it_is_stored() -> None:
    leading, stored = leader()
    assert attempt(candidate()).absent(at(1)).written.resource_version is None
    taken = attempt(candidate()).found(lease(None), at(1))
    assert taken.written.resource_version is None
    assert attempt(leading).found(stored, at(3)).written.resource_version is None
    released = Talk(step_down(leading)).found(stored, at(3))
    assert released.written.resource_version is None


def test_a_renewal_sets_an_acquire_time_that_is_missing() -> None:
    found = lease("a", acquire_time=None)
    assert attempt(candidate()).found(found, at(3)).written.acquire_time == time_at(3)


def test_a_renewal_on_a_frozen_clock_still_moves_the_renew_time() -> None:
    leading, stored = leader()
    written = attempt(leading).found(stored, at(0)).written
    assert written.renew_time == time_at(0) + MICROSECOND


@pytest.mark.parametrize("wall", [-3600, -0.25])
def test_renewals_after_the_wall_clock_went_back_are_seen_by_who_sees_whole_seconds(
    wall: float,
) -> None:
    leading, found = leader()
    renewals = []
    for second in (0.5, 1.0, 3.0):
        renewing = attempt(leading).found(found, at(second, wall=wall))
        renewals.append(renewing.written.renew_time)
        found = as_stored(renewing.request, version=len(renewals) + 10)
        renewing.tell(found, at(second, wall=wall))
    assert renewals == [time_at(0.5), time_at(1.0), time_at(2.0)]


def test_every_write_has_another_renew_time_than_what_is_stored() -> None:
    written = attempt(candidate()).found(lease(None, renewed=5), at(5)).written
    assert written.renew_time == time_at(5) + MICROSECOND


def test_every_write_has_another_renew_time_than_all_unresolved_ones() -> None:
    trying = candidate()
    times = set()
    for _ in range(5):
        talk = attempt(trying).found(lease(None), at(1))
        times.add(talk.written.renew_time)
        talk.failed(at(1))
    assert times == {time_at(1) + n * MICROSECOND for n in range(5)}


def test_a_write_after_a_stale_read_has_another_renew_time_than_our_committed_ones() -> None:
    leading, stored = leader()
    past = lease(None, renewed=-5)
    written = attempt(leading).found(past, at(5, wall=0)).written
    assert written.renew_time not in (stored.record.renew_time, past.record.renew_time)


def test_no_write_is_stamped_on_a_whole_second_which_typed_clients_send_without_digits() -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)
    written = attempt(candidate()).absent(Instant(0.0, noon)).written
    assert written.renew_time == written.acquire_time == noon + MICROSECOND


def test_at_the_end_of_the_calendar_renew_times_still_differ() -> None:
    now = Instant(0.0, LATEST)
    trying = candidate()
    talk = attempt(trying).absent(now)
    stored = as_stored(talk.request, version=2)
    talk.tell(stored, now)
    written = attempt(trying).found(stored, now).written
    assert written.renew_time == LATEST - MICROSECOND


# Expiry by the wall clocks: utcnow > renewTime + stored duration + skew.


@pytest.mark.parametrize(
    ("skew", "elapsed", "expired"),
    [
        (0.0, 0.0, False),
        (0.0, 10.0, False),
        (0.0, 10.000001, True),
        (0.5, 10.5, False),
        (0.5, 10.500001, True),
        (0.0, -3600.0, False),
    ],
)
def test_another_s_lease_expires_once_its_duration_and_the_skew_have_passed_since_it_was_renewed(
    skew: float, elapsed: float, expired: bool
) -> None:
    talk = attempt(candidate(skew=skew)).found(lease("b", duration=10), at(0, wall=elapsed))
    assert isinstance(talk.request, Replace) == expired


def test_the_duration_that_counts_is_the_stored_one() -> None:
    assert attempt(candidate(ttl=5)).found(lease("b", duration=30), at(29)).result.lease
    short = attempt(candidate(ttl=60)).found(lease("b", duration=3), at(0, wall=4))
    assert intent(short) is Intent.ACQUIRE


def test_without_any_time_a_held_lease_has_expired_for_the_wall_rule() -> None:
    found = lease("b", acquire_time=None, renew_time=None)
    assert intent(attempt(candidate(skew=0.0)).found(found, at(0))) is Intent.ACQUIRE


def test_without_any_time_and_without_wall_clocks_a_held_lease_is_observed_first() -> None:
    found = lease("b", acquire_time=None, renew_time=None)
    trying = candidate(skew=None)
    assert not attempt(trying).found(found, at(0)).result
    assert intent(attempt(trying).found(found, at(TTL))) is Intent.ACQUIRE


@pytest.mark.parametrize("duration", [MAX_INT32, 10**12, 10**15, 10**400])
def test_an_expiry_beyond_the_calendar_never_comes_by_the_wall_clock(duration: int) -> None:
    now = Instant(1.0, datetime(9999, 12, 31, tzinfo=timezone.utc))
    found = lease("b", duration=duration, renew_time=datetime(9998, 1, 1, tzinfo=timezone.utc))
    assert not attempt(candidate()).found(found, now).result


def test_a_renew_time_in_the_last_year_is_never_expired_by_the_wall_clock() -> None:
    found = lease("b", duration=10, renew_time=LATEST)
    assert not attempt(candidate()).found(found, Instant(1.0, LATEST)).result


# Expiry by observation: unchanged for the stored duration by our own monotonic clock.


@pytest.mark.parametrize(("seconds", "expired"), [(9.999999, False), (10.0, True)])
def test_a_lease_watched_unchanged_for_its_whole_duration_has_expired(
    seconds: float, expired: bool
) -> None:
    trying = candidate(skew=None)
    attempt(trying).found(lease("b"), at(100))
    talk = attempt(trying).found(lease("b"), at(100 + seconds))
    assert isinstance(talk.request, Replace) == expired


def test_observation_expires_a_lease_whatever_the_wall_clock_says() -> None:
    trying = candidate(skew=0.0)
    attempt(trying).found(lease("b"), at(0, wall=-1000))
    assert intent(attempt(trying).found(lease("b"), at(10, wall=-1000))) is Intent.ACQUIRE


def test_without_trust_in_wall_clocks_an_old_renew_time_is_no_expiry() -> None:
    assert not attempt(candidate(skew=None)).found(lease("b"), at(0, wall=10**6)).result


@pytest.mark.parametrize(
    "changed",
    [
        lease("b", renewed=1),
        lease("b", transitions=1),
        lease("b", duration=11),
        lease("c"),
        lease("b", acquire_time=time_at(-5)),
        lease("b", uid="uid-2"),
    ],
)
def test_any_change_of_the_record_begins_the_observation_anew(changed: Found) -> None:
    trying = candidate(skew=None)
    attempt(trying).found(lease("b"), at(0))
    attempt(trying).found(changed, at(9))
    assert not attempt(trying).found(changed, at(18.9)).result
    assert attempt(trying).found(changed, at(20)).request is not None


def test_a_change_of_foreign_fields_alone_does_not_prolong_the_observation() -> None:
    trying = candidate(skew=None)
    attempt(trying).found(lease("b", version=1), at(0))
    attempt(trying).found(lease("b", version=2), at(9))
    assert intent(attempt(trying).found(lease("b", version=3), at(10))) is Intent.ACQUIRE


# A deletion is not a release.


def test_who_never_saw_the_lease_creates_it_at_once() -> None:
    assert isinstance(attempt(candidate()).absent(at(0)).request, Create)


def test_who_saw_the_lease_creates_it_only_a_duration_after_first_seeing_it_gone() -> None:
    standby = candidate()
    attempt(standby).found(lease("b"), at(0))
    assert attempt(standby).absent(at(5)).result.lease is None
    assert not attempt(standby).absent(at(14.999)).result
    assert isinstance(attempt(standby).absent(at(15)).request, Create)


def test_after_a_deletion_the_longest_duration_ever_seen_is_waited_out() -> None:
    standby = candidate(ttl=5)
    attempt(standby).found(lease("b", duration=40), at(0))
    attempt(standby).found(lease("b", duration=1, renewed=1), at(1))
    attempt(standby).absent(at(2))
    assert not attempt(standby).absent(at(41.999)).result
    assert isinstance(attempt(standby).absent(at(42)).request, Create)


def test_after_a_deletion_at_least_our_own_ttl_is_waited_out() -> None:
    standby = candidate(ttl=30)
    attempt(standby).found(lease("b", duration=1), at(0))
    attempt(standby).absent(at(1))
    assert not attempt(standby).absent(at(30.999)).result
    assert isinstance(attempt(standby).absent(at(31)).request, Create)


def test_an_absence_counts_from_its_own_first_sight_not_from_an_earlier_one() -> None:
    standby = candidate()
    attempt(standby).found(lease("b"), at(0))
    attempt(standby).absent(at(1))
    attempt(standby).found(lease("c", uid="uid-2"), at(2))
    attempt(standby).absent(at(3))
    assert not attempt(standby).absent(at(12.999)).result
    assert isinstance(attempt(standby).absent(at(13)).request, Create)


def test_a_leader_in_a_valid_term_creates_a_deleted_lease_at_once_as_a_new_term() -> None:
    leading, _ = leader(version=2)
    talk = attempt(leading).absent(at(1))
    assert not leading.is_leader(at(1))
    assert isinstance(talk.request, Create)
    assert talk.stored(at(1), version=9).result.fencing_token == 9


def test_a_leader_whose_term_is_over_waits_like_anybody_after_a_deletion() -> None:
    leading, _ = leader()
    assert not attempt(leading).absent(at(BELIEF)).result
    assert isinstance(attempt(leading).absent(at(BELIEF + TTL)).request, Create)


def test_a_leader_whose_create_failed_does_not_try_again_before_the_time_is_over() -> None:
    leading, _ = leader()
    attempt(leading).absent(at(1)).failed(at(1))
    assert not attempt(leading).absent(at(2)).result
    assert isinstance(attempt(leading).absent(at(11)).request, Create)


def test_a_replace_that_answers_404_is_an_absence_like_any_other() -> None:
    standby = candidate()
    talk = attempt(standby).found(lease("b"), at(20))
    assert intent(talk) is Intent.ACQUIRE
    assert not talk.absent(at(21)).result
    assert not attempt(standby).absent(at(30.999)).result
    assert isinstance(attempt(standby).absent(at(31)).request, Create)


def test_a_renewal_that_answers_404_is_followed_by_a_create_in_the_same_attempt() -> None:
    leading, stored = leader()
    talk = attempt(leading).found(stored, at(1)).absent(at(2))
    assert isinstance(talk.request, Create)
    assert talk.stored(at(2), version=9).result.fencing_token == 9


def test_who_lost_a_race_to_create_has_seen_that_there_is_a_lease() -> None:
    trying = candidate()
    talk = attempt(trying).absent(at(0)).conflict(at(0))
    assert talk.request == Read()
    assert not talk.absent(at(1)).result
    assert isinstance(attempt(trying).absent(at(11)).request, Create)


def test_a_create_that_answers_404_is_an_error_since_the_namespace_is_missing() -> None:
    talk = attempt(candidate()).absent(at(0))
    trouble = Trouble("no namespace")
    with pytest.raises(Trouble) as caught:
        talk.tell(Absent(trouble), at(0))
    assert caught.value is trouble


# Conflicts: read and decide again, three rounds at most.


def test_a_conflict_is_read_and_decided_again() -> None:
    talk = attempt(candidate()).found(lease(None), at(0)).conflict(at(0))
    assert talk.request == Read()
    assert not talk.found(lease("b", version=2), at(0)).result


def test_a_renewal_that_met_an_edit_of_foreign_fields_is_made_again() -> None:
    leading, stored = leader()
    talk = attempt(leading).found(stored, at(1)).conflict(at(1))
    edited = Found(replace(stored.record, resource_version="3"), source="edited")
    talk.found(edited, at(1))
    assert intent(talk) is Intent.RENEW
    assert isinstance(talk.request, Replace)
    assert talk.request.base is edited
    result = talk.stored(at(1), version=4).result
    assert result.acquired_lease
    assert result.fencing_token == 2


def test_a_third_conflict_is_an_error_and_no_guess() -> None:
    talk = attempt(candidate())
    for version in (1, 2):
        talk.found(lease(None, version=version), at(0)).conflict(at(0))
    talk.found(lease(None, version=3), at(0))
    with pytest.raises(Trouble, match="409"):
        talk.conflict(at(0))


def test_two_conflicts_are_survived() -> None:
    talk = attempt(candidate())
    for version in (1, 2):
        talk.found(lease(None, version=version), at(0)).conflict(at(0))
    talk.found(lease(None, version=3), at(0))
    assert talk.stored(at(0), version=4).result.acquired_lease


def test_deletions_between_conflicts_do_not_lengthen_an_attempt() -> None:
    leading, stored = leader()
    talk = attempt(leading).found(stored, at(1)).absent(at(1)).conflict(at(1))
    talk.found(lease(None, version=7), at(1)).conflict(at(1))
    talk.found(lease(None, version=8), at(1))
    with pytest.raises(Trouble, match="409"):
        talk.conflict(at(1))


# What is known already is acted on without a read.


def known(candidate: Candidate, seconds: float) -> Talk[LeaseLockResult]:
    return Talk(acquire_or_renew(candidate, at(seconds)))


def test_a_known_lease_of_ours_is_renewed_without_a_read() -> None:
    leading, _ = leader(version=2)
    talk = known(leading, 3)
    assert isinstance(talk.request, Replace)
    assert talk.request.intent is Intent.RENEW
    assert talk.request.base.record.resource_version == "2"
    assert talk.written.renew_time == time_at(3)
    assert talk.stored(at(4), version=3).result.fencing_token == 2
    assert leading.is_leader(at(3 + BELIEF - 0.001))
    assert not leading.is_leader(at(3 + BELIEF))


def test_a_known_lease_is_replaced_as_the_answer_to_our_last_write_showed_it() -> None:
    leading, stored = leader(version=2)
    attempt(leading).found(stored, at(3)).stored(at(3), version=3)
    talk = known(leading, 6)
    assert isinstance(talk.request, Replace)
    assert talk.request.base.source == "version 3"


def test_a_known_lease_that_is_free_or_expired_is_taken_over_without_a_read() -> None:
    for holder, since in ((None, 0.0), ("b", 10.0)):
        standby = candidate(skew=None)
        standby.observe(lease(holder, version=4), at(0))
        talk = known(standby, since)
        assert intent(talk) is Intent.ACQUIRE
        assert talk.stored(at(since), version=5).result.acquired_lease
        assert talk.asked == talk.asked[:1]


def test_a_known_absence_is_followed_by_a_create_without_a_read() -> None:
    standby = candidate()
    standby.observe(lease("b", version=4), at(0))
    standby.observe_deletion(lease("b", version=5).record, at(1))
    assert known(standby, 10.999).request == Read()
    assert isinstance(known(standby, 11).request, Create)


def test_where_there_is_nothing_to_write_by_what_is_known_the_lease_is_read() -> None:
    standby = candidate(skew=None)
    standby.observe(lease("b", version=4), at(0))
    talk = known(standby, 9.999)
    assert talk.request == Read()
    assert not talk.found(lease("b", version=5, renewed=9), at(10)).result


def test_what_was_known_and_is_not_so_any_more_is_a_conflict_and_then_read() -> None:
    standby = candidate(skew=None)
    standby.observe(lease(None, version=4), at(0))
    talk = known(standby, 1).conflict(at(1))
    assert talk.request == Read()
    assert not talk.found(lease("c", version=5, renewed=1), at(1)).result


def test_a_known_lease_of_ours_is_released_without_a_read() -> None:
    leading, _ = leader(version=2)
    talk = Talk(step_down(leading, at(1)))
    assert not leading.is_leader(at(1))
    assert isinstance(talk.request, Replace)
    assert talk.request.intent is Intent.RELEASE
    assert talk.stored(at(1), version=3).result.released
    assert len(talk.asked) == 1


def test_where_nothing_known_is_ours_to_release_the_lease_is_read() -> None:
    standby = candidate()
    standby.observe(lease("b", version=4), at(0))
    talk = Talk(step_down(standby, at(1)))
    assert talk.request == Read()
    assert not talk.found(lease("b", version=4), at(1)).result.released


# What is no answer raises, and changes nothing.


def test_a_failed_read_raises_and_leaves_belief_as_it_was() -> None:
    leading, _ = leader()
    attempt(leading).failed(at(1))
    assert leading.is_leader(at(BELIEF - 0.001))
    assert not leading.is_leader(at(BELIEF))


def test_a_failed_renewal_raises_and_leaves_belief_as_it_was() -> None:
    leading, stored = leader()
    attempt(leading).found(stored, at(5)).failed(at(6))
    assert leading.is_leader(at(BELIEF - 0.001))
    assert not leading.is_leader(at(BELIEF))


def test_a_result_is_as_true_as_its_acquired_lease() -> None:
    assert LeaseLockResult(acquired_lease=True, lease=None, fencing_token=None)
    assert not LeaseLockResult(acquired_lease=False, lease=None, fencing_token=None)


def test_a_result_is_what_is_leader_says_at_the_instant_of_the_last_answer() -> None:
    talk = attempt(candidate()).absent(at(0))
    result = talk.stored(at(BELIEF), version=2).result
    assert not result.acquired_lease
    assert result.fencing_token is None
    assert result.lease is not None
    assert result.lease.holder_identity == "a"

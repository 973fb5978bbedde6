"""Whether we lead: local validity, lost answers, whose record it is, what is newer, tokens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_leader_election._core.attempt import StepDownResult
from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import Create, Found, Instant, Intent, Read, Replace
from kube_leader_election._core.timing import lock_timing

from .talk import (
    BELIEF,
    START,
    TTL,
    Talk,
    Trouble,
    as_stored,
    at,
    attempt,
    candidate,
    leader,
    lease,
    stepping_down,
    time_at,
)


def with_version(found: Found, version: int | str | None) -> Found:
    text = None if version is None else str(version)
    return replace(found, record=replace(found.record, resource_version=text))


def lost_renewal(leading: Candidate, stored: Found, sent: float, *, version: int) -> Found:
    """A renewal composed at `sent` that is committed, and whose answer never comes."""
    talk = attempt(leading).found(stored, at(sent))
    committed = as_stored(talk.request, version=version)
    talk.failed(at(sent + 1))
    return committed


# Local validity.


def test_a_term_counts_from_the_instant_at_which_its_write_was_composed() -> None:
    trying = candidate()
    talk = attempt(trying).absent(at(1))
    talk.stored(at(4), version=2)
    assert trying.is_leader(at(1 + BELIEF - 0.001))
    assert not trying.is_leader(at(1 + BELIEF))


def test_nobody_leads_before_a_write_was_answered() -> None:
    trying = candidate()
    talk = attempt(trying).absent(at(1))
    assert not trying.is_leader(at(1))
    talk.stored(at(1), version=2)
    assert trying.is_leader(at(1))


@pytest.mark.parametrize(
    ("ttl", "skew", "belief"), [(10, 0.0, 9.8), (10, None, 9.8), (10, 2.0, 7.8), (100, 0.5, 97.5)]
)
def test_belief_is_98_percent_of_the_ttl_less_the_clock_skew(
    ttl: int, skew: float | None, belief: float
) -> None:
    leading, _ = leader(ttl=ttl, skew=skew)
    assert leading.remaining(at(0)) == pytest.approx(belief)
    assert leading.is_leader(at(belief - 0.001))
    assert not leading.is_leader(at(belief + 1e-9))


def test_a_renewal_moves_the_end_of_the_term_and_keeps_its_token() -> None:
    leading, stored = leader(version=2)
    result = attempt(leading).found(stored, at(5)).stored(at(5.5), version=3).result
    assert result.fencing_token == 2
    assert leading.is_leader(at(5 + BELIEF - 0.001))
    assert not leading.is_leader(at(5 + BELIEF))


def test_regaining_after_a_lapse_is_a_new_term() -> None:
    leading, stored = leader(version=2)
    result = attempt(leading).found(stored, at(BELIEF)).stored(at(BELIEF), version=3).result
    assert result.fencing_token == 3


def test_an_answer_after_the_deadline_but_before_its_own_end_begins_a_new_term() -> None:
    leading, stored = leader(version=2)
    talk = attempt(leading).found(stored, at(9))
    assert not leading.is_leader(at(BELIEF + 1))
    assert talk.stored(at(BELIEF + 1), version=3).result.fencing_token == 3
    assert leading.is_leader(at(9 + BELIEF - 0.001))


def test_an_answer_after_its_own_end_begins_nothing() -> None:
    leading, stored = leader(version=2)
    talk = attempt(leading).found(stored, at(9))
    assert not talk.stored(at(9 + BELIEF), version=3).result
    assert not leading.is_leader(at(9 + BELIEF))


@given(jump=st.floats(-(10.0**8), 10.0**8), elapsed=st.floats(0, 20))
def test_a_jump_of_the_wall_clock_neither_ends_nor_prolongs_a_term(
    jump: float, elapsed: float
) -> None:
    leading, _ = leader()
    assert leading.is_leader(at(elapsed, wall=jump)) == (elapsed < BELIEF)


@pytest.mark.parametrize(
    ("elapsed", "wall", "leads"), [(1, 9.7, True), (1, 9.8, False), (9.8, 1, False), (1, -99, True)]
)
def test_where_the_monotonic_clock_sleeps_with_the_machine_the_wall_clock_ends_a_term_too(
    elapsed: float, wall: float, leads: bool
) -> None:
    leading, _ = leader(wall_ends_term=True)
    assert leading.is_leader(at(elapsed, wall=wall)) == leads


def test_the_token_is_only_told_while_leading() -> None:
    leading, _ = leader(version=2)
    assert leading.fencing_token(at(0)) == 2
    assert leading.fencing_token(at(BELIEF)) is None
    assert candidate().fencing_token(at(0)) is None


@pytest.mark.parametrize("version", [None, "0", "012", "v3", "1.5"])
def test_a_version_that_is_no_integer_gives_a_term_without_a_token(version: str | None) -> None:
    talk = attempt(candidate()).absent(at(0)).stored(at(0), version=version)
    assert talk.result.acquired_lease
    assert talk.result.fencing_token is None


def test_a_token_need_not_fit_64_bits() -> None:
    talk = attempt(candidate()).absent(at(0)).stored(at(0), version=2**70)
    assert talk.result.fencing_token == 2**70


# Lost answers.


def test_a_renewal_whose_answer_was_lost_is_recognised_and_counts_from_its_own_anchor() -> None:
    leading, stored = leader(version=2)
    committed = lost_renewal(leading, stored, 5, version=3)
    assert not leading.is_leader(at(BELIEF))
    talk = attempt(leading).found(committed, at(7))
    assert talk.result.acquired_lease
    assert talk.result.fencing_token == 2
    assert leading.is_leader(at(5 + BELIEF - 0.001))
    assert not leading.is_leader(at(5 + BELIEF))


def test_a_create_whose_answer_was_lost_is_recognised_and_counts_from_its_own_anchor() -> None:
    trying = candidate()
    talk = attempt(trying).absent(at(0))
    committed = as_stored(talk.request, version=4)
    talk.failed(at(1))
    talk = attempt(trying).found(committed, at(2))
    assert talk.result.fencing_token == 4
    assert not trying.is_leader(at(BELIEF))


def test_a_lost_create_that_commits_after_an_absence_was_seen_is_ours_but_proves_no_term() -> None:
    trying = candidate(adopts=False)
    talk = attempt(trying).absent(at(0))
    committed = as_stored(talk.request, version=4)
    talk.failed(at(1))
    talk = attempt(trying).absent(at(2)).conflict(at(2)).found(committed, at(2))
    assert not trying.is_leader(at(2))
    assert talk.stored(at(2), version=5).result.fencing_token == 5


def test_each_unresolved_write_is_recognised_by_its_own_record_and_anchor() -> None:
    leading, stored = leader(version=2)
    first = lost_renewal(leading, stored, 2, version=3)
    lost_renewal(leading, stored, 3, version=3)
    lost_renewal(leading, stored, 4, version=3)
    assert attempt(leading).found(first, at(5)).result.acquired_lease
    assert leading.is_leader(at(2 + BELIEF - 0.001))
    assert not leading.is_leader(at(2 + BELIEF))


def test_a_stale_read_that_shows_an_earlier_lost_write_leaves_the_later_one_to_be_recognised() -> (
    None
):
    trying = candidate()
    creating = attempt(trying).absent(at(0))
    created = as_stored(creating.request, version=1)
    creating.failed(at(1))
    taking_over = attempt(trying).found(lease("b", version=2, renewed=0), at(2 * TTL))
    taken_over = as_stored(taking_over.request, version=3)
    taking_over.failed(at(2 * TTL + 1))
    talk = attempt(trying).found(created, at(2 * TTL + 2)).conflict(at(2 * TTL + 2))
    result = talk.found(taken_over, at(2 * TTL + 2)).result
    assert trying.take_warning() is None
    assert (result.acquired_lease, result.fencing_token) == (True, 3)
    assert trying.remaining(at(2 * TTL + 2)) == BELIEF - 2


def test_a_lost_write_that_was_edited_by_others_meanwhile_is_still_recognised() -> None:
    leading, stored = leader(version=2)
    committed = lost_renewal(leading, stored, 5, version=3)
    result = attempt(leading).found(with_version(committed, 8), at(6)).result
    assert result.acquired_lease
    assert leading.is_leader(at(5 + BELIEF - 0.001))


def test_a_lost_write_found_when_the_renewal_is_due_is_renewed_in_the_same_attempt() -> None:
    leading, stored = leader(version=2)
    committed = lost_renewal(leading, stored, 5, version=3)
    due = 5 + BELIEF / 3
    assert attempt(leading).found(committed, at(due - 0.001)).result
    leading, stored = leader(version=2)
    committed = lost_renewal(leading, stored, 5, version=3)
    talk = attempt(leading).found(committed, at(due + 0.001))
    assert isinstance(talk.request, Replace)
    assert talk.request.intent is Intent.RENEW


def test_a_lost_write_found_when_nothing_of_its_time_is_left_is_renewed_as_a_new_term() -> None:
    leading, stored = leader(version=2)
    committed = lost_renewal(leading, stored, 5, version=3)
    talk = attempt(leading).found(committed, at(5 + BELIEF))
    assert not leading.is_leader(at(5 + BELIEF))
    assert talk.stored(at(5 + BELIEF), version=4).result.fencing_token == 4


def test_a_lost_write_found_after_the_deadline_but_before_its_own_end_begins_a_new_term() -> None:
    leading, stored = leader(version=2)
    committed = lost_renewal(leading, stored, 9, version=3)
    result = attempt(leading).found(committed, at(BELIEF + 1)).result
    assert result.acquired_lease
    assert result.fencing_token == 3


def test_a_renewal_that_was_not_committed_is_made_again_on_the_same_version() -> None:
    leading, stored = leader(version=2)
    lost_renewal(leading, stored, 5, version=3)
    talk = attempt(leading).found(stored, at(6))
    assert isinstance(talk.request, Replace)
    assert talk.request.base is stored
    assert not leading.is_leader(at(BELIEF))


def test_a_lost_take_over_is_recognised_by_the_whole_record_not_by_our_name() -> None:
    trying = candidate(adopts=False)
    talk = attempt(trying).found(lease(None, version=1), at(0))
    committed = as_stored(talk.request, version=2)
    talk.failed(at(1))
    assert not attempt(trying).found(lease("a", version=2, renewed=0.5), at(2)).result
    assert attempt(trying).found(committed, at(3)).result


def test_a_lost_write_of_an_earlier_lease_of_the_name_proves_nothing() -> None:
    trying = candidate(adopts=False)
    talk = attempt(trying).found(lease(None, version=1, uid="uid-1"), at(0))
    committed = as_stored(talk.request, version=2)
    talk.failed(at(1))
    remade = replace(committed, record=replace(committed.record, uid="uid-2"))
    assert not attempt(trying).found(remade, at(2)).result


def test_what_is_read_at_the_version_that_a_lost_write_replaced_is_not_that_write() -> None:
    trying = candidate(adopts=False)
    talk = attempt(trying).found(lease(None, version=1), at(0))
    impossible = as_stored(talk.request, version=1)
    talk.failed(at(1))
    assert not attempt(trying).found(impossible, at(2)).result


def test_a_write_refused_because_it_was_sent_twice_is_recognised_as_committed() -> None:
    leading, stored = leader(version=2)
    talk = attempt(leading).found(stored, at(1))
    committed = as_stored(talk.request, version=3)
    result = talk.conflict(at(1)).found(committed, at(1)).result
    assert result.acquired_lease
    assert result.fencing_token == 2
    assert leading.take_warning() is None


# Whose record it is.


def test_a_record_under_our_name_that_we_never_wrote_is_adopted_as_a_new_term() -> None:
    restarted = candidate()
    talk = attempt(restarted).found(lease("a", version=7, transitions=3), at(1))
    assert not restarted.is_leader(at(1))
    assert isinstance(talk.request, Replace)
    assert talk.written.lease_transitions == 3
    assert talk.stored(at(1), version=8).result.fencing_token == 8


def test_who_does_not_adopt_waits_for_the_expiry_of_its_own_former_record() -> None:
    restarted = candidate(adopts=False)
    assert not attempt(restarted).found(lease("a", version=7, renewed=0), at(1)).result
    talk = attempt(restarted).found(lease("a", version=7, renewed=0), at(10.1))
    assert isinstance(talk.request, Replace)
    assert talk.request.intent is Intent.ACQUIRE


def test_a_newer_record_under_our_name_is_a_namesake_s_and_ends_our_term() -> None:
    leading, _ = leader(version=2)
    namesake = lease("a", version=3, renewed=1)
    talk = attempt(leading).found(namesake, at(1))
    assert not talk.result
    assert not leading.is_leader(at(1))
    assert talk.asked == [Read()]


def test_a_namesake_is_waited_out_like_anyone() -> None:
    leading, _ = leader(version=2)
    namesake = lease("a", version=3, renewed=1, transitions=4)
    attempt(leading).found(namesake, at(1))
    assert not attempt(leading).found(namesake, at(10.9)).result
    talk = attempt(leading).found(namesake, at(11.1))
    assert talk.written.lease_transitions == 5
    assert talk.stored(at(11.1), version=4).result.fencing_token == 4


def test_a_namesake_is_warned_of_once_and_the_warning_names_the_fix() -> None:
    leading, _ = leader(version=2)
    assert leading.take_warning() is None
    attempt(leading).found(lease("a", version=3, renewed=1), at(1))
    assert leading.take_warning() == (
        "another process leads under our holder_id 'a':"
        " give every candidate its own, or leave holder_id unset"
    )
    attempt(leading).found(lease("a", version=4, renewed=2), at(2))
    assert leading.take_warning() is None


def test_another_s_record_is_no_reason_for_a_warning() -> None:
    leading, _ = leader(version=2)
    attempt(leading).found(lease("b", version=3, renewed=1), at(1))
    assert leading.take_warning() is None


def test_an_edit_of_foreign_fields_leaves_our_record_ours() -> None:
    leading, stored = leader(version=2)
    result = attempt(leading).found(with_version(stored, 9), at(1)).stored(at(1), version=10).result
    assert result.fencing_token == 2
    assert leading.take_warning() is None


def test_an_edit_of_our_record_by_hand_is_no_longer_our_record() -> None:
    leading, stored = leader(version=2)
    edited = replace(stored, record=replace(stored.record, lease_duration_seconds=60))
    assert not attempt(leading).found(with_version(edited, 3), at(1)).result
    assert not leading.is_leader(at(1))


@pytest.mark.parametrize("version", [None, 5])
def test_a_server_that_answers_the_same_lease_for_ever_is_renewed_for_ever(
    version: int | None,
) -> None:
    trying = candidate()
    for second in range(5):
        mocked = lease("a", version=version, uid=None)
        talk = attempt(trying).found(mocked, at(second))
        assert talk.stored(at(second), version=version).result.acquired_lease
    assert trying.take_warning() is None


# What is newer.


def test_another_s_newer_record_ends_our_term_at_once() -> None:
    leading, _ = leader(version=2)
    result = attempt(leading).found(lease("b", version=3), at(1)).result
    assert not result
    assert not leading.is_leader(at(1))


def test_a_newer_free_lease_ends_our_term_at_once() -> None:
    leading, _ = leader(version=2)
    talk = attempt(leading).found(lease(None, version=3), at(1))
    assert not leading.is_leader(at(1))
    assert talk.stored(at(1), version=4).result.fencing_token == 4


def test_a_lease_that_was_deleted_and_made_again_ends_our_term() -> None:
    leading, stored = leader(version=2)
    remade = replace(stored, record=replace(stored.record, uid="uid-2"))
    attempt(leading).found(with_version(remade, 3), at(1))
    assert not leading.is_leader(at(1))


def test_an_absence_ends_our_term() -> None:
    leading, _ = leader(version=2)
    attempt(leading).absent(at(1))
    assert not leading.is_leader(at(1))


def test_a_stale_read_of_another_s_older_record_changes_no_belief() -> None:
    leading, _ = leader(version=5)
    result = attempt(leading).found(lease("b", version=4, renewed=1), at(1)).result
    assert result.acquired_lease
    assert leading.is_leader(at(BELIEF - 0.001))
    assert not leading.is_leader(at(BELIEF))


def test_after_a_stale_read_the_guarded_write_decides() -> None:
    leading, stored = leader(version=5)
    talk = attempt(leading).found(lease(None, version=4), at(1)).conflict(at(1))
    assert talk.found(stored, at(1)).stored(at(1), version=6).result.fencing_token == 5


def test_a_stale_read_of_our_own_older_record_changes_no_belief_and_warns_of_nobody() -> None:
    leading, stored = leader(version=2)
    attempt(leading).found(stored, at(3)).stored(at(3), version=3)
    talk = attempt(leading).found(stored, at(4)).conflict(at(4))
    assert leading.is_leader(at(4))
    assert leading.take_warning() is None
    assert talk.request == Read()


@pytest.mark.parametrize("adopts", [True, False])
def test_over_its_own_past_a_leader_writes_a_later_time_though_the_wall_clock_was_set_back(
    adopts: bool,
) -> None:
    leading, stored = leader(version=2, adopts=adopts)
    attempt(leading).found(stored, at(3)).stored(at(3), version=3)
    write = attempt(leading).found(stored, at(4, wall=-100)).request
    assert isinstance(write, Replace)
    assert write.record.renew_time is not None
    assert write.record.renew_time > time_at(3)


def test_a_leader_that_adopts_nothing_leaves_a_stale_record_of_its_earlier_life_alone() -> None:
    leading, _ = leader(version=5, adopts=False)
    result = attempt(leading).found(lease("a", version=3, renewed=-1), at(1)).result
    assert (result.acquired_lease, result.fencing_token) == (True, 5)


def test_without_versions_another_s_record_ends_our_term() -> None:
    leading, _ = leader(version=2)
    attempt(leading).found(lease("b", version=None), at(1))
    assert not leading.is_leader(at(1))


def test_after_a_restore_with_lower_versions_the_election_goes_on() -> None:
    leading, _ = leader(version=1000)
    restored = lease("b", version=7, renewed=-100)
    result = attempt(leading).found(restored, at(1)).stored(at(1), version=8).result
    assert result.acquired_lease
    follower = candidate()
    attempt(follower).found(lease("b", version=1000), at(0))
    assert not attempt(follower).found(lease("c", version=8, renewed=1), at(1)).result
    assert attempt(follower).found(lease("c", version=8, renewed=1), at(12)).request is not None


# Watch events.


def test_an_event_that_shows_another_s_newer_record_ends_our_term() -> None:
    leading, _ = leader(version=2)
    leading.observe(lease("b", version=3), at(1))
    assert not leading.is_leader(at(1))


@pytest.mark.parametrize("version", [1, 5])
def test_an_event_that_is_not_newer_than_all_that_was_seen_ends_no_term(version: int) -> None:
    leading, _ = leader(version=5)
    leading.observe(lease("b", version=version), at(1))
    assert leading.is_leader(at(1))
    assert leading.lease is not None
    assert leading.lease.holder_identity == "a"


def test_an_event_that_shows_our_lost_write_confirms_it() -> None:
    leading, stored = leader(version=2)
    committed = lost_renewal(leading, stored, 5, version=3)
    leading.observe(committed, at(6))
    assert leading.is_leader(at(5 + BELIEF - 0.001))
    assert leading.fencing_token(at(6)) == 2


def test_an_answer_to_a_write_that_an_event_has_shown_already_changes_nothing() -> None:
    leading, stored = leader(version=2)
    talk = attempt(leading).found(stored, at(5))
    committed = as_stored(talk.request, version=3)
    leading.observe(committed, at(6))
    assert talk.tell(committed, at(7)).result.fencing_token == 2
    assert not leading.is_leader(at(5 + BELIEF))


def test_an_answer_to_a_write_that_was_overtaken_by_something_newer_is_ignored() -> None:
    leading, stored = leader(version=2)
    talk = attempt(leading).found(stored, at(5))
    leading.observe(lease("b", version=4), at(6))
    assert not talk.stored(at(7), version=3).result
    assert leading.lease is not None
    assert leading.lease.holder_identity == "b"


def test_a_read_answer_that_was_overtaken_by_something_newer_is_ignored() -> None:
    follower = candidate()
    attempt(follower).found(lease("b", version=2), at(0))
    talk = attempt(follower)
    follower.observe(lease("c", version=4, renewed=1), at(1))
    result = talk.found(lease("b", version=3, renewed=-50), at(1)).result
    assert result.lease is not None
    assert result.lease.holder_identity == "c"


@pytest.mark.parametrize("version", [None, 3])
def test_a_read_answer_that_one_of_many_events_has_overtaken_is_ignored(
    version: int | None,
) -> None:
    follower = candidate()
    follower.observe(lease("b", version=2), at(0))
    talk = attempt(follower)
    follower.observe(lease("c", version=4, renewed=1), at(1))
    result = talk.found(lease("b", version=version, renewed=-50), at(1)).result
    assert result.lease is not None
    assert result.lease.holder_identity == "c"


def test_what_is_replaced_is_what_was_read_where_an_event_has_shown_the_same() -> None:
    follower = candidate()
    talk = attempt(follower)
    follower.observe(lease(None, version=4), at(1))
    found = lease(None, version=4)
    talk.found(found, at(1))
    assert isinstance(talk.request, Replace)
    assert talk.request.base is found


def test_a_read_answer_that_was_overtaken_by_something_older_counts() -> None:
    follower = candidate()
    attempt(follower).found(lease("b", version=2), at(0))
    talk = attempt(follower)
    follower.observe(lease("c", version=3), at(1))
    result = talk.found(lease("d", version=4, renewed=1), at(1)).result
    assert result.lease is not None
    assert result.lease.holder_identity == "d"


def test_a_read_answer_that_was_overtaken_by_a_deletion_is_ignored() -> None:
    leading, stored = leader(version=2)
    talk = attempt(leading)
    leading.observe_deletion(with_version(stored, 3).record, at(1))
    assert not leading.is_leader(at(1))
    talk.found(stored, at(1))
    assert isinstance(talk.request, Create)


@pytest.mark.parametrize("seen_before", [0, 1])
def test_a_read_answer_that_an_event_and_a_deletion_have_overtaken_is_ignored(
    seen_before: int,
) -> None:
    standby = candidate(adopts=False)
    for version in range(1, seen_before + 1):
        standby.observe(lease("b", version=version, renewed=version), at(0))
    talk = attempt(standby)
    standby.observe(lease("b", version=5, renewed=1), at(1))
    standby.observe_deletion(lease("b", version=6, renewed=1).record, at(1))
    assert talk.found(lease("b", version=4, renewed=0.5), at(2)).result.lease is None


def test_a_deletion_that_is_not_newer_than_all_that_was_seen_ends_no_term() -> None:
    leading, stored = leader(version=5)
    leading.observe_deletion(with_version(stored, 5).record, at(1))
    assert leading.is_leader(at(1))


@pytest.mark.parametrize(("uid", "leads"), [("uid-1", False), ("uid-0", True)])
def test_without_versions_a_deletion_counts_only_for_the_current_uid(uid: str, leads: bool) -> None:
    leading, stored = leader(version=2)
    gone = replace(stored.record, uid=uid, resource_version=None)
    leading.observe_deletion(gone, at(1))
    assert leading.is_leader(at(1)) == leads


def test_a_standby_told_of_a_deletion_waits_from_that_event_on() -> None:
    standby = candidate()
    attempt(standby).found(lease("b", version=2), at(0))
    standby.observe_deletion(lease("b", version=3).record, at(1))
    assert not attempt(standby).absent(at(10.999)).result
    assert attempt(standby).absent(at(11)).request is not None


def test_a_late_answer_to_a_write_sent_before_the_term_ended_begins_nothing() -> None:
    leading, stored = leader(version=2)
    talk = attempt(leading).found(stored, at(1))
    leading.observe_deletion(with_version(stored, 3).record, at(2))
    assert not talk.stored(at(3), version=4).result
    assert not leading.is_leader(at(3))


def test_an_event_without_a_version_counts() -> None:
    leading, _ = leader(version=2)
    leading.observe(lease("b", version=None), at(1))
    assert not leading.is_leader(at(1))


# Stepping down.


def released(talk: Talk[StepDownResult]) -> None:
    assert isinstance(talk.request, Replace)
    assert talk.request.intent is Intent.RELEASE


def test_stepping_down_ends_the_term_before_anything_is_sent() -> None:
    leading, _ = leader()
    talk = stepping_down(leading)
    assert not leading.is_leader(at(0))
    assert talk.request == Read()


def test_what_a_release_says() -> None:
    leading, stored = leader()
    talk = stepping_down(leading).found(stored, at(3))
    released(talk)
    assert talk.written.holder_identity is None
    assert talk.written.lease_duration_seconds == 1
    assert talk.written.acquire_time == talk.written.renew_time == time_at(3)
    assert talk.written.lease_transitions == 0
    assert talk.stored(at(3), version=3).result.released


def test_a_release_differs_from_what_it_replaces_though_no_time_has_passed() -> None:
    talk = stepping_down(candidate()).found(lease("a", renewed=1), at(1))
    released(talk)
    assert talk.written.renew_time != time_at(1)


def test_a_release_that_was_lost_is_recognised_where_there_are_neither_uids_nor_versions() -> None:
    leading = candidate()
    talk = stepping_down(leading).found(lease("a", uid=None, version=None), at(1))
    free = Found(talk.written)
    talk.failed(at(2))
    assert stepping_down(leading).found(free, at(3)).result.released
    assert leading.acts_at(at(3)) == 3


def test_stepping_down_releases_nobody_else_s_lease() -> None:
    leading, _ = leader(version=2)
    assert not stepping_down(leading).found(lease("b", version=3), at(1)).result.released
    assert not stepping_down(leading).absent(at(2)).result.released


def test_stepping_down_never_releases_a_namesake_s_term() -> None:
    leading, _ = leader(version=2)
    assert not stepping_down(leading).found(lease("a", version=3, renewed=1), at(1)).result.released


def test_stepping_down_releases_a_record_that_could_be_adopted() -> None:
    talk = stepping_down(candidate()).found(lease("a", version=2), at(1))
    released(talk)
    assert talk.stored(at(1), version=3).result.released


def test_who_does_not_adopt_does_not_release_a_record_it_never_wrote() -> None:
    assert not stepping_down(candidate(adopts=False)).found(lease("a"), at(1)).result.released


def test_stepping_down_twice_is_not_ours_the_second_time() -> None:
    leading, stored = leader()
    talk = stepping_down(leading).found(stored, at(1))
    free = as_stored(talk.request, version=3)
    talk.tell(free, at(1))
    assert not stepping_down(leading).found(free, at(2)).result.released


def test_a_release_that_met_an_edit_of_foreign_fields_is_made_again() -> None:
    leading, stored = leader(version=2)
    talk = stepping_down(leading).found(stored, at(1)).conflict(at(1))
    talk.found(with_version(stored, 3), at(1))
    released(talk)
    assert talk.stored(at(1), version=4).result.released


def test_a_release_whose_answer_was_lost_is_recognised_by_the_next_one() -> None:
    leading, stored = leader(version=2)
    talk = stepping_down(leading).found(stored, at(1))
    free = as_stored(talk.request, version=3)
    talk.failed(at(2))
    assert stepping_down(leading).found(free, at(3)).result.released


def test_a_release_that_failed_leaves_the_term_ended() -> None:
    leading, stored = leader(version=2)
    stepping_down(leading).found(stored, at(1)).failed(at(2))
    assert not leading.is_leader(at(2))


def test_after_stepping_down_no_earlier_write_is_proof_of_leading() -> None:
    leading, stored = leader(version=2)
    committed = lost_renewal(leading, stored, 1, version=3)
    stepping_down(leading).failed(at(3))
    talk = attempt(leading).found(committed, at(4))
    assert not leading.is_leader(at(4))
    assert isinstance(talk.request, Replace)
    assert talk.stored(at(4), version=4).result.fencing_token == 4
    assert leading.take_warning() is None


def test_after_stepping_down_our_last_confirmed_record_is_no_proof_either() -> None:
    leading, stored = leader(version=2)
    stepping_down(leading).failed(at(1))
    talk = attempt(leading).found(stored, at(2))
    assert not leading.is_leader(at(2))
    assert talk.stored(at(2), version=3).result.fencing_token == 3


def test_an_answer_to_a_renewal_that_comes_after_stepping_down_begins_nothing() -> None:
    leading, stored = leader(version=2)
    talk = attempt(leading).found(stored, at(1))
    leading.end_term()
    assert not talk.stored(at(2), version=3).result
    assert not leading.is_leader(at(2))


def test_a_lost_renewal_found_while_stepping_down_is_released() -> None:
    leading, stored = leader(version=2)
    committed = lost_renewal(leading, stored, 1, version=3)
    talk = stepping_down(leading).found(committed, at(3))
    released(talk)
    assert talk.stored(at(3), version=4).result.released


def test_a_third_conflict_while_stepping_down_is_an_error() -> None:
    leading, stored = leader(version=2)
    talk = stepping_down(leading)
    for version in (3, 4):
        talk.found(with_version(stored, version), at(1)).conflict(at(1))
    talk.found(with_version(stored, 5), at(1))
    with pytest.raises(Trouble, match="409"):
        talk.conflict(at(1))


def test_a_leader_deleted_while_stepping_down_makes_no_new_lease() -> None:
    leading, stored = leader(version=2)
    talk = stepping_down(leading).found(stored, at(1)).absent(at(1))
    assert not talk.result.released


# The number and the end of a term.


def test_terms_are_numbered_and_a_renewal_keeps_the_number() -> None:
    leading, stored = leader(version=2)
    attempt(leading).found(stored, at(5)).stored(at(5), version=3)
    term = leading.term(at(5))
    assert term is not None
    assert term.ordinal == 1
    free = lease(None, version=4)
    attempt(leading).found(free, at(6)).stored(at(6), version=5)
    term = leading.term(at(6))
    assert term is not None
    assert (term.ordinal, term.token) == (2, 5)


@pytest.mark.parametrize(
    ("wall_counts", "elapsed", "wall", "ends_at"),
    [
        (False, 1, 1, BELIEF),
        (False, 1, 5, BELIEF),
        (True, 1, 1, BELIEF),
        (True, 1, 5, BELIEF - 4),
        (True, 1, -5, BELIEF),
        (True, 4, 4.5, BELIEF - 0.5),
    ],
)
@pytest.mark.parametrize("since", [0.0, 7.0])
def test_a_term_ends_its_belief_after_its_anchor_or_sooner_where_the_machine_slept(
    since: float, wall_counts: bool, elapsed: float, wall: float, ends_at: float
) -> None:
    leading, _ = leader(since, wall_ends_term=wall_counts)
    now = at(since + elapsed, wall=since + wall)
    term = leading.term(now)
    assert term is not None
    assert term.ends_at(now) == pytest.approx(since + ends_at)
    assert term.remaining(now) == pytest.approx(ends_at - elapsed)


# When there is something to write.


def watching(*, skew: float | None = None, heeds_strategy: bool = False) -> Candidate:
    """A candidate as an elector has it."""
    timing = lock_timing(lease_ttl=TTL, max_clock_skew=skew, call_timeout=None)
    return Candidate("a", timing, adopts=False, heeds_strategy=heeds_strategy)


def test_unless_told_otherwise_a_candidate_adopts_and_heeds_no_strategy_and_no_wall_clock() -> None:
    restarted = Candidate("a", lock_timing(lease_ttl=TTL, max_clock_skew=0.0, call_timeout=None))
    talk = attempt(restarted).found(lease("a", strategy="S"), at(1))
    assert talk.stored(at(1), version=2).result
    assert restarted.is_leader(at(2, wall=1000))


def test_who_knows_nothing_may_act_at_once() -> None:
    assert watching().acts_at(at(3)) == 3


def test_a_leader_acts_a_third_of_its_belief_after_its_anchor() -> None:
    leading, stored = leader()
    assert leading.acts_at(at(1)) == pytest.approx(BELIEF / 3)
    attempt(leading).found(stored, at(3)).stored(at(3.5), version=3)
    assert leading.acts_at(at(4)) == pytest.approx(3 + BELIEF / 3)


def test_who_holds_the_lease_but_leads_no_more_acts_at_once() -> None:
    leading, _ = leader()
    assert leading.acts_at(at(BELIEF)) == BELIEF


def test_a_free_lease_is_acted_on_at_once() -> None:
    standby = watching()
    standby.observe(lease(None), at(1))
    assert standby.acts_at(at(2)) == 2


@pytest.mark.parametrize(
    ("skew", "renewed", "seen", "duration", "acts_at"),
    [
        (None, 0, 3, 10, 13),
        (None, -1000, 3, 10, 13),
        (None, 0, 3, 1, 4),
        (0.0, 0, 3, 10, 10),
        (2.0, 0, 3, 10, 12),
        (2.0, 0, 1, 10, 11),
        (0.0, 1000, 3, 10, 13),
        (0.0, -1000, 3, 10, 5),
        (0.0, -5, 3, 10, 5.000001),
        (0.0, -5.000001, 3, 10, 5),
    ],
)
def test_another_s_lease_is_acted_on_when_it_has_expired_by_either_rule(
    skew: float | None, renewed: float, seen: float, duration: int, acts_at: float
) -> None:
    standby = watching(skew=skew)
    standby.observe(lease("b", renewed=renewed, duration=duration), at(seen))
    assert standby.acts_at(at(5)) == pytest.approx(acts_at, abs=1e-9)


@pytest.mark.parametrize(("skew", "acts_at"), [(None, 13), (0.0, 5)])
def test_without_a_time_of_renewal_only_the_wall_rule_takes_a_lease_for_expired(
    skew: float | None, acts_at: float
) -> None:
    standby = watching(skew=skew)
    standby.observe(lease("b", acquire_time=None, renew_time=None), at(3))
    assert standby.acts_at(at(5)) == acts_at


@pytest.mark.parametrize(
    ("duration", "acts_at"),
    [(2**31 - 1, 2.0**31 + 2), (10**300, 1e300), (10**400, float("inf"))],
    ids=["int32", "a float", "no float"],
)
@pytest.mark.parametrize("skew", [None, 0.0])
def test_a_promise_longer_than_any_calendar_is_kept(
    duration: int, acts_at: float, skew: float | None
) -> None:
    standby = watching(skew=skew)
    standby.observe(lease("b", duration=duration, renewed=3), at(3.0))
    assert standby.acts_at(at(5)) == pytest.approx(acts_at)


@given(
    skew=st.none() | st.floats(0, 3),
    renewed=st.floats(-30, 30),
    seen=st.floats(0, 10),
    duration=st.integers(1, 30),
    later=st.floats(0, 40),
)
def test_what_is_due_is_written_and_what_is_not_due_is_not(
    skew: float | None, renewed: float, seen: float, duration: int, later: float
) -> None:
    standby = watching(skew=skew)
    standby.observe(lease("b", renewed=renewed, duration=duration), at(seen))
    now = at(seen + later)
    due = standby.acts_at(now)
    assert (standby.compose_claim(now) is not None) == (due <= now.monotonic)
    # The wall clock counts whole microseconds.
    assert standby.compose_claim(at(due + 3e-6)) is not None
    if due > now.monotonic + 3e-6:
        assert standby.compose_claim(at(due - 3e-6)) is None


@pytest.mark.parametrize(("duration", "acts_at"), [(3, 14), (10, 14), (30, 34)])
def test_after_a_deletion_the_lease_may_be_made_after_the_longest_duration_seen(
    duration: int, acts_at: float
) -> None:
    standby = watching()
    standby.observe(lease("b", duration=duration), at(0))
    standby.observe_deletion(lease("b", version=2).record, at(4))
    assert standby.acts_at(at(5)) == acts_at
    assert standby.acts_at(at(50)) == acts_at


def test_an_absence_is_not_counted_from_a_conflict_that_shows_that_there_is_a_lease() -> None:
    standby = watching()
    talk = attempt(standby).absent(at(0)).conflict(at(1))
    assert standby.acts_at(at(2)) == 2 + TTL
    talk.absent(at(3))
    assert standby.acts_at(at(5)) == 3 + TTL


def test_a_leader_may_create_a_deleted_lease_at_once_until_its_term_would_have_ended() -> None:
    leading, stored = leader(version=2)
    leading.observe_deletion(with_version(stored, 3).record, at(4))
    assert not leading.is_leader(at(4))
    assert leading.acts_at(at(4)) == 4
    assert leading.acts_at(at(BELIEF - 0.001)) == BELIEF - 0.001
    assert leading.acts_at(at(BELIEF)) == 4 + TTL


@pytest.mark.parametrize("overtaken_by_deletion", [True, False])
def test_a_conflict_takes_the_leave_to_create_at_once_only_if_it_is_not_the_deletion_s_own(
    overtaken_by_deletion: bool,
) -> None:
    leading, stored = leader(version=2)
    talk = attempt(leading).found(stored, at(1))
    if overtaken_by_deletion:
        leading.observe_deletion(with_version(stored, 3).record, at(2))
    talk.conflict(at(2)).absent(at(2))
    assert isinstance(talk.request, Create)
    talk.conflict(at(2)).absent(at(2))
    assert not leading.is_leader(at(2))
    assert leading.acts_at(at(2)) == 2 + TTL


def test_a_create_that_commits_after_another_held_the_lease_is_no_reason_to_act_at_once() -> None:
    standby = watching()
    standby.observe(lease("b", version=1), at(0))
    standby.observe_deletion(lease("b", version=2).record, at(1))
    talk = attempt(standby).absent(at(1 + TTL))
    create = talk.request
    talk.failed(at(12))
    standby.observe(lease("b", version=3, uid="uid-2", renewed=11), at(13))
    # Deleted again while b leads, which nobody has told yet.
    standby.observe(as_stored(create, version=5, uid="uid-3"), at(14))
    assert not standby.is_leader(at(14))
    renewable_at = standby.acts_at(at(14))
    assert renewable_at >= 13 + TTL
    assert standby.compose_claim(at(renewable_at - 0.001)) is None
    assert standby.compose_claim(at(renewable_at)) is not None


def test_a_create_composed_as_another_is_seen_is_no_reason_to_act_at_once() -> None:
    standby = watching()
    talk = attempt(standby).absent(at(1))
    create = talk.request
    standby.observe(lease("b", version=3, renewed=1), at(1))
    talk.failed(at(2))
    # Deleted while b leads, which nobody has told yet.
    standby.observe(as_stored(create, version=5, uid="uid-3"), at(3))
    assert standby.acts_at(at(3)) == 3 + TTL


def test_a_create_that_shows_after_another_lease_of_our_own_is_no_reason_to_act_at_once() -> None:
    standby = watching()
    creates = []
    for second in (1, 2):
        talk = attempt(standby).absent(at(second))
        creates.append(talk.request)
        talk.failed(at(second))
    standby.observe(as_stored(creates[0], version=3, uid="uid-1"), at(3))
    assert standby.acts_at(at(3)) == 3
    # Meanwhile b took it over, and it was deleted, which nobody has told.
    standby.observe(as_stored(creates[1], version=9, uid="uid-2"), at(4))
    assert not standby.is_leader(at(4))
    assert standby.acts_at(at(4)) == 4 + TTL


def test_a_create_that_is_answered_after_another_was_seen_is_no_reason_to_act_at_once() -> None:
    standby = watching()
    talk = attempt(standby).absent(at(1))
    standby.observe(lease("b", version=3, renewed=1), at(2))
    talk.found(as_stored(talk.request, version=5, uid="uid-3"), at(3))
    assert not standby.is_leader(at(3))
    assert standby.acts_at(at(3)) == 3 + TTL


def test_a_leader_whose_lease_is_deleted_makes_another_at_once_and_leads_on() -> None:
    leading, stored = leader()
    talk = attempt(leading).found(stored, at(4)).conflict(at(4)).absent(at(5))
    talk.found(as_stored(talk.request, version=9, uid="uid-2"), at(6))
    assert leading.is_leader(at(6))
    assert leading.acts_at(at(6)) == 5 + BELIEF / 3


@pytest.mark.parametrize(("uid", "version"), [("uid-1", None), (None, 1)])
def test_a_take_over_that_shows_late_is_no_create_whatever_a_server_does_not_give(
    uid: str | None, version: int | None
) -> None:
    standby = watching()
    talk = attempt(standby).found(lease(None, uid=uid, version=version), at(0))
    taken = talk.written
    talk.failed(at(1))
    standby.observe(lease("b", uid=uid, version=2, renewed=1), at(2))
    standby.observe(Found(replace(taken, resource_version="3")), at(3))
    assert standby.acts_at(at(3)) == 3


# Who leads, and whether there may be something to release.


def test_nobody_is_known_to_lead_at_first() -> None:
    assert watching().holder(at(0)) is None


def test_a_leader_s_holder_is_itself_and_after_its_term_nobody() -> None:
    leading, _ = leader()
    assert leading.holder(at(1)) == "a"
    assert leading.holder(at(BELIEF)) is None


def test_another_leads_until_its_promise_is_over() -> None:
    standby = watching()
    standby.observe(lease("b"), at(1))
    assert standby.holder(at(10.999)) == "b"
    assert standby.holder(at(11)) is None


def test_nobody_leads_by_a_free_lease_or_by_none() -> None:
    standby = watching()
    standby.observe(lease(None), at(1))
    assert standby.holder(at(1)) is None
    standby.observe(lease("b", version=2), at(2))
    assert standby.holder(at(2)) == "b"
    standby.observe_deletion(lease("b", version=3).record, at(3))
    assert standby.holder(at(3)) is None


def test_a_namesake_leads_too() -> None:
    standby = watching()
    standby.observe(lease("a"), at(1))
    assert standby.holder(at(1)) == "a"
    assert not standby.is_leader(at(1))


def test_who_has_claimed_nothing_has_nothing_to_release() -> None:
    standby = watching()
    assert not standby.may_hold
    standby.observe(lease("b"), at(0))
    assert not standby.may_hold
    standby.observe(lease("a", version=2, renewed=1), at(1))
    assert not standby.may_hold


def test_what_is_ours_or_may_be_is_to_be_released_until_it_is() -> None:
    leading, stored = leader(version=2)
    assert leading.may_hold
    leading.end_term()
    assert leading.may_hold
    stepping_down(leading).found(stored, at(1)).stored(at(1), version=3)
    assert not leading.may_hold


def test_a_claim_without_an_answer_may_have_to_be_released() -> None:
    trying = watching()
    attempt(trying).found(lease(None), at(0)).failed(at(1))
    assert trying.may_hold


def test_a_lease_that_another_has_taken_is_not_ours_to_release() -> None:
    leading, _ = leader(version=2)
    leading.observe(lease("b", version=3), at(1))
    assert not leading.may_hold


# A Lease whose holder Kubernetes appoints.


@pytest.mark.parametrize("holder", [None, "b", "a"])
def test_a_lease_with_a_strategy_is_left_alone_for_ever(holder: str | None) -> None:
    standby = watching(heeds_strategy=True)
    standby.observe(lease(holder, strategy="S"), at(0))
    assert standby.acts_at(at(100)) == float("inf")
    assert standby.compose_claim(at(100)) is None
    assert standby.holder(at(100)) == holder
    assert standby.take_warning() == (
        "it is left alone: its spec.strategy is 'S', so that Kubernetes"
        " itself appoints its holder; use another lease_name"
    )
    standby.observe(lease(holder, strategy="S", version=2, renewed=1), at(1))
    assert standby.take_warning() is None


def test_who_does_not_heed_strategies_contends_all_the_same() -> None:
    standby = watching()
    standby.observe(lease(None, strategy="S"), at(0))
    assert standby.acts_at(at(0)) == 0
    assert standby.compose_claim(at(0)) is not None
    assert standby.take_warning() is None


def test_a_strategy_that_appears_ends_no_term_but_lets_it_lapse() -> None:
    leading = watching(heeds_strategy=True)
    talk = attempt(leading).absent(at(0)).stored(at(0), version=1)
    assert talk.result
    mine = leading.lease
    assert mine is not None
    leading.observe(Found(replace(mine, strategy="S", resource_version="2")), at(1))
    assert leading.is_leader(at(1))
    assert leading.acts_at(at(1)) == float("inf")
    assert leading.compose_claim(at(5)) is None
    assert not leading.is_leader(at(BELIEF))
    assert leading.holder(at(BELIEF)) is None


# Two candidates on clocks that are wrong within what is declared never lead at once.


@given(
    rate=st.floats(0.99, 1.01),
    other_rate=st.floats(0.99, 1.01),
    skew=st.floats(0, 3),
    difference=st.floats(-1, 1),
    trusts_walls=st.booleans(),
    seen_after=st.floats(0, 5),
)
def test_a_term_ends_before_another_s_can_begin(
    rate: float,
    other_rate: float,
    skew: float,
    difference: float,
    trusts_walls: bool,
    seen_after: float,
) -> None:
    declared = skew if trusts_walls else None
    first = candidate("a", skew=declared)
    talk = attempt(first).absent(Instant(0.0, START))
    stored = as_stored(talk.request, version=2)
    talk.tell(stored, Instant(0.0, START))
    second = candidate("b", skew=declared)
    ahead = timedelta(seconds=difference * skew)

    def second_s(true: float) -> Instant:
        return Instant(true * other_rate, START + timedelta(seconds=true * other_rate) + ahead)

    attempt(second).found(stored, second_s(seen_after))
    end = first.remaining(Instant(0.0, START)) / rate
    talk = attempt(second).found(stored, second_s(max(seen_after, end - 1e-6)))
    assert talk.request is None
    assert attempt(second).found(stored, second_s(2 * TTL + 2 * skew + 5)).request is not None

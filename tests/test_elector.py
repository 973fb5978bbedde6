from __future__ import annotations

import gc
import logging
import math
import threading
import time
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, create_autospec

import pytest
from kubernetes.client import CoordinationV1Api, CoreV1Api
from kubernetes.client.exceptions import ApiException

from kube_leader_election import (
    InvalidParamsError,
    LeaderElectionError,
    LeaderElector,
    LeaderElectorParams,
    LeaderState,
    LeaseLockParams,
    NotLeadingError,
)
from kube_leader_election.testing import ApiServer, FakeClock, FakeCoordinationV1Api, faults
from tests.conftest import stored_spec
from tests.electors import (
    SHORTEST,
    Doing,
    Electors,
    asked,
    lead,
    pass_time,
    sockets,
    term_of,
    threads,
)
from tests.hostile import PATIENCE, FairClock, wait_until

LEADING, FOLLOWING, STANDBY = LeaderState.LEADING, LeaderState.FOLLOWING, LeaderState.STANDBY

DEADLINE = 10.0  # of the defaults, as is the next
RENEWED_AFTER = DEADLINE / 3
LATE = 0.25

Api = FakeCoordinationV1Api


@pytest.fixture
def make_elector(lease_api: Api, fake_clock: FakeClock) -> Iterator[Electors]:
    with Electors(lease_api, fake_clock) as electors:
        yield electors


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def be_taken_over(api: Api, clock: FakeClock, elector: LeaderElector, by: str = "b") -> None:
    """Another holds the Lease, and the elector has seen that."""
    api.put_lease("leader", holder_identity=by)
    pass_time(clock, lambda: elector.holder_identity == by)


# From start to stop


def test_nothing_is_sent_and_no_thread_runs_before_the_start(
    make_elector: Electors, lease_api: Api
) -> None:
    elector = make_elector(on_new_leader=lambda _: None)
    assert threads() == []
    repr(elector)
    assert elector.healthy()
    assert lease_api.requests == []


def test_an_elector_that_was_not_started_answers_every_question(make_elector: Electors) -> None:
    elector = make_elector()
    assert elector.is_leader() is False
    assert elector.state is STANDBY
    assert elector.leadership is None
    assert elector.holder_identity is None
    assert elector.fencing_token is None
    assert elector.holder_id == "a"
    assert elector.healthy()
    assert "not leading" in repr(elector)
    assert threads() == []


def test_who_waits_for_an_elector_that_was_not_started_is_told(make_elector: Electors) -> None:
    elector = make_elector()
    for wait in (
        elector.changes,
        elector.wait_until_leading,
        lambda: elector.wait_until_leading(0),
    ):
        with pytest.raises(LeaderElectionError, match=r"was not started .*start\(\)"):
            wait()


def test_it_leads_where_nobody_does(make_elector: Electors, lease_api: Api) -> None:
    elector = make_elector()
    lead(elector)
    assert elector.is_leader() is True
    assert stored_spec(lease_api)["holderIdentity"] == "a"


def test_a_second_start_is_an_error(make_elector: Electors, lease_api: Api) -> None:
    elector = make_elector()
    leadership = lead(elector)
    for again in (elector.start, lambda: elector.run(print), elector.__enter__):
        with pytest.raises(LeaderElectionError, match="called before"):
            again()
    assert elector.leadership is leadership
    assert asked(lease_api) == ["get", "create"]


def test_a_start_after_stop_is_an_error(make_elector: Electors, lease_api: Api) -> None:
    elector = make_elector()
    lead(elector)
    elector.stop()
    for again in (elector.start, lambda: elector.run(print)):
        with pytest.raises(LeaderElectionError, match="called before"):
            again()
    assert threads() == []
    assert not elector.is_leader()


def test_of_many_starts_at_once_one_counts(make_elector: Electors, lease_api: Api) -> None:
    elector = make_elector()
    barrier = threading.Barrier(8)

    def start() -> bool:
        barrier.wait()
        try:
            elector.start()
        except LeaderElectionError:
            return False
        return True

    starting = [Doing(start) for _ in range(8)]
    assert sum(each.result() for each in starting) == 1
    term_of(elector)
    assert threads().count("kube-leader-election-supervisor") == 1


@pytest.mark.parametrize("wait", [True, False])
def test_a_stop_before_the_start_does_nothing(
    make_elector: Electors, lease_api: Api, wait: bool
) -> None:
    elector = make_elector()
    elector.stop(wait=wait)
    assert lease_api.requests == []
    assert lead(elector)


def test_a_stop_releases_the_lease_and_leaves_no_thread(
    make_elector: Electors, lease_api: Api
) -> None:
    elector = make_elector(on_started_leading=lambda _: None)
    lead(elector)
    elector.stop()
    assert threads() == []
    assert stored_spec(lease_api)["holderIdentity"] == ""
    assert (elector.is_leader(), elector.state, elector.leadership) == (False, STANDBY, None)
    assert (elector.holder_identity, elector.fencing_token) == (None, None)


def test_a_stop_of_who_follows_sends_nothing(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    lease_api.put_lease("leader", holder_identity="b")
    elector = make_elector()
    elector.start()
    wait_until(lambda: elector.state is FOLLOWING)
    elector.stop()
    assert asked(lease_api) == ["get"]
    assert stored_spec(lease_api)["holderIdentity"] == "b"
    assert elector.state is STANDBY
    assert elector.holder_identity is None


def test_a_stop_without_waiting_ends_it_soon(make_elector: Electors, lease_api: Api) -> None:
    elector = make_elector()
    lead(elector)
    elector.stop(wait=False)
    wait_until(lambda: threads() == [])
    assert stored_spec(lease_api)["holderIdentity"] == ""


def test_stops_from_many_threads_release_once(make_elector: Electors, lease_api: Api) -> None:
    elector = make_elector()
    lead(elector)
    barrier = threading.Barrier(8)

    def stop() -> list[str]:
        barrier.wait()
        elector.stop()
        elector.stop()
        return threads()

    stopping = [Doing(stop) for _ in range(8)]
    for each in stopping:
        assert each.result() == []
    elector.stop()
    assert asked(lease_api) == ["get", "create", "update"]


def test_who_stops_before_the_first_answer_is_told_of_no_term(
    make_elector: Electors, lease_api: Api
) -> None:
    gate = threading.Event()
    told: list[object] = []
    lease_api.before_next(gate.wait, verb="create")
    elector = make_elector(
        on_started_leading=told.append, on_stopped_leading=lambda: told.append(0)
    )
    elector.start()
    wait_until(lambda: "create" in asked(lease_api))
    waiting = Doing(elector.wait_until_leading)
    stopping = Doing(elector.stop)
    stopping.thread.join(0.05)
    gate.set()
    stopping.result()
    assert waiting.result() is None
    assert told == []
    assert stored_spec(lease_api)["holderIdentity"] == ""


def test_a_stop_out_of_a_request_of_a_fake_does_not_fail(
    make_elector: Electors, lease_api: Api
) -> None:
    elector = make_elector(drain_timeout=0)
    started = threading.Event()
    lease_api.before_next(
        lambda: (started.wait(PATIENCE), elector.stop(wait=False)),  # type: ignore[func-returns-value]
        verb="create",
    )
    elector.start()
    started.set()
    wait_until(lambda: threads() == [])
    assert stored_spec(lease_api)["holderIdentity"] == ""


def test_a_waiting_stop_out_of_a_request_of_a_fake_does_not_wait_for_itself(
    make_elector: Electors, server: ApiServer
) -> None:
    # As an auth plugin or a mock's side_effect may do, on the thread of the requests.
    outcomes: list[object] = []

    class Client:
        def read_namespaced_lease(self, name: str, namespace: str) -> Any:
            started.wait(PATIENCE)
            began_at = time.monotonic()
            try:
                elector.stop()
            except BaseException as error:
                outcomes.append(error)
                raise
            outcomes.append(time.monotonic() - began_at < 1.0)
            raise ApiException(status=404)

        def create_namespaced_lease(self, namespace: str, body: Any) -> Any: ...

        def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any: ...

    started = threading.Event()
    elector = make_elector(client=Client(), **SHORTEST, drain_timeout=1.0)
    elector.start()
    started.set()
    wait_until(lambda: threads() == [])
    assert outcomes == [True]


@pytest.mark.parametrize("thread", ["supervisor", "requests", "callbacks", "log"])
@pytest.mark.parametrize("ran", [True, False])
def test_a_start_that_is_interrupted_leaves_nothing_that_runs_or_leads(
    make_elector: Electors, monkeypatch: pytest.MonkeyPatch, thread: str, ran: bool
) -> None:
    start = threading.Thread.start

    def interrupted(self: threading.Thread) -> None:
        if ran or self.name != f"kube-leader-election-{thread}":
            start(self)
        if self.name == f"kube-leader-election-{thread}":
            raise KeyboardInterrupt

    elector = make_elector(on_new_leader=lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            elector.start()
    wait_until(lambda: threads() == [])
    assert not elector.is_leader()
    elector.stop(wait=False)


# With-blocks


def test_a_with_block_starts_and_stops(make_elector: Electors, lease_api: Api) -> None:
    with make_elector() as elector:
        assert isinstance(elector, LeaderElector)
        assert term_of(elector)
    assert threads() == []
    assert stored_spec(lease_api)["holderIdentity"] == ""


def test_a_with_block_does_not_wait_until_it_leads(make_elector: Electors, lease_api: Api) -> None:
    gate = threading.Event()
    lease_api.before_next(gate.wait, verb="get")
    with make_elector() as elector:
        assert not elector.is_leader()
        gate.set()


@pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_a_with_block_never_masks_what_its_body_raises(
    make_elector: Electors, lease_api: Api, error: BaseException
) -> None:
    def body() -> None:
        with make_elector() as elector:
            term_of(elector)
            lease_api.fail_next(faults.answer(500), verb="update")
            raise error

    with pytest.raises(type(error)) as caught:
        body()
    assert caught.value is error
    assert caught.value.__context__ is None
    assert threads() == []


def test_a_body_may_stop_what_its_with_block_stops_again(make_elector: Electors) -> None:
    with make_elector() as elector:
        term_of(elector)
        elector.stop()
    assert threads() == []


# Arguments


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("client", {"client": CoreV1Api}),
        ("client", {"client": CoordinationV1Api}),
        ("client", {"client": lambda: CoreV1Api()}),
        ("client", {"client": None}),
        ("client", {"client": "https://127.0.0.1"}),
        ("namespace", {"namespace": ""}),
        ("namespace", {"namespace": "Default"}),
        ("namespace", {"namespace": None}),
        ("params", {"params": LeaseLockParams(lease_name="leader")}),
        ("params", {"params": None}),
        ("params", {"params": "leader"}),
    ],
)
def test_a_bad_argument_is_refused_at_once(
    lease_api: Api, field: str, arguments: dict[str, Any]
) -> None:
    good = {
        "client": lease_api,
        "namespace": "default",
        "params": LeaderElectorParams(lease_name="leader"),
    }
    given = {**good, **arguments}
    before = set(threading.enumerate())
    with pytest.raises(InvalidParamsError) as caught:
        LeaderElector(**given)
    assert caught.value.field == field
    assert lease_api.requests == []
    assert set(threading.enumerate()) <= before


def test_positional_callbacks_and_clocks_are_refused(lease_api: Api) -> None:
    params = LeaderElectorParams(lease_name="leader")
    with pytest.raises(TypeError):
        LeaderElector(lease_api, "default", params, print)  # type: ignore[call-arg]


def test_each_elector_without_a_name_has_one_of_its_own(make_elector: Electors) -> None:
    one, other = make_elector(None), make_elector(None)
    assert one.holder_id == one.holder_id != other.holder_id


def test_it_shows_lease_name_role_and_token_but_no_credentials(
    server: ApiServer, make_elector: Electors
) -> None:
    elector = make_elector(client=server.client())
    assert repr(elector) == "<LeaderElector default/leader: not leading>"
    leadership = lead(elector)
    shown = repr(elector)
    assert shown.startswith("<LeaderElector default/leader: 'a' leading for ")
    assert shown.endswith(f" s, fencing token {leadership.fencing_token}>")
    assert server.token() not in shown + repr(leadership) + repr(vars(leadership))
    elector.stop()
    assert repr(elector) == "<LeaderElector default/leader: 'a' not leading>"
    assert repr(leadership) == f"<Leadership: fencing token {leadership.fencing_token}, over>"


# What it is


def test_all_that_it_says_while_it_leads_agrees(make_elector: Electors, lease_api: Api) -> None:
    elector = make_elector()
    leadership = lead(elector)
    wait_until(lambda: elector.state is LEADING)
    lease = lease_api.stored_lease("leader")
    assert lease is not None
    assert elector.leadership is leadership
    assert elector.holder_identity == elector.holder_id == "a"
    assert elector.fencing_token == leadership.fencing_token
    assert leadership.fencing_token == int(lease["metadata"]["resourceVersion"])


def test_all_that_it_says_while_another_leads_agrees(
    make_elector: Electors, lease_api: Api
) -> None:
    lease_api.put_lease("leader", holder_identity="b")
    elector = make_elector()
    elector.start()
    wait_until(lambda: elector.state is FOLLOWING)
    assert elector.holder_identity == "b"
    assert (elector.is_leader(), elector.leadership, elector.fencing_token) == (False, None, None)


def test_without_a_server_nobody_is_known_to_lead(make_elector: Electors, lease_api: Api) -> None:
    with lease_api.refuse_connections(), make_elector() as elector:
        assert elector.wait_until_leading(0.05) is None
        assert (elector.state, elector.holder_identity) == (STANDBY, None)


def test_what_it_says_ends_by_the_clock_alone(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    leadership = lead(elector)
    gate = threading.Event()
    lease_api.before_next(gate.wait, verb="update")
    fake_clock.advance(DEADLINE - 0.001)
    assert elector.is_leader()
    assert leadership.is_valid()
    fake_clock.advance(0.001)  # by nobody's help: the request for the renewal hangs
    assert not elector.is_leader()
    assert elector.state is not LEADING
    assert elector.holder_identity is None
    assert elector.leadership is None
    assert elector.fencing_token is None
    assert not leadership.is_valid()
    assert not leadership
    assert leadership.remaining() == 0
    assert leadership.lost.wait(PATIENCE)
    assert leadership.stopping.is_set()
    gate.set()


@pytest.mark.fault_row(number=22)
def test_the_first_answer_after_a_long_pause_of_the_process_is_no(
    make_elector: Electors, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    leadership = lead(elector)
    fake_clock.advance(3600)
    assert not leadership
    # Whatever it has begun since then is another term.
    token = elector.fencing_token
    assert token is None or token > (leadership.fencing_token or math.inf)


# Its changes


def test_its_changes_begin_with_what_it_is_and_end_with_standby(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    gate = threading.Event()
    lease_api.before_next(gate.wait, verb="get")
    elector = make_elector()
    elector.start()
    before = [elector.changes() for _ in range(3)]
    assert next(before[0]) is STANDBY
    told = [Doing(lambda changes=changes: list(changes)) for changes in before]  # type: ignore[misc]
    gate.set()
    term_of(elector)
    wait_until(lambda: elector.state is LEADING)
    unread = elector.changes()
    be_taken_over(lease_api, fake_clock, elector)
    told.append(Doing(lambda: list(elector.changes())))
    pass_time(fake_clock, lambda: elector.is_leader())
    wait_until(lambda: next(elector.changes()) is LEADING)
    elector.stop()
    # Between the end of the other's promise and our answer nobody is known to lead.
    all_told = [LEADING, FOLLOWING, STANDBY, LEADING, STANDBY]
    assert told[0].result() == list(unread) == all_told
    assert told[1].result() == told[2].result() == [STANDBY, *all_told]
    assert told[3].result() == all_told[1:]
    assert list(elector.changes()) == [STANDBY]


def test_changes_that_nobody_reads_block_nothing(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    lead(elector)
    changes = elector.changes()
    for by in ("b", "c"):
        be_taken_over(lease_api, fake_clock, elector, by)
        pass_time(fake_clock, elector.is_leader)
    elector.stop()
    assert list(changes)[-4:] == [FOLLOWING, STANDBY, LEADING, STANDBY]


def test_changes_block_for_the_next_one(make_elector: Electors) -> None:
    elector = make_elector()
    lead(elector)
    wait_until(lambda: next(elector.changes()) is LEADING)
    changes = elector.changes()
    assert next(changes) is LEADING
    waiting = Doing(lambda: next(changes))
    waiting.thread.join(0.05)
    assert not waiting.is_done
    elector.stop()
    assert waiting.result() is STANDBY
    assert list(changes) == []


def test_a_dropped_iterator_of_changes_keeps_nothing(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    first = weakref.ref(lead(elector))
    for _ in range(10):
        next(elector.changes())
    kept = elector.changes()
    next(kept)
    be_taken_over(lease_api, fake_clock, elector)
    pass_time(fake_clock, elector.is_leader)
    gc.collect()
    assert first() is not None
    del kept
    gc.collect()
    assert first() is None


# Who waits until it leads


def test_who_waits_until_it_leads_gets_the_term_at_once_where_it_does(
    make_elector: Electors,
) -> None:
    elector = make_elector()
    leadership = lead(elector)
    assert elector.wait_until_leading() is leadership
    assert elector.wait_until_leading(0) is leadership


@pytest.mark.parametrize("timeout", [0, 0.05, -1])
def test_who_waits_until_it_leads_gets_nothing_after_the_timeout(
    make_elector: Electors, lease_api: Api, timeout: float
) -> None:
    lease_api.put_lease("leader", holder_identity="b")
    with make_elector() as elector:
        began_at = time.monotonic()
        assert elector.wait_until_leading(timeout) is None
        assert time.monotonic() - began_at >= timeout


@pytest.mark.parametrize("timeout", [None, PATIENCE, 1e12, math.inf])
def test_who_waits_until_it_leads_gets_a_term_that_is_valid(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock, timeout: float | None
) -> None:
    lease_api.put_lease("leader", holder_identity="b")
    elector = make_elector()
    elector.start()
    waiting = Doing(lambda: elector.wait_until_leading(timeout))
    pass_time(fake_clock, elector.is_leader)
    leadership = waiting.result()
    assert leadership
    assert leadership is elector.leadership


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_who_waits_until_it_leads_gets_nothing_where_it_is_stopped(
    make_elector: Electors, lease_api: Api, timeout: float | None
) -> None:
    lease_api.put_lease("leader", holder_identity="b")
    elector = make_elector()
    elector.start()
    waiting = [Doing(lambda: elector.wait_until_leading(timeout)) for _ in range(2)]
    waiting[0].thread.join(0.05)
    assert not waiting[0].is_done
    elector.stop()
    assert [each.result() for each in waiting] == [None, None]
    assert elector.wait_until_leading() is None


def test_who_waits_while_a_term_is_over_waits_for_the_next(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    first = lead(elector)
    be_taken_over(lease_api, fake_clock, elector)
    waiting = Doing(elector.wait_until_leading)
    pass_time(fake_clock, elector.is_leader)
    second = waiting.result()
    assert second is not None
    assert second is not first
    assert second.is_valid()


# Who leads


def test_it_is_told_who_leads_ourselves_too(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    told: list[str] = []
    lease_api.put_lease("leader", holder_identity="b")
    elector = make_elector(on_new_leader=told.append)
    elector.start()
    wait_until(lambda: told == ["b"])
    lease_api.put_lease("leader", holder_identity="c")
    pass_time(fake_clock, lambda: told == ["b", "c"])
    pass_time(fake_clock, elector.is_leader)
    wait_until(lambda: told == ["b", "c", "a"])
    be_taken_over(lease_api, fake_clock, elector)
    elector.stop()
    assert told == ["b", "c", "a", "b"]


def test_who_goes_on_leading_is_told_once(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    told: list[str] = []
    elector = make_elector(on_new_leader=told.append)
    lead(elector)
    for renewals in range(1, 6):
        pass_time(fake_clock, lambda: asked(lease_api).count("update") == renewals)  # noqa: B023
    elector.stop()
    assert told == ["a"]


# A term


def test_a_term_is_renewed_and_keeps_its_token(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    leadership = lead(elector)
    token = leadership.fencing_token
    for renewals in range(1, 8):
        fake_clock.advance(RENEWED_AFTER)
        wait_until(lambda: asked(lease_api).count("update") == renewals)  # noqa: B023
        wait_until(lambda: leadership.remaining() > DEADLINE - 0.01)
    assert elector.leadership is leadership
    assert leadership.fencing_token == elector.fencing_token == token
    assert not leadership.stopping.is_set()
    assert not leadership.lost.is_set()
    assert asked(lease_api) == ["get", "create"] + ["update"] * 7
    leadership.ensure_valid()


def test_a_term_that_was_lost_stays_invalid_in_the_next(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    first = lead(elector)
    be_taken_over(lease_api, fake_clock, elector)
    pass_time(fake_clock, elector.is_leader)
    second = term_of(elector)
    assert (first.is_valid(), first.remaining(), bool(first)) == (False, 0, False)
    assert first.lost.is_set()
    assert second.is_valid()
    assert not second.stopping.is_set()
    assert first.fencing_token is not None
    assert second.fencing_token is not None
    assert second.fencing_token > first.fencing_token
    with pytest.raises(NotLeadingError):
        first.ensure_valid()
    second.ensure_valid()


def test_a_lapse_without_another_leader_begins_a_new_term(
    make_elector: Electors, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    first = lead(elector)
    fake_clock.advance(DEADLINE)
    assert first.lost.wait(PATIENCE)
    second = term_of(elector)
    assert first.fencing_token is not None
    assert second.fencing_token is not None
    assert second.fencing_token > first.fencing_token
    assert not first


def test_work_in_a_lost_term_is_told_who_leads(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    leadership = lead(elector)
    be_taken_over(lease_api, fake_clock, elector)
    with pytest.raises(NotLeadingError) as caught:
        leadership.ensure_valid()
    assert caught.value.holder_identity == "b"


def test_whoever_waits_for_stopping_or_for_lost_is_told_of_a_loss(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    leadership = lead(elector)

    def wait_for_lost() -> tuple[bool, bool]:
        return leadership.lost.wait(PATIENCE), leadership.stopping.is_set()

    stopping = Doing(leadership.stopping.wait)
    lost = [Doing(wait_for_lost) for _ in range(3)]
    assert leadership.stopping.wait(0.01) is False
    assert leadership.lost.wait(0.01) is False
    be_taken_over(lease_api, fake_clock, elector)
    assert stopping.result() is True
    assert [each.result() for each in lost] == [(True, True)] * 3


def test_one_wait_for_stopping_suffices_at_a_stop(make_elector: Electors) -> None:
    elector = make_elector()
    leadership = lead(elector)
    stopping = Doing(leadership.stopping.wait)
    elector.stop()
    assert stopping.result()
    assert leadership.lost.is_set()


def test_a_released_lease_is_taken_by_the_next(
    make_elector: Electors, fake_clock: FakeClock
) -> None:
    a, b = make_elector("a"), make_elector("b")
    first = lead(a)
    b.start()
    wait_until(lambda: b.holder_identity == "a")
    a.stop()
    pass_time(fake_clock, b.is_leader)
    assert (term_of(b).fencing_token or 0) > (first.fencing_token or 0)


# A server that does not answer


def test_a_term_ends_and_is_told_to_end_on_time_while_a_request_hangs(
    server: ApiServer, make_elector: Electors
) -> None:
    elector = make_elector(client=server.client(), **SHORTEST)
    leadership = lead(elector)
    server.fail_next(faults.hang(), times=None)
    over_at = time.monotonic() + SHORTEST["renew_deadline"]
    with FairClock() as clock:
        assert leadership.lost.wait(PATIENCE)
    assert clock.seconds < SHORTEST["renew_deadline"] + LATE
    assert leadership.stopping.is_set()
    time.sleep(max(0.0, over_at - time.monotonic()))
    assert not elector.is_leader()
    assert elector.leadership is None
    with FairClock() as clock:
        elector.stop()
    assert clock.seconds < SHORTEST["renew_deadline"] / 5 + LATE
    wait_until(lambda: threads() == [])


@pytest.mark.fault_row(number=38)
@pytest.mark.parametrize("hanging", [False, True])
def test_many_rounds_leave_no_thread_and_no_socket(
    server: ApiServer, make_elector: Electors, hanging: bool
) -> None:
    before = sockets()
    slowest = 0.0
    for _ in range(2 if hanging else 30):
        elector = make_elector(client=server.client(), **SHORTEST)
        lead(elector)
        if hanging:
            server.fail_next(faults.hang(), verb="update")
            wait_until(lambda: None in [asked.status for asked in server.requests[-2:]])
        with FairClock() as clock:
            elector.stop()
        slowest = max(slowest, clock.seconds)
    wait_until(lambda: threads() == [])
    assert slowest < SHORTEST["renew_deadline"] / 5 + LATE
    wait_until(lambda: sockets() <= before)


@pytest.mark.fault_row(number=38)
def test_a_stop_gives_a_hanging_request_up_in_time_to_release_the_lease(
    server: ApiServer, make_elector: Electors
) -> None:
    server.fail_next(faults.hang(committed=True), verb="create")
    elector = make_elector(client=server.client(), lease_ttl=7, renew_deadline=6.0)
    elector.start()
    wait_until(lambda: server.stored_lease("leader") is not None)
    elector.stop()
    assert stored_spec(server)["holderIdentity"] == ""
    assert not elector.is_leader()


@pytest.mark.fault_row(number=38)
def test_a_stop_ends_a_request_that_hangs_in_a_fake_too(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    gate = threading.Event()
    elector = make_elector()
    lead(elector)
    lease_api.before_next(gate.wait, verb="update")
    pass_time(fake_clock, lambda: asked(lease_api)[-1] == "update")
    stopping = Doing(elector.stop)
    pass_time(fake_clock, lambda: stopping.is_done)
    stopping.result()
    assert not elector.is_leader()
    assert threads() == ["kube-leader-election-requests"]  # nothing can end a fake's call
    gate.set()


# Health


def test_a_replica_is_healthy_before_it_starts_and_after_it_stops(
    make_elector: Electors, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    assert elector.healthy(0)
    lead(elector)
    elector.stop()
    fake_clock.advance(3600)
    assert elector.healthy(0)


def always_healthy(clock: FakeClock, elector: LeaderElector, seconds: float) -> None:
    for _ in range(int(seconds)):
        clock.advance(1)
        wait_until(lambda: elector.healthy(2.0), 2.0)


@pytest.mark.parametrize("durations", [(15, 10.0), (600, 500.0)])
def test_a_leader_is_healthy(
    make_elector: Electors, fake_clock: FakeClock, durations: tuple[int, float]
) -> None:
    lease_ttl, renew_deadline = durations
    elector = make_elector(lease_ttl=lease_ttl, renew_deadline=renew_deadline)
    lead(elector)
    always_healthy(fake_clock, elector, renew_deadline / 3)


@pytest.mark.parametrize("retry_period", [2.0, 100.0])
def test_a_follower_is_healthy(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock, retry_period: float
) -> None:
    lease_api.put_lease("leader", holder_identity="b", lease_duration_seconds=1000)
    elector = make_elector(lease_ttl=600, renew_deadline=200.0, retry_period=retry_period)
    elector.start()
    wait_until(lambda: elector.state is FOLLOWING)
    always_healthy(fake_clock, elector, retry_period)


@pytest.mark.parametrize("fault", [faults.reset(), faults.answer(503), faults.answer(403)])
def test_a_replica_whose_server_is_down_is_healthy(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock, fault: faults.Fault
) -> None:
    lease_api.fail_next(fault, times=None)
    elector = make_elector()
    elector.start()
    always_healthy(fake_clock, elector, 120)
    assert not elector.is_leader()


def test_a_request_that_hangs_past_its_deadline_is_unhealthy(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    gate = threading.Event()
    elector = make_elector()
    lead(elector)
    lease_api.before_next(gate.wait, verb="update")
    pass_time(fake_clock, lambda: asked(lease_api)[-1] == "update")
    fake_clock.advance(10)
    wait_until(elector.healthy)
    fake_clock.advance(13)
    wait_until(lambda: not elector.healthy())
    assert elector.healthy(tolerance=60)
    gate.set()
    wait_until(elector.healthy)


class BreakingClock(FakeClock):
    """Raises, or hangs, on the supervisor's thread once it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self.gate = threading.Event()
        self.gate.set()

    def monotonic(self) -> float:
        if threading.current_thread().name == "kube-leader-election-supervisor":
            self.gate.wait()
            if self.error is not None:
                raise self.error
        return super().monotonic()


@pytest.mark.fault_row(number=28)
@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit()])
def test_a_dead_supervisor_ends_the_term_and_is_unhealthy(
    make_elector: Electors,
    lease_api: Api,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    clock = BreakingClock()
    told: list[str] = []
    elector = make_elector(
        client=lease_api,
        clock=clock,
        on_started_leading=lambda _: told.append("started"),
        on_stopped_leading=lambda: told.append("stopped"),
    )
    leadership = lead(elector)
    wait_until(lambda: told == ["started"])
    clock.error = error
    assert leadership.lost.wait(PATIENCE)
    wait_until(lambda: threads() == [])
    assert not elector.healthy(3600)
    assert not elector.is_leader()
    assert not leadership
    assert elector.state is STANDBY
    assert elector.wait_until_leading() is None
    assert list(elector.changes()) == [STANDBY]
    elector.stop()
    assert told == ["started", "stopped"]
    assert "kube_leader_election" in {
        record.name for record in caplog.records if record.levelno >= logging.ERROR
    }
    assert stored_spec(lease_api)["holderIdentity"] == "a"


def test_a_supervisor_that_dies_while_callbacks_finish_has_them_told_once(
    make_elector: Electors, lease_api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    clock, gate = BreakingClock(), threading.Event()
    told: list[str] = []

    def stopped() -> None:
        told.append("stopped")
        gate.wait()

    elector = make_elector(
        client=lease_api,
        clock=clock,
        on_started_leading=lambda _: told.append("started"),
        on_stopped_leading=stopped,
    )
    lead(elector)
    wait_until(lambda: told == ["started"])
    elector.stop(wait=False)
    wait_until(lambda: told == ["started", "stopped"])
    clock.error = RuntimeError("broken")
    wait_until(lambda: not elector.healthy(3600))
    gate.set()
    wait_until(lambda: threads() == [])
    assert told == ["started", "stopped"]


@pytest.mark.fault_row(number=28)
def test_a_stuck_supervisor_is_unhealthy_and_leads_no_longer_than_it_may(
    make_elector: Electors, lease_api: Api
) -> None:
    clock = BreakingClock()
    elector = make_elector(client=lease_api, clock=clock)
    lead(elector)
    clock.gate.clear()
    clock.advance(DEADLINE)
    assert not elector.is_leader()
    assert elector.healthy()
    clock.advance(DEADLINE + 1)
    assert not elector.healthy()
    clock.gate.set()
    wait_until(elector.healthy)


# Fakes and mocks


class Raising:
    """A fake that raises once, and finds no Lease before that and after."""

    def __init__(self, api: Api, error: BaseException) -> None:
        self._api = api
        self.error: BaseException | None = error
        self.raised = 0

    def read_namespaced_lease(self, name: str, namespace: str) -> Any:
        if self.error is not None:
            self.raised += 1
            raise self.error
        return self._api.read_namespaced_lease(name, namespace)

    def create_namespaced_lease(self, namespace: str, body: Any) -> Any:
        return self._api.create_namespaced_lease(namespace, body)

    def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any:
        return self._api.replace_namespaced_lease(name, namespace, body)


@pytest.mark.parametrize(
    "error",
    [AssertionError("mine"), SystemExit(1), KeyboardInterrupt(), GeneratorExit(), StopIteration()],
)
def test_an_elector_outlives_whatever_a_fake_raises(
    make_elector: Electors,
    lease_api: Api,
    fake_clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    client = Raising(lease_api, error)
    elector = make_elector(client=client, clock=fake_clock)
    elector.start()
    pass_time(fake_clock, lambda: client.raised == 2)
    assert elector.healthy()
    client.error = None
    pass_time(fake_clock, elector.is_leader)
    assert term_of(elector)
    warnings = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert len(warnings) == 1
    assert type(error).__name__ in warnings[0]


def mocks() -> list[Any]:
    return [
        MagicMock(),
        MagicMock(spec=CoordinationV1Api),
        create_autospec(CoordinationV1Api),
        create_autospec(CoordinationV1Api, instance=True),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_mock_that_was_told_nothing_is_polled(
    make_elector: Electors,
    fake_clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    mock = mocks()[number]
    elector = make_elector(client=mock, clock=fake_clock)
    elector.start()
    reads = mock.read_namespaced_lease
    pass_time(fake_clock, lambda: reads.call_count >= 3)
    assert not elector.is_leader()
    assert elector.healthy()
    elector.stop()
    reads.assert_called_with(name="leader", namespace="default")
    assert len([record for record in caplog.records if record.levelno > logging.INFO]) == 1
    assert not mock.list_namespaced_lease.called


@pytest.mark.parametrize("number", range(4))
def test_an_elector_leads_on_a_mock(
    make_elector: Electors, fake_clock: FakeClock, number: int
) -> None:
    mock = mocks()[number]
    mock.read_namespaced_lease.side_effect = ApiException(status=404)
    elector = make_elector(client=mock, clock=fake_clock)
    leadership = lead(elector)
    assert leadership.fencing_token is None
    pass_time(fake_clock, lambda: mock.replace_namespaced_lease.call_count >= 3)
    assert leadership.is_valid()
    elector.stop()
    body = mock.replace_namespaced_lease.call_args.kwargs["body"]
    assert body.spec.holder_identity == ""


# A busy interpreter


@pytest.mark.fault_row(number=28)
def test_a_hog_of_the_interpreter_costs_time_only(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    go_on = True

    def spin() -> None:
        while go_on:
            pass

    elector = make_elector()
    leadership = lead(elector)
    spinning = [Doing(spin), Doing(spin)]
    try:
        for renewals in range(1, 4):
            fake_clock.advance(RENEWED_AFTER)
            wait_until(lambda: asked(lease_api).count("update") == renewals)  # noqa: B023
            wait_until(lambda: leadership.remaining() > DEADLINE - 0.01)
        assert elector.leadership is leadership
        fake_clock.advance(DEADLINE)
        assert not leadership.is_valid()
        assert leadership.lost.wait(PATIENCE)
        assert term_of(elector) is not leadership
        elector.stop()
    finally:
        go_on = False
        for each in spinning:
            each.result()
    assert stored_spec(lease_api)["holderIdentity"] == ""


class CountingClock:
    """The machine's clock, on which the supervisor looks every 10 ms, and how often that was."""

    def __init__(self) -> None:
        self._clock = FakeClock()
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self._clock.monotonic()

    def utcnow(self) -> Any:
        return self._clock.utcnow()

    def advance(self, seconds: float) -> None:
        self._clock.advance(seconds)


@pytest.mark.parametrize("situation", ["leading", "following", "down", "hanging", "draining"])
def test_whoever_waits_does_not_spin(
    make_elector: Electors, lease_api: Api, situation: str
) -> None:
    clock, gate, returned = CountingClock(), threading.Event(), threading.Event()
    elector = make_elector(client=lease_api, clock=clock, on_stopped_leading=returned.wait)
    if situation == "following":
        lease_api.put_lease("leader", holder_identity="b")
    if situation == "down":
        lease_api.fail_next(faults.reset(), times=None)
    elector.start()
    if situation in ("leading", "hanging", "draining"):
        term_of(elector)
    if situation == "hanging":
        lease_api.before_next(gate.wait, verb="update")
        clock.advance(RENEWED_AFTER)
        wait_until(lambda: asked(lease_api)[-1] == "update")
    if situation == "draining":
        elector.stop(wait=False)
        wait_until(lambda: elector.leadership is None or elector.leadership.stopping.is_set())
    time.sleep(0.05)
    before = clock.looks
    time.sleep(0.2)
    assert clock.looks - before < 200
    gate.set()
    returned.set()


# The log


def messages(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno >= level]


def test_a_healthy_replica_prints_one_line_per_term(
    make_elector: Electors,
    lease_api: Api,
    fake_clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Without a watch, which seems to stall where the clock is moved on before it could tell.
    client = SimpleNamespace(
        read_namespaced_lease=lease_api.read_namespaced_lease,
        create_namespaced_lease=lease_api.create_namespaced_lease,
        replace_namespaced_lease=lease_api.replace_namespaced_lease,
    )
    with caplog.at_level(logging.DEBUG):
        elector = make_elector(client=client, clock=fake_clock)
        lead(elector)
        for renewals in range(1, 6):
            fake_clock.advance(RENEWED_AFTER)
            wait_until(lambda: asked(lease_api).count("update") == renewals)  # noqa: B023
        assert len(messages(caplog, logging.INFO)) == 1
        elector.stop()
    begun, ended = messages(caplog, logging.INFO)
    assert "default/leader" in begun
    assert "default/leader" in ended
    assert {record.name for record in caplog.records} == {"kube_leader_election"}
    assert {record.levelno for record in caplog.records if record.levelno > logging.INFO} == set()


def test_an_outage_is_one_warning_for_each_kind_of_failure(
    make_elector: Electors,
    lease_api: Api,
    fake_clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    elector = make_elector(lease_ttl=3600, renew_deadline=3000.0)
    lead(elector)

    def fail_and_recover(times: int) -> None:
        before = asked(lease_api).count("update")
        pass_time(fake_clock, lambda: asked(lease_api).count("update") > before + times, step=50)

    lease_api.fail_next(faults.answer(503), verb="update", times=3)
    lease_api.fail_next(faults.reset(), verb="update", times=3)
    fail_and_recover(6)
    lease_api.fail_next(faults.reset(), verb="update", times=2)
    fail_and_recover(2)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    told = [record.getMessage() for record in warnings]
    assert len(told) == 3
    assert "503" in told[0]
    assert told[1] == told[2]
    assert {record.exc_info for record in warnings} == {None}
    assert elector.is_leader()


def test_neither_token_nor_header_nor_body_is_logged(
    server: ApiServer, make_elector: Electors, caplog: pytest.LogCaptureFixture
) -> None:
    client = server.client()
    client.default_headers["X-Secret"] = "in-a-header"
    for fault in (
        faults.answer(403, body={"kind": "Status", "message": "in-a-body"}),
        faults.answer(200, body="in-a-body"),
    ):
        server.fail_next(fault, verb="get")
    with caplog.at_level(logging.DEBUG):
        elector = make_elector(client=client, **SHORTEST)
        lead(elector)
        elector.stop()
    assert len(messages(caplog, logging.WARNING)) >= 2
    text = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    for secret in (server.token(), "in-a-header", "in-a-body", "Bearer"):
        assert secret not in text


def test_fragile_durations_are_warned_of_once_at_construction(
    make_elector: Electors,
    lease_api: Api,
    fake_clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    elector = make_elector(lease_ttl=15, renew_deadline=14.0)
    [warning] = messages(caplog, logging.WARNING)
    assert "renew_deadline (14.0)" in warning
    assert "default/leader" in warning
    lead(elector)
    be_taken_over(lease_api, fake_clock, elector)
    pass_time(fake_clock, elector.is_leader)
    elector.stop()
    assert messages(caplog, logging.WARNING) == [warning]


def test_sound_durations_are_not_warned_of(
    make_elector: Electors, caplog: pytest.LogCaptureFixture
) -> None:
    make_elector()
    assert caplog.records == []


class Blocking(logging.Handler):
    """As one that writes to a network that is gone."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reached, self.gate = threading.Event(), threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.reached.set()
        self.gate.wait(PATIENCE)


def test_a_log_that_blocks_keeps_no_term_from_ending_and_being_told(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    handler = Blocking()
    leadership = lead(make_elector())
    logger = logging.getLogger("kube_leader_election")
    logger.addHandler(handler)
    try:
        with lease_api.refuse_connections():
            fake_clock.advance(RENEWED_AFTER)
            assert handler.reached.wait(PATIENCE)
            fake_clock.advance(DEADLINE)
            assert leadership.lost.wait(PATIENCE)
            assert not handler.gate.is_set()
    finally:
        handler.gate.set()
        logger.removeHandler(handler)

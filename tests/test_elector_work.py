from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from signal import Signals
from typing import Any

import pytest

from kube_leader_election import (
    InvalidParamsError,
    LeaderElectionError,
    LeaderElector,
    Leadership,
    LeaderState,
    NotLeadingError,
)
from kube_leader_election.testing import FakeClock, FakeCoordinationV1Api
from tests.conftest import stored_spec
from tests.electors import (
    Doing,
    Electors,
    asked,
    interrupt,
    lead,
    no_deadlock,
    pass_time,
    term_of,
    threads,
)
from tests.hostile import PATIENCE, wait_until

DEADLINE, RENEWED_AFTER, TTL, DRAIN = 10.0, 10.0 / 3, 15, 20.0  # the defaults
ROUNDS = 20

Api = FakeCoordinationV1Api
Work = Callable[[Leadership], object]


@pytest.fixture
def make_elector(lease_api: Api, fake_clock: FakeClock) -> Iterator[Electors]:
    with Electors(lease_api, fake_clock) as electors:
        yield electors


@pytest.fixture
def handlers() -> Iterator[None]:
    """Whatever is installed in the test is gone after it."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def holder(api: Api) -> str:
    identity: str = stored_spec(api)["holderIdentity"]
    return identity


class Worker:
    """Work that writes down its terms, and ends when it is told to finish or `go_on` is set."""

    def __init__(self, *, obeys: bool = True) -> None:
        self.terms: list[Leadership] = []
        self.go_on = threading.Event()
        self._obeys = obeys

    def __call__(self, leadership: Leadership) -> None:
        self.terms.append(leadership)
        while not self.go_on.wait(0.002):
            if self._obeys and leadership.stopping.is_set():
                return


class Told:
    """What the callbacks were told, on which threads, in the order of time."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.threads: set[int] = set()
        self.callbacks: dict[str, Any] = {
            "on_started_leading": lambda leadership: self("started"),
            "on_stopped_leading": lambda: self("stopped"),
            "on_new_leader": lambda holder_identity: self(f"new leader {holder_identity}"),
        }

    def __call__(self, event: str) -> None:
        self.threads.add(threading.get_ident())
        self.events.append(event)

    @property
    def terms(self) -> list[str]:
        return [event for event in self.events if not event.startswith("new leader")]


def work_in_background(elector: LeaderElector, work: Work, terms: list[Leadership]) -> Doing[None]:
    """`run` on another thread, which has begun to work."""
    running = Doing(lambda: elector.run(work))
    wait_until(lambda: bool(terms))
    return running


# What run does


def test_work_is_called_on_the_calling_thread_with_a_term_that_is_valid(
    make_elector: Electors,
) -> None:
    elector = make_elector()
    seen: list[object] = []

    def work(leadership: Leadership) -> None:
        seen.extend([threading.current_thread(), leadership.is_valid(), elector.is_leader()])

    elector.run(work)
    assert seen == [threading.current_thread(), True, True]


def test_work_that_returns_ends_the_election(make_elector: Electors, lease_api: Api) -> None:
    elector = make_elector()
    terms: list[Leadership] = []
    elector.run(terms.append)
    [leadership] = terms
    assert holder(lease_api) == ""
    assert leadership.stopping.is_set()
    assert leadership.lost.is_set()
    assert not leadership
    assert elector.state is LeaderState.STANDBY
    assert threads() == []
    with pytest.raises(LeaderElectionError):
        elector.run(terms.append)


@pytest.mark.fault_row(number=29)
@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_what_the_work_raises_comes_out_once_as_it_is_after_the_release(
    make_elector: Electors,
    lease_api: Api,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    elector = make_elector()

    def work(_: Leadership) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        elector.run(work)
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (None, None)
    assert holder(lease_api) == ""
    assert threads() == []
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@pytest.mark.fault_row(number=29)
def test_what_the_work_raises_comes_out_where_the_lease_cannot_be_released(
    make_elector: Electors, lease_api: Api
) -> None:
    elector = make_elector()

    def work(_: Leadership) -> None:
        raise KeyError

    def refuse() -> None:
        raise OSError("down")

    lease_api.before_next(refuse, verb="update")
    with pytest.raises(KeyError) as caught:
        elector.run(work)
    assert caught.value.__context__ is None


def test_work_is_called_again_after_a_loss_with_a_greater_token(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector, worker = make_elector(), Worker()
    running = work_in_background(elector, worker, worker.terms)
    for terms in (2, 3):
        lease_api.put_lease("leader", holder_identity="b")
        pass_time(fake_clock, lambda: len(worker.terms) == terms)  # noqa: B023
        assert worker.terms[-2].lost.is_set()
        assert not worker.terms[-2]
    worker.go_on.set()
    running.result()
    tokens = [leadership.fencing_token or 0 for leadership in worker.terms]
    assert tokens == sorted(set(tokens))
    assert holder(lease_api) == ""


def test_work_that_notices_the_loss_by_an_error_is_called_again(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    terms: list[Leadership] = []

    def work(leadership: Leadership) -> None:
        terms.append(leadership)
        if len(terms) == 1:
            while True:
                leadership.ensure_valid()
                time.sleep(0.001)

    running = work_in_background(elector, work, terms)
    lease_api.put_lease("leader", holder_identity="b")
    pass_time(fake_clock, lambda: running.is_done)
    running.result()
    assert len(terms) == 2


def test_an_error_of_not_leading_from_work_that_leads_comes_out(
    make_elector: Electors, lease_api: Api
) -> None:
    elector = make_elector()
    error = NotLeadingError("of another lock", holder_identity=None)

    def work(_: Leadership) -> None:
        raise error

    with pytest.raises(NotLeadingError) as caught:
        elector.run(work)
    assert caught.value is error
    assert holder(lease_api) == ""


def test_an_error_of_not_leading_after_the_drain_was_too_short_ends_it_without_error(
    make_elector: Electors, fake_clock: FakeClock
) -> None:
    elector = make_elector(drain_timeout=0)
    terms: list[Leadership] = []

    def work(leadership: Leadership) -> None:
        terms.append(leadership)
        leadership.lost.wait()
        leadership.ensure_valid()

    running = work_in_background(elector, work, terms)
    elector.stop(wait=False)
    running.result()
    assert len(terms) == 1


@pytest.mark.fault_row(number=29)
def test_any_other_error_after_a_loss_comes_out(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector = make_elector()
    terms: list[Leadership] = []

    def work(leadership: Leadership) -> None:
        terms.append(leadership)
        leadership.lost.wait()
        raise KeyError

    running = work_in_background(elector, work, terms)
    lease_api.put_lease("leader", holder_identity="b")
    with pytest.raises(KeyError):
        running.result()
    assert holder(lease_api) == "b"
    wait_until(lambda: threads() == [])


def test_run_returns_without_work_where_it_is_stopped_before_it_leads(
    make_elector: Electors, lease_api: Api
) -> None:
    lease_api.put_lease("leader", holder_identity="b")
    elector = make_elector()
    terms: list[Leadership] = []
    running = Doing(lambda: elector.run(terms.append))
    wait_until(lambda: elector.state is LeaderState.FOLLOWING)
    elector.stop()
    running.result()
    assert terms == []
    assert holder(lease_api) == "b"


def test_run_says_so_where_the_election_broke_down(
    make_elector: Electors, lease_api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(FakeClock):
        is_broken = False

        def monotonic(self) -> float:
            if self.is_broken:
                raise RuntimeError("broken")
            return super().monotonic()

    clock = Broken()
    lease_api.put_lease("leader", holder_identity="b")
    elector = make_elector(client=lease_api, clock=clock)
    running = Doing(lambda: elector.run(print))
    wait_until(lambda: asked(lease_api) == ["get"])
    clock.is_broken = True
    with pytest.raises(LeaderElectionError, match="default/leader"):
        running.result()
    clock.is_broken = False


# The hand-over


def test_work_drains_while_the_lease_is_renewed_and_then_it_is_released(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector, worker = make_elector(), Worker(obeys=False)
    running = work_in_background(elector, worker, worker.terms)
    [leadership] = worker.terms
    elector.stop(wait=False)
    assert leadership.stopping.wait(PATIENCE)
    for renewals in range(1, 6):  # for longer than the deadline
        fake_clock.advance(RENEWED_AFTER)
        wait_until(lambda: asked(lease_api).count("update") == renewals)  # noqa: B023
        wait_until(lambda: leadership.remaining() > DEADLINE - 0.01)
    assert leadership.is_valid()
    assert elector.is_leader()
    assert not leadership.lost.is_set()
    assert not running.is_done
    assert holder(lease_api) == "a"
    worker.go_on.set()
    running.result()
    assert holder(lease_api) == ""
    assert leadership.lost.is_set()
    assert worker.terms == [leadership]


def test_a_stop_in_another_thread_waits_for_the_work(
    make_elector: Electors, lease_api: Api
) -> None:
    elector, worker = make_elector(), Worker(obeys=False)
    running = work_in_background(elector, worker, worker.terms)
    stopping = Doing(elector.stop)
    stopping.thread.join(0.05)
    assert not stopping.is_done
    worker.go_on.set()
    stopping.result()
    assert holder(lease_api) == ""
    running.result()


@pytest.mark.fault_row(number=29)
@pytest.mark.parametrize("drain_timeout", [DRAIN, 3.0, 0])
def test_work_that_ignores_stopping_is_told_lost_and_never_released_under(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock, drain_timeout: float
) -> None:
    elector, worker = make_elector(drain_timeout=drain_timeout), Worker(obeys=False)
    running = work_in_background(elector, worker, worker.terms)
    [leadership] = worker.terms
    stopped_at = fake_clock.monotonic()
    elector.stop(wait=False)
    assert leadership.stopping.wait(PATIENCE)
    pass_time(fake_clock, leadership.lost.is_set, step=0.5)
    assert stopped_at + drain_timeout <= fake_clock.monotonic()
    assert not leadership
    assert not elector.is_leader()
    wait_until(lambda: threads() == [])
    before = lease_api.stored_lease("leader")
    asked_before = len(asked(lease_api))
    assert holder(lease_api) == "a"
    assert stored_spec(lease_api)["leaseDurationSeconds"] == TTL
    fake_clock.advance(3600)
    assert not running.is_done
    worker.go_on.set()
    running.result()
    assert lease_api.stored_lease("leader") == before
    assert len(asked(lease_api)) == asked_before
    assert worker.terms == [leadership]


def test_work_that_runs_on_after_a_stop_or_a_loss_is_unhealthy(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector, worker = make_elector(), Worker(obeys=False)
    running = work_in_background(elector, worker, worker.terms)
    lease_api.put_lease("leader", holder_identity="b")
    assert worker.terms[0].lost.wait(PATIENCE)
    fake_clock.advance(19)
    wait_until(elector.healthy)
    fake_clock.advance(2)
    wait_until(lambda: not elector.healthy())
    assert elector.healthy(tolerance=30)
    worker.go_on.set()
    wait_until(elector.healthy)
    elector.stop()
    running.result()


def test_work_that_runs_on_after_its_drain_is_unhealthy(
    make_elector: Electors, fake_clock: FakeClock
) -> None:
    elector, worker = make_elector(drain_timeout=0), Worker(obeys=False)
    running = work_in_background(elector, worker, worker.terms)
    elector.stop(wait=False)
    assert worker.terms[0].lost.wait(PATIENCE)
    wait_until(lambda: threads() == [])
    fake_clock.advance(21)
    healthy = elector.healthy()
    worker.go_on.set()
    running.result()
    assert not healthy


@pytest.mark.fault_row(number=29)
def test_a_lease_is_not_contended_for_under_work_of_a_lost_term(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    elector, worker = make_elector(), Worker(obeys=False)
    running = work_in_background(elector, worker, worker.terms)
    lease_api.put_lease("leader", holder_identity="")
    assert worker.terms[0].lost.wait(PATIENCE)
    for _ in range(10):
        fake_clock.advance(5)
        time.sleep(0.01)
    assert holder(lease_api) == ""
    assert len(worker.terms) == 1
    assert not elector.is_leader()
    worker.go_on.set()
    pass_time(fake_clock, lambda: len(worker.terms) == 2)
    running.result()


# Ctrl-C


def ctrl_c() -> threading.Event:
    """From now on SIGINT is what it is by default; return what is set once it has come."""
    pressed = threading.Event()

    def handle(*_: object) -> None:
        pressed.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)
    return pressed


@pytest.mark.fault_row(number=30)
def test_ctrl_c_while_it_waits_comes_out(
    make_elector: Electors, lease_api: Api, handlers: None
) -> None:
    lease_api.put_lease("leader", holder_identity="b")
    pressed, elector = ctrl_c(), make_elector()

    def press() -> None:
        wait_until(lambda: elector.state is LeaderState.FOLLOWING)
        interrupt(signal.SIGINT, pressed.is_set)

    pressing = Doing(press)
    with no_deadlock(), pytest.raises(KeyboardInterrupt):
        elector.run(print)
    pressing.result()
    assert threads() == []
    assert holder(lease_api) == "b"


@pytest.mark.fault_row(number=30)
def test_ctrl_c_while_it_works_comes_out_after_the_release(
    make_elector: Electors, lease_api: Api, handlers: None
) -> None:
    pressed, elector, working = ctrl_c(), make_elector(), threading.Event()

    def press() -> None:
        working.wait(PATIENCE)
        interrupt(signal.SIGINT, pressed.is_set)

    def work(leadership: Leadership) -> None:
        working.set()
        leadership.stopping.wait()

    pressing = Doing(press)
    with no_deadlock(), pytest.raises(KeyboardInterrupt):
        elector.run(work)
    pressing.result()
    assert threads() == []
    assert holder(lease_api) == ""


# Stopping from anywhere


@pytest.mark.parametrize("wait", [True, False])
def test_the_work_may_stop_the_election(make_elector: Electors, lease_api: Api, wait: bool) -> None:
    for _ in range(ROUNDS):
        elector = make_elector()

        def work(leadership: Leadership, elector: LeaderElector = elector) -> None:
            elector.stop(wait=wait)
            assert leadership.stopping.wait(PATIENCE)
            assert leadership.is_valid()
            assert holder(lease_api) == "a"

        with no_deadlock():
            elector.run(work)
        assert holder(lease_api) == ""


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("name", ["on_started_leading", "on_stopped_leading", "on_new_leader"])
def test_a_callback_may_stop_the_election(
    make_elector: Electors, lease_api: Api, name: str, wait: bool
) -> None:
    for _ in range(ROUNDS):
        told = Told()
        own = told.callbacks[name]
        made: list[LeaderElector] = []

        def call(*arguments: object, own: Any = own, made: Any = made) -> None:
            own(*arguments)
            made[0].stop(wait=wait)

        elector = make_elector(**{**told.callbacks, name: call})
        made.append(elector)
        elector.start()
        if name == "on_stopped_leading":
            wait_until(lambda told=told: told.terms == ["started"])  # type: ignore[misc]
            elector.stop(wait=False)
        with no_deadlock():
            assert list(elector.changes())[-1] is LeaderState.STANDBY
            wait_until(lambda: threads() == [])
        assert told.terms in ([], ["started", "stopped"])
        assert holder(lease_api) == ""


def test_a_stop_in_a_callback_returns_before_the_end(
    make_elector: Electors, lease_api: Api
) -> None:
    held: list[str] = []

    def started(_: Leadership) -> None:
        elector.stop()
        held.append(holder(lease_api))

    elector = make_elector(on_started_leading=started)
    elector.start()
    wait_until(lambda: threads() == [])
    assert held == ["a"]


class Interrupted:
    """What the main thread does, each in its way until the election is over."""

    @staticmethod
    def working(elector: LeaderElector, entered: threading.Event) -> None:
        def work(leadership: Leadership) -> None:
            entered.set()
            leadership.stopping.wait()

        elector.run(work)

    @staticmethod
    def running(elector: LeaderElector, entered: threading.Event) -> None:
        def tell() -> None:
            wait_until(lambda: elector.state is LeaderState.FOLLOWING)
            entered.set()

        telling = Doing(tell)
        elector.run(print)
        telling.result()

    @staticmethod
    def waiting_for_stopping(elector: LeaderElector, entered: threading.Event) -> None:
        leadership = lead(elector)
        entered.set()
        leadership.stopping.wait()

    @staticmethod
    def waiting_for_lost(elector: LeaderElector, entered: threading.Event) -> None:
        leadership = lead(elector)
        entered.set()
        leadership.lost.wait(PATIENCE)

    @staticmethod
    def waiting_until_leading(elector: LeaderElector, entered: threading.Event) -> None:
        elector.start()
        entered.set()
        assert elector.wait_until_leading() is None

    @staticmethod
    def waiting_for_changes(elector: LeaderElector, entered: threading.Event) -> None:
        lead(elector)
        entered.set()
        assert list(elector.changes())[-1] is LeaderState.STANDBY

    @staticmethod
    def stopping(elector: LeaderElector, entered: threading.Event) -> None:
        lead(elector)
        entered.set()
        elector.stop()


LEADS_NOT = ("running", "waiting_until_leading")


@pytest.mark.fault_row(number=32)
@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("what", [name for name in vars(Interrupted) if name[0] != "_"])
def test_a_signal_handler_may_stop_the_election(
    make_elector: Electors, lease_api: Api, handlers: None, what: str, wait: bool
) -> None:
    if what in LEADS_NOT:
        lease_api.put_lease("leader", holder_identity="b")
    for turn in range(ROUNDS):
        elector, entered = make_elector(), threading.Event()
        handled: list[int] = []

        def stop(
            *_: object, elector: LeaderElector = elector, handled: list[int] = handled
        ) -> None:
            handled.append(1)
            elector.stop(wait=wait)

        def send(
            entered: threading.Event = entered, turn: int = turn, handled: list[int] = handled
        ) -> None:
            assert entered.wait(PATIENCE)
            time.sleep(turn * 0.0003)
            interrupt(signal.SIGUSR1, lambda: handled)

        signal.signal(signal.SIGUSR1, stop)
        sending = Doing(send)
        with no_deadlock(10):  # a stop that were not heard would take a drain_timeout
            getattr(Interrupted, what)(elector, entered)
            sending.result()
            wait_until(lambda: threads() == [])
        assert holder(lease_api) == ("b" if what in LEADS_NOT else "")


# Signals that run handles itself


@pytest.mark.fault_row(number=32)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_of_stop_on_drains_releases_and_is_handled_as_before_afterwards(
    make_elector: Electors, lease_api: Api, handlers: None, number: Signals
) -> None:
    def handle(*_: object) -> None: ...

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seen: list[object] = []

    def work(leadership: Leadership) -> None:
        sending = Doing(lambda: interrupt(number, leadership.stopping.is_set))
        assert leadership.stopping.wait(PATIENCE)
        sending.result()
        seen.extend([leadership.is_valid(), holder(lease_api)])

    with no_deadlock():
        make_elector().run(work, stop_on=[signal.SIGTERM, signal.SIGINT])
    assert seen == [True, "a"]
    assert holder(lease_api) == ""
    assert signal.getsignal(signal.SIGTERM) is handle
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.fault_row(number=32)
def test_a_signal_of_stop_on_ends_a_wait_too(
    make_elector: Electors, lease_api: Api, handlers: None
) -> None:
    lease_api.put_lease("leader", holder_identity="b")
    elector = make_elector()

    def send() -> None:
        wait_until(lambda: elector.state is LeaderState.FOLLOWING)
        interrupt(signal.SIGTERM, lambda: threads() == [])

    sending = Doing(send)
    with no_deadlock():
        elector.run(print, stop_on=[signal.SIGTERM])
    sending.result()
    assert threads() == []


def test_the_handlers_are_put_back_where_the_work_raises(
    make_elector: Electors, handlers: None
) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def work(_: Leadership) -> None:
        assert signal.getsignal(signal.SIGTERM) is not before
        raise KeyError

    with pytest.raises(KeyError):
        make_elector().run(work, stop_on=[signal.SIGTERM])
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_handlers_are_put_back_where_it_was_started_already(
    make_elector: Electors, handlers: None
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    elector = make_elector()
    lead(elector)
    with pytest.raises(LeaderElectionError):
        elector.run(print, stop_on=[signal.SIGTERM])
    assert signal.getsignal(signal.SIGTERM) is before
    assert elector.is_leader()


@pytest.mark.fault_row(number=32)
def test_no_handler_is_installed_unasked(make_elector: Electors, handlers: None) -> None:
    numbers = [number for number in Signals if number != signal.SIGALRM]
    before = [signal.getsignal(number) for number in numbers]
    during: list[object] = []
    make_elector().run(lambda _: during.extend(signal.getsignal(number) for number in numbers))
    assert during == before


def test_stop_on_is_refused_outside_of_the_main_thread(
    make_elector: Electors, lease_api: Api
) -> None:
    elector = make_elector()
    running = Doing(lambda: elector.run(print, stop_on=[signal.SIGTERM]))
    with pytest.raises(InvalidParamsError) as caught:
        running.result()
    assert caught.value.field == "stop_on"
    assert lease_api.requests == []
    assert lead(elector)  # it was not started by that


@pytest.mark.parametrize("number", [signal.SIGKILL, 0, 9999, "SIGTERM", None])
def test_what_is_no_signal_that_can_be_handled_is_refused(
    make_elector: Electors, lease_api: Api, handlers: None, number: Any
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    elector = make_elector()
    with pytest.raises(InvalidParamsError) as caught:
        elector.run(print, stop_on=[signal.SIGTERM, number])
    assert (caught.value.field, caught.value.value) == ("stop_on", number)
    assert signal.getsignal(signal.SIGTERM) == before
    assert lease_api.requests == []


def test_a_signal_that_is_named_twice_is_handled_as_before_afterwards(
    make_elector: Electors, handlers: None
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    make_elector().run(lambda _: None, stop_on=[signal.SIGTERM, signal.SIGTERM])
    assert signal.getsignal(signal.SIGTERM) == before


class Interrupting(FakeClock):
    """Lets a signal come the first time that the main thread looks: in the middle of the start."""

    looks = 0

    def monotonic(self) -> float:
        if threading.current_thread() is threading.main_thread():
            self.looks += 1
            if self.looks == 1:
                signal.raise_signal(signal.SIGTERM)
        return super().monotonic()


@pytest.mark.fault_row(number=32)
def test_a_signal_of_stop_on_that_comes_during_the_start_is_heard(
    make_elector: Electors, lease_api: Api, handlers: None
) -> None:
    clock = Interrupting()
    with no_deadlock(10):
        make_elector(client=lease_api, clock=clock).run(
            lambda leadership: leadership.stopping.wait(), stop_on=[signal.SIGTERM]
        )
    assert clock.looks


@pytest.mark.fault_row(number=32)
def test_a_stop_out_of_a_handler_that_comes_during_the_start_is_heard(
    make_elector: Electors, lease_api: Api, handlers: None
) -> None:
    clock = Interrupting()
    elector = make_elector(client=lease_api, clock=clock)
    signal.signal(signal.SIGTERM, lambda *_: elector.stop(wait=False))
    with no_deadlock(3):
        elector.run(lambda leadership: leadership.stopping.wait())
    assert clock.looks


# Callbacks


def test_callbacks_are_called_in_order_in_pairs_and_on_one_thread(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    told = Told()
    elector = make_elector(**told.callbacks)
    lead(elector)
    wait_until(lambda: told.terms == ["started"])
    for _ in range(3):
        lease_api.put_lease("leader", holder_identity="b")
        wait_until(lambda: told.terms[-1] == "stopped")
        pass_time(fake_clock, lambda: told.terms[-1] == "started")
    elector.stop()
    assert told.terms == ["started", "stopped"] * 4
    assert [event for event in told.events if event not in told.terms] == (
        ["new leader a"] + ["new leader b", "new leader a"] * 3
    )
    assert len(told.threads) == 1
    assert told.threads.isdisjoint({threading.get_ident()})


def test_the_term_that_is_told_is_the_term_it_leads_in(
    make_elector: Electors,
) -> None:
    terms: list[Leadership] = []
    elector = make_elector(on_started_leading=terms.append)
    leadership = lead(elector)
    wait_until(lambda: terms == [leadership])


def test_a_term_that_was_over_before_it_could_be_told_is_not_told(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    told, gate = Told(), threading.Event()
    lease_api.put_lease("leader", holder_identity="b")
    elector = make_elector(**{**told.callbacks, "on_new_leader": lambda _: gate.wait()})
    elector.start()
    pass_time(fake_clock, elector.is_leader)
    leadership = term_of(elector)
    lease_api.put_lease("leader", holder_identity="c")
    assert leadership.lost.wait(PATIENCE)
    gate.set()
    pass_time(fake_clock, lambda: bool(told.terms))
    second = term_of(elector)
    assert second is not leadership
    elector.stop()
    assert told.terms == ["started", "stopped"]


def test_is_leader_never_waits_for_a_callback(
    make_elector: Electors, fake_clock: FakeClock
) -> None:
    gate = threading.Event()
    elector = make_elector(on_started_leading=lambda _: gate.wait(), drain_timeout=0)
    leadership = lead(elector)
    assert elector.is_leader()
    fake_clock.advance(DEADLINE)
    assert not elector.is_leader()
    assert leadership.lost.wait(PATIENCE)
    gate.set()


@pytest.mark.fault_row(number=29)
@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(1), KeyboardInterrupt()])
def test_a_term_whose_beginning_fails_is_released_and_contended_for_after_the_ttl(
    make_elector: Electors,
    lease_api: Api,
    fake_clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    terms: list[Leadership] = []
    began_at: list[float] = []
    stopped: list[float] = []

    def started(leadership: Leadership) -> None:
        terms.append(leadership)
        began_at.append(fake_clock.monotonic())
        if len(terms) == 1:
            raise error

    elector = make_elector(
        on_started_leading=started,
        on_stopped_leading=lambda: stopped.append(fake_clock.monotonic()),
    )
    elector.start()
    wait_until(lambda: bool(lease_api.stored_lease("leader")) and holder(lease_api) == "")
    assert terms[0].lost.wait(PATIENCE)
    assert not elector.is_leader()
    pass_time(fake_clock, lambda: len(terms) == 2)
    assert began_at[1] - began_at[0] >= TTL
    assert len(stopped) == 1
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert errors[0].exc_info is not None
    assert errors[0].exc_info[1] is error
    assert errors[0].name == "kube_leader_election"
    elector.stop()
    assert len(stopped) == 2


@pytest.mark.fault_row(number=29)
def test_a_beginning_that_blocks_is_told_lost_but_never_released_nor_contended_under(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    told, gate = Told(), threading.Event()

    def started(_: Leadership) -> None:
        told("started")
        gate.wait()

    elector = make_elector(**{**told.callbacks, "on_started_leading": started})
    leadership = lead(elector)
    wait_until(lambda: told.terms == ["started"])
    with lease_api.refuse_connections():
        fake_clock.advance(DEADLINE)
        assert not elector.is_leader()
        assert leadership.lost.wait(PATIENCE)
    before = stored_spec(lease_api)
    assert before["holderIdentity"] == "a"
    for _ in range(10):
        fake_clock.advance(5)
        time.sleep(0.01)
    assert stored_spec(lease_api) == before
    assert elector.leadership is None
    assert told.terms == ["started"]
    gate.set()
    pass_time(fake_clock, lambda: told.terms == ["started", "stopped", "started"])
    elector.stop()
    assert told.terms == ["started", "stopped"] * 2


def test_the_lease_is_not_released_before_the_end_of_the_term_was_heard(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    told, gate = Told(), threading.Event()

    def stopped() -> None:
        told("stopped")
        gate.wait()

    elector = make_elector(**{**told.callbacks, "on_stopped_leading": stopped})
    leadership = lead(elector)
    wait_until(lambda: told.terms == ["started"])
    stopping = Doing(elector.stop)
    wait_until(lambda: told.terms == ["started", "stopped"])
    fake_clock.advance(RENEWED_AFTER)
    wait_until(lambda: asked(lease_api).count("update") == 1)
    assert holder(lease_api) == "a"
    assert leadership.is_valid()
    assert not stopping.is_done
    gate.set()
    stopping.result()
    assert holder(lease_api) == ""


@pytest.mark.fault_row(number=29)
def test_an_end_that_is_not_heard_in_time_is_not_released(
    make_elector: Electors, lease_api: Api, fake_clock: FakeClock
) -> None:
    gate, entered = threading.Event(), threading.Event()

    def stopped() -> None:
        entered.set()
        gate.wait()

    elector = make_elector(on_started_leading=lambda _: None, on_stopped_leading=stopped)
    leadership = lead(elector)
    wait_until(lambda: elector.holder_identity == "a")
    time.sleep(0.02)
    elector.stop(wait=False)
    assert entered.wait(PATIENCE)
    pass_time(fake_clock, leadership.lost.is_set)
    wait_until(lambda: threads() == ["kube-leader-election-callbacks"])
    assert holder(lease_api) == "a"
    gate.set()
    wait_until(lambda: threads() == [])
    assert holder(lease_api) == "a"


@pytest.mark.fault_row(number=29)
@pytest.mark.parametrize("name", ["on_stopped_leading", "on_new_leader"])
@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(1), KeyboardInterrupt()])
def test_another_callback_that_raises_is_reported_and_nothing_else_happens(
    make_elector: Electors,
    lease_api: Api,
    caplog: pytest.LogCaptureFixture,
    name: str,
    error: BaseException,
) -> None:
    told = Told()

    def fail(*_: object) -> None:
        raise error

    elector = make_elector(**{**told.callbacks, name: fail})
    leadership = lead(elector)
    wait_until(lambda: told.terms == ["started"])
    assert leadership.is_valid()
    elector.stop()
    assert holder(lease_api) == ""
    assert threads() == []
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.exc_info and record.exc_info[1] for record in errors] == [error]
    assert name in errors[0].getMessage()


def test_the_lease_is_released_when_both_work_and_callbacks_have_ended(
    make_elector: Electors, lease_api: Api
) -> None:
    gate, entered = threading.Event(), threading.Event()
    worker, told = Worker(), Told()

    def stopped() -> None:
        entered.set()
        gate.wait()
        told("stopped")

    elector = make_elector(**{**told.callbacks, "on_stopped_leading": stopped})
    running = work_in_background(elector, worker, worker.terms)
    wait_until(lambda: told.terms == ["started"])
    worker.go_on.set()
    assert entered.wait(PATIENCE)
    time.sleep(0.05)
    assert holder(lease_api) == "a"
    assert elector.is_leader()
    gate.set()
    running.result()
    assert told.terms == ["started", "stopped"]
    assert holder(lease_api) == ""

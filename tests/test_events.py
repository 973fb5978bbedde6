from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kube_leader_election import Event
from kube_leader_election._events import Trigger
from tests.electors import Doing, interrupt, no_deadlock
from tests.hostile import PATIENCE, wait_until


def waiters(event: Event) -> int:
    return len(event._waiting)


@pytest.fixture
def on_signal() -> Iterator[Any]:
    """Installs a handler of SIGUSR1."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, before)


def test_what_has_not_happened_is_not_set() -> None:
    event: Event = Trigger()
    assert not event.is_set()
    assert repr(event) == "<Event: not set>"


def test_what_has_happened_is_set_for_good_and_needs_no_waiting() -> None:
    event = Trigger()
    event.set()
    event.set()
    assert event.is_set()
    assert event.wait()
    assert event.wait(0)
    assert repr(event) == "<Event: set>"


@pytest.mark.parametrize("timeout", [0, 0.0, 0.01, -1])
def test_a_wait_that_takes_too_long_returns_false(timeout: float) -> None:
    event = Trigger()
    assert event.wait(timeout) is False
    assert waiters(event) == 0


def test_a_wait_lasts_as_long_as_it_may() -> None:
    began_at = time.monotonic()
    assert not Trigger().wait(0.05)
    assert time.monotonic() - began_at >= 0.05


def test_all_who_wait_are_told_at_once() -> None:
    event = Trigger()
    waiting = [Doing(event.wait) for _ in range(5)]
    waiting += [Doing(lambda: event.wait(PATIENCE)) for _ in range(5)]
    wait_until(lambda: waiters(event) == 10)
    assert not any(each.is_done for each in waiting)
    event.set()
    assert [each.result() for each in waiting] == [True] * 10
    assert waiters(event) == 0


def test_who_comes_while_it_happens_is_told() -> None:
    for _ in range(200):
        event = Trigger()
        start = threading.Barrier(3)

        def wait(event: Event = event, start: threading.Barrier = start) -> bool:
            start.wait()
            return event.wait(PATIENCE)

        waiting = [Doing(wait), Doing(wait)]
        start.wait()
        event.set()
        assert [each.result() for each in waiting] == [True, True]


def test_a_signal_handler_may_set_what_the_thread_that_it_interrupts_waits_for(
    on_signal: Any,
) -> None:
    for _ in range(20):
        event = Trigger()
        on_signal(lambda *_, event=event: event.set())

        def send(event: Event = event) -> None:
            wait_until(lambda: waiters(event) == 1)
            interrupt(signal.SIGUSR1, event.is_set)

        interrupting = Doing(send)
        with no_deadlock():
            assert event.wait()
        interrupting.result()


def test_a_signal_handler_that_raises_ends_the_wait_and_leaves_nothing(on_signal: Any) -> None:
    event, handled = Trigger(), threading.Event()

    def fail(*_: object) -> None:
        handled.set()
        raise KeyboardInterrupt

    def send() -> None:
        wait_until(lambda: waiters(event) == 1)
        interrupt(signal.SIGUSR1, handled.is_set)

    on_signal(fail)
    interrupting = Doing(send)
    with no_deadlock(), pytest.raises(KeyboardInterrupt):
        event.wait()
    interrupting.result()
    assert waiters(event) == 0
    assert not event.is_set()


def test_a_handler_that_does_nothing_does_not_end_a_wait(on_signal: Any) -> None:
    event = Trigger()
    handled = threading.Event()
    on_signal(lambda *_: handled.set())

    def send() -> None:
        wait_until(lambda: waiters(event) == 1)
        interrupt(signal.SIGUSR1, handled.is_set)
        event.set()

    interrupting = Doing(send)
    with no_deadlock():
        assert event.wait()
    interrupting.result()
    assert handled.is_set()

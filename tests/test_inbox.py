"""What one thread waits for, and what others and signal handlers put into it"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from kube_leader_election._inbox import Inbox
from tests.electors import Doing, no_deadlock
from tests.hostile import PATIENCE

Alarms = Callable[[Callable[[], object]], None]


@pytest.fixture
def on_alarm() -> Iterator[Alarms]:
    """At the first alarm, soon, what is given is called; at the second a wait is given up"""
    acts: list[Callable[[], object]] = []

    def handle(*_: object) -> None:
        assert acts, "it waits for ever"
        acts.pop()()

    def set_alarm(act: Callable[[], object]) -> None:
        acts.append(act)
        signal.setitimer(signal.ITIMER_REAL, 0.05, PATIENCE)

    before = signal.signal(signal.SIGALRM, handle)
    yield set_alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_what_was_put_is_returned_in_its_order() -> None:
    inbox: Inbox[int] = Inbox()
    for number in range(3):
        inbox.put(number)
    assert [inbox.get(), inbox.get(0), inbox.get(PATIENCE)] == [0, 1, 2]


def test_what_is_put_while_it_is_waited_for_is_returned() -> None:
    inbox: Inbox[int] = Inbox()
    for number in range(100):
        waiting = Doing(inbox.get)
        inbox.put(number)
        assert waiting.result() == number


@pytest.mark.parametrize("timeout", [0, 0.0, -1, 1e-9, 0.01])
def test_where_nothing_is_put_the_wait_ends(timeout: float) -> None:
    inbox: Inbox[int] = Inbox()
    with pytest.raises(queue.Empty):
        inbox.get(timeout)


def test_a_wait_lasts_as_long_as_it_may_whatever_was_put_before() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1)
    inbox.get()
    began_at = time.monotonic()
    with pytest.raises(queue.Empty):
        inbox.get(0.05)
    assert time.monotonic() - began_at >= 0.05


def test_a_wait_ends_though_its_time_is_over_as_soon_as_it_begins(on_alarm: Alarms) -> None:
    on_alarm(lambda: None)
    for number in range(3000):
        inbox: Inbox[int] = Inbox()
        with pytest.raises(queue.Empty):
            inbox.get(number % 5 * 1e-6)


def test_a_wait_ends_though_a_signal_handler_outlasts_it(on_alarm: Alarms) -> None:
    on_alarm(lambda: time.sleep(0.3))
    with pytest.raises(queue.Empty):
        Inbox[int]().get(0.2)


def test_a_signal_handler_may_put_what_the_thread_waits_for_that_it_interrupts(
    on_alarm: Alarms,
) -> None:
    inbox: Inbox[str] = Inbox()
    on_alarm(lambda: inbox.put("from the handler"))
    assert inbox.get(PATIENCE) == "from the handler"


def test_nothing_that_many_put_is_lost() -> None:
    inbox: Inbox[int] = Inbox()

    def put() -> None:
        for number in range(1000):
            inbox.put(number)

    putting = [threading.Thread(target=put) for _ in range(4)]
    with no_deadlock():
        for thread in putting:
            thread.start()
        got = [inbox.get(PATIENCE) for _ in range(4000)]
        for thread in putting:
            thread.join()
    assert sorted(got) == sorted(4 * list(range(1000)))

"""``run``: a command runs where this replica leads, and nowhere else."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import threading
import time
from collections import deque
from contextlib import ExitStack, suppress

from kube_leader_election import (
    LeaderElectionError,
    LeaderElector,
    Leadership,
    current_namespace,
)
from kube_leader_election.cli._say import PREFIX, complain

from . import _children
from ._command import Command, Ended, GuardLostError
from ._guard import now
from ._lifetime import next_look
from ._order import Order

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
FORWARDED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
# In seconds.
_LOOKS_AROUND_EVERY = 1.0
_OTHERS_WAIT_WITHIN = 3.0
_LOOKS_WHILE_STOPPING = 0.1
_WORTH_TELLING = 0.01

logger = logging.getLogger("kube_leader_election.run")


def run(order: Order) -> int:
    """Return the exit code of the command, or of our own failure."""
    if problem := _children.problem_of(order.command[0]):  # now, not when it leads
        return _children.complain_of(order.command[0], problem)
    logging.basicConfig(format=f"{PREFIX}%(message)s", level=logging.WARNING)
    logging.getLogger("kube_leader_election").setLevel(logging.INFO)
    # Before the first thread: it forks.
    command = Command(order.command, order.grace)
    try:
        runner = Runner(command, order)
        for number in (*ENDING, *FORWARDED):
            # Who has ignored one for us, as nohup does, has done so for the command.
            if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, runner.hear)
        return runner.run()
    except (OSError, LeaderElectionError, GuardLostError) as error:
        complain(str(error))
        return _children.FAILED
    finally:
        command.close()


class Runner:
    """The main thread of `run`, which has the command started and ended, and hears of signals."""

    def __init__(self, command: Command, order: Order) -> None:
        self._command = command
        self._order = order
        self._namespace = order.namespace or current_namespace()
        self._elector: LeaderElector | None = None
        self._heard: deque[int] = deque()
        self._is_to_end = False
        self._code = 0
        self._wakes, self._wake = socket.socketpair()
        for end in (self._wakes, self._wake):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)

    def hear(self, number: int, _: object) -> None:
        """A signal has come, anywhere in the main thread."""
        self._heard.append(number)
        if number in ENDING:
            self._is_to_end = True
            if self._elector is not None:
                self._elector.stop(wait=False)

    def run(self) -> int:
        """The election is over; return the exit code.

        :raises LeaderElectionError: it could not be.
        :raises OSError: the port is taken.
        :raises GuardLostError: the guard was killed.
        """
        elector = self._elector = self._new_elector()
        is_over = threading.Event()
        with ExitStack() as at_exit:
            if self._order.health_port is not None:
                from ._health import served

                at_exit.enter_context(served(self._order.health_port, elector))
            thread = threading.Thread(
                target=self._look_around, args=(elector, is_over), daemon=True
            )
            thread.start()
            at_exit.callback(thread.join)
            at_exit.callback(is_over.set)
            if not self._is_to_end:
                elector.run(self._work)
        if _children.has_ended(self._command.guard):
            self._command.kill_guard()
        return self._code

    def _new_elector(self) -> LeaderElector:
        from kubernetes import client, config

        try:
            config.load_config()
        except config.ConfigException as error:
            raise LeaderElectionError(f"no cluster is known: {error}") from error
        return LeaderElector(
            client.CoordinationV1Api(),
            self._namespace,
            self._order.params,
            on_stopped_leading=self._wake_up,
        )

    def _wake_up(self) -> None:
        with suppress(BlockingIOError):  # it has much to wake up for
            self._wake.send(b"\0")

    def _look_around(self, elector: LeaderElector, is_over: threading.Event) -> None:
        """On a thread: what nobody else waits for is waited for, and no end is missed.

        A PID 1 inherits the children of others, while those that we have started, to get a token
        say, are waited for where that was done.
        """
        seen: dict[int, float] = {}
        while not is_over.wait(_LOOKS_AROUND_EVERY):
            looked_at = time.monotonic()
            ended = _children.ended_children() - {self._command.guard}
            seen = {child: seen.get(child, looked_at) for child in ended}
            for child, seen_at in seen.items():
                if looked_at - seen_at > _OTHERS_WAIT_WITHIN:
                    with suppress(ChildProcessError):
                        os.waitpid(child, os.WNOHANG)
            # A signal that came right before the election began could not stop it.
            if self._is_to_end or _children.has_ended(self._command.guard):
                elector.stop(wait=False)

    def _work(self, leadership: Leadership) -> None:
        self._heard.clear()  # there was nobody to forward it to
        if self._is_to_end:
            return
        self._command.start(_leads_until(leadership), self._environment(leadership))
        while (ended := self._command.ended()) is None:
            self._attend(leadership)
        self._note(ended)

    def _attend(self, leadership: Leadership) -> None:
        """The guard knows what it has to, and something has happened, or may have."""
        leads_until = _leads_until(leadership)
        if leads_until > self._command.leads_until + _WORTH_TELLING:
            self._command.renewed(leads_until)
        elif leadership.lost.is_set() and now() < self._command.leads_until:
            self._command.finish(now())  # not by the clock: another may lead already
        while self._heard:
            number = self._heard.popleft()
            self._command.forward(number)
            if number in ENDING:
                self._command.finish(now() + self._order.drain_timeout)
        self._command.see_to_its_end()
        nap = next_look(self._command.leads_until - now())
        if leadership.stopping.is_set():
            nap = min(nap, _LOOKS_WHILE_STOPPING)
        both = (self._command.fileno(), self._wakes.fileno())
        if both[1] in select.select(both, (), (), nap)[0]:
            self._wakes.recv(4096)

    def _note(self, ended: Ended) -> None:
        if ended.by_itself or self._is_to_end:
            self._code, self._is_to_end = ended.code, True
            if self._elector is not None:
                self._elector.stop(wait=False)
        else:
            logger.warning(
                "%s was ended with the term: exit code %d", self._order.command[0], ended.code
            )

    def _environment(self, leadership: Leadership) -> dict[str, str]:
        about = {
            "FENCING_TOKEN": leadership.fencing_token,
            "LEASE": self._order.params.lease_name,
            "NAMESPACE": self._namespace,
            "HOLDER_ID": self._elector.holder_id if self._elector else None,
        }
        return {
            f"KUBE_LEADER_ELECTION_{name}": "" if value is None else str(value)
            for name, value in about.items()
        }


def _leads_until(leadership: Leadership) -> float:
    """Return the end of the term without another renewal, or an instant before it.

    Once that is over nothing is known of it, but that it is.
    """
    looked_at = now()
    left = leadership.remaining()
    return looked_at + left if left > 0 else 0.0

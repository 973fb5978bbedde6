"""Electors in the rows of faults: who meddles with them, what they tell, and how time passes"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kubernetes.client import ApiClient, Configuration, CoordinationV1Api
from kubernetes.config import load_kube_config

from kube_leader_election import LeaderElector, LeaderState
from tests.electors import lead, threads
from tests.fault_rows.world import Asked, Server
from tests.hostile import PATIENCE, wait_until

LEADING, FOLLOWING, STANDBY = LeaderState.LEADING, LeaderState.FOLLOWING, LeaderState.STANDBY

DEADLINE = 10.0  # of the defaults, as are the next three
RENEWED_AFTER = DEADLINE / 3
LOOKED_AT_AFTER = 15 / 2
RETRY_PERIOD = 2.0

_OF_A_CLOCK_THAT_IS_MOVED = ("its watch stalls", "not sent, no time was left")
_SUPERVISOR = "kube-leader-election-supervisor"


class Replica:
    """An elector by the clock of its server, and all that its callbacks were told"""

    def __init__(self, server: Server, holder_id: str | None = "a", **options: Any) -> None:
        self.heard: list[str] = []
        options = {"clock": server.clock, **options}
        self.elector: LeaderElector = server.elector(
            holder_id,
            on_started_leading=lambda _: self.heard.append("started"),
            on_stopped_leading=lambda: self.heard.append("stopped"),
            **options,
        )

    def has_led(self, times: int, *, and_leads: bool) -> bool:
        """Whether it was told the start and the end of so many terms, and in turns"""
        heard = ["started", "stopped"] * times
        return self.heard == ([*heard, "started"] if and_leads else heard)


def follow(elector: LeaderElector, holder: str) -> None:
    """Start it, and see it follow"""
    elector.start()
    wait_until(lambda: elector.holder_identity == holder)
    assert elector.state is FOLLOWING
    catch_up(elector)


def lead_watching(server: Server, elector: LeaderElector) -> int:
    """Start it, see it lead and watch, and return its token"""
    watches = watched(server)
    token = lead(elector).fencing_token
    assert token is not None
    _wait_for_a_watch(server, watches)
    catch_up(elector)
    return token


def _wait_for_a_watch(server: Server, watches: int) -> None:
    """There is one more. Where the machine was too busy for it, the time of the next try comes"""
    for _ in range(6):
        with suppress(AssertionError):
            wait_until(lambda: watched(server) > watches, PATIENCE / 6)
            return
        server.clock.advance(0.5)
    raise AssertionError("it does not watch")


def renew(server: Server, elector: LeaderElector, times: int = 1) -> None:
    """So many renewals are due, one after another, and answered"""
    leadership = elector.leadership
    assert leadership is not None
    for _ in range(times):
        server.clock.advance(RENEWED_AFTER)
        wait_until(lambda: leadership.remaining() > DEADLINE - 0.01)
        catch_up(elector)


def catch_up(elector: LeaderElector) -> None:
    """Its watch has told what its answers have shown, if it tells at all

    Else it would be late, and closed for that, as soon as the time is moved on.
    """
    watching = elector._election()._campaign._watching
    with suppress(AssertionError):
        wait_until(lambda: watching._behind_since == math.inf, 0.5)


def asked(server: Server) -> Asked:
    """What the candidates asked for so far, but for the watches"""
    return [(verb, status) for verb, status in server.requests() if verb != "watch"]


def count(server: Server, verb: str) -> int:
    return [each for each, _ in server.requests()].count(verb)


def watched(server: Server) -> int:
    """How many watches were let in so far"""
    return server.requests().count(("watch", 200))


def told(server: Server) -> list[str]:
    """What was logged without the Lease's name and the tokens

    Not that no time was left, or that a watch stalls: so it may seem where a test moves the clock.
    """
    lines = [line.split(": ", 1)[1].split(", fencing token")[0] for line in server.told]
    return [line for line in lines if line not in _OF_A_CLOCK_THAT_IS_MOVED]


def told_of_terms(server: Server) -> list[str]:
    """What was logged of terms, and of nothing else"""
    return [line for line in told(server) if line.startswith("'")]


def assert_told(server: Server, lines: list[str]) -> None:
    """This was logged, or will be soon"""
    wait_until(lambda: len(told(server)) >= len(lines))
    assert told(server) == lines


@contextmanager
def alive(*electors: LeaderElector) -> Iterator[None]:
    """What is done in the block ends no thread of theirs and leaves them healthy

    Once their threads have seen what time it is: a clock that leaps makes all of them late.
    """
    yield
    assert threads().count(_SUPERVISOR) == len(electors)
    wait_until(lambda: all(elector.healthy() for elector in electors))


class Meddler:
    """A client whose every request, once it is composed, is met by the next of `races`

    Its watches are not.
    """

    def __init__(self, server: Server) -> None:
        self.races: list[Callable[[], object]] = []
        self.client = server.elector_client()
        self.client.api_client.configuration.refresh_api_key_hook = self._meddle

    def before_each_write(self, *races: Callable[[], object]) -> None:
        """The first of them comes right before the next write, the next before that after a read"""
        for race in races:
            self.races += [race, lambda: None]

    def _meddle(self, _: Configuration) -> None:
        is_watch = threading.current_thread().name.endswith("watch")
        if self.races and not is_watch:
            self.races.pop(0)()


class _TwoWays(Configuration):
    """Has another host for the watch, which the supervisor opens, than for all else"""

    watch_url: str | None = None

    @property
    def host(self) -> Any:
        is_watch = threading.current_thread().name == _SUPERVISOR
        return (self.watch_url if is_watch else None) or self.__dict__.get("_direct")

    @host.setter
    def host(self, value: Any) -> None:
        self.__dict__["_direct"] = value


def watching_by(server: Server, url: str) -> CoordinationV1Api:
    """A client of the candidates' whose watches come by `url`, and nothing else"""
    configuration = _TwoWays()
    load: Any = load_kube_config  # untyped
    load(str(server.kubeconfig()), client_configuration=configuration)
    configuration.proxy = None
    configuration.watch_url = url
    return CoordinationV1Api(ApiClient(configuration))

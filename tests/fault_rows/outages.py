"""Electors that their server is taken from: by what is between, and by whose time"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from kubernetes.client import Configuration, CoordinationV1Api

from kube_leader_election import LeaderElector, Leadership
from tests.apiserver.server import USERS
from tests.electors import pass_time, term_of
from tests.fault_rows.candidates import asked, lead_watching
from tests.fault_rows.world import Http, Real, Server
from tests.hostile import wait_until
from tests.proxy import Proxy

# Five times the defaults. An attempt has 10 s of the machine's time, so that none fails but by
# the fault of the test.
PATIENT: dict[str, Any] = {"lease_ttl": 75, "renew_deadline": 50.0, "retry_period": 10.0}
DEADLINE, RETRY_PERIOD = 50.0, 10.0
RENEWED_AFTER = DEADLINE / 3
LONGEST_RETRY_PERIOD = 1.2 * RETRY_PERIOD  # of who does not lead
LITTLE = 0.01

ENOUGH = 5.0  # for an answer that is on its way

LEADS, LEADS_NO_MORE = "'a' leads", "'a' leads no more"


@contextmanager
def way(server: Server) -> Iterator[tuple[Proxy, Any]]:
    """A way to the server, and a client that goes by it; at the end it is broken"""
    client = server.elector_client()
    configuration = client.api_client.configuration
    url = urlsplit(configuration.host)
    assert url.port is not None
    with Proxy(url.port, scheme=url.scheme) as proxy:
        configuration.host = proxy.url
        configuration.refresh_api_key_hook = None  # that of a kubeconfig would set the host again
        yield proxy, client


def before_requests(client: Any, *acts: Callable[[], object]) -> None:
    """The first is done when the next request is composed, the second at the one after it"""
    left = list(acts)

    def act(_: Configuration) -> None:
        if left:
            left.pop(0)()

    client.api_client.configuration.refresh_api_key_hook = act


def nothing() -> None:
    """What is done where nothing is"""


def another_user(server: Server) -> Any:
    """The client of another candidate, whose rights and faults are its own"""
    if isinstance(server, Http):
        return CoordinationV1Api(server.stand_in.client("another"))
    assert isinstance(server, Real)
    server.server.grant(USERS[1], server.others.namespace, ["get", "create", "update", "watch"])
    return CoordinationV1Api(server.server.api_client(USERS[1]))


def patient(server: Server, holder_id: str = "a", **options: Any) -> LeaderElector:
    """A candidate by the clock of its server"""
    return server.elector(holder_id, **{"clock": server.clock, **PATIENT, **options})


def told(server: Server) -> list[str]:
    """What was logged of attempts and terms, without the Lease's name and the tokens

    Not that it is polled, or that there was no time left: so it may seem where the clock is moved
    on before a watch has told, or between two requests of an attempt.
    """
    unsaid = (" is polled: ", "not sent, no time was left")
    lines = [line for line in server.told if not any(each in line for each in unsaid)]
    return [line.split(": ", 1)[1].split(", fencing token")[0] for line in lines]


def fall_due(server: Server, seconds: float = RENEWED_AFTER) -> None:
    """So many seconds later, what is due then is"""
    server.clock.advance(seconds + LITTLE)


def renewed(leadership: Leadership, deadline: float = DEADLINE) -> None:
    """It was renewed just now, by its clock"""
    wait_until(lambda: leadership.remaining() > deadline - 2 * LITTLE)


def pass_slowly(server: Server, until: Callable[[], object]) -> None:
    """Time goes by until the condition holds, and a leader has time enough to renew"""
    pass_time(server.clock, until, step=0.1)


def break_off(proxy: Proxy) -> None:
    """What is held is lost, with all connections; new ones are as good as ever"""
    proxy.reset()
    proxy.heal()


def ends_at(server: Server, elector: LeaderElector, at: float) -> None:
    """It leads until the clock shows `at`, and then no more, whatever its threads do"""
    pass_time(server.clock, lambda: server.clock.monotonic() > at - 1)
    server.clock.advance(at - LITTLE - server.clock.monotonic())
    assert elector.is_leader()
    server.clock.advance(2 * LITTLE)
    assert not elector.is_leader()


def takes_over_at(server: Server, elector: LeaderElector, at: float) -> None:
    """It leads when the clock shows `at`, and not before"""
    server.clock.advance(at - LITTLE - server.clock.monotonic())
    assert not elector.is_leader()
    server.clock.advance(2 * LITTLE)
    wait_until(elector.is_leader)


def lead_term(server: Server, elector: LeaderElector) -> Leadership:
    """Start it, see it lead and watch, and return its term"""
    lead_watching(server, elector)
    return term_of(elector)


def warned(lines: list[str], *expected: str) -> None:
    """These are the lines; of a warning it is how it begins"""
    assert len(lines) == len(expected)
    assert all(line.startswith(begin) for line, begin in zip(lines, expected, strict=True))


def was_asked(server: Server, *possible: Sequence[tuple[str, int | None]], since: int = 0) -> None:
    """It is one of these that was asked, watches apart

    What a watch tells of may not have been answered yet.
    """
    with suppress(AssertionError):
        wait_until(lambda: asked(server)[since:] in possible, ENOUGH)
    assert asked(server)[since:] in possible

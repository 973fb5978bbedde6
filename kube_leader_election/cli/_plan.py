"""``plan``: what settings promise, what they cost the API server, and which to change for what."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kube_leader_election import Bounds, InvalidParamsError, LeaderElectorParams, bounds
from kube_leader_election._core.timing import (
    SHORTEST_RETRY_PERIOD,
    ElectorTiming,
    belief_after,
    whole_seconds,
)
from kube_leader_election._params import timing_of

from ._options import add_settings, count, describe, settings
from ._say import say
from ._table import Table, show

CHANGES = ("CHANGE", "TTL", "DEADLINE", "RETRY", "OUTAGE", "CRASH", "WRITES/S", "FOR")


def add_to(parser: argparse.ArgumentParser) -> None:
    """`parser` is that of this command."""
    describe(
        parser,
        "Say what is promised of electors, and so of `run`, with these settings, in seconds of true"
        " time, and how much they ask of the API server. Asks no server.",
        "plan --replicas 3 --leases 20",
        "plan --ttl 30 --renew-deadline 25 --request-time 0.2",
    )
    parser.add_argument("--replicas", type=count, default=3, help="for each Lease (default: 3)")
    parser.add_argument("--leases", type=count, default=1, help="how many (default: 1)")
    add_settings(parser)
    group = parser.add_argument_group("what the figures take for granted")
    group.add_argument(
        "--request-time",
        type=float,
        default=0.05,
        metavar="SECONDS",
        help="within which a request is answered (default: %(default)s; `doctor` measures it)",
    )
    group.add_argument(
        "--clock-error",
        type=float,
        default=0.01,
        metavar="RATIO",
        help="by which no clock runs faster or slower (default: %(default)s)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    plan = Plan(
        settings(options),
        replicas=options.replicas,
        leases=options.leases,
        request_time=options.request_time,
        clock_error=options.clock_error,
    )
    promised, asked, changed = plan.promised(), plan.asked(), plan.changed()
    say("PROMISED")
    show(Table(("", "", ""), promised))
    replicas, leases = _many(plan.replicas, "replica"), _many(plan.leases, "Lease")
    say(f"\nASKED OF THE API SERVER, by {replicas} for {leases}")
    show(Table(("", "", ""), asked))
    say("\nWHICH SETTING TO CHANGE FOR WHAT: outage survived, worst takeover after a crash")
    show(Table(CHANGES, changed, wraps=frozenset({"FOR"})))
    for warning in plan.timing().warnings():
        say(f"fragile: {warning}")
    return 0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What electors ask of the API server while all is well, in all or per second."""

    writes: float
    watches: int
    events: float
    polls: float


@dataclass(frozen=True)
class Plan:
    """Electors with the same settings, and the world that they are in."""

    params: LeaderElectorParams
    replicas: int = 3
    leases: int = 1
    request_time: float = 0.05
    clock_error: float = 0.01

    def bounds(self) -> Bounds:
        """Return what is promised.

        :raises InvalidParamsError: the world is none that can be.
        """
        return bounds(self.params, request_time=self.request_time, clock_error=self.clock_error)

    def timing(self) -> ElectorTiming:
        """Return the durations, and what follows from them."""
        return timing_of(self.params)

    def load(self) -> Load:
        """Return what is asked for. Every replica watches; where it may not, all but one poll."""
        writes = self.leases / self.timing().renew_interval
        return Load(
            writes=writes,
            watches=self.replicas * self.leases,
            events=self.replicas * writes,
            polls=(self.replicas - 1) * self.leases / self.params.retry_period,
        )

    def median_takeover_after_crash(self) -> float:
        """Return it from the crash, with right clocks: at any moment between two renewals."""
        timing = self.timing()
        return timing.lease_ttl - timing.renew_interval / 2 + self.request_time

    def median_takeover_after_release(self) -> float:
        """Return it from the release: an event, which is one way, and a request."""
        return 1.5 * self.request_time

    def promised(self) -> list[list[str]]:
        """Return the rows that say what is promised."""
        found = self.bounds()
        rows = [
            ("a leader renews every", found.renew_interval, "at most"),
            ("one try takes", found.attempt_timeout, "at most"),
            ("belief deadline", found.belief, "so long one renewal lets lead, at most"),
            ("outage survived", found.outage_survived, "whenever it begins, no term ends"),
            (
                "nobody leads for",
                found.safety_margin,
                "at least, between a lost leader and the next",
            ),
            (
                "takeover after a crash",
                self.median_takeover_after_crash(),
                "median, from the crash",
            ),
            ("", found.takeover_after_crash, "worst, from the last renewal"),
            ("", found.takeover_after_crash_polled, "worst, where the Lease cannot be watched"),
            ("", found.takeover_after_crash_stalled, "worst, by a watch that has fallen silent"),
            (
                "takeover after a release",
                self.median_takeover_after_release(),
                "median, from the release",
            ),
            ("", found.takeover_after_release, "worst"),
            ("", found.takeover_after_release_polled, "worst, where it cannot be watched"),
            ("", found.takeover_after_release_stalled, "worst, by a watch that has fallen silent"),
        ]
        return [[name, seconds(value), meaning] for name, value, meaning in rows]

    def asked(self) -> list[list[str]]:
        """Return the rows that say what is asked of the API server."""
        load = self.load()
        rows = [
            ("writes", f"{rate(load.writes)}/s", "a renewal each third of renew_deadline"),
            ("watches", str(load.watches), "open; the server ends each within an hour"),
            ("events", f"{rate(load.events)}/s", "a renewal, told to every watch"),
            ("reads", f"{rate(load.polls)}/s", "only where the Leases cannot be watched"),
            ("connections", str(2 * load.watches), "one for requests and one for the watch, each"),
        ]
        return [list(row) for row in rows]

    def changed(self) -> list[list[str]]:
        """Return the rows that say what other settings would promise, this one first."""
        rows = []
        for name, params, reason in alternatives(self.params):
            plan = replace(self, params=params)
            found, load = plan.bounds(), plan.load()
            told = (params.lease_ttl, params.renew_deadline, params.retry_period)
            figures = (found.outage_survived, found.takeover_after_crash)
            cells = [*(f"{each:.3g}" for each in told), *map(seconds, figures), rate(load.writes)]
            rows.append([name, *cells, reason])
        return rows


def alternatives(params: LeaderElectorParams) -> Iterator[tuple[str, LeaderElectorParams, str]]:
    """Yield what settings to compare, each with its name and what it is for; none is refused."""
    yield "as it is", params, ""
    ttl = whole_seconds(params.lease_ttl)
    deadline = belief_after(ttl, params.max_clock_skew) - 1
    changes = (
        ("all halved", ttl // 2, 0.5, "quicker takeover"),
        ("all doubled", ttl * 2, 2.0, "longer outages, fewer writes"),
    )
    for name, other, factor, reason in changes:
        period = max(SHORTEST_RETRY_PERIOD, params.retry_period * factor)
        found = _with(params, other, params.renew_deadline * factor, period)
        if found is not None:
            yield name, found, reason
    if deadline > params.renew_deadline + 0.1:
        period = max(params.retry_period, round(deadline / 5, 3))
        found = _with(params, ttl, round(deadline, 3), period)
        if found is not None:
            yield "longest deadline", found, "longer outages"


def _with(
    params: LeaderElectorParams, ttl: int, deadline: float, period: float
) -> LeaderElectorParams | None:
    try:
        return replace(params, lease_ttl=ttl, renew_deadline=deadline, retry_period=period)
    except InvalidParamsError:
        return None


def seconds(value: float) -> str:
    """Return a duration in seconds, to three digits."""
    return f"{value:.2f} s" if abs(value) < 10 else f"{value:.{1 if abs(value) < 100 else 0}f} s"


def rate(value: float) -> str:
    """Return a number to three digits."""
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"

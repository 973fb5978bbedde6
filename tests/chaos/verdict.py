"""What the evidence proves to be wrong; pure functions

What is said of safety is certain: it allows for no slowness, and needs none. Where something is
to happen in time, the time in which the machine or the replica stood still does not count.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from .evidence import Belief, Evidence, Fault, Hole, Process, Requests, Violation, Window
from .timing import LEADER_WITHIN, LEASE_TTL

MOST_REQUESTS = 60  # in WITHIN seconds: two attempts a second, each of three rounds
WITHIN = 10.0
_SHOWN = 20  # lines
_TERMS_OF_QUIET = 2  # the one that ends with the faults, and the one after it
_LINES = 6  # however little happens
_LINES_OF_A_FAULT = 3  # not in time; refused, reset or told so by a server that starts; no watch
_STUCK_FOR = 5.0  # in seconds; a process that is starved by others is woken sooner
_LINE = re.compile(r"(?P<level>INFO|WARNING) kube_leader_election: (?P<text>.+)")
_LEADS = re.compile(r"leads, fencing token (\d+)")


def judge_safety(evidence: Evidence) -> list[Violation]:
    """All that is wrong whatever the circumstances, in order."""
    found = [
        *two_leaders(evidence.beliefs),
        *unordered_tokens(evidence.beliefs),
        *foreign_tokens(evidence),
        *bad_fencing(evidence),
    ]
    return sorted(found, key=lambda each: each.at)


def judge(evidence: Evidence) -> list[Violation]:
    """All that is wrong, in order; `evidence` is of a run that has ended."""
    found = [
        *judge_safety(evidence),
        *leaderless(evidence),
        *restless(evidence),
        *itertools.chain.from_iterable(map(bad_end, evidence.processes)),
        *too_many_lines(evidence),
        *hot_loops(evidence.requests),
        *blind(evidence),
        *stuck(evidence),
        *(Violation(at, "complaint", f"{who}: {what}") for at, who, what in evidence.complaints),
    ]
    return sorted(found, key=lambda each: each.at)


def two_leaders(beliefs: Iterable[Belief]) -> Iterator[Violation]:
    """Two processes believed at one instant."""
    open_: list[Belief] = []
    for belief in sorted(beliefs, key=lambda each: min(each.since, each.first_asked_at)):
        open_ = [other for other in open_ if other.until >= belief.first_asked_at]
        for other in open_:
            at, until = max(belief.since, other.since), min(belief.until, other.until)
            touches = other.covers(belief.first_asked_at, belief.first_answered_at)
            if _is_one(belief, other) or not (at <= until or touches):
                continue
            what = f"{_named(other)} and {_named(belief)} lead for {max(0.0, until - at):.3f} s"
            yield Violation(at, "two leaders", what)
        open_.append(belief)


def _is_one(one: Belief, other: Belief) -> bool:
    return (one.replica, one.process) == (other.replica, other.process)


def _named(belief: Belief) -> str:
    return f"{belief.replica}.{belief.process} (token {belief.token})"


def unordered_tokens(beliefs: Iterable[Belief]) -> Iterator[Violation]:
    """A term has no greater token than one before it, or goes on after its end."""
    before: Belief | None = None
    for belief in sorted(beliefs, key=lambda each: each.first_asked_at):
        if before is not None and belief.token <= before.token:
            what = f"{_named(belief)} comes after {_named(before)}"
            yield Violation(belief.since, "tokens", what)
        if before is None or belief.token > before.token:
            before = belief


def foreign_tokens(evidence: Evidence) -> Iterator[Violation]:
    """A token is no version of the Lease at which the replica held it."""
    holders = {(each.replica, each.number): each.holder_id for each in evidence.processes}
    versions = {each.version: each for each in evidence.lease_writes if each.kind != "DELETED"}
    newest = max(versions, default=0)
    for belief in evidence.beliefs:
        unseen = any(since < belief.token <= until for since, until in evidence.unseen)
        if belief.token > newest or unseen:
            continue
        write = versions.get(belief.token)
        holder = holders.get((belief.replica, belief.process))
        if write is None or (holder is not None and write.holder != holder):
            said = f"says {write.holder!r}" if write else "is unknown"
            what = f"{_named(belief)}: that version of the Lease {said}"
            yield Violation(belief.since, "tokens", what)


def bad_fencing(evidence: Evidence) -> Iterator[Violation]:
    """The table took a write of an older term than one before, or refused the leader's."""
    newest = 0
    for write in evidence.fenced_writes:
        if write.accepted and write.token < newest:
            what = f"{write.replica} wrote with {write.token} after {newest}"
            yield Violation(write.ended_at, "fencing", what)
        newest = max(newest, write.token if write.accepted else 0)
    for belief in evidence.beliefs:
        refused = [
            write.ended_at
            for write in evidence.fenced_writes
            if not write.accepted
            and (write.replica, write.token) == (belief.replica, belief.token)
            and belief.covers(write.began_at, write.ended_at)
        ]
        if refused:
            what = f"{_named(belief)} leads and is refused {len(refused)} times"
            yield Violation(refused[0], "fencing", what)


def leaderless(evidence: Evidence) -> Iterator[Violation]:
    """Nobody led for longer than it may take, where all was well."""
    for window in evidence.quiet:
        for wait in leaderless_times(window, evidence.beliefs):
            bound = LEADER_WITHIN + stood_still(evidence.holes, wait)
            seconds = wait.until - wait.since
            if seconds > bound:
                what = f"nobody leads for {seconds:.1f} s, and at most {bound:.1f} were right"
                yield Violation(wait.since, "no leader", what)


def leaderless_times(window: Window, beliefs: Iterable[Belief]) -> Iterator[Window]:
    """Each part of the window in which nobody certainly led."""
    last = window.since
    for belief in sorted(beliefs, key=lambda each: each.since):
        if belief.until > last and belief.since < window.until:
            yield Window(last, max(last, belief.since))
            last = belief.until
    yield Window(last, max(last, window.until))


def stood_still(holes: Iterable[Hole], window: Window) -> float:
    """In how many seconds of the window somebody stood still."""
    total, known_until = 0.0, window.since
    for hole in sorted(holes, key=lambda each: each.since):
        since, until = max(hole.since, known_until), min(hole.until, window.until)
        total += max(0.0, until - since)
        known_until = max(known_until, until)
    return total


def restless(evidence: Evidence) -> Iterator[Violation]:
    """Terms follow each other although all is well."""
    for window in evidence.quiet:
        if stood_still(evidence.holes, window) > LEASE_TTL / 16:
            continue
        began = [each for each in evidence.beliefs if window.since < each.since < window.until]
        if len(began) > _TERMS_OF_QUIET:
            what = f"{len(began)} terms began in {window.until - window.since:.1f} quiet seconds"
            yield Violation(window.since, "restless", what)


def blind(evidence: Evidence) -> Iterator[Violation]:
    """What is judged by was not recorded, so that nothing could be found wrong."""
    at = min((each.began_at for each in evidence.processes), default=0.0)
    newest = max((each.version for each in evidence.lease_writes), default=0)
    seen_to = max([newest, *(until for _, until in evidence.unseen)])
    if any(belief.token > seen_to for belief in evidence.beliefs):
        yield Violation(at, "blind", f"terms began after version {seen_to}, the last one seen")
    if not any(write.accepted for write in evidence.fenced_writes):
        yield Violation(at, "blind", "the fenced table has accepted nothing")
    if not evidence.quiet:
        yield Violation(at, "blind", "there was no quiet time")
    for each in evidence.requests:
        if not each.times:
            yield Violation(at, "blind", f"no request of {each.replica} is known")


def stuck(evidence: Evidence) -> Iterator[Violation]:
    """Whether a replica leads was not to be had from it, although it and the machine ran."""
    for hole in overlooked_holes(evidence):
        stalled = stood_still(
            [each for each in evidence.holes if not each.replica], Window(hole.since, hole.until)
        )
        seconds = hole.until - hole.since - stalled
        if seconds > _STUCK_FOR:
            what = f"{hole.replica} could not be asked for {seconds:.1f} s"
            yield Violation(hole.since, "stuck", what)


def bad_end(process: Process) -> Iterator[Violation]:
    """A replica has failed, or logged what the library does not."""
    name = f"{process.replica}.{process.number}"
    if process.exit_code not in (None, 0):
        yield Violation(process.began_at, "exit", f"{name} ended with {process.exit_code}")
    unknown = [line for line in process.log if not _LINE.fullmatch(line)]
    if unknown:
        what = f"{name} logged what is not known: " + " | ".join(unknown[:_SHOWN])
        yield Violation(process.began_at, "log", what)
    terms = Counter(found[1] for line in process.log if (found := _LEADS.search(line)))
    for token, times in terms.items():
        if times > 1:
            yield Violation(process.began_at, "log", f"{name} told term {token} {times} times")


def too_many_lines(evidence: Evidence) -> Iterator[Violation]:
    """A replica has warned more often than something changed for it."""
    for replica, warned, most in warnings(evidence):
        if warned > most:
            began_at = min(each.began_at for each in evidence.processes)
            yield Violation(began_at, "log", f"{replica} warned {warned} times, {most} were right")


def warnings(evidence: Evidence) -> Iterator[tuple[str, int, int]]:
    """Each replica, how often it has warned, and how often it may."""
    for replica in sorted({each.replica for each in evidence.processes}):
        lives = [each for each in evidence.processes if each.replica == replica]
        lines = [line for life in lives for line in life.log if line.startswith("WARNING")]
        targets = (replica, "server", "lease")
        faults = [each for each in evidence.faults if each.disturbs and each.target in targets]
        yield replica, len(lines), _LINES + _LINES_OF_A_FAULT * (len(faults) + len(lives))


def hot_loops(requests: Iterable[Requests]) -> Iterator[Violation]:
    """A replica has asked for more than it can be right to, in a short time."""
    for each in requests:
        times = sorted(each.times)
        for first, last in zip(times, times[MOST_REQUESTS:], strict=False):
            if last - first < WITHIN:
                what = f"{each.replica} asked more than {MOST_REQUESTS} times in {WITHIN:g} s"
                yield Violation(first, "hot loop", what)
                break


def overlooked(evidence: Evidence) -> Iterator[float]:
    """For how long a replica was not asked, each time that was too long and nobody stopped it."""
    for hole in overlooked_holes(evidence):
        yield hole.until - hole.since


def overlooked_holes(evidence: Evidence) -> Iterator[Hole]:
    """Those of replicas that nobody had stopped."""
    stops = [each for each in evidence.faults if each.kind == "stopped"]
    for hole in evidence.holes:
        times = [each for each in stops if each.target == hole.replica]
        was_stopped = any(
            each.began_at < hole.until and hole.since < each.ended_at for each in times
        )
        if hole.replica and not was_stopped:
            yield hole


def going_on(faults: Iterable[Fault], at: float) -> list[Fault]:
    """What may have to do with a violation at that instant."""
    return [each for each in faults if each.began_at - 0.1 <= at <= each.ended_at + 2 * LEASE_TTL]

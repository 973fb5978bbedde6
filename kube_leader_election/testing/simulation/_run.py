"""A schedule is played: the world is built, all happens that is to happen, and is judged."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kube_leader_election._core.messages import Found
from kube_leader_election._core.record import micro_time
from kube_leader_election.testing._memory import Backup

from ._dossier import Violation
from ._elector import ElectorProcess
from ._foreign import ClientGoProcess, WallClockProcess
from ._judge import Judge, TermSeen
from ._lock import LockProcess
from ._process import Place, Process
from ._schedule import Happening, OnEvent, OnRequest, Replica, Rules, Schedule, What
from ._server import Server
from ._world import World

_PROCESSES: dict[Rules, type[Process]] = {
    Rules.LOCK: LockProcess,
    Rules.ELECTOR: ElectorProcess,
    Rules.CLIENT_GO: ClientGoProcess,
    Rules.WALL_CLOCK: WallClockProcess,
}
# How often etcd is backed up, in seconds.
_BACKUP_EVERY = 1.0
# Whether somebody leads, in seconds.
_LOOKED_EVERY = 0.5
# A clock runs so slowly at most.
_SLOWEST = 0.99


@dataclass(frozen=True)
class Outcome:
    """What came of a schedule. Times are true ones, in seconds from its beginning.

    `excused`: from when until when two believed to lead after a deletion or a restore that no
    candidate could know of. `candidates`: each life of a replica counts.
    """

    violation: Violation | None
    terms: tuple[TermSeen, ...]
    excused: tuple[tuple[float, float], ...]
    candidates: int
    requests: int
    ended_at: float


class Run:
    """One schedule, once, before a judge of this kind."""

    def __init__(self, schedule: Schedule, judge: type[Judge] = Judge) -> None:
        self.schedule = schedule
        self.world = World()
        self.longest_belief = max(map(_belief, schedule.replicas)) / _SLOWEST
        alike = len({replica.lease_ttl for replica in schedule.replicas}) == 1
        self.judge = judge(self.world, longest_belief=self.longest_belief, alike=alike)
        self.server = self.judge.server = Server(self.world, self.judge)
        self.places = {replica.name: self._place(replica) for replica in schedule.replicas}
        self.lives: dict[str, Process] = {}
        self._generation = 0
        self._backups: list[tuple[float, Backup]] = []

    def play(self) -> Outcome:
        """All has happened, and once it was calm a leader was there in time; or it was not."""
        violation = None
        try:
            self._play()
        except Violation as found:
            violation = found
        return Outcome(
            violation,
            tuple(self.judge.terms),
            tuple(self.judge.excused),
            self.judge.candidates,
            self.judge.requests,
            self.world.now,
        )

    def _play(self) -> None:
        schedule = self.schedule
        for replica in schedule.replicas:
            self.world.at(replica.starts_at, partial(self._start, replica))
        for fault in schedule.faults:
            if isinstance(fault, Happening):
                self.world.at(fault.at, partial(self._happens, fault))
        if any(isinstance(f, Happening) and f.what is What.RESTORE for f in schedule.faults):
            self._back_up()
        self.world.run(schedule.calm_at)
        self._calm_down()
        self._wait_for_a_leader(schedule.calm_at + leads_again_within(schedule))

    def _wait_for_a_leader(self, until: float) -> None:
        """Somebody leads by what was written since it is calm."""
        calm_at = self.schedule.calm_at
        while not self.judge.leads_beyond(calm_at + self.longest_belief):
            if self.world.now >= until:
                text = f"nobody leads {until - calm_at:.3f} s after the last fault"
                raise Violation(10, self.world.now, text)
            self.world.run(min(until, self.world.now + _LOOKED_EVERY))

    def _place(self, replica: Replica) -> Place:
        own = [fault for fault in self.schedule.faults if fault.replica == replica.name]
        return Place(
            self.world,
            self.server,
            replica,
            random.Random(f"{self.schedule.seed}/{replica.name}"),
            {fault.number: fault for fault in own if isinstance(fault, OnRequest)},
            {fault.number: fault for fault in own if isinstance(fault, OnEvent)},
            self.schedule.replicas.index(replica),
        )

    def _start(self, replica: Replica, holder_id: str | None = None) -> None:
        before = self.lives.get(replica.name)
        if before is not None:
            before.end()
        name = holder_id or replica.holder_id or replica.name
        process = _PROCESSES[replica.rules](self.places[replica.name], name, self.judge)
        self.lives[replica.name] = process
        self.judge.began(process)
        process.start()
        self.judge.looked(process)

    def _start_again(self, after: Process, holder_id: str) -> None:
        if self.lives[after.replica.name] is after:
            self._start(after.replica, holder_id)

    def _happens(self, fault: Happening) -> None:
        process = self.lives.get(fault.replica)
        self.judge.happens(fault, process)
        if process is not None and not process.is_over:
            self._happens_to(process, fault)
        if fault.what is What.OUTAGE:
            self.server.down_until = max(self.server.down_until, self.world.now + fault.seconds)
        elif fault.what is What.LABEL:
            self.server.edit({}, {"edited-at": f"{self.world.now:.6f}"})
        elif fault.what is What.INTRUDE:
            self._intrude(round(fault.seconds))
        elif fault.what is What.DELETE:
            self.server.delete()
        elif fault.what is What.RESTORE:
            self._restore(fault.seconds)

    def _happens_to(self, process: Process, fault: Happening) -> None:
        what, again = fault.what, self.world.now + fault.seconds
        if what in (What.CRASH, What.RENAMED):
            process.end()
        elif what is What.PAUSE:
            process.stand_still(fault.seconds)
        elif what is What.LEAVE:
            self._leaves(process, process.leave)
        elif what is What.GIVE_UP:
            self._leaves(process, process.give_up)
        elif what is What.WALL_JUMP:
            process.place.clocks.ahead = fault.seconds
        elif what is What.WATCH_ENDS and isinstance(process, ElectorProcess):
            process.watch_ends()
        elif what is What.WATCH_STALLS and isinstance(process, ElectorProcess):
            process.watch_stalls()
        if what in (What.CRASH, What.RENAMED, What.LEAVE):
            name = process.name
            if what is What.RENAMED:
                self._generation += 1
                name = f"{process.replica.name}{self._generation}"
            self.world.at(again, partial(self._start_again, process, name))

    def _leaves(self, process: Process, leave: Callable[[], object]) -> None:
        def act() -> None:
            self.judge.leaves(process)
            leave()

        process.do(act)

    def _intrude(self, duration: int) -> None:
        now = micro_time(self.world.utcnow())
        spec = {"holderIdentity": "intruder", "leaseDurationSeconds": duration, "renewTime": now}
        self.server.edit(spec, {})

    def _back_up(self) -> None:
        if isinstance(self.server.lease, Found):
            self._backups.append((self.world.now, self.server.backup()))
        self.world.after(_BACKUP_EVERY, self._back_up)

    def _restore(self, age: float) -> None:
        backups = [each for at, each in self._backups if at <= self.world.now - age]
        if backups:
            self.judge.restored()
            self.server.restore(backups[-1])

    def _calm_down(self) -> None:
        for place in self.places.values():
            place.calm_down()
            process = self.lives.get(place.replica.name)
            if process is None or process.is_over:
                self._start(place.replica, process.name if process else None)


def play(schedule: Schedule) -> Outcome:
    """Return what comes of the schedule; each time the same."""
    return Run(schedule).play()


def leads_again_within(schedule: Schedule) -> float:
    """Return how soon, in seconds, somebody leads once all is well.

    A silent watch is not relied on for longer than half the duration of the Lease; who has failed
    or was asked to go on waiting tries again a little later.
    """
    durations = [float(replica.lease_ttl) for replica in schedule.replicas]
    rests = [0.0]
    for fault in schedule.faults:
        if isinstance(fault, Happening) and fault.what is What.INTRUDE:
            durations.append(fault.seconds)
        if isinstance(fault, Happening) and fault.what in (What.GIVE_UP, What.LEAVE):
            rests.append(max(durations))
    slowest = min(_SLOWEST, *(replica.rate for replica in schedule.replicas))
    pauses = max(2.4 * replica.retry_period + replica.busy_for for replica in schedule.replicas)
    attempts = max(0.4 * _belief(replica) for replica in schedule.replicas)
    return (1.5 * max(durations) + max(rests) + pauses + attempts) / slowest


def _belief(replica: Replica) -> float:
    if replica.rules in (Rules.ELECTOR, Rules.CLIENT_GO):
        return replica.renew_deadline
    return 0.98 * replica.lease_ttl - (replica.max_clock_skew or 0.0)

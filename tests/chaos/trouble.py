"""What can go wrong, each of it drawn at random

What would make two leaders possible by the documentation does not happen: see `may_delete` and
`may_start`. No two living processes have one name, nobody clears the holder by hand, and wall
clocks jump only where no candidate goes by one.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import itertools
import random
import time

from tests.proxy import Kind, Proxy

from .cast import Actor
from .lanes import Action, Lanes
from .timing import LEASE_TTL, RENEW_DEADLINE
from .town import Town

SERVER, LEASE = "server", "lease"
NETWORK, PROCESS, RIGHTS = "network", "process", "rights"
_WALL_JUMPS = (3600.0, -3600.0, 315e6, -315e6)
HUNG = "did not end on SIGTERM"
_EXIT_WITHIN = 15.0
_SOON = 0.2  # in seconds; what must not wait too long is tried again after that
_AT_ONCE = 0.05


class Trouble:
    """Makes it, in the lanes that are free. For the thread of the town."""

    def __init__(self, town: Town, lanes: Lanes) -> None:
        self._town = town
        self._lanes = lanes
        self._deleted_uid = ""
        self._numbers = itertools.count(1)

    def network(self, actor: Actor, draw: random.Random) -> None:
        """Something between a replica and the server."""
        proxy, long = actor.proxy, draw.uniform(0.5, 2 * LEASE_TTL)
        late = draw.uniform(0.0, LEASE_TTL)
        take = functools.partial(self._lanes.take, actor.name, NETWORK)
        kind = draw.choice(("late", "late", "lost", "lost", "cut", "dribble", "reset", "refuse"))
        ways: tuple[Kind, Kind] = ("requests", "answers")
        way = draw.choice(ways)
        if kind == "late":
            take(f"{way} late", late, lambda: proxy.hold(way), proxy.let_pass)
        elif kind == "lost":
            take(f"{way} lost", long, lambda: proxy.drop(way), proxy.let_pass)
        elif kind == "cut":
            take("cut off", long, proxy.drop, proxy.let_pass)
        elif kind == "dribble":
            every = draw.choice((0.02, 0.4))
            take("dribble", late, lambda: proxy.dribble("answers", every=every), proxy.let_pass)
        elif kind == "reset":
            take("reset", _AT_ONCE, proxy.reset, proxy.let_pass)
        else:
            take("refused", long, functools.partial(_refuse, proxy), proxy.accept)

    def process(self, actor: Actor, draw: random.Random) -> None:
        """Something about its process."""
        kind = draw.choice(("stop", "kill", "terminate"))
        seconds, keeps_name = draw.uniform(0.0, 2 * LEASE_TTL), draw.random() < 0.5
        if kind == "stop":
            self._stop(actor, seconds)
        elif kind == "kill":
            self._kill(actor, seconds / 2, keeps_name=keeps_name)
        else:
            self._terminate(actor, keeps_name=keeps_name)

    def rights(self, actor: Actor, draw: random.Random) -> None:
        """It may do nothing for a while."""
        user, seconds = actor.user, draw.uniform(1.0, 2 * LEASE_TTL)
        town = self._town
        self._lanes.take(
            actor.name,
            RIGHTS,
            "forbidden",
            seconds,
            lambda: town.forbid(user),
            lambda: town.allow(user),
        )

    def jump(self, actor: Actor, draw: random.Random) -> None:
        """Its wall clock jumps, and stays there."""
        actor.remote.wall_offset = draw.choice(_WALL_JUMPS) * draw.uniform(0.5, 1.0)
        self._lanes.note("wall clock", actor.name)

    def fork(self, actor: Actor, draw: random.Random) -> None:
        """It forks, and the child asks whether it leads."""
        actor.remote.ask_to_fork()
        self._lanes.note("fork", actor.name)

    def server(self, draw: random.Random) -> None:
        """Nobody can reach the server, or its store."""
        server, town = self._town.server, self._town
        if not (server.kube_apiserver.running and server.etcd.running):
            return  # it still starts, or did not survive the last one
        short, long = draw.uniform(0.2, RENEW_DEADLINE / 2), draw.uniform(3.0, 2 * LEASE_TTL)
        kind = draw.choice(("stop", "kill", "stop etcd", "stop etcd", "kill etcd"))
        take = functools.partial(self._lanes.take, SERVER, SERVER)
        if kind == "stop":
            take("server stopped", draw.choice((short, long)), server.pause, server.resume)
        elif kind == "stop etcd":
            seconds = draw.choice((short, long))
            take("etcd stopped", seconds, server.etcd.pause, server.etcd.resume)
        elif kind == "kill":
            start = server.kube_apiserver.start
            take("server killed", short, server.kube_apiserver.kill, start)
        else:
            take("etcd killed", short, server.etcd.kill, town.start_etcd)

    def lease(self, draw: random.Random) -> None:
        """Somebody else writes to the Lease."""
        number = next(self._numbers)
        kind = draw.choice(("label", "label", "intruder", "delete"))
        if kind == "label":
            self._town.label(f"storm-{number}")
            self._lanes.note("labelled", LEASE)
        elif kind == "intruder":
            self._town.intrude(f"intruder-{number}")
            self._lanes.note("intruder", LEASE)
        else:
            self._delete()

    def leader(self, draw: random.Random) -> None:
        """The worst for the one that leads, and often more than one thing."""
        actor = self._town.leader
        kinds = ("late and cut", "deleted and cut", "deleted and cut", "stopped", "cut", "killed")
        kind = draw.choice((*kinds, "terminated", "terminated", "requests late"))
        late, long = draw.uniform(0.1, RENEW_DEADLINE), draw.uniform(1.0, 2.0) * LEASE_TTL
        keeps_name = draw.random() < 0.5
        if actor is None:
            return
        take = functools.partial(self._lanes.take, actor.name, NETWORK)
        if kind == "late and cut":
            self._late_and_cut(actor, late, long)
        elif kind == "deleted and cut":
            if self.may_delete() and take("cut off", long, actor.proxy.drop, actor.proxy.let_pass):
                self._lanes.after(late / 4, self._delete)
        elif kind == "stopped":
            self._stop(actor, long)
        elif kind == "cut":
            take("cut off", long, actor.proxy.drop, actor.proxy.let_pass)
        elif kind == "killed":
            self._kill(actor, late, keeps_name=keeps_name)
        elif kind == "terminated":
            self._terminate(actor, keeps_name=keeps_name)
        else:
            proxy = actor.proxy
            take("requests late", long, lambda: proxy.hold("requests"), proxy.let_pass)

    def may_delete(self) -> bool:
        """Every living process has seen the Lease, none may be started yet, the server is well.

        A candidate that never saw the Lease takes its absence for a first start.
        """
        last = self._town.observer.last
        is_there = last is not None and last.kind != "DELETED"
        seen = all(actor.has_seen for actor in self._town.actors)
        return is_there and seen and self._lanes.is_free(SERVER, SERVER) and self.may_start()

    def may_start(self) -> bool:
        """The Lease was not deleted, or is there again, for so long that nobody else believes."""
        if not (self._deleted_uid and any(actor.is_alive for actor in self._town.actors)):
            return True
        writes = self._town.observer.writes
        theirs = [n for n, each in enumerate(writes) if each.uid == self._deleted_uid]
        later = writes[max(theirs, default=len(writes)) + 1 :]
        made_at = [each.seen_at for each in later if each.kind != "DELETED"]
        return bool(made_at) and time.monotonic() > made_at[0] + LEASE_TTL

    def start(self, actor: Actor, *, keeps_name: bool) -> None:
        """Its process, which is dead, is followed by another, as soon as that may be."""
        if actor.is_alive:
            return
        if self.may_start():
            actor.note_end()
            actor.start(keeps_name=keeps_name)
        else:
            self._lanes.after(_SOON, lambda: self.start(actor, keeps_name=keeps_name))

    def _delete(self) -> None:
        if self.may_delete() and self._town.is_serving():
            began_at, uid = time.monotonic(), ""
            with contextlib.suppress(OSError, http.client.HTTPException):  # of its first look
                uid = self._town.delete()
            if uid:
                self._deleted_uid = uid
                self._lanes.note("deleted", LEASE, began_at)

    def _late_and_cut(self, actor: Actor, late: float, long: float) -> None:
        """An answer comes late, and then nothing."""
        lanes, proxy = self._lanes, actor.proxy
        kind, hold = "answers late, then cut off", functools.partial(proxy.hold, "answers")
        finish = lanes.take(actor.name, NETWORK, kind, late + long, hold, proxy.let_pass)

        def let_pass() -> None:
            if finish is not None and lanes.is_on(finish):
                proxy.let_pass()
                lanes.after(_AT_ONCE, cut)

        def cut() -> None:
            if finish is not None and lanes.is_on(finish):
                proxy.drop()

        lanes.after(late, let_pass)

    def _stop(self, actor: Actor, seconds: float) -> None:
        if actor.is_up:
            self._lanes.take(actor.name, PROCESS, "stopped", seconds, actor.pause, actor.resume)

    def _kill(self, actor: Actor, seconds: float, *, keeps_name: bool) -> None:
        def start() -> None:
            self.start(actor, keeps_name=keeps_name)

        self._lanes.take(actor.name, PROCESS, "killed", seconds, actor.kill, start)

    def _terminate(self, actor: Actor, *, keeps_name: bool) -> None:
        def start() -> None:
            if not actor.wait_for_exit():
                self._lanes.note(HUNG, actor.name)
                actor.kill()
            self.start(actor, keeps_name=keeps_name)

        if actor.is_up:
            take = functools.partial(self._lanes.take, actor.name, PROCESS, "terminated")
            finish = take(_EXIT_WITHIN, actor.terminate, start)
            if finish is not None:
                self._finish_after_exit(actor, finish)

    def _finish_after_exit(self, actor: Actor, finish: Action) -> None:
        if actor.is_alive and self._lanes.is_on(finish):
            self._lanes.after(_SOON, lambda: self._finish_after_exit(actor, finish))
        else:
            finish()


def _refuse(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.reset()

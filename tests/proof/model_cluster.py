"""What reaches the server, in a world; and what can still be seen of it."""

from __future__ import annotations

from kube_leader_election._core.messages import Answer, Write

from .model_configuration import Configuration, Fault
from .model_merging import Visible
from .model_server import Server
from .model_world import Late, Numbered, World


class Cluster:
    """The servers, writes and answers that the worlds speak of by their numbers."""

    def __init__(self, configuration: Configuration) -> None:
        self.servers: Numbered[Server] = Numbered()
        self.answers: Numbered[Answer] = Numbered()
        self.writes: Numbered[Write] = Numbered()
        self._remembers = configuration.remembers
        self._if_deleted = Fault.DELETION in configuration.faults
        self._reads_first = not configuration.watches
        self._carried: dict[tuple[int, int, int], tuple[int, int, str | None]] = {}
        self._visible: dict[tuple[int, tuple[Late, ...]], Visible] = {}

    def commit(self, world: World, tick: int, write: Late) -> tuple[World, int, str | None]:
        """Return the world after `write` has reached the server, the answer, and what is wrong."""
        key = (world.server, write.write, tick)
        carried = self._carried.get(key)
        if carried is None:
            server, request = self.servers[world.server], self.writes[write.write]
            after, answer = server.carry_out(request, tick, self._remembers)
            harm = server.harm(request) if after is not server else None
            carried = self.servers.number(after), self.answers.number(answer), harm
            self._carried[key] = carried
        server_after, answered, harm = carried
        if server_after != world.server:
            world = self.with_server(world, server_after)
            player = world.players[write.place]
            if write.proves > player.proof:
                world = world.with_player(write.place, player._replace(proof=write.proves))
        return world, answered, harm

    def with_server(self, world: World, server: int) -> World:
        """The server is now that, and late writes that it can only refuse are as good as lost."""
        late = tuple(each for each in world.late if self._may_commit(each, server))
        return world._replace(server=server, late=late)

    def with_late(self, world: World, late: Late) -> World:
        """There is one more write under way, if it can have an effect."""
        if not self._may_commit(late, world.server):
            return world
        return world._replace(late=tuple(sorted((*world.late, late))))

    def visible(self, world: World) -> Visible:
        """Return what anybody can still be shown."""
        key = (world.server, world.late)
        visible = self._visible.get(key)
        if visible is None:
            versions = self.servers[world.server].versions
            records = [version.record or version.last for version in versions]
            records += [self.writes[each.write].record for each in world.late]
            times = (record.renew_time for record in records if record)
            visible = self._visible[key] = Visible(
                frozenset(time for time in times if time),
                oldest=versions[0].number,
                reads_first=self._reads_first,
            )
        return visible

    def _may_commit(self, late: Late, server: int) -> bool:
        write = self.writes[late.write]
        return self.servers[server].could_commit(write, if_deleted=self._if_deleted)

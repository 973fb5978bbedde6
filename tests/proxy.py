"""A way to a server that can be held up, cut or broken: bytes only, so TLS passes untouched

    with Proxy(server.port) as proxy:
        with proxy.holding("answers"):  # what is asked is carried out, and its answer is late
            ...

What is sent is of two kinds, ``"requests"`` to the server and ``"answers"`` from it; each method
is about those that it is given, or both. It is in force when it returns, for all connections,
also for new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Literal, TypeVar

HOST = "127.0.0.1"
_PATIENCE = 30.0
_RESETS = struct.pack("ii", 1, 0)

Kind = Literal["requests", "answers"]
_KINDS: tuple[Kind, Kind] = ("requests", "answers")

_T = TypeVar("_T")


class _Mode(Enum):
    PASS = "pass"
    HOLD = "hold"
    DROP = "drop"
    DRIBBLE = "dribble"


class _Ending(Enum):
    CLOSED = "closed"
    RESET = "reset"


@dataclass
class _Rule:
    """What becomes of one kind, in all connections."""

    mode: _Mode = _Mode.PASS
    every: float = 0.0
    lost: int = 0


class Proxy:
    """Carries each connection on to a port of this machine, while its with-block lasts.

    Its own port stays its own, whether anybody is let in or not. For any thread.
    """

    def __init__(self, target_port: int, *, scheme: str = "https") -> None:
        self._target_port = target_port
        self._scheme = scheme
        self._rules: dict[Kind, _Rule] = {kind: _Rule() for kind in _KINDS}
        self._connections: set[_Connection] = set()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Proxy:
        self._port_holder = _bound(0)  # never listens
        self.port: int = self._port_holder.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self.accept()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()
        self._port_holder.close()

    @property
    def url(self) -> str:
        return f"{self._scheme}://{HOST}:{self.port}"

    def let_pass(self, *kinds: Kind) -> None:
        """What is sent arrives, first what was held."""
        self._rule(_Mode.PASS, kinds)

    def hold(self, *kinds: Kind) -> None:
        """What is sent is kept, and arrives when it is let pass, also if its sender is gone."""
        self._rule(_Mode.HOLD, kinds)

    def drop(self, *kinds: Kind) -> None:
        """What is sent or held is lost; nobody is told, and all connections stay open.

        A connection that has lost something of a kind will never let anything of it pass, since
        no byte may arrive that another should have come before.
        """
        self._rule(_Mode.DROP, kinds)

    def dribble(self, *kinds: Kind, every: float) -> None:
        """Of what is sent one byte arrives ``every`` so many seconds."""
        self._rule(_Mode.DRIBBLE, kinds, every)

    def reset(self) -> None:
        """All connections are broken, with an RST to both sides."""
        self._do(self._reset())

    def refuse(self) -> None:
        """New connections are refused; those that are open stay so."""
        self._do(self._close_listener())

    def accept(self) -> None:
        """New connections are let in."""
        self._do(self._listen())

    def heal(self) -> None:
        """All is let pass, and everybody let in."""
        self.let_pass()
        self.accept()

    @contextlib.contextmanager
    def holding(self, *kinds: Kind) -> Iterator[None]:
        """`hold`, then `let_pass`."""
        self.hold(*kinds)
        yield from self._until_over(kinds)

    @contextlib.contextmanager
    def dropping(self, *kinds: Kind) -> Iterator[None]:
        """`drop`, then `let_pass`."""
        self.drop(*kinds)
        yield from self._until_over(kinds)

    @contextlib.contextmanager
    def dribbling(self, *kinds: Kind, every: float) -> Iterator[None]:
        """`dribble`, then `let_pass`."""
        self.dribble(*kinds, every=every)
        yield from self._until_over(kinds)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """`refuse`, then `accept`."""
        self.refuse()
        try:
            yield
        finally:
            self.accept()

    def held(self, kind: Kind) -> int:
        """How many bytes of it are kept now."""

        async def count() -> int:
            return sum(connection.streams[kind].held for connection in self._connections)

        return self._do(count())

    def lost(self, kind: Kind) -> int:
        """How many bytes of it were lost so far."""
        return self._rules[kind].lost

    @property
    def open_connections(self) -> int:
        """How many there are of which a side is still open."""
        return len(self._connections)

    def _until_over(self, kinds: tuple[Kind, ...]) -> Iterator[None]:
        try:
            yield
        finally:
            self.let_pass(*kinds)

    def _rule(self, mode: _Mode, kinds: tuple[Kind, ...], every: float = 0.0) -> None:
        async def change() -> None:
            for kind in kinds or _KINDS:
                self._rules[kind].mode, self._rules[kind].every = mode, every
                for connection in list(self._connections):
                    connection.streams[kind].go_on()

        self._do(change())

    def _do(self, action: Coroutine[None, None, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(_PATIENCE)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = _bound(self.port)
            self._listener.setblocking(False)
            self._listener.listen(100)
            self._loop.add_reader(self._listener, self._let_in, self._listener)

    async def _close_listener(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _let_in(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):  # gone already
            client, _ = listener.accept()
            connection = _Connection(self._rules, self._loop, self._connections.discard)
            self._connections.add(connection)
            connection.open(client, self._target_port)

    async def _reset(self) -> None:
        for connection in list(self._connections):
            connection.reset()

    async def _end(self) -> None:
        await self._close_listener()
        while self._connections:
            for connection in list(self._connections):
                connection.give_up()
            await asyncio.sleep(0)


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        sock.setsockopt(socket.SOL_SOCKET, option, 1)
    sock.bind((HOST, port))
    return sock


class _Connection:
    """Two ends, and what each sends to the other."""

    def __init__(
        self,
        rules: dict[Kind, _Rule],
        loop: asyncio.AbstractEventLoop,
        gone: Callable[[_Connection], None],
    ) -> None:
        self.streams = {kind: _Stream(rules[kind], loop, self._ended) for kind in _KINDS}
        requests, answers = self.streams["requests"], self.streams["answers"]
        self.client = _End(requests, answers, self._lost)
        self.server = _End(answers, requests, self._lost)
        self._loop = loop
        self._gone = gone

    def open(self, client: socket.socket, target_port: int) -> None:
        """Both ends come about, or the client's is reset."""

        def opened(_: object) -> None:
            for end in (self.client, self.server):
                end.is_gone |= end.transport is None
            if self.client.transport is None:
                client.close()
            self._lost()

        self._opening = self._loop.create_task(self._open(client, target_port))
        self._opening.add_done_callback(opened)

    async def _open(self, client: socket.socket, target_port: int) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: self.client, client)
            await self._loop.create_connection(lambda: self.server, HOST, target_port)
        except OSError:
            self.reset()

    def give_up(self) -> None:
        """As `reset`, and the server is waited for no longer."""
        self._opening.cancel()
        self.reset()

    def reset(self) -> None:
        """Both sides are told that it is broken, whatever the rules."""
        for end in (self.client, self.server):
            end.reset()

    def _ended(self) -> None:
        if all(stream.is_over for stream in self.streams.values()):
            for end in (self.client, self.server):
                if end.transport is not None:
                    end.transport.close()

    def _lost(self) -> None:
        """An end is gone, maybe both."""
        if self._opening.done() and self.client.is_gone and self.server.is_gone:
            self._gone(self)


class _Stream:
    """What one end sends to the other, whose transport is `sink` once it is connected."""

    def __init__(
        self, rule: _Rule, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]
    ) -> None:
        self.sink: asyncio.Transport | None = None
        self.is_over = False
        self._rule = rule
        self._loop = loop
        self._ended = ended
        self._kept: deque[bytes | _Ending] = deque()
        self._is_cut = False
        self._next_byte: asyncio.TimerHandle | None = None

    @property
    def held(self) -> int:
        """How many bytes are kept."""
        return sum(len(each) for each in self._kept if isinstance(each, bytes))

    def send(self, what: bytes | _Ending) -> None:
        self._kept.append(what)
        self.go_on()

    def go_on(self) -> None:
        """Do what the rule says with what is kept."""
        if self._is_cut or (self._kept and self._rule.mode is _Mode.DROP):
            self._is_cut = True
            self._rule.lost += self.held
            self._kept.clear()
        elif self.sink is None or self._rule.mode is _Mode.HOLD:
            return
        elif self._rule.mode is _Mode.DRIBBLE:
            self._drip()
        else:
            while self._kept:
                self._deliver(self._kept.popleft())

    def _drip(self) -> None:
        if not self._kept or self._next_byte is not None:
            return
        what = self._kept.popleft()
        if isinstance(what, bytes) and len(what) > 1:
            self._kept.appendleft(what[1:])
            what = what[:1]
        self._next_byte = self._loop.call_later(self._rule.every, self._drip_on)
        self._deliver(what)

    def _drip_on(self) -> None:
        self._next_byte = None
        self.go_on()

    def _deliver(self, what: bytes | _Ending) -> None:
        if self.sink is None:
            return
        if isinstance(what, bytes):
            if not self.sink.is_closing():
                self.sink.write(what)
            return
        if what is _Ending.RESET:
            _abort(self.sink)
        else:
            with contextlib.suppress(OSError):  # it is broken, of which we were not told yet
                self.sink.write_eof()
        self.is_over = True
        self._ended()


class _End(asyncio.Protocol):
    """One side of a connection."""

    def __init__(self, outgoing: _Stream, incoming: _Stream, lost: Callable[[], None]) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_gone = False
        self._is_broken = False
        self._outgoing = outgoing
        self._incoming = incoming
        self._lost = lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = self._incoming.sink = transport
        if self._is_broken:
            _abort(transport)
        self._incoming.go_on()

    def data_received(self, data: bytes) -> None:
        self._outgoing.send(data)

    def eof_received(self) -> bool:
        self._outgoing.send(_Ending.CLOSED)
        return True  # it may still be answered

    def connection_lost(self, error: Exception | None) -> None:
        self.is_gone = True
        self._outgoing.send(_Ending.RESET if error else _Ending.CLOSED)
        self._lost()

    def reset(self) -> None:
        self._is_broken = True
        if self.transport is not None:
            _abort(self.transport)


def _abort(transport: asyncio.Transport) -> None:
    with contextlib.suppress(OSError):  # closed already
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
    transport.abort()

"""A connection of which every socket is known, so that it can be ended in whatever it hangs."""

from __future__ import annotations

import functools
import http.client
import os
import socket
import ssl
import threading
import time
import traceback
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import urllib3

from ._process import process_id

_PIECE = 65536
_FORK_WAITS_FOR = 0.1  # seconds

_wires: weakref.WeakSet[Wire] = weakref.WeakSet()


class Wire:
    """Host, TLS, proxy, headers and credentials are those of ``api_client``; the sockets are ours.

    One thread sends and reads, and calls `close` at the end or after any failure. `hang_up` is
    for all the others.
    """

    def __init__(self, api_client: Any, host: str) -> None:
        self.host = host
        self.given_up = False
        self.is_connecting = False
        self._api_client = api_client
        self._process = process_id()
        self._deadline_at = 0.0
        self._pools: Any = None
        self._connection: Any = None
        self._answer: http.client.HTTPResponse | None = None
        self._socket: socket.socket | None = None
        # At most one: a second descriptor of the same socket. Whoever pops it may shut it down
        # and close it. Under another thread's hand the first may be closed at any time, and its
        # number be that of another file; in a TLS handshake it belongs to no object at all.
        self._handles: list[socket.socket] = []
        _wires.add(self)

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that made it, and no child forked from that."""
        return self._process == process_id()

    def send(self, method: str, path: str, body: bytes | None = None, *, deadline_at: float) -> Any:
        """Return urllib3's response as soon as its head has come; the body is still to be read.

        Nothing is sent after ``deadline_at``, and no operation of the socket takes longer than
        what was left until then. The caller closes the response.
        """
        self._deadline_at = deadline_at
        self._check()
        headers = self._headers(body)
        if self._pools is None:
            self._pools = self._open()
        self._check()
        return self._pools.urlopen(
            method,
            self.host.rstrip("/") + path,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(total=left(deadline_at)),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
            enforce_content_length=True,
        )

    def pieces(self) -> Iterator[bytes]:
        """Yield the body of the last answer as it comes, however long that takes.

        :raises Exception: it ended before its end. Where only the end of the connection tells
            that, none is noticed.
        """
        answer, sock = self._answer, self._socket
        if answer is None or sock is None:
            raise ConnectionAbortedError("the connection was closed")
        sock.settimeout(None)
        # Of http.client: what urllib3 1.26 has fills its buffer first, or reads byte by byte.
        # Python 3.10 does not count what it read so; there is no length where it comes in chunks.
        missing = answer.length
        while missing != 0:
            piece = answer.read1(_PIECE if missing is None else min(missing, _PIECE))
            if not piece and missing is None:
                return
            if not piece:
                raise EOFError("the body was cut")
            missing = None if missing is None else missing - len(piece)
            yield piece

    def finish(self) -> None:
        """The whole answer was read: the connection is kept, or ended if the server wants that."""
        if self._connection.sock is None:  # "Connection: close": the server waits for our end
            self._cut()

    def hang_up(self) -> None:
        """Nothing more is sent, and a thread that reads stops. For any thread or signal handler.

        In a forked child only the child's descriptors are closed: a shutdown, or a polite end of
        TLS, would end the connection of the parent.
        """
        self.given_up = True
        if not self.is_ours:
            self.is_connecting = False
            if self._socket is not None:
                with suppress(OSError):
                    os.close(self._socket.detach())
        self._cut()

    def close(self) -> None:
        """All is ended and forgotten. For the thread that sends and reads."""
        self.given_up = True
        self._cut()
        if self._connection is not None:
            self._connection.close()
        self._pools = self._connection = self._socket = self._answer = None

    def note(self, connection: Any, sock: socket.socket, *, connected: bool) -> None:
        """Takes down a socket that has connected, or was wrapped in TLS, before it is used."""
        self._connection = connection
        if isinstance(sock, socket.socket):  # TLS within TLS is not; its inner socket was noted
            self._socket = sock
        if connected:
            self._cut()
            self._handles.append(socket.fromfd(sock.fileno(), sock.family, sock.type))
        self._check()  # only now: hang_up() sets its flag first and then takes the handle

    def note_answer(self, answer: http.client.HTTPResponse) -> None:
        """Takes down an answer before its head is read."""
        self._answer = answer

    def _check(self) -> None:
        if self.given_up or time.monotonic() >= self._deadline_at:
            raise TimeoutError("given up before anything was sent")

    def _headers(self, body: bytes | None) -> dict[str, str]:
        client = self._api_client
        headers = dict(client.default_headers)
        if client.cookie:
            headers["Cookie"] = client.cookie
        # This runs refresh hooks and exec plugins, and may hang. The client versions differ in
        # the names of the entries only; all of them are headers.
        for auth in client.configuration.auth_settings().values():
            if auth["in"] == "header" and auth["value"]:
                headers[auth["key"]] = auth["value"]
        headers |= {"Accept": "application/json", "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return {name.title(): _printable(name, text) for name, text in headers.items()}

    def _open(self) -> Any:
        """A pool with the client's own TLS, proxy and socket options; its files are read anew."""
        client = self._api_client
        pools = type(client.rest_client)(client.configuration).pool_manager
        pool = pools.connection_from_url(self.host)
        pool.ConnectionCls = functools.partial(_noting(pool.ConnectionCls), self)
        return pools

    def _cut(self) -> None:
        """Ends the connection on both sides, whoever reads from it; in a child, on its own."""
        with suppress(IndexError):
            handle = self._handles.pop()
            if self.is_ours:
                # Of the plain socket: shutdown() of one with TLS drops the layer as well, and a
                # reader gets ciphertext for a body.
                with suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)
            handle.close()


class _Noting:
    """Mixed into the connection class of a pool: shows the wire each socket before its use."""

    def __init__(self, wire: Wire, *args: Any, **options: Any) -> None:
        self.__wire = wire
        self.__sock: socket.socket | None = None
        super().__init__(*args, **options)

    @property
    def sock(self) -> socket.socket | None:
        return self.__sock

    @sock.setter
    def sock(self, sock: socket.socket | None) -> None:
        connected = self.__sock is None
        self.__sock = sock
        if sock is not None:
            self.__wire.note(self, sock, connected=connected)

    def connect(self) -> None:
        """Until it returns there may be a socket that was not noted."""
        self.__wire.is_connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self.__wire.is_connecting = False

    def response_class(self, *args: Any, **options: Any) -> http.client.HTTPResponse:
        """Replaces an attribute of http.client's: what it makes its answers with."""
        answer = http.client.HTTPResponse(*args, **options)
        self.__wire.note_answer(answer)
        return answer


@functools.cache
def _noting(base: type) -> type:
    return type(f"Noting{base.__name__}", (_Noting, base), {})


def _printable(name: str, text: str) -> str:
    text = str(text).strip()  # a token file may end with a line break
    if not (text.isascii() and text.isprintable()):  # http.client would refuse it too, and show it
        raise ValueError(f"the value of header {name} is not printable ASCII")
    return text


def clear_frames(error: BaseException) -> None:
    """Empties the frames that ``error`` went through; where it came from can still be read.

    Those of urllib3 refer to the error itself, and those of http.client to a reader that keeps
    the socket open: they would last, headers and all, until the garbage collector runs.
    """
    chain: list[BaseException] = [error]
    for link in chain:
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if frame.f_globals.get("__name__") == "ssl":
                half_made = frame.f_locals.get("self")
                # Until 3.12.4 ssl leaves it open if the peer is lost right before the handshake.
                if isinstance(half_made, ssl.SSLSocket):
                    half_made.close()
        traceback.clear_frames(link.__traceback__)
        chain += [e for e in (link.__cause__, link.__context__) if e and e not in chain]


def left(deadline_at: float) -> float:
    """How many seconds are left."""
    return max(0.0, deadline_at - time.monotonic())


def _wait_for_connections() -> None:
    """A socket that is being connected, or wrapped in TLS, could not be closed in the child."""
    gives_up_at = time.monotonic() + _FORK_WAITS_FOR
    while time.monotonic() < gives_up_at:
        with suppress(RuntimeError):  # one was made while they were looked through
            if not any(wire.is_connecting for wire in list(_wires)):
                return
        threading.Event().wait(0.001)


def _hang_up_in_child() -> None:
    for wire in list(_wires):
        wire.hang_up()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_connections, after_in_child=_hang_up_in_child)

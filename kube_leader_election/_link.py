"""One connection, and the one thread that uses it: what `_connection` makes and throws away."""

from __future__ import annotations

import functools
import os
import queue
import socket
import ssl
import threading
import time
import traceback
import weakref
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import urllib3

from ._process import process_id

MAX_BODY_BYTES = 2 * 1024 * 1024  # of a Lease some 500; etcd takes no request above 1.5 MiB

_links: weakref.WeakSet[Link] = weakref.WeakSet()


@dataclass(frozen=True)
class Response:
    """What the server answered: any status, and the whole body as it was sent.

    ``headers`` are looked up without regard to case.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: bytes | None = field(repr=False)
    deadline_at: float


class Link:
    """Carries out one request after another until the first failure or `hang_up`.

    ``thread`` is the caller's to start; where that fails, the caller's own thread does the work.
    """

    def __init__(self, api_client: Any, host: str) -> None:
        self.host = host
        self.given_up = False
        self.busy = False
        self.thread = threading.Thread(
            target=self._serve, name="kube-leader-election-connection", daemon=True
        )
        self._api_client = api_client
        self._process = process_id()
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Response | BaseException] = queue.SimpleQueue()
        self._deadline_at = 0.0
        self._pools: Any = None
        self._connection: Any = None
        self._socket: socket.socket | None = None
        # At most one: a second descriptor of the same socket. Whoever pops it may shut it down
        # and close it. Under another thread's hand the first may be closed at any time, and its
        # number be that of another file; in a TLS handshake it belongs to no object at all.
        self._handles: list[socket.socket] = []
        _links.add(self)

    def ask(self, request: Request) -> Response:
        """The whole answer; any failure raises, and leaves the link busy, to be hung up."""
        self.busy = True
        if self.thread.ident:
            self._requests.put(request)
            try:
                answer = self._answers.get(timeout=_left(request.deadline_at))
            except queue.Empty:
                raise TimeoutError("no answer") from None
        else:
            answer = self._attempt(request)
            self._close()
        try:
            if isinstance(answer, BaseException):
                raise answer
            self.busy = False
            return answer
        finally:
            del answer  # the error refers to this frame

    def hang_up(self) -> None:
        """Nothing more is sent and the thread ends. For any thread, signal handler or finalizer.

        In a forked child only the child's descriptors are closed: a shutdown, or a polite end of
        TLS, would end the connection of the parent.
        """
        self.given_up = True
        if self._process == process_id():
            self._requests.put(None)
            # Before the socket ends: a body cut by that may look whole to the thread.
            self._answers.put(ConnectionAbortedError("the connection was closed"))
        elif self._socket is not None:
            with suppress(OSError):
                os.close(self._socket.detach())
        self._cut()

    def note(self, connection: Any, sock: socket.socket, *, connected: bool) -> None:
        """Takes down a socket that has connected, or was wrapped in TLS, before it is used."""
        self._connection = connection
        if isinstance(sock, socket.socket):  # TLS within TLS is not; its inner socket was noted
            self._socket = sock
        if connected:
            self._cut()
            self._handles.append(socket.fromfd(sock.fileno(), sock.family, sock.type))
        self._check()  # only now: hang_up() sets its flag first and then takes the handle

    def _check(self) -> None:
        if self.given_up or time.monotonic() >= self._deadline_at:
            raise TimeoutError("given up before anything was sent")

    def _serve(self) -> None:
        while (request := self._requests.get()) is not None:
            self._answers.put(self._attempt(request))
            del request
        self._close()

    def _attempt(self, request: Request) -> Response | BaseException:
        try:
            return self._send(request)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._close()
            _clear_frames(error)
            return error

    def _send(self, request: Request) -> Response:
        self._deadline_at = request.deadline_at
        headers = self._headers(request)
        if self._pools is None:
            self._pools = self._open()
        self._check()
        with closing(
            self._pools.urlopen(
                request.method,
                self.host.rstrip("/") + request.path,
                body=request.body,
                headers=headers,
                timeout=urllib3.Timeout(total=_left(request.deadline_at)),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                enforce_content_length=True,
            )
        ) as response:
            body = bytearray()
            for piece in response.stream(65536, decode_content=False):
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise urllib3.exceptions.ProtocolError("an answer of more than 2 MiB")
            response.release_conn()
        if self._connection.sock is None:  # "Connection: close": the server waits for our end
            self._cut()
        return Response(response.status, response.headers, bytes(body))

    def _headers(self, request: Request) -> dict[str, str]:
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
        if request.body is not None:
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
            if self._process == process_id():
                # Of the plain socket: shutdown() of one with TLS drops the layer as well, and a
                # reader gets ciphertext for a body.
                with suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)
            handle.close()

    def _close(self) -> None:
        self.given_up = True
        self._cut()
        if self._connection is not None:
            self._connection.close()
        self._pools = self._connection = self._socket = None


class _Noting:
    """Mixed into the connection class of a pool: shows the link each socket before its use."""

    def __init__(self, link: Link, *args: Any, **options: Any) -> None:
        self.__link = link
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
            self.__link.note(self, sock, connected=connected)


@functools.cache
def _noting(base: type) -> type:
    return type(f"Noting{base.__name__}", (_Noting, base), {})


def _printable(name: str, text: str) -> str:
    text = str(text).strip()  # a token file may end with a line break
    if not (text.isascii() and text.isprintable()):  # http.client would refuse it too, and show it
        raise ValueError(f"the value of header {name} is not printable ASCII")
    return text


def _clear_frames(error: BaseException) -> None:
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


def _left(deadline_at: float) -> float:
    return max(0.0, deadline_at - time.monotonic())


def _hang_up_in_child() -> None:
    for link in list(_links):
        link.hang_up()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_hang_up_in_child)

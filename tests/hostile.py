"""An API server on loopback that misbehaves as it is told, and writes down what it was asked.

    with HostileServer(close(), answer(payload={"kind": "Lease"})) as server:
        connection = Connection(server.api_client())

Each request takes the next behaviour of the script; when that is used up, ``then`` is repeated.
A behaviour is a function of an `Exchange`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import trustme
from kubernetes.client import ApiClient, Configuration

REASONS = {200: "OK", 201: "Created", 404: "Not Found", 409: "Conflict"}

PATIENCE = 30.0  # for what takes milliseconds, on a machine that is busy with something else


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Fails if the condition does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not come true")
        time.sleep(0.001)


class FairClock:
    """Runs within its ``with`` block, and hardly while the whole process or machine stands still.

    A thread that only sleeps moves it. However late that is woken, one sleep counts as two.
    """

    STEP = 0.01

    def __init__(self) -> None:
        self.seconds = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fair clock", daemon=True)

    def __enter__(self) -> FairClock:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        before = time.monotonic()
        while not self._stopping.wait(self.STEP):
            now = time.monotonic()
            self.seconds += min(now - before, 2 * self.STEP)
            before = now


@contextlib.contextmanager
def url_that_refuses() -> Iterator[str]:
    """Nothing listens there, and while the ``with`` block lasts nothing else can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


class Exchange:
    """One request, and the means to answer it badly. A server that exits raises out of `wait`."""

    def __init__(self, sock: socket.socket, request: Request, stopping: threading.Event) -> None:
        self.socket = sock
        self.request = request
        self._stopping = stopping

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def wait(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise ConnectionAbortedError

    def wait_for_the_end(self) -> None:
        while self.socket.recv(1):
            pass
        raise ConnectionAbortedError


Behaviour = Callable[[Exchange], None]


def head(status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Odd')}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(
    payload: Any = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Behaviour:
    """A whole answer: ``payload`` as JSON, or ``body`` as it is."""
    data = json.dumps({} if payload is None else payload).encode() if body is None else body
    fields = {"Content-Type": "application/json", "Content-Length": str(len(data))}
    return raw(head(status, {**fields, **(headers or {})}) + data)


def echo(exchange: Exchange) -> None:
    """Answers with what was asked."""
    request = exchange.request
    answer({"method": request.method, "path": request.path})(exchange)


def relay(url: str) -> Behaviour:
    """Answers what the server at `url` answers to the same, asked without any credentials."""

    def behave(exchange: Exchange) -> None:
        request = exchange.request
        with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc)) as connection:
            connection.request(request.method, request.path, request.body)
            with connection.getresponse() as response:
                answer(status=response.status, body=response.read())(exchange)

    return behave


def raw(*pieces: bytes, every: float = 0.0, then_close: bool = False) -> Behaviour:
    """Sends the pieces one by one, ``every`` seconds apart."""

    def behave(exchange: Exchange) -> None:
        for number, piece in enumerate(pieces):
            if number and every:
                exchange.wait(every)
            exchange.send(piece)
        if then_close:
            raise ConnectionAbortedError

    return behave


OK = answer()


def dribble(start: bytes, pieces: Iterable[bytes], every: float = 0.02) -> Behaviour:
    """Sends ``start`` at once and then a piece now and then, for ever if they never end."""

    def behave(exchange: Exchange) -> None:
        exchange.send(start)
        for piece in pieces:
            exchange.wait(every)
            exchange.send(piece)

    return behave


def hang(exchange: Exchange) -> None:
    """Never answers."""
    exchange.wait_for_the_end()


def hold(gate: threading.Event, behaviour: Behaviour = OK) -> Behaviour:
    """Waits for the gate to be opened first."""

    def behave(exchange: Exchange) -> None:
        while not gate.is_set():
            exchange.wait(0.01)
        behaviour(exchange)

    return behave


def endless_continue(exchange: Exchange) -> None:
    """``100 Continue``, again and again."""
    while True:
        exchange.send(head(100))
        exchange.wait(0.001)


def close(exchange: Exchange) -> None:
    """Closes without an answer."""
    raise ConnectionAbortedError


def reset(exchange: Exchange) -> None:
    """Closes with a reset instead of a FIN."""
    exchange.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionAbortedError


def answer_and_close(payload: Any = None) -> Behaviour:
    """Promises to keep the connection alive, and closes it."""

    def behave(exchange: Exchange) -> None:
        answer(payload)(exchange)
        raise ConnectionAbortedError

    return behave


def tunnel(exchange: Exchange) -> None:
    """Does what a proxy does for ``CONNECT``."""
    host, _, port = exchange.request.path.rpartition(":")
    with socket.create_connection((host, int(port))) as target:
        exchange.send(head())
        exchange.socket.settimeout(0.001)
        target.settimeout(0.001)
        while True:
            for source, drain in ((exchange.socket, target), (target, exchange.socket)):
                with contextlib.suppress(TimeoutError):
                    data = source.recv(65536)
                    if not data:
                        raise ConnectionAbortedError
                    drain.sendall(data)


class HostileServer:
    """Serves on loopback while its ``with`` block lasts; leaves no thread or socket behind.

    ``tls`` serves https with a certificate of its own making. ``handshake``, if given, is waited
    for before each TLS handshake: an event that is never set never finishes one.
    """

    def __init__(
        self,
        *script: Behaviour,
        then: Behaviour = OK,
        tls: bool = False,
        handshake: threading.Event | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.accepted = 0
        self._script = list(script)
        self._then = then
        self._tls = tls
        self._handshake = handshake
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> HostileServer:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        self.ca_file: str | None = None
        if self._tls:
            authority = trustme.CA()
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(self._context)
            self.ca_file = self._exit.enter_context(authority.cert_pem.tempfile())
        self._start(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._exit.close()

    def api_client(self, **settings: Any) -> ApiClient:
        """A client for this server; ``settings`` are attributes of its configuration."""
        configuration = Configuration()
        settings = {"host": self.url, "ssl_ca_cert": self.ca_file, "proxy": None, **settings}
        for name, value in settings.items():
            setattr(configuration, name, value)
        return ApiClient(configuration)

    @property
    def open_connections(self) -> int:
        """How many connections neither side has closed."""
        with self._lock:
            return len(self._open)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name="hostile", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            # Both at once: who sees it accepted sees it open, until it is closed.
            with self._lock:
                if self._stopping.is_set():
                    sock.close()
                    return
                self._open.append(sock)
                self.accepted += 1
            self._start(self._serve, sock, self.accepted)

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            sock = self._wrap(sock)
            with sock.makefile("rb") as stream:
                while request := self._read(stream, number):
                    with self._lock:
                        self.requests.append(request)
                        behaviour = self._script.pop(0) if self._script else self._then
                    behaviour(Exchange(sock, request, self._stopping))
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open = [other for other in self._open if other.fileno() != sock.fileno()]
                sock.close()

    def _wrap(self, sock: socket.socket) -> socket.socket:
        if not self._tls:
            return sock
        while self._handshake and not self._handshake.is_set():
            if self._stopping.wait(0.01):
                raise ConnectionAbortedError
        # Wrapping takes the descriptor away from the plain socket: change both under the lock.
        with self._lock:
            self._open.remove(sock)
            wrapped = self._context.wrap_socket(
                sock, server_side=True, do_handshake_on_connect=False
            )
            self._open.append(wrapped)
        try:
            wrapped.do_handshake()
        except BaseException:
            with self._lock:
                self._open.remove(wrapped)
                wrapped.close()
            raise
        return wrapped

    def _read(self, stream: Any, number: int) -> Request | None:
        line = stream.readline().decode("latin-1").split()
        if not line:
            return None
        method, path, _version = line
        headers = {}
        while (field := stream.readline().decode("latin-1").strip()) != "":
            name, _, value = field.partition(":")
            headers[name.strip().title()] = value.strip()
        body = stream.read(int(headers.get("Content-Length", 0)))
        return Request(method, path, headers, body, number)

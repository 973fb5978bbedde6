"""A port on loopback, the connections that come to it, and a thread for each of them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable

HOST = "127.0.0.1"
# Only an action of a test can keep a thread for longer once its connection is cut.
PATIENCE_SECONDS = 10.0


class Listener:
    """Hands each connection to `serve` in a thread of its own, until it is closed.

    The port stays the same while it is open, also where connections are refused meanwhile.
    `greet` sees each connection before TLS, and may keep it from ever beginning.
    """

    def __init__(
        self,
        serve: Callable[[socket.socket], object],
        *,
        greet: Callable[[socket.socket], None],
        context: ssl.SSLContext | None,
        port: int = 0,
    ) -> None:
        self._serve = serve
        self._greet = greet
        self._context = context
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._socket: socket.socket | None = None
        self._refusals = 1
        # Bound and never listening, it keeps the port ours while connections are refused. It
        # comes to share the port only now, so that it does not share that of another server.
        self._holder = _bound(port, shared=False)
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.port: int = self._holder.getsockname()[1]

    def open(self) -> None:
        """Connections are accepted, if nobody else refuses them."""
        with self._lock:
            self._refusals -= 1
            if self._refusals:
                return
        self._socket = _bound(self.port, shared=True)
        self._socket.listen(1024)
        self._start(self._accept, self._socket)

    def refuse(self) -> None:
        """Connections are refused, and those that were open are cut, until `open` is called."""
        with self._lock:
            self._refusals += 1
        # Taken out first: the thread that it wakes must not take it for the one that is served.
        listening, self._socket = self._socket, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        self.cut()

    def cut(self) -> None:
        """All connections are ended, without a word; new ones are accepted."""
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    # Of the plain socket: that of TLS would wait for the other side.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """No connection, thread or port is left.

        :raises RuntimeError: a thread is in an action of the test, which does not return.
        """
        self.refuse()
        self._holder.close()
        gives_up_at = time.monotonic() + PATIENCE_SECONDS
        while threads := self._living():
            if time.monotonic() > gives_up_at:
                raise RuntimeError("an action of before_next has not returned")
            self.cut()
            for thread in threads:
                thread.join(timeout=0.1)

    def _living(self) -> list[threading.Thread]:
        with self._lock:
            return [thread for thread in self._threads if thread.is_alive()]

    def _start(self, target: Callable[..., None], sock: socket.socket) -> None:
        name = "kube-leader-election-testing"
        thread = threading.Thread(target=target, args=(sock,), name=name, daemon=True)
        with self._lock:
            self._threads = {each for each in self._threads if each.is_alive()}
            self._threads.add(thread)
            thread.start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                if self._socket is not listening:
                    return
                time.sleep(0.1)  # too many files are open; there may be fewer soon
                continue
            with self._lock:
                self._open.add(sock)
            self._start(self._carry, sock)

    def _carry(self, sock: socket.socket) -> None:
        try:
            self._greet(sock)
            sock = self._secure(sock)
            self._serve(sock)
        except (OSError, ValueError):
            pass  # the client is gone, or speaks something else
        finally:
            with self._lock:
                self._open.discard(sock)
                sock.close()

    def _secure(self, sock: socket.socket) -> socket.socket:
        if self._context is None:
            return sock
        # Wrapping takes the descriptor away from the plain socket: change both under the lock.
        with self._lock:
            self._open.remove(sock)
            secure = self._context.wrap_socket(
                sock, server_side=True, do_handshake_on_connect=False
            )
            self._open.add(secure)
        try:
            secure.do_handshake()
        except BaseException:
            with self._lock:
                self._open.discard(secure)
                secure.close()
            raise
        return secure


def _bound(port: int, *, shared: bool) -> socket.socket:
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
    except BaseException:
        sock.close()
        raise
    return sock

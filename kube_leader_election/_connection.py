"""One kept-alive connection to the API server, and a wall deadline for every whole answer.

A timeout of a socket bounds one operation: a server that sends a byte now and then, a loop of
``100 Continue``, a slow resolver or a hung exec plugin outlast it. So one daemon thread does
everything that can block, the caller waits for it no longer than its deadline, and whatever fails
is thrown away whole: connection, thread, and an answer that comes too late.
"""

from __future__ import annotations

import threading
import time
import weakref
from contextlib import suppress
from typing import Any

from ._link import Link, Request, Response

__all__ = ["Connection", "Response"]

MAX_STUCK_THREADS = 8


class Connection:
    """A connection to the server that ``api_client`` (an ``ApiClient``) is configured for.

    Host, TLS, proxy, default headers and credentials are the client's own; its connections are
    not touched. Nothing is connected or started before the first request.

    One thread at a time may call `request`. `close` may be called from any thread, from a signal
    handler, and while a request is under way. In a forked child the first request opens a new
    connection; the parent's is left alone. Dropping the object closes it.
    """

    def __init__(self, api_client: Any) -> None:
        self._api_client = api_client
        self._links: list[Link] = []  # at most one; whoever ends it takes it out
        self._ended: list[threading.Thread] = []
        # Not at exit: what is released there still needs the connection.
        weakref.finalize(self, _hang_up, self._links).atexit = False

    def request(
        self, method: str, path: str, body: bytes | None = None, *, timeout: float
    ) -> Response:
        """The request was sent once, and this is the whole answer, whatever its status.

        Blocks for ``timeout`` seconds at most, with credentials, name resolution, proxy, handshake,
        sending and receiving. Where no thread can be started, as at interpreter exit, the timeout
        is one of each operation of the socket. ``path`` is sent as it is, after the path of the
        configured host. Redirects are not followed, content encodings not asked for.

        :raises TimeoutError: no whole answer in time. The server may have acted all the same.
        :raises ConnectionAbortedError: `close` was called meanwhile. The same holds.
        :raises Exception: whatever else failed, as it is: urllib3's, ``OSError``, the error of an
            auth hook. The next call begins with a new connection.
        """
        deadline_at = time.monotonic() + timeout
        try:
            return self._link(deadline_at).ask(Request(method, path, body, deadline_at))
        except BaseException as error:
            self.close()
            # An error that comes late is one of being given up, or no better than that.
            if isinstance(error, Exception) and time.monotonic() >= deadline_at:
                raise TimeoutError(f"no whole answer within {timeout:g} s") from error
            raise

    def close(self) -> None:
        """The connection is ended, and a request under way fails at once.

        Does not block, and may be repeated. A later request opens a new connection.
        """
        self._ended += [link.thread for link in _hang_up(self._links)]

    def _link(self, deadline_at: float) -> Link:
        host = self._api_client.configuration.host
        for link in self._links:
            if link.host == host and not (link.given_up or link.busy):
                return link
        self.close()
        self._wait_for_stuck_threads(deadline_at)
        link = Link(self._api_client, host)
        self._links.append(link)
        with suppress(RuntimeError):  # the interpreter exits, or there are too many threads
            link.thread.start()
        return link

    def _wait_for_stuck_threads(self, deadline_at: float) -> None:
        """Bounds their number: nothing can interrupt a resolver or an auth plugin."""
        self._ended = [thread for thread in self._ended if thread.is_alive()]
        if len(self._ended) >= MAX_STUCK_THREADS:
            self._ended[0].join(max(0.0, deadline_at - time.monotonic()))
            if self._ended[0].is_alive():
                raise TimeoutError("earlier requests hang in name resolution or an auth plugin")


def _hang_up(links: list[Link]) -> list[Link]:
    """Ends every link and takes it out. Knows no Connection: it is the finalizer of one."""
    ended = []
    with suppress(IndexError):
        while True:
            link = links[-1]
            link.hang_up()
            ended.append(link)
            with suppress(ValueError):  # another thread has taken it out meanwhile
                links.remove(link)
    return ended

"""/healthz and /leader, for a kubelet and whoever wants to know."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kube_leader_election import LeaderElector

_LONGEST_REQUEST = 5.0  # in seconds


def answer(path: str, elector: LeaderElector) -> tuple[HTTPStatus, dict[str, Any]]:
    """Return what is said at this path, and under which status.

    /healthz is about the election alone, for a liveness probe: 200 unless it is better restarted,
    be it the leader or not. /leader is 200 only where this one leads.
    """
    what = path.partition("?")[0]
    if what == "/healthz":
        healthy = elector.healthy()
        status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
        return status, {"healthy": healthy}
    if what == "/leader":
        token = elector.fencing_token
        leads = elector.is_leader()
        status = HTTPStatus.OK if leads else HTTPStatus.SERVICE_UNAVAILABLE
        about: dict[str, Any] = {"leading": leads, "leader": elector.holder_identity}
        return status, {**about, "fencing_token": token} if leads else about
    return HTTPStatus.NOT_FOUND, {"paths": ["/healthz", "/leader"]}


@contextmanager
def served(port: int, elector: LeaderElector) -> Iterator[int]:
    """Within the block both are served, on all addresses of this machine; yields the port.

    :raises OSError: that is not possible.
    """
    with _listening(port, lambda path: answer(path, elector)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _listening(
    port: int, say: Callable[[str], tuple[HTTPStatus, dict[str, Any]]]
) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = _LONGEST_REQUEST

        def do_GET(self) -> None:
            status, said = say(self.path)
            body = f"{json.dumps(said)}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass  # a probe comes every few seconds

    server = _Server(("", port), Handler, bind_and_activate=False)
    try:
        server.bind(port)
    except BaseException:
        server.server_close()
        raise
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def bind(self, port: int) -> None:
        """It listens for IPv6 and IPv4, where there are both."""
        self.socket.close()
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        self.socket = socket.create_server(("", port), family=family, dualstack_ipv6=both)
        self.server_address = self.socket.getsockname()

    def handle_error(self, *_: object) -> None:
        pass  # who asked has gone

"""One connection of a client: its requests read, and answered, well or as badly as was armed."""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

from ._identity import ANONYMOUS, Tokens
from ._protobuf import CONTENT_TYPE as PROTOBUF
from ._protobuf import to_json
from ._refusal import Refusal, phrase
from ._routes import REVIEWS, discovery, route
from ._service import Call, Reply, Service, name_in
from ._stream import WatchStream
from .faults import LateAnswer, NoAnswer, Silence

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_DRIBBLE_SECONDS = 0.02
# kube-apiserver's limit.
LONGEST_BODY = 3 * 2**20
# How often a watch without events looks whether its client is still there.
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Site:
    """What all connections of a server share."""

    service: Service
    tokens: Tokens
    anonymous: bool
    stopping: threading.Event


class Connection(BaseHTTPRequestHandler):
    """Serves one client until either side ends it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, sock: socket.socket, site: Site) -> None:
        """Serve the connection; returns at its end."""
        self._site = site
        super().__init__(sock, sock.getpeername(), None)  # type: ignore[arg-type]

    def log_message(self, *_: Any) -> None:
        """Say nothing: the log of requests is the server's `requests`."""

    def do_GET(self) -> None:
        """Answer one request."""
        try:
            self._serve()
        except Refusal as refusal:
            self._send(Reply(refusal.status, refusal.document()))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = do_GET  # noqa: N815

    def _serve(self) -> None:
        content = self._content()
        user = self._user()
        if self.command == "GET" and (found := discovery(self.path.partition("?")[0])) is not None:
            self._send(_discovered(found))
        elif self.command == "POST" and self.path.partition("?")[0] == REVIEWS:
            self._send(_review(self._json(content)))
        else:
            applies = self.headers.get_content_type() == APPLY_PATCH
            call = route(self.command, self.path)
            call = replace(call, user=user, body=self._json(content), applies=applies)
            if call.verb == "create":
                call = replace(call, name=name_in(call.body))
            self._answer(call)

    def _content(self) -> bytes:
        """Read the body, or refuse it and end the connection: where it ends is not known."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        length = self.headers.get("Content-Length") or "0"
        if length.isdecimal() and int(length) <= LONGEST_BODY:
            return self.rfile.read(int(length))
        self.close_connection = True
        if length.isdecimal():
            raise Refusal(413, f"the body is longer than {LONGEST_BODY} bytes")
        raise Refusal(400, f"Content-Length is {length!r}, no whole number")

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _user(self) -> str:
        authorization = self.headers.get("Authorization")
        user = self._site.tokens.user(authorization)
        if user is None and (authorization or not self._site.anonymous):
            raise Refusal(401, "Unauthorized")
        return user or ANONYMOUS

    def _json(self, content: bytes) -> Any:
        kind = self.headers.get_content_type() if "Content-Type" in self.headers else ""
        if self.command == "PATCH" and kind not in (MERGE_PATCH, APPLY_PATCH):
            raise Refusal(415, f"the patch is {kind}, and must be {MERGE_PATCH} or {APPLY_PATCH}")
        if self.command in ("POST", "PUT") and kind == PROTOBUF:
            return to_json(content)
        if self.command in ("POST", "PUT") and kind not in ("application/json", ""):
            raise Refusal(415, f"the body is {kind}, and must be application/json")
        if not content and self.command in ("GET", "DELETE"):
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise Refusal(400, f"the body is no JSON: {error}") from None

    def _answer(self, call: Call) -> None:
        service = self._site.service
        try:
            record, fault = service.meet(call)
        except Exception as error:  # noqa: BLE001 (a race of the test's may raise anything)
            service.plan.blame(error)
            self.close_connection = True
            return
        if service.opens_watch(call, fault):
            try:
                stream = WatchStream(service.memory, call, fault)
            except Refusal as refusal:
                record.status = refusal.status
                raise
        else:
            reply = service.reply(call, fault)
        if isinstance(fault, NoAnswer):
            self._be_silent(fault.how)
        elif isinstance(fault, LateAnswer) and self._site.stopping.wait(fault.seconds):
            self.close_connection = True
        elif service.opens_watch(call, fault):
            record.status = 200
            self._watch(stream)
        else:
            record.status = reply.status
            self._send(reply)

    def _watch(self, stream: WatchStream) -> None:
        self.connection.sendall(self._head(200, {"Transfer-Encoding": "chunked"}))
        for line in self._while_connected(stream):
            self.connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
        self.connection.sendall(b"0\r\n\r\n")

    def _while_connected(self, stream: WatchStream) -> Iterator[bytes]:
        try:
            for line in stream.lines(_POLL_SECONDS):
                if line:
                    yield line
                elif select.select([self.connection], [], [], 0)[0]:
                    raise ConnectionAbortedError  # who watches sends nothing but the end
        finally:
            stream.close()

    def _be_silent(self, how: Silence) -> None:
        self.close_connection = True
        if how is Silence.RESET:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif how is Silence.HANG:
            wait_for_the_end(self.connection)
        elif how is Silence.DRIBBLE_HEADER:
            self._dribble(b"HTTP/1.1 200 OK\r\nX-Padding: ", b"x")
        elif how is Silence.DRIBBLE_BODY:
            self._dribble(self._head(200, {"Content-Length": "1000000"}), b" ")

    def _dribble(self, start: bytes, piece: bytes) -> None:
        self.connection.sendall(start)
        while not self._site.stopping.wait(_DRIBBLE_SECONDS):
            self.connection.sendall(piece)

    def _send(self, reply: Reply) -> None:
        content = json.dumps(reply.document).encode() if reply.content is None else reply.content
        if reply.status == 204:
            content = b""
        fields = {"Content-Length": str(len(content)), **reply.headers}
        self.connection.sendall(self._head(reply.status, fields) + content)

    def _head(self, status: int, fields: Mapping[str, str]) -> bytes:
        date = format_datetime(self._site.service.utcnow(), usegmt=True)
        named = {"Content-Type": "application/json", "Date": date, **fields}
        lines = [f"HTTP/1.1 {status} {phrase(status)}"]
        lines += [f"{name}: {text}" for name, text in named.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def wait_for_the_end(sock: socket.socket) -> None:
    """Return when the other side has closed, or the socket was shut down; say nothing."""
    while sock.recv(65536):
        pass


def _discovered(found: Mapping[str, Any] | str) -> Reply:
    if isinstance(found, str):
        return Reply(200, {}, {"Content-Type": "text/plain"}, found.encode())
    return Reply(200, found)


def _review(body: Any) -> Reply:
    """Everybody may do everything here; what may go wrong is armed as a fault."""
    spec = body.get("spec") if isinstance(body, Mapping) else None
    if not isinstance(spec, Mapping) or not spec:
        raise Refusal(422, "spec: exactly one of the attributes is required")
    review = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1"}
    return Reply(201, {**review, "metadata": {}, "spec": spec, "status": {"allowed": True}})

"""One connection, and the one thread that uses it: what `_connection` makes and throws away."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import urllib3

from ._inbox import Inbox
from ._wire import Wire, clear_frames, left

MAX_BODY_BYTES = 2 * 1024 * 1024  # of a Lease some 500; etcd takes no request above 1.5 MiB


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
        self.busy = False
        self.thread = threading.Thread(
            target=self._serve, name="kube-leader-election-connection", daemon=True
        )
        self._wire = Wire(api_client, host)
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._answers: Inbox[Response | BaseException] = Inbox()

    @property
    def host(self) -> str:
        return self._wire.host

    @property
    def given_up(self) -> bool:
        return self._wire.given_up

    def ask(self, request: Request) -> Response:
        """The whole answer; any failure raises, and leaves the link busy, to be hung up."""
        self.busy = True
        if self.thread.ident:
            self._requests.put(request)
            try:
                answer = self._answers.get(left(request.deadline_at))
            except queue.Empty:
                raise TimeoutError("no answer") from None
        else:
            answer = self._attempt(request)
            self._wire.close()
        try:
            if isinstance(answer, BaseException):
                raise answer
            self.busy = False
            return answer
        finally:
            del answer  # the error refers to this frame

    def hang_up(self) -> None:
        """Nothing more is sent and the thread ends. For any thread, signal handler or finalizer."""
        self._wire.given_up = True
        if self._wire.is_ours:
            self._requests.put(None)
            # Before the socket ends: a body cut by that may look whole to the thread.
            self._answers.put(ConnectionAbortedError("the connection was closed"))
        self._wire.hang_up()

    def _serve(self) -> None:
        while (request := self._requests.get()) is not None:
            self._answers.put(self._attempt(request))
            del request
        self._wire.close()

    def _attempt(self, request: Request) -> Response | BaseException:
        try:
            return self._send(request)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._wire.close()
            clear_frames(error)
            return error

    def _send(self, request: Request) -> Response:
        with closing(
            self._wire.send(
                request.method, request.path, request.body, deadline_at=request.deadline_at
            )
        ) as response:
            body = bytearray()
            for piece in response.stream(65536, decode_content=False):
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise urllib3.exceptions.ProtocolError("an answer of more than 2 MiB")
            response.release_conn()
        self._wire.finish()
        return Response(response.status, response.headers, bytes(body))

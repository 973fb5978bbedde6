"""An API server for Leases on loopback."""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ._clock import FakeClock
from ._http import Connection, Site, wait_for_the_end
from ._identity import DEFAULT_USER, Certificate, Tokens, kubeconfig
from ._listener import HOST, Listener
from ._service import Service
from ._stand_in import StandIn

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


class ApiServer(StandIn):
    """A Kubernetes API server with Leases and Events in memory, for clients of any language.

    It serves on loopback while its `with` block lasts: get, list, watch, create, update, merge
    patch and delete by the API server's rules, discovery as far as kubectl needs it, and access
    reviews, which allow everything. No thread, socket or file is left afterwards. At the end it
    checks that every armed fault was met. Thread-safe.
    """

    def __init__(self, *, tls: bool = False, port: int = 0, clock: FakeClock | None = None) -> None:
        """Serve nothing yet.

        `tls`: https with a certificate of its own making, which needs the extra `testing`, and
        only for requests with the token of a user. `port`: 0 for any that is free. `clock` tells
        the times that are written by the server itself and by `put_lease`, and the Date of answers.
        """
        super().__init__(Service(clock))
        self._tls = tls
        self._wanted_port = port
        self._tokens = Tokens()
        self._stopping = threading.Event()
        self._listener: Listener | None = None
        self._folder: Path | None = None
        self._ca_file: Path | None = None
        self._pid = os.getpid()

    def __enter__(self) -> ApiServer:
        """Serve."""
        if self._listener is not None or self._stopping.is_set():
            raise RuntimeError("an ApiServer serves once; make another one")
        self._folder = Path(tempfile.mkdtemp(prefix="kube-leader-election-"))
        try:
            context = None
            if self._tls:
                certificate = Certificate(self._folder)
                context, self._ca_file = certificate.context, certificate.ca_file
            site = Site(self._service, self._tokens, not self._tls, self._stopping)
            self._listener = Listener(
                functools.partial(Connection, site=site),
                greet=self._greet,
                context=context,
                port=self._wanted_port,
            )
            self._listener.open()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, and check that every armed fault was met unless the block failed anyway.

        :raises RuntimeError: an action of `before_next` has not returned.
        """
        if os.getpid() != self._pid:
            return  # a forked child: the server is its parent's
        self._end()
        super().__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"{'https' if self._tls else 'http'}://{HOST}:{self._serving().port}"

    @property
    def ca_file(self) -> Path | None:
        """The certificate of the authority that signed the server's, `None` without TLS."""
        return self._ca_file

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file for any client."""
        return self.write_kubeconfig()

    def write_kubeconfig(self, path: Path | str | None = None, *, user: str = DEFAULT_USER) -> Path:
        """Write a kubeconfig of `user`, for its owner alone to read, and return its path.

        Whoever reads the file meanwhile finds it as it was before or as it is then. Where no `path`
        is given it is gone at the end of the with-block.
        """
        serving, folder = self.url, self._folder
        if path is None:
            path = (folder or Path()) / f"{quote(user, safe='')}.kubeconfig"
        path = Path(path)
        said = kubeconfig(serving, self._ca_file, user, self.token(user))
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(said, file)
        return Path(file.name).replace(path)

    def token(self, user: str = DEFAULT_USER) -> str:
        """Return the bearer token of `user`, which is made if need be."""
        return self._tokens.of(user)

    def rotate_token(self, user: str = DEFAULT_USER) -> str:
        """`user` has a new token, which is returned; the old one is answered with 401."""
        return self._tokens.rotate(user)

    def client(self, user: str = DEFAULT_USER) -> ApiClient:
        """Return a new `kubernetes.client.ApiClient` for `user`."""
        from kubernetes.client import ApiClient, Configuration

        configuration: Any = Configuration()
        configuration.host = self.url
        configuration.ssl_ca_cert = str(self._ca_file) if self._ca_file else None
        configuration.proxy = None
        configuration.api_key = {"authorization": f"Bearer {self.token(user)}"}
        return ApiClient(configuration)

    @contextmanager
    def refuse_connections(self) -> Iterator[None]:
        """Within the block connections are refused, and those that were open are cut."""
        listener = self._serving()
        listener.refuse()
        try:
            yield
        finally:
            listener.open()

    def cut_connections(self) -> None:
        """All connections are ended; new ones are accepted."""
        self._serving().cut()

    def _serving(self) -> Listener:
        if self._listener is None:
            raise RuntimeError("the ApiServer serves within its with-block only")
        return self._listener

    def _greet(self, sock: socket.socket) -> None:
        if self._service.plan.meet_connection():
            wait_for_the_end(sock)

    def _end(self) -> None:
        self._stopping.set()
        self._service.memory.close()
        listener, self._listener = self._listener, None
        folder, self._folder = self._folder, None
        try:
            if listener is not None:
                listener.close()
        finally:
            if folder is not None:
                shutil.rmtree(folder)

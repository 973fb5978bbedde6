"""kube-apiserver and etcd in a temporary folder, with users, namespaces and a count of requests"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import shutil
import socket
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from . import commands, objects
from .audit import lease_requests
from .build import ETCD, KUBE_APISERVER
from .process import Process

ADMIN = "admin"
NOBODY = "nobody"
USERS = tuple(f"user-{number}" for number in range(10))

_PATIENCE_SECONDS = 180.0


class ApiServer:
    """A context manager around both processes; enter it from a thread that stays

    `ADMIN` may do everything. `NOBODY` has no rights; neither have `USERS` until `grant()`.
    No controller runs: a deleted namespace stays Terminating for ever.
    """

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._tokens = {user: secrets.token_hex(16) for user in (ADMIN, NOBODY, *USERS)}

    def __enter__(self) -> ApiServer:
        self.folder = Path(tempfile.mkdtemp(prefix="apiserver-"))
        # Bound and never listening, it keeps the port ours over restarts.
        self._port_holder = socket.socket()
        self._port_holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port_holder.bind((commands.HOST, 0))
        self.port: int = self._port_holder.getsockname()[1]
        self._write_tokens()
        command = commands.etcd(self._binaries / ETCD)
        self.etcd = Process(command, folder=self.folder)
        command = commands.kube_apiserver(self._binaries / KUBE_APISERVER, port=self.port)
        self.kube_apiserver = Process(command, folder=self.folder)
        try:
            self.restore()
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
        self._end()

    def _end(self) -> None:
        self.kube_apiserver.kill()
        self.etcd.kill()
        self._port_holder.close()
        shutil.rmtree(self.folder)

    def _write_tokens(self) -> None:
        lines = [
            f'{token},{user},{user},"{"system:masters" if user == ADMIN else ""}"\n'
            for user, token in self._tokens.items()
        ]
        (self.folder / commands.TOKENS).write_text("".join(lines))

    @property
    def url(self) -> str:
        return f"https://{commands.HOST}:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The server's certificate followed by the CA it made to sign it"""
        return self.folder / commands.CERTIFICATE

    def token(self, user: str) -> str:
        return self._tokens[user]

    def rotate_token(self, user: str) -> str:
        """`user` has a new token, which is returned; the server restarts and knows no older one"""
        self._tokens[user] = secrets.token_hex(16)
        self._write_tokens()
        self.restart()
        return self._tokens[user]

    def pause(self) -> None:
        """Stop kube-apiserver in its tracks; for etcd: ``server.etcd.pause()``"""
        self.kube_apiserver.pause()

    def resume(self) -> None:
        """Undo `pause()`"""
        self.kube_apiserver.resume()

    def restart(self) -> None:
        """Kill kube-apiserver and start it on the same port and data; waits until it serves"""
        self.kube_apiserver.kill()
        self.restore()

    def restore(self) -> None:
        """Start what is dead, resume what is paused, and wait until the server serves"""
        if not self.etcd.running:
            self._etcd_socket.unlink(missing_ok=True)
            self.etcd.start()
        self.etcd.resume()
        # A kube-apiserver that comes first backs off for a second.
        self._wait(self.etcd, lambda: "" if self._etcd_socket.exists() else "etcd does not listen")
        if not self.kube_apiserver.running:
            self.kube_apiserver.start()
        self.kube_apiserver.resume()
        self._wait(self.kube_apiserver, self._unready)

    @property
    def _etcd_socket(self) -> Path:
        return self.folder / commands.ETCD_SOCKET

    def _wait(self, process: Process, obstacle: Callable[[], str]) -> None:
        """Ask until there is no obstacle, while the process lives"""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while reason := obstacle():
            process.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"still after {_PATIENCE_SECONDS} s: {reason}")
            time.sleep(0.01)

    def _unready(self) -> str:
        # The namespaces of the system are made only after the server is ready.
        for path in ("/readyz", "/api/v1/namespaces/default"):
            try:
                status, answer = self.call("GET", path, timeout=10)
            except (OSError, http.client.HTTPException) as error:  # no certificate, no listener
                return f"{path}: {error!r}"
            if status != 200:
                return f"{path}: {status} {answer}"
        return ""

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """A kubeconfig of its own for each user, which verifies the server's certificate

        It is never seen half-written: one who was given it before may read it right now.
        """
        path = self.folder / f"{user}.kubeconfig"
        config = objects.kubeconfig(
            server=self.url, ca_file=str(self.ca_file), user=user, token=self.token(user)
        )
        with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
            json.dump(config, file)
        return Path(file.name).replace(path)

    def api_client(self, user: str = ADMIN) -> Any:
        """A new `kubernetes.client.ApiClient`, by no proxy"""
        from kubernetes import client, config

        configuration = client.Configuration()
        load: Any = config.load_kube_config  # untyped
        load(str(self.kubeconfig(user)), client_configuration=configuration)
        configuration.proxy = None
        return client.ApiClient(configuration)

    def requests(
        self, *, user: str = "", namespace: str = "", name: str = ""
    ) -> list[tuple[str, int]]:
        """(verb, status) of each request for Leases so far, in the server's order

        It is there before its answer is; a watch as soon as it has started. An empty filter lets
        all pass. A create that was refused before its body was read has no name.
        """
        log = self.folder / commands.AUDIT_LOG
        return lease_requests(log, user=user, namespace=namespace, name=name)

    def connect(self, *, timeout: float = 60.0) -> http.client.HTTPSConnection:
        """A new connection which verifies the server; the token of a user goes into a header"""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return http.client.HTTPSConnection(
            commands.HOST, self.port, timeout=timeout, context=context
        )

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str = ADMIN,
        timeout: float = 60.0,
    ) -> tuple[int, Any]:
        """One request without any client library: the status, and the JSON (else the text)"""
        headers = {
            "Authorization": f"Bearer {self.token(user)}",
            "Content-Type": "application/json",
        }
        payload = None if body is None else json.dumps(body)
        with contextlib.closing(self.connect(timeout=timeout)) as connection:
            connection.request(method, path, body=payload, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text

    def create_namespace(self, name: str) -> None:
        self._create("/api/v1/namespaces", {"metadata": {"name": name}})

    def grant(self, user: str, namespace: str, verbs: list[str], *, name: str = "") -> None:
        """Let `user` use the verbs on Leases, of one `name` or all; waits until it is in force"""
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        role = self._create(f"{path}/roles", objects.lease_role(user, verbs, name))
        binding = objects.role_binding(user, role["metadata"]["name"])
        self._create(f"{path}/rolebindings", binding)

        self._wait_for_access(user, namespace, verbs, name, allowed=True)

    def revoke(self, user: str, namespace: str, verbs: list[str]) -> None:
        """Let `user` use no verb on Leases there, once `verbs` were granted; waits as `grant()`"""
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
        _, bindings = self.call("GET", path)
        for binding in bindings["items"]:
            if [subject["name"] for subject in binding["subjects"]] == [user]:
                self.call("DELETE", f"{path}/{binding['metadata']['name']}")
        self._wait_for_access(user, namespace, verbs, "", allowed=False)

    def _wait_for_access(
        self, user: str, namespace: str, verbs: list[str], name: str, *, allowed: bool
    ) -> None:
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        reviews = [objects.access_review(user, namespace, verb, name) for verb in verbs]

        def obstacle() -> str:  # the authorizer learns of roles and bindings by a watch
            answers = [self._create(path, review)["status"] for review in reviews]
            return "" if all(each["allowed"] is allowed for each in answers) else str(answers)

        self._wait(self.kube_apiserver, obstacle)

    def _create(self, path: str, body: object) -> Any:
        status, answer = self.call("POST", path, body)
        if status != 201:
            raise RuntimeError(f"POST {path}: {status} {answer}")
        return answer

"""Who may ask: tokens of users, the certificate of the server, and the kubeconfig with both."""

from __future__ import annotations

import secrets
import ssl
import threading
from base64 import b64encode
from pathlib import Path
from typing import Any

ANONYMOUS = "system:anonymous"
DEFAULT_USER = "developer"


class Tokens:
    """A bearer token for each user, made when it is first asked for. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, str] = {}

    def of(self, user: str) -> str:
        """Return the token of `user`."""
        with self._lock:
            return self._tokens.setdefault(user, secrets.token_hex(16))

    def rotate(self, user: str) -> str:
        """Return a new token of `user`; the old one is no longer known."""
        with self._lock:
            self._tokens[user] = secrets.token_hex(16)
            return self._tokens[user]

    def user(self, authorization: str | None) -> str | None:
        """Return whose token the header has, `None` where it is nobody's."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        with self._lock:
            return next((user for user, own in self._tokens.items() if own == token.strip()), None)


class Certificate:
    """A certificate for loopback, and the authority that signed it, in `folder`."""

    def __init__(self, folder: Path) -> None:
        """Make both.

        :raises ModuleNotFoundError: without trustme, which the extra `testing` brings.
        """
        try:
            import trustme
        except ModuleNotFoundError as error:
            needs = "TLS needs: pip install 'kube-leader-election[testing]'"
            raise ModuleNotFoundError(needs, name=error.name) from None

        authority = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(self.context)
        self.ca_file = folder / "ca.crt"
        authority.cert_pem.write_to_path(str(self.ca_file))


def kubeconfig(server: str, ca_file: Path | None, user: str, token: str) -> dict[str, Any]:
    """Return a kubeconfig of `user`, which needs no other file."""
    cluster = {"server": server}
    if ca_file is not None:
        cluster["certificate-authority-data"] = b64encode(ca_file.read_bytes()).decode()
    context = {"cluster": "testing", "user": user, "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testing", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "testing", "context": context}],
        "current-context": "testing",
    }

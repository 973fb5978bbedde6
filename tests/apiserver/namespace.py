"""A namespace as a program in it knows it: with a kubeconfig, and the rights of an elector"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .server import USERS, ApiServer

_USER = USERS[0]


class Namespace:
    """It exists already. `lease_name`: the only Lease that may be written, else any"""

    def __init__(self, server: ApiServer, name: str, *, lease_name: str = "") -> None:
        self._server = server
        self.name = name
        server.grant(_USER, name, ["create"])
        server.grant(_USER, name, ["get", "update", "watch"], name=lease_name)
        config = json.loads(server.kubeconfig(_USER).read_text())
        config["contexts"][0]["context"]["namespace"] = name
        self.kubeconfig: Path = server.folder / f"{name}.kubeconfig"
        self.kubeconfig.write_text(json.dumps(config))

    def stored_lease(self, name: str) -> dict[str, Any] | None:
        """The Lease as it is, `None` where there is none"""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.name}/leases/{name}"
        status, lease = self._server.call("GET", path)
        return lease if status == 200 else None

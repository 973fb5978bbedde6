"""A web application in several processes, of which one leads. Any WSGI server will do:

    gunicorn --preload --workers 3 web_app:application

Each worker takes part from its first request on, under a name of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from kubernetes import client, config

from kube_leader_election import (
    LeaderElectionError,
    LeaderElector,
    LeaderElectorParams,
    current_namespace,
)

config.load_config()
params = LeaderElectorParams(lease_name="my-app")
elector = LeaderElector(client.CoordinationV1Api(), current_namespace("default"), params)


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    # Not at import: with --preload that is in the master, and its threads are in no worker.
    with suppress(LeaderElectionError):  # this worker has started it before
        elector.start()
    status, text = "200 OK", f"worker {os.getpid()} follows"
    if environ["PATH_INFO"] == "/healthz":
        if not elector.healthy():
            status = "503 Service Unavailable"
        text = status
    elif leadership := elector.leadership:
        text = f"worker {os.getpid()} leads with fencing token {leadership.fencing_token}"
    start_response(status, [("Content-Type", "text/plain")])
    return [f"{text}\n".encode()]

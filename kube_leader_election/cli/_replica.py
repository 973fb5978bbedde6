"""One replica of the demo: a process that writes what happens to it, a line of JSON each time.

It ends at SIGTERM, as a Pod does, and when its standard input ends, as it does with the demo.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from kube_leader_election import LeaderElector, LeaderElectorParams, Leadership


def main(name: str, url: str, lease_ttl: str, renew_deadline: str, retry_period: str) -> None:
    """Contend under `name`, on the API server at `url`, until told to stop."""
    from kubernetes.client import ApiClient, Configuration

    logging.getLogger("kube_leader_election").setLevel(logging.ERROR)  # so short is fragile
    configuration: Any = Configuration()
    configuration.host = url
    configuration.proxy = None
    params = LeaderElectorParams(
        lease_name="demo",
        holder_id=name,
        lease_ttl=int(lease_ttl),
        renew_deadline=float(renew_deadline),
        retry_period=float(retry_period),
    )

    def tell(what: str, token: int | None = None) -> None:
        event = {"name": name, "what": what, "at": time.monotonic(), "token": token}
        with suppress(BrokenPipeError):  # the demo was killed
            os.write(sys.stdout.fileno(), f"{json.dumps(event)}\n".encode())

    def work(leadership: Leadership) -> None:
        tell("leads", leadership.fencing_token)
        leadership.stopping.wait()
        tell("has finished" if leadership else "has lost")

    elector = LeaderElector(
        ApiClient(configuration), "default", params, on_new_leader=lambda _: tell("knows")
    )
    threading.Thread(target=_end_with_the_demo, daemon=True).start()
    elector.run(work, stop_on=[signal.SIGTERM])
    tell("has ended")


def _end_with_the_demo() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])

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
from kube_leader_election.cli.running._children import be_sent_at_parents_end

from ._happenings import What

LEASE = "demo"
_LOOK = 0.05  # in seconds, between two looks whether the term has been renewed


def main(name: str, url: str, lease_ttl: str, renew_deadline: str, retry_period: str) -> None:
    """Contend under `name`, on the API server at `url`, until told to stop."""
    from kubernetes.client import ApiClient, Configuration

    logging.getLogger("kube_leader_election").setLevel(logging.ERROR)  # so short is fragile
    configuration: Any = Configuration()
    configuration.host = url
    configuration.proxy = None
    params = LeaderElectorParams(
        lease_name=LEASE,
        holder_id=name,
        lease_ttl=int(lease_ttl),
        renew_deadline=float(renew_deadline),
        retry_period=float(retry_period),
    )

    def tell(what: What, **more: object) -> None:
        event = {"name": name, "what": what.value, "at": time.monotonic(), **more}
        with suppress(BrokenPipeError):  # the demo was killed
            os.write(sys.stdout.fileno(), f"{json.dumps(event)}\n".encode())

    def work(leadership: Leadership) -> None:
        until = end_of(leadership)
        tell(What.LEADS, token=leadership.fencing_token, until=until)
        while not leadership.stopping.wait(_LOOK):
            found = end_of(leadership)
            if found > until + _LOOK:
                until = found
                tell(What.RENEWED, until=until)
        tell(What.FINISHED if leadership else What.LOST)

    elector = LeaderElector(
        ApiClient(configuration),
        "default",
        params,
        on_new_leader=lambda leader: tell(What.KNOWS, leader=leader),
    )
    if sys.platform == "linux":
        be_sent_at_parents_end(signal.SIGCONT)  # or it stands still for ever if it does
    threading.Thread(target=_end_with_the_demo, daemon=True).start()
    elector.run(work, stop_on=[signal.SIGTERM])
    tell(What.ENDED)


def end_of(leadership: Leadership) -> float:
    """Return when the term is over without another renewal; 0 where it is over already."""
    now = time.monotonic()  # first: a pause in between makes the term seem shorter, never longer
    left = leadership.remaining()
    return now + left if left else 0.0


def _end_with_the_demo() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Work that one replica at a time does: one item after another, and none twice at a time.

Start it twice, stop the one that works with Ctrl-C, and see the other one work at once, but not
before the item under way is done.
"""

from __future__ import annotations

import itertools
import logging
import signal
import time

from kubernetes import client, config

from kube_leader_election import (
    LeaderElector,
    LeaderElectorParams,
    Leadership,
    current_namespace,
)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    config.load_config()
    params = LeaderElectorParams(lease_name="my-app")
    elector = LeaderElector(client.CoordinationV1Api(), current_namespace("default"), params)
    elector.run(work, stop_on=[signal.SIGTERM, signal.SIGINT])


def work(leadership: Leadership) -> None:
    """Finish the item under way when asked to, by a signal or the end of the term."""
    for number in itertools.count(1):
        print(f"item {number} of term {leadership.fencing_token} begins", flush=True)
        time.sleep(1)  # here the work, in less than drain_timeout, which is 20 seconds
        print(f"item {number} of term {leadership.fencing_token} is done", flush=True)
        if leadership.stopping.wait(1):
            return


if __name__ == "__main__":
    main()

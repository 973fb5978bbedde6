"""One replica: a process that contends in elections and writes down what becomes of them

``python -m tests.measured.program ORDERS``; SIGTERM ends it.
"""

from __future__ import annotations

import json
import logging
import random
import signal
import sys
import time
from collections.abc import Callable

from kube_leader_election import Leadership

from .cycling import cycle
from .fenced import write_fenced
from .orders import Orders
from .replica import Replica


def _work(replica: Replica) -> None:
    """Work in terms of one election as a user's program does."""
    (election,) = replica.orders.elections
    elector = replica.elector(election)
    replica.write_states(elector, election)

    def work(leadership: Leadership) -> None:
        replica.log.write(election, "began", token=leadership.fencing_token)
        leadership.stopping.wait()
        replica.log.write(election, "finished")

    elector.run(work, stop_on=[signal.SIGTERM])


def _follow(replica: Replica) -> None:
    """Contend in many elections until SIGTERM."""
    for delay, election in _schedule(replica.orders):
        time.sleep(delay)
        replica.follow(election)
    signal.sigwait({signal.SIGTERM})


def _schedule(orders: Orders) -> list[tuple[float, str]]:
    """Return how long to wait before each election, so that their renewals are spread."""
    moments = sorted(random.uniform(0, orders.spread) for _ in orders.elections)
    delays = [late - early for early, late in zip([0.0, *moments], moments, strict=False)]
    return list(zip(delays, orders.elections, strict=True))


PARTS: dict[str, Callable[[Replica], None]] = {
    "work": _work,
    "follow": _follow,
    "fenced": write_fenced,
    "cycle": cycle,
}


def main() -> None:
    orders = Orders(**json.loads(sys.argv[1]))
    if orders.part == "follow":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # and so in all threads
    logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(message)s")
    PARTS[orders.part](Replica(orders))


if __name__ == "__main__":
    main()

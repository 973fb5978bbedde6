"""One loop: renew the Lease every few seconds, and act while it is ours.

Start it twice, stop the one that leads with Ctrl-C, and see the other one lead.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time

from kubernetes import client, config

from kube_leader_election import LeaderElectionError, LeaseLock, LeaseLockParams, NotLeadingError

NAMESPACE = os.environ.get("LEASE_NAMESPACE", "default")
LEASE_NAME = os.environ.get("LEASE_NAME", "my-app")
LEASE_TTL = int(os.environ.get("LEASE_TTL", "15"))
INTERVAL = LEASE_TTL / 3

logger = logging.getLogger("simple_lease")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    try:
        config.load_incluster_config()
    except config.ConfigException:
        config.load_kube_config()
    params = LeaseLockParams(lease_name=LEASE_NAME, lease_ttl=LEASE_TTL)
    lock = LeaseLock(client.CoordinationV1Api(), NAMESPACE, params)
    try:
        contend(lock)
    finally:
        release(lock)


def contend(lock: LeaseLock) -> None:
    """Take a turn every `INTERVAL` seconds, however long a turn lasts."""
    began_at = time.monotonic()
    while True:
        take_turn(lock)
        time.sleep(INTERVAL - (time.monotonic() - began_at) % INTERVAL)


def take_turn(lock: LeaseLock) -> None:
    try:
        result = lock.try_acquire_or_renew()
    except LeaderElectionError as error:
        logger.warning("%s", error)  # the next turn tries again
        return
    if result.acquired_lease:
        print("leading", flush=True)  # and here the work, if it takes less than a turn
    else:
        print("following", result.lease and result.lease.holder_identity, flush=True)


def release(lock: LeaseLock) -> None:
    """Let another replica lead at its next turn, rather than when the Lease has expired."""
    try:
        lock.step_down()
    except NotLeadingError:
        pass
    except LeaderElectionError as error:
        logger.warning("%s", error)


if __name__ == "__main__":
    main()

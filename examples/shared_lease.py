"""A thread renews the Lease; the rest of the program asks `is_leader()` right before it acts.

Start it twice, stop the one that leads with Ctrl-C, and see the other one lead.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

from kubernetes import client, config

from kube_leader_election import LeaderElectionError, LeaseLock, LeaseLockParams, NotLeadingError

NAMESPACE = os.environ.get("LEASE_NAMESPACE", "default")
LEASE_NAME = os.environ.get("LEASE_NAME", "my-app")
LEASE_TTL = int(os.environ.get("LEASE_TTL", "15"))
INTERVAL = LEASE_TTL / 3

logger = logging.getLogger("shared_lease")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # The handler only raises, here in the main thread. To set an Event in it can deadlock.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    try:
        config.load_incluster_config()
    except config.ConfigException:
        config.load_kube_config()
    params = LeaseLockParams(lease_name=LEASE_NAME, lease_ttl=LEASE_TTL)
    lock = LeaseLock(client.CoordinationV1Api(), NAMESPACE, params)
    stopping = threading.Event()
    renewer = threading.Thread(target=keep_renewing, args=(lock, stopping))
    try:
        renewer.start()
        work(lock)
    finally:
        stopping.set()
        renewer.join()  # else it could take the Lease again, after its release
        release(lock)


def keep_renewing(lock: LeaseLock, stopping: threading.Event) -> None:
    """Take a turn every `INTERVAL` seconds, however long a turn lasts, whatever becomes of it."""
    began_at = time.monotonic()
    while not stopping.is_set():
        try:
            lock.try_acquire_or_renew()
        except LeaderElectionError as error:
            logger.warning("%s", error)  # the next turn tries again
        stopping.wait(INTERVAL - (time.monotonic() - began_at) % INTERVAL)


def work(lock: LeaseLock) -> None:
    """Do one small step at a time, each only while leading."""
    while True:
        if lock.is_leader():
            print("working", flush=True)
        time.sleep(0.2)


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

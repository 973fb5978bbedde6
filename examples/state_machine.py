"""What this replica is to the election, each time that it changes.

Start it twice, stop the one that leads with Ctrl-C, and see the other one follow, and then lead.
"""

from __future__ import annotations

import signal

from kubernetes import client, config

from kube_leader_election import (
    LeaderElector,
    LeaderElectorParams,
    LeaderState,
    current_namespace,
)


def main() -> None:
    config.load_config()
    params = LeaderElectorParams(lease_name="my-app")
    elector = LeaderElector(client.CoordinationV1Api(), current_namespace("default"), params)
    with elector:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: elector.stop(wait=False))
        for state in elector.changes():  # until it has stopped
            show(state, elector)


def show(state: LeaderState, elector: LeaderElector) -> None:
    match state:
        case LeaderState.LEADING:
            print(f"leading, with fencing token {elector.fencing_token}", flush=True)
        case LeaderState.FOLLOWING:
            print(f"following {elector.holder_identity}", flush=True)
        case LeaderState.STANDBY:
            print("standing by: nobody is known to lead, or this one has stopped", flush=True)


if __name__ == "__main__":
    main()

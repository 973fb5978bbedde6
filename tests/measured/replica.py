"""What a replica is made of: a client, electors, and the journal that it writes"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kube_leader_election import (
    LeaderElectionError,
    LeaderElector,
    LeaderElectorParams,
    Leadership,
)

from .journal import Writer
from .orders import Orders

_SAMPLE = 0.25  # in seconds; how often the end of a term is looked at
_DIFFERENT = 0.001


class Replica:
    """The electors of this process, and the journal."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.folder = Path(orders.folder)
        self.log = Writer(self.folder / "journal", orders.replica)
        self.client = _api_client(orders)

    def elector(self, election: str, **callbacks: Any) -> LeaderElector:
        """Return a new candidate, not started."""
        params = LeaderElectorParams(lease_name=election, holder_id=self.orders.replica)
        return LeaderElector(self.client, self.orders.namespace, params, **callbacks)

    def write_states(self, elector: LeaderElector, election: str) -> None:
        """All its states from now on are written down, by a thread; it may start later."""
        self.run(lambda: self._write_states(elector, election))

    def run(self, call: Callable[[], None]) -> None:
        """`call` runs on a thread of its own."""
        threading.Thread(target=call, daemon=True).start()

    def follow(self, election: str) -> LeaderElector:
        """Contend, and write down states, callbacks and the end of each term."""

        def started(leadership: Leadership) -> None:
            self.log.write(election, "started", token=leadership.fencing_token)
            self.run(lambda: self._write_end(election, leadership))

        elector = self.elector(
            election,
            on_started_leading=started,
            on_stopped_leading=lambda: self.log.write(election, "stopped"),
        )
        self.write_states(elector, election)
        elector.start()
        return elector

    def _write_states(self, elector: LeaderElector, election: str) -> None:
        while True:
            try:
                states = elector.changes()
                break
            except LeaderElectionError:  # not started
                time.sleep(0.005)
        for state in states:
            self.log.write(election, state.name)

    def _write_end(self, election: str, leadership: Leadership) -> None:
        """Write down until when the term lasts each time that this is put off, and its loss."""
        ends_at = 0.0
        while True:
            began_at, left = time.monotonic(), leadership.remaining()
            if left and began_at + left - ends_at > _DIFFERENT:
                ends_at = began_at + left
                self.log.write(election, "deadline", ends_at=ends_at)
            if leadership.lost.wait(_SAMPLE):
                self.log.write(election, "lost")
                return


def _api_client(orders: Orders) -> Any:
    from kubernetes import client, config

    configuration = client.Configuration()
    load: Any = config.load_kube_config  # untyped
    load(orders.kubeconfig, client_configuration=configuration)
    configuration.proxy = None
    api_client = client.ApiClient(configuration)
    api_client.user_agent = orders.replica
    return api_client

"""What ``run`` is to do."""

from __future__ import annotations

from dataclasses import dataclass

from kube_leader_election import LeaderElectorParams


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be run, and how it is elected. `namespace`: `None` for that of the Pod."""

    params: LeaderElectorParams
    namespace: str | None
    grace: float
    drain_timeout: float
    health_port: int | None
    command: tuple[str, ...]

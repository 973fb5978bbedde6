"""What a replica is told at its start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Orders:
    """Who it is, what it does (its `part`), in which elections, and where.

    `replica` is its holder identity and its user agent. It begins to contend in each election
    after a random time of up to `spread` seconds.
    """

    replica: str
    part: str
    elections: list[str]
    namespace: str
    kubeconfig: str
    folder: str
    spread: float

"""Celery whose beat runs in every replica, and sends in one, and whose workers know who leads.

Celery is imported at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._beat import LeaderScheduler
    from ._workers import WorkerElector

__all__ = ["LeaderScheduler", "WorkerElector"]

_ROOMS = {"LeaderScheduler": "_beat", "WorkerElector": "_workers"}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)

"""Celery whose beat runs in every replica, and sends in one. Celery is imported at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._beat import LeaderScheduler

__all__ = ["LeaderScheduler"]


def __getattr__(name: str) -> Any:
    if name == "LeaderScheduler":
        from ._beat import LeaderScheduler

        return LeaderScheduler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

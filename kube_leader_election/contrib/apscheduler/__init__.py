"""APScheduler whose schedulers run in every replica, and whose jobs run in one.

APScheduler is imported at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._schedulers import (
        LeaderAsyncIOScheduler,
        LeaderBackgroundScheduler,
        LeaderBlockingScheduler,
        LeaderSchedulerMixin,
    )

__all__ = [
    "LeaderAsyncIOScheduler",
    "LeaderBackgroundScheduler",
    "LeaderBlockingScheduler",
    "LeaderSchedulerMixin",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _schedulers

    return getattr(_schedulers, name)

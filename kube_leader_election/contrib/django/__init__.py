"""Leader election for Django: commands that work where this replica leads, and nowhere else.

In `INSTALLED_APPS` it is a system check, too. For a web application see `contrib.prefork`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._command import LeaderCommand
    from ._settings import elector_params

__all__ = ["LeaderCommand", "elector_params"]


def __getattr__(name: str) -> Any:
    if name == "LeaderCommand":
        from ._command import LeaderCommand

        return LeaderCommand
    if name == "elector_params":
        from ._settings import elector_params

        return elector_params
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

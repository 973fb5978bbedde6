"""The system check: what would go wrong, before it does."""

from __future__ import annotations

import threading
from typing import Any

from django.core import checks

from kube_leader_election import InvalidParamsError

from ._settings import NAME, checked

# Of what contends: an elector, and a PodElector, whose elector may not have begun yet.
_THREADS = {"kube-leader-election-supervisor", "kube-leader-election-pod"}


def check(**_: Any) -> list[checks.CheckMessage]:
    """Return what is wrong with the settings, and with what the applications have started."""
    return [*_check_settings(), *_check_threads()]


def _check_settings() -> list[checks.CheckMessage]:
    from django.conf import settings

    # Each command may name a Lease of its own, and a project may have none of them yet.
    told = getattr(settings, NAME, {})
    is_named = isinstance(told, dict) and "LEASE_NAME" in told
    try:
        checked(told, None if is_named else "any")
    except InvalidParamsError as error:
        return [checks.Error(str(error), id="kube_leader_election.E001")]
    return []


def _check_threads() -> list[checks.CheckMessage]:
    if not any(each.name in _THREADS for each in threading.enumerate()):
        return []
    return [
        checks.Warning(
            "An elector runs before the command does: was it started in a ready()?",
            hint=(
                "That is called in every command, twice under runserver, and with gunicorn"
                " --preload in the arbiter only, whose threads are in no worker. Use a"
                " LeaderCommand, or in a web server a PodElector."
            ),
            id="kube_leader_election.W001",
        )
    ]

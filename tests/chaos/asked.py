"""Who has asked for the Lease, and when, by the server's own account"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from .evidence import Requests


def requests_of(log: Path, users: dict[str, str]) -> list[Requests]:
    """Those of each replica, by the `users` that they are; `log` is the audit log."""
    text = log.read_text()
    whole = text[: text.rfind("\n") + 1]  # the last may be half written
    times: dict[str, list[float]] = {user: [] for user in users.values()}
    for event in map(json.loads, whole.splitlines()):
        user = event["user"].get("username")
        if user in times:
            stamp = event["requestReceivedTimestamp"].replace("Z", "+00:00")
            times[user].append(datetime.fromisoformat(stamp).timestamp())
    return [Requests(replica, tuple(times[user])) for replica, user in users.items()]

"""The server's audit log, which has each request for a Lease once"""

from __future__ import annotations

import json
from pathlib import Path


def lease_requests(log: Path, *, user: str, namespace: str, name: str) -> list[tuple[str, int]]:
    """(verb, status) of each, in the server's order; an empty filter lets all pass"""
    text = log.read_text()
    found = []
    for line in text[: text.rfind("\n") + 1].splitlines():  # the last may be half written
        event = json.loads(line)
        target = event["objectRef"]
        pairs = (
            (user, event["user"].get("username")),  # none with a 401
            (namespace, target.get("namespace")),
            (name, target.get("name")),
        )
        if all(wanted in ("", actual) for wanted, actual in pairs):
            found.append((event["verb"], event["responseStatus"]["code"]))
    return found

"""What a watch of Leases in memory tells, as models of the installed client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ._client import Models


class LeaseWatch:
    """Iterate, in one thread, over `(type, V1Lease)`; `close` in any.

    An `ERROR` comes with the `code` of its status instead of a Lease.
    """

    def __init__(self, response: Any, models: Models) -> None:
        self._response = response
        self._models = models

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for line in self._response.stream():
            event = json.loads(line)
            kind, document = event["type"], event["object"]
            if kind == "ERROR":
                yield kind, document["code"]
            else:
                yield kind, self._models.from_json(json.dumps(document), "V1Lease")

    def close(self) -> None:
        """The iteration ends at once."""
        self._response.close()

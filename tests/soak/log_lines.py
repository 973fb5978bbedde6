"""What the library logs, counted and not kept"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARY = logging.getLogger("kube_leader_election")
_KINDS = {
    "leads, fencing token": "begin",
    "leads no more": "end",
    "is polled": "polled",
}


class LogLines(logging.Handler):
    """How many lines of each kind there were; `told_secrets` of them contain one of `secrets`"""

    def __init__(self, *secrets: str) -> None:
        super().__init__(logging.INFO)
        self.count: Counter[str] = Counter()
        self.told_secrets = 0
        self.longest = 0
        self._secrets = secrets

    def emit(self, record: logging.LogRecord) -> None:
        """Count it"""
        text = self.format(record)
        kind = next((kind for said, kind in _KINDS.items() if said in text), "trouble")
        self.count["defect" if record.levelno > logging.WARNING else kind] += 1
        self.told_secrets += any(secret in text for secret in self._secrets)
        self.longest = max(self.longest, len(text))


@contextmanager
def counted(*secrets: str) -> Iterator[LogLines]:
    """What is logged within the block comes here, and nowhere else"""
    lines = LogLines(*secrets)
    before = (_LIBRARY.level, _LIBRARY.propagate)
    _LIBRARY.addHandler(lines)
    _LIBRARY.setLevel(logging.INFO)
    _LIBRARY.propagate = False
    try:
        yield lines
    finally:
        _LIBRARY.removeHandler(lines)
        _LIBRARY.setLevel(before[0])
        _LIBRARY.propagate = before[1]

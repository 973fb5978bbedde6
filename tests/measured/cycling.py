"""A replica that starts and stops one election after the other, and weighs itself"""

from __future__ import annotations

import gc
import os
import threading
import tracemalloc
from pathlib import Path

from .journal import PATIENCE
from .replica import Replica

WEIGHED_AFTER = (1, 50, 100)
_PROCESS = Path("/proc/self")


def cycle(replica: Replica) -> None:
    """Lead and stop so many times, and write down what the process then has."""
    (election,) = replica.orders.elections
    tracemalloc.start()
    for count in range(1, WEIGHED_AFTER[-1] + 1):
        with replica.elector(election) as elector:
            if elector.wait_until_leading(PATIENCE) is None:
                raise RuntimeError(f"election {count} was not won")
        if count in WEIGHED_AFTER:
            replica.log.write(election, "weighed", count=count, **_weight())


def _weight() -> dict[str, float]:
    gc.collect()
    allocated, _ = tracemalloc.get_traced_memory()
    pages = int((_PROCESS / "statm").read_text().split()[1])
    descriptors = [each.readlink() for each in (_PROCESS / "fd").iterdir() if each.is_symlink()]
    return {
        "threads": max(threading.active_count(), len(list((_PROCESS / "task").iterdir()))),
        "sockets": sum(each.name.startswith("socket:") for each in descriptors),
        "descriptors": len(descriptors),
        "RSS": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "tracemalloc": allocated / 2**20,
    }

"""What this process has, and takes"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import threading
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

_PROCESS = Path("/proc/self")
_MIB = 2.0**20


@dataclass(frozen=True)
class Weight:
    """Memory in MiB: of the process, and of the objects that Python made since tracing began"""

    resident: float
    traced: float

    def __str__(self) -> str:
        return f"RSS {self.resident:.2f} MiB, tracemalloc {self.traced:.2f} MiB"


def weigh() -> Weight:
    """Return what the process takes without its garbage, cyclic or freed"""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # of glibc
        ctypes.CDLL(None).malloc_trim(0)
    traced, _ = tracemalloc.get_traced_memory()
    return Weight(resident_mib(), traced / _MIB)


def resident_mib() -> float:
    """Return how much memory the process takes"""
    pages = int((_PROCESS / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


def thread_count() -> int:
    """Return how many threads there are, Python's or not"""
    return max(threading.active_count(), len(list((_PROCESS / "task").iterdir())))


def descriptor_count() -> int:
    """Return how many descriptors are open"""
    return len(list((_PROCESS / "fd").iterdir()))

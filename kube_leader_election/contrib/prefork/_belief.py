"""What a main process believes, in memory that its children read.

One process writes, and nobody locks. There are two places, written in turn, each with a checksum:
who reads while one is written, or after the writer was killed in the middle of it, goes by the
other.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from dataclasses import dataclass

# In seconds: for how long what was told counts, and so for how long it outlives who has told it.
HOLDS_FOR = 1.2

_ROUNDING = 1e-3
_BODY = struct.Struct("<QQd?64s")
_CHECKSUM = struct.Struct("<I")
_PLACE = 128  # in bytes, for both of these
SIZE = 2 * _PLACE


@dataclass(frozen=True, kw_only=True)
class Belief:
    """We lead until `leads_until`, on the monotonic clock, in the term of this `ordinal`."""

    leads_until: float
    ordinal: int
    fencing_token: int | None
    stopping: bool


NO_BELIEF = Belief(leads_until=0.0, ordinal=0, fencing_token=None, stopping=True)


class Writer:
    """Tells what is believed. For one thread of one process."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._told = 0

    def tell(self, belief: Belief) -> None:
        """Whoever reads from now on reads this."""
        self._told += 1
        token = b"" if belief.fencing_token is None else str(belief.fencing_token).encode()
        if len(token) > 64:
            token = b""  # as where the server's versions are no integers
        body = _BODY.pack(self._told, belief.ordinal, belief.leads_until, belief.stopping, token)
        place = self._told % 2 * _PLACE
        whole = body + _CHECKSUM.pack(zlib.crc32(body))
        self._memory[place : place + len(whole)] = whole


def read(memory: mmap.mmap, now: float) -> Belief | None:
    """Return what was told last, if it says that we lead at `now`.

    Nothing counts for longer than `HOLDS_FOR`, whatever is read.
    """
    last, belief = 0, NO_BELIEF
    for place in (0, _PLACE):
        whole = memory[place : place + _PLACE]
        body = whole[: _BODY.size]
        (checksum,) = _CHECKSUM.unpack_from(whole, _BODY.size)
        if zlib.crc32(body) == checksum:
            told, ordinal, leads_until, stopping, token = _BODY.unpack(body)
            if told > last:
                digits = token.rstrip(b"\0")
                last, belief = (
                    told,
                    Belief(
                        leads_until=leads_until,
                        ordinal=ordinal,
                        fencing_token=int(digits) if digits else None,
                        stopping=stopping,
                    ),
                )
    return belief if 0 < belief.leads_until - now <= HOLDS_FOR + _ROUNDING else None

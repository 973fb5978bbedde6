"""JSON from a server, which may say anything."""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 100  # several times what an object of Kubernetes needs
_BRACKETS = re.compile(rb"[\[\]{}]")


def decoded(text: bytes) -> Any:
    """Return what `text` says, `None` where that is nothing, or nested deeper than `DEEPEST`.

    Python's decoder would recurse as deep, and where the stack ends, not only it fails but also
    what the garbage collector happens to finalize there.
    """
    if _depth(text) > DEEPEST:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the caller may be as deep
        return None


def _depth(text: bytes) -> int:
    """Return how deep it is nested, or a larger number."""
    opened = text.count(b"[") + text.count(b"{")
    if opened <= DEEPEST:
        return opened
    without_escapes = text.replace(rb"\\", b"").replace(rb"\"", b"")
    without_strings = b"".join(without_escapes.split(b'"')[::2])
    depth = deepest = 0
    for bracket in _BRACKETS.findall(without_strings):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest

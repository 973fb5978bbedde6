"""JSON merge patches (RFC 7396)."""

from __future__ import annotations

from collections.abc import Mapping


def merged(target: object, patch: object) -> object:
    """Return `target` with `patch` merged into it; neither is changed."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result

"""From JSON to an object as the API server decodes it: its types, and what it drops.

What is no field of the object is dropped without a word, as is what is null. A value of another
type is refused with 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ._refusal import Refusal

MAX_INT32 = 2**31 - 1
MIN_INT32 = -(2**31)

# As Go's parser reads it: an hour of one digit will do, and a comma for the point.
_SECONDS = r"(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d)"
_OFFSET = r"(?:Z|([+-])(\d\d):(\d\d))"
_MICRO_TIME = re.compile(rf"{_SECONDS}[.,](\d{{6}}){_OFFSET}", re.ASCII)
_TIME = re.compile(rf"{_SECONDS}(?:[.,](\d+))?{_OFFSET}", re.ASCII)

Decoder = Callable[[object, str], Any]


def text(value: object, field: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise _refuse(value, field, "string")
    return value


def int32(value: object, field: str) -> int:
    """An integer of 32 bits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refuse(value, field, "int32")
    if not MIN_INT32 <= value <= MAX_INT32:
        raise _refuse(value, field, "int32")
    return value


def micro_time(value: object, field: str) -> str | None:
    """A time with exactly six fractional digits, brought to UTC; Go's zero time is none."""
    found = _MICRO_TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _refuse(value, field, "MicroTime, as 2006-01-02T15:04:05.000000Z07:00")
    text = f"{_in_utc(found, field)}.{found[7]}Z"
    return None if text == "0001-01-01T00:00:00.000000Z" else text


def time(value: object, field: str) -> str:
    """A time in whole seconds, brought to UTC."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _refuse(value, field, "Time, as 2006-01-02T15:04:05Z07:00")
    return f"{_in_utc(found, field)}Z"


def text_map(value: object, field: str) -> dict[str, str]:
    """An object whose values are strings."""
    if not isinstance(value, Mapping):
        raise _refuse(value, field, "map[string]string")
    return {name: text(each, f"{field}.{name}") for name, each in value.items()}


def text_list(value: object, field: str) -> list[str]:
    """A list of strings."""
    if not isinstance(value, list):
        raise _refuse(value, field, "[]string")
    return [text(each, field) for each in value]


def object_list(value: object, field: str) -> list[dict[str, Any]]:
    """A list of objects, whatever is in them."""
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise _refuse(value, field, "list of objects")
    return [dict(each) for each in value]


def fields(value: object, field: str, decoders: Mapping[str, Decoder]) -> dict[str, Any]:
    """An object with these fields, each decoded; null is an object without any."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _refuse(value, field, "object")
    decoded = {
        name: decode(value[name], f"{field}.{name}")
        for name, decode in decoders.items()
        if value.get(name) is not None
    }
    return {name: each for name, each in decoded.items() if each is not None}


METADATA: dict[str, Decoder] = {
    "name": text,
    "generateName": text,
    "namespace": text,
    "uid": text,
    "resourceVersion": text,
    "creationTimestamp": time,
    "deletionTimestamp": time,
    "deletionGracePeriodSeconds": int32,
    "labels": text_map,
    "annotations": text_map,
    "ownerReferences": object_list,
    "finalizers": text_list,
}


def _in_utc(found: re.Match[str], field: str) -> str:
    """Return the time in UTC, also in years that Python lacks: the calendar repeats after 400."""
    year, month, day, hour, minute, second = (int(found[group]) for group in range(1, 7))
    like = 2000 + year % 400
    try:
        time = datetime(like, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        raise _refuse(found[0], field, "time that there is") from None
    sign, hours, minutes = found[8], int(found[9] or 0), int(found[10] or 0)
    time -= timedelta(hours=hours, minutes=minutes) * (-1 if sign == "-" else 1)
    return f"{time.year - like + year:04}-{time:%m-%dT%H:%M:%S}"


def _refuse(value: object, field: str, kind: str) -> Refusal:
    return Refusal(400, f"cannot decode {field}: {repr(value)[:80]} is no {kind}")

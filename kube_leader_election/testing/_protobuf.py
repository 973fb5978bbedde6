"""The bodies of Go's clients, which write Kubernetes' objects in protobuf: read as their JSON.

Only what such clients write of a Lease or an access review is known. They take JSON for an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ._refusal import Refusal

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Value = int | bytes
Reader = Callable[[Value], Any]


def to_json(content: bytes) -> dict[str, Any]:
    """Return the object that the body is.

    :raises Refusal: 400, it is none that is known here.
    """
    try:
        if not content.startswith(_MAGIC):
            raise ValueError("it does not begin as Kubernetes' protobuf does")
        envelope = dict(_fields(content[len(_MAGIC) :]))
        type_meta = _message({1: ("apiVersion", _text), 2: ("kind", _text)})(envelope.get(1, b""))
        return {**type_meta, **_OBJECTS[type_meta["kind"]](envelope.get(2, b""))}
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise Refusal(400, f"the body is no protobuf that is known here: {error}") from None


def _fields(content: bytes) -> Iterator[tuple[int, Value]]:
    position = 0
    while position < len(content):
        tag, position = _varint(content, position)
        wire = tag & 7
        value: Value
        if wire == _VARINT:
            value, position = _varint(content, position)
        elif wire == _BYTES:
            size, position = _varint(content, position)
            value, position = _cut(content, position, size), position + size
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            value, position = _cut(content, position, size), position + size
        else:
            raise ValueError(f"wire type {wire}")
        yield tag >> 3, value


def _cut(content: bytes, position: int, size: int) -> bytes:
    if position + size > len(content):
        raise ValueError("it ends too early")
    return content[position : position + size]


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _message(known: Mapping[int, tuple[str, Reader]]) -> Callable[[Value], dict[str, Any]]:
    def read(value: Value) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for number, each in _fields(_content(value)):
            if number not in known:
                continue
            name, reader = known[number]
            one = reader(each)
            # A field that is repeated is one more entry, or one more item.
            if isinstance(one, dict | list) and name in found:
                one = {**found[name], **one} if isinstance(one, dict) else [*found[name], *one]
            found[name] = one
        return found

    return read


def _set(message: Callable[[Value], dict[str, Any]]) -> Callable[[Value], dict[str, Any]]:
    """Read a message whose empty strings and zeros are not set."""
    return lambda value: {name: each for name, each in message(value).items() if each}


def _content(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number in the place of a message")
    return value


def _text(value: Value) -> str:
    return _content(value).decode()


def _texts(value: Value) -> list[str]:
    return [_text(value)]


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError("a message in the place of a number")
    return value - 2**64 if value >= 2**63 else value


def _entry(value: Value) -> dict[str, str]:
    entry = dict(_fields(_content(value)))
    return {_text(entry.get(1, b"")): _text(entry.get(2, b""))}


def _objects(message: Callable[[Value], dict[str, Any]]) -> Reader:
    return lambda value: [message(value)]


def _time(timespec: str) -> Callable[[Value], str]:
    def read(value: Value) -> str:
        parts = {number: _int(each) for number, each in _fields(_content(value))}
        seconds = timedelta(seconds=parts.get(1, 0), microseconds=parts.get(2, 0) // 1000)
        return (_EPOCH + seconds).isoformat(timespec=timespec).replace("+00:00", "Z")

    return read


_OWNER = _message(
    {1: ("kind", _text), 3: ("name", _text), 4: ("uid", _text), 5: ("apiVersion", _text)}
    | {6: ("controller", bool), 7: ("blockOwnerDeletion", bool)}
)
_METADATA = _set(
    _message(
        {1: ("name", _text), 2: ("generateName", _text), 3: ("namespace", _text)}
        | {5: ("uid", _text), 6: ("resourceVersion", _text)}
        | {8: ("creationTimestamp", _time("seconds")), 9: ("deletionTimestamp", _time("seconds"))}
        | {11: ("labels", _entry), 12: ("annotations", _entry)}
        | {13: ("ownerReferences", _objects(_OWNER)), 14: ("finalizers", _texts)}
    )
)
_LEASE_SPEC = _message(
    {1: ("holderIdentity", _text), 2: ("leaseDurationSeconds", _int)}
    | {3: ("acquireTime", _time("microseconds")), 4: ("renewTime", _time("microseconds"))}
    | {5: ("leaseTransitions", _int), 6: ("strategy", _text), 7: ("preferredHolder", _text)}
)
_ATTRIBUTES = _message(
    {1: ("namespace", _text), 2: ("verb", _text), 3: ("group", _text)}
    | {4: ("version", _text), 5: ("resource", _text), 7: ("name", _text)}
)
_OBJECTS: dict[str, Callable[[Value], dict[str, Any]]] = {
    "Lease": _message({1: ("metadata", _METADATA), 2: ("spec", _LEASE_SPEC)}),
    "SelfSubjectAccessReview": _message(
        {2: ("spec", _message({1: ("resourceAttributes", _ATTRIBUTES)}))}
    ),
}

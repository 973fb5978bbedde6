"""The kinds of object that the stand-ins know."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import _decoding as decoding
from ._refusal import Refusal

_LEASE_SPEC: dict[str, decoding.Decoder] = {
    "holderIdentity": decoding.text,
    "leaseDurationSeconds": decoding.int32,
    "acquireTime": decoding.micro_time,
    "renewTime": decoding.micro_time,
    "leaseTransitions": decoding.int32,
    "strategy": decoding.text,
    "preferredHolder": decoding.text,
}


@dataclass(frozen=True)
class Kind:
    """One kind of object, as discovery names it, and how the rest of it is decoded."""

    group: str
    version: str
    plural: str
    name: str
    decode_rest: Callable[[Mapping[str, Any]], dict[str, Any]]

    @property
    def api_version(self) -> str:
        """What stands in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """How the server names the resource to people."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def decode(self, body: object) -> dict[str, Any]:
        """Return a new object of this kind that says what `body` does.

        :raises Refusal: 400, `body` is no such object.
        """
        body = {} if body is None else body
        if not isinstance(body, Mapping):
            raise Refusal(400, f"the body is no {self.name}")
        for field, own in (("apiVersion", self.api_version), ("kind", self.name)):
            if (body.get(field) or own) != own:
                raise Refusal(400, f"{field} is {body[field]!r}, not {own!r}")
        metadata = decoding.fields(body.get("metadata"), "metadata", decoding.METADATA)
        return {
            "apiVersion": self.api_version,
            "kind": self.name,
            "metadata": {name: value for name, value in metadata.items() if value},
            **self.decode_rest(body),
        }


def _decode_lease(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"spec": decoding.fields(body.get("spec"), "spec", _LEASE_SPEC)}


def _decode_event(body: Mapping[str, Any]) -> dict[str, Any]:
    known = ("apiVersion", "kind", "metadata")
    rest = {name: value for name, value in body.items() if name not in known}
    copy: dict[str, Any] = json.loads(json.dumps(rest))
    return copy


LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease", _decode_lease)
CORE_EVENT = Kind("", "v1", "events", "Event", _decode_event)
EVENT = Kind("events.k8s.io", "v1", "events", "Event", _decode_event)
KINDS = (LEASE, CORE_EVENT, EVENT)

"""What a request does to the memory, and what is answered, as far as both are no matter of HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from kube_leader_election._json import decoded

from . import _decoding as decoding
from . import _rules
from ._clock import FakeClock
from ._events import Selection
from ._kinds import Kind
from ._memory import Memory
from ._plan import Plan, RecordedRequest
from ._refusal import Refusal
from .faults import Fault, NoAnswer, OddAnswer, StaleAnswer

_READS = ("get", "list")
_UNKNOWN = ("labelSelector", "dryRun", "continue")
_PRECONDITIONS: dict[str, decoding.Decoder] = {
    "uid": decoding.text,
    "resourceVersion": decoding.text,
}
_DELETE_OPTIONS: dict[str, decoding.Decoder] = {
    "kind": decoding.text,
    "dryRun": decoding.text_list,
    "propagationPolicy": decoding.text,
    "preconditions": lambda value, field: decoding.fields(value, field, _PRECONDITIONS),
}
_TERM = re.compile(r"metadata\.(?P<field>name|namespace)(?P<operator>==?|!=)(?P<value>[^=!]*)")


@dataclass(frozen=True)
class Call:
    """One request: who wants what done to which object, or to which of them.

    `applies`: the patch is a server-side apply.
    """

    verb: str
    kind: Kind
    namespace: str | None
    name: str = ""
    user: str = ""
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    applies: bool = False

    @property
    def key(self) -> tuple[Kind, str, str]:
        """The one object that is meant."""
        return (self.kind, self.namespace or "", self.name)

    def about(self, status: int) -> dict[str, str]:
        """Return how a refusal with `status` names the object."""
        kind = self.kind
        named = {404: kind.plural, 409: kind.plural, 422: kind.name}
        if status not in named:
            return {}
        about = {"name": self.name, "group": kind.group, "kind": named[status]}
        return {field: text for field, text in about.items() if text}

    def selection(self) -> Selection:
        """Return which objects are meant.

        :raises Refusal: 400, by a selector that is not known here.
        """
        terms = []
        for text in filter(None, self.query.get("fieldSelector", "").split(",")):
            term = _TERM.fullmatch(text)
            if term is None:
                raise Refusal(400, f"{text!r} is no known field selector")
            terms.append((term["field"] == "name", term["operator"] != "!=", term["value"]))
        return Selection(self.kind, self.namespace, tuple(terms))

    def since(self) -> int | None:
        """Return the version that a watch begins after, `None` for what there is now.

        :raises Refusal: 500, it is no version.
        """
        if self.query.get("sendInitialEvents", "").lower() in ("true", "1"):
            return None
        return _rules.number(self.query.get("resourceVersion")) or None

    def check_query(self) -> None:
        """No option is given that would be ignored here, and change what is meant.

        :raises Refusal: 400, one is.
        """
        for option in _UNKNOWN:
            if self.query.get(option):
                raise Refusal(400, f"{option} is not known here")
        if self.query.get("resourceVersionMatch") == "Exact":
            raise Refusal(400, "resourceVersionMatch=Exact is not known here")


@dataclass(frozen=True)
class Reply:
    """What is answered. `content` are the bytes of the body where it is another than `document`."""

    status: int
    document: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


class Service:
    """The memory, the plan, and the way from a call to its reply."""

    def __init__(self, clock: FakeClock | None) -> None:
        self.utcnow = clock.utcnow if clock else _utcnow
        self.memory = Memory(self.utcnow)
        self.plan = Plan()

    def meet(self, call: Call) -> tuple[RecordedRequest, Fault | None]:
        """Write the call down, and return what is to go wrong with it."""
        record = RecordedRequest(call.verb, call.namespace or "", call.name, call.user, call.body)
        return record, self.plan.meet(record)

    def opens_watch(self, call: Call, fault: Fault | None) -> bool:
        """Whether the answer is a stream of events, well or ill."""
        return call.verb == "watch" and not isinstance(fault, NoAnswer | OddAnswer)

    def reply(self, call: Call, fault: Fault | None = None) -> Reply:
        """Carry the call out, unless it is lost, and return the answer, which may be odd."""
        if isinstance(fault, OddAnswer):
            return self._odd(call, fault)
        if fault is not None and not fault.committed:
            return Reply(0, {})
        try:
            return self._carry_out(call, fault)
        except Refusal as refusal:
            return Reply(refusal.status, refusal.document(call.about(refusal.status)))

    def _odd(self, call: Call, fault: OddAnswer) -> Reply:
        true: Mapping[str, Any] = call.body if isinstance(call.body, Mapping) else {}
        if fault.committed or call.verb in _READS:
            true = self.reply(call).document
        if fault.body is None and fault.status >= 400:
            refusal = Refusal(fault.status, "armed by a test")
            return Reply(fault.status, refusal.document(), fault.headers)
        content = fault.content(true)
        return Reply(fault.status, _json_object(content), fault.headers, content)

    def _carry_out(self, call: Call, fault: Fault | None) -> Reply:
        memory = self.memory
        call.check_query()
        if call.verb == "get":
            if isinstance(fault, StaleAnswer):
                return Reply(200, memory.read_earlier(call.key, fault.versions))
            return Reply(200, memory.read(call.key))
        if call.verb == "list":
            return Reply(200, self._list(call))
        if call.verb == "create":
            return Reply(201, memory.create(call.kind, call.namespace or "", call.body))
        if call.verb == "update":
            document, created = memory.replace(call.key, call.body)
            return Reply(201 if created else 200, document)
        if call.verb == "patch" and call.applies:
            document, created = memory.apply(call.key, call.body)
            return Reply(201 if created else 200, document)
        if call.verb == "patch":
            return Reply(200, memory.patch(call.key, call.body))
        if call.verb == "delete":
            return self._delete(call)
        raise Refusal(405, f"{call.verb} is not known here")

    def _list(self, call: Call) -> dict[str, Any]:
        kind = call.kind
        items, version = self.memory.list(call.selection())
        try:
            asked = call.since() or 0
        except Refusal as refusal:
            raise Refusal(400, str(refusal)) from None
        if asked > version:
            raise Refusal(504, f"Too large resource version: {asked}, current: {version}")
        return {
            "kind": f"{kind.name}List",
            "apiVersion": kind.api_version,
            "metadata": {"resourceVersion": str(version)},
            "items": [
                {name: value for name, value in item.items() if name not in ("kind", "apiVersion")}
                for item in items
            ],
        }

    def _delete(self, call: Call) -> Reply:
        options = decoding.fields(call.body, "the body", _DELETE_OPTIONS)
        if options.get("kind", "DeleteOptions") != "DeleteOptions":
            raise Refusal(400, f"kind is {options['kind']!r}, not 'DeleteOptions'")
        policy = options.get("propagationPolicy", "Background")
        if options.get("dryRun") or policy in ("Foreground", "Orphan"):
            raise Refusal(400, "dryRun, Foreground and Orphan are not known here")
        if policy != "Background":
            raise _rules.invalid("propagationPolicy", f"Unsupported value: {policy!r}")
        document, gone = self.memory.delete(call.key, options.get("preconditions", {}))
        if not gone:
            return Reply(200, document)
        kind = call.kind
        details = {"name": call.name, "kind": kind.plural, "uid": document["metadata"]["uid"]}
        if kind.group:
            details["group"] = kind.group
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return Reply(200, {**status, "details": details})


def name_in(body: object) -> str:
    """Return the name that an object bears, "" where it bears none."""
    metadata = body.get("metadata") if isinstance(body, Mapping) else None
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else ""


def _json_object(content: bytes) -> Mapping[str, Any]:
    found = decoded(content)
    return found if isinstance(found, Mapping) else {}


def _utcnow() -> datetime:
    return datetime.now(timezone.utc)

"""What the API server refuses of an object that it could decode, each rule on its own.

The text of a message is ours; status, reason and the fields named are the API server's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._refusal import Refusal

Document = Mapping[str, Any]

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_QUALIFIED = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,63}}\Z){_QUALIFIED}")
# Of another's strategies only the form is known: a domain, and a name in it.
_STRATEGY = re.compile(rf"[^/ ]+/{_QUALIFIED}")
_STRATEGIES = ("OldestEmulationVersion",)
_UINT = re.compile(r"[0-9]{1,40}", re.ASCII)


def uid_is_of_the_stored(document: Document, stored: Document | None) -> None:
    """A write that names a uid is one of the object that has it, and of no other.

    :raises Refusal: 409, it is another object's, or there is none.
    """
    uid = document["metadata"].get("uid")
    own = stored["metadata"]["uid"] if stored else ""
    if uid and uid != own:
        raise Refusal(409, f"the uid is {own!r}, not {uid!r} as in the precondition")


def check_namespace(namespace: str, metadata: Mapping[str, Any]) -> None:
    """The object names the namespace of the request, or none.

    :raises Refusal: 400, it names another.
    """
    if (metadata.get("namespace") or namespace) != namespace:
        raise Refusal(400, f"metadata.namespace is not {namespace!r}, as the request has it")


def check_name(namespace: str, name: str, metadata: Mapping[str, Any]) -> None:
    """The object has the name of the request, and its namespace or none.

    :raises Refusal: 400, it does not.
    """
    check_namespace(namespace, metadata)
    if metadata.get("name") != name:
        raise Refusal(400, f"metadata.name is not {name!r}, as the request has it")


def version_is_not_given(document: Document) -> None:
    """A create names no version; what is none does not count.

    :raises Refusal: 500, it does.
    """
    version = document["metadata"].get("resourceVersion", "")
    if _UINT.fullmatch(version) and int(version) > 0:
        why = "resourceVersion should not be set on objects to be created"
        raise Refusal(500, why, reason="")


def version_is_given(document: Document) -> None:
    """A replace names the version that it replaces.

    :raises Refusal: 422, it does not.
    """
    if not number(document["metadata"].get("resourceVersion")):
        raise invalid("metadata.resourceVersion", "must be specified for an update")


def version_is_of_the_stored(document: Document, stored: Document) -> None:
    """A replace is one of the version that it names, and of no other.

    :raises Refusal: 409, somebody wrote meanwhile.
    """
    named = number(document["metadata"]["resourceVersion"])
    if named != number(stored["metadata"]["resourceVersion"]):
        raise Refusal(409, "the object has been modified; read it and try again")


def next_version(last: int) -> int:
    """Return the version of the next write, of whatever object."""
    return last + 1


def number(version: str | None) -> int:
    """Return a `resourceVersion` as the server reads it: an unsigned integer of 64 bits.

    :raises Refusal: 500, it is none.
    """
    if not version:
        return 0
    if not _UINT.fullmatch(version) or int(version) >= 2**64:
        why = f"resourceVersion {version!r} is no unsigned integer of 64 bits"
        raise Refusal(500, why, reason="")
    return int(version)


def validate_update(metadata: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    """A write sets nothing that only the server may.

    :raises Refusal: 422, it does.
    """
    field = "deletionTimestamp"
    if field in metadata and metadata[field] != old.get(field):
        raise invalid(f"metadata.{field}", "field is immutable")
    new = set(metadata.get("finalizers", ())) - set(old.get("finalizers", ()))
    if field in old and new:
        raise invalid("metadata.finalizers", "no new ones where the object is being deleted")


def says_nothing_new(document: Document, stored: Document) -> bool:
    """Whether the write changes nothing: such a one is no write, and the version stays."""
    return _unversioned(document) == _unversioned(stored)


def invalid(field: str, message: str) -> Refusal:
    """Return the refusal of one field."""
    return Refusal(422, f"{field}: {message}", causes=[(field, message)])


def _unversioned(document: Document) -> Document:
    return {**document, "metadata": {**document["metadata"], "resourceVersion": ""}}


def name_is_given(document: Document) -> Iterator[tuple[str, str]]:
    """A name, or something to make one from."""
    if not document["metadata"].get("name"):
        yield "metadata.name", "Required value: name or generateName is required"


def name_is_a_subdomain(document: Document) -> Iterator[tuple[str, str]]:
    """The name of a Lease is a DNS subdomain."""
    name = document["metadata"].get("name")
    if name and not _SUBDOMAIN.fullmatch(name):
        yield "metadata.name", f"Invalid value: {name!r}: a lowercase RFC 1123 subdomain"


def duration_is_positive(document: Document) -> Iterator[tuple[str, str]]:
    """`leaseDurationSeconds` is greater than 0, where it is set."""
    duration = document.get("spec", {}).get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        yield "spec.leaseDurationSeconds", f"Invalid value: {duration}: must be greater than 0"


def transitions_are_not_negative(document: Document) -> Iterator[tuple[str, str]]:
    """`leaseTransitions` is 0 or more, where it is set."""
    transitions = document.get("spec", {}).get("leaseTransitions")
    if transitions is not None and transitions < 0:
        yield "spec.leaseTransitions", f"Invalid value: {transitions}: must be 0 or more"


def preferred_holder_needs_a_strategy(document: Document) -> Iterator[tuple[str, str]]:
    """`preferredHolder` belongs to coordinated election, which `strategy` turns on."""
    spec = document.get("spec", {})
    if spec.get("preferredHolder") and not spec.get("strategy"):
        yield "spec.preferredHolder", "Forbidden: only where strategy is set"


def strategy_is_known(document: Document) -> Iterator[tuple[str, str]]:
    """`strategy` is one of Kubernetes', or another's with a domain."""
    strategy = document.get("spec", {}).get("strategy")
    if strategy not in (None, *_STRATEGIES) and not _STRATEGY.fullmatch(strategy):
        yield "spec.strategy.strategy", f"Unsupported value: {strategy!r}"


def labels_are_qualified(document: Document) -> Iterator[tuple[str, str]]:
    """The keys of labels and annotations are qualified names, the values of labels short ones."""
    for field in ("labels", "annotations"):
        for key, value in document["metadata"].get(field, {}).items():
            domain, slash, name = key.rpartition("/")
            if not _NAME.fullmatch(name) or (slash and not _SUBDOMAIN.fullmatch(domain)):
                yield f"metadata.{field}", f"Invalid value: {key!r}: no qualified name"
            if field == "labels" and value and not _NAME.fullmatch(value):
                yield "metadata.labels", f"Invalid value: {value!r}: no value of a label"


def owners_are_named(document: Document) -> Iterator[tuple[str, str]]:
    """A reference to an owner has all that finds it."""
    for owner in document["metadata"].get("ownerReferences", ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield f"metadata.ownerReferences.{field}", "Required value"


VALIDATION = (
    name_is_given,
    name_is_a_subdomain,
    labels_are_qualified,
    owners_are_named,
    duration_is_positive,
    transitions_are_not_negative,
    preferred_holder_needs_a_strategy,
    strategy_is_known,
)


def validate(document: Document) -> None:
    """Every value is one that may be stored.

    :raises Refusal: 422, with every field that is not.
    """
    causes = [cause for rule in VALIDATION for cause in rule(document)]
    if causes:
        name = document["metadata"].get("name", "")
        told = ", ".join(f"{field}: {message}" for field, message in causes)
        raise Refusal(422, f"{document['kind']} {name!r} is invalid: {told}", causes=causes)

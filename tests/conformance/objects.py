"""Leases as JSON: how the cases write them, and what they look at in the answers"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any

from tests.conformance.leases import Leases, Reply

NAME = "leader"
OTHER_UID = "11111111-1111-4111-8111-111111111111"
TIME = "2024-01-02T03:04:05.678901Z"
HELD = {"holderIdentity": "a", "leaseDurationSeconds": 15}
FINALIZER = "example.com/guard"


def lease(name: str = NAME, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, **metadata},
        "spec": dict(HELD) if spec is None else spec,
    }


def created(leases: Leases, name: str = NAME, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    """The answer to its creation, which must succeed"""
    return accepted(leases.create(lease(name, spec, **metadata)), 201)


def sent_back(
    answer: dict[str, Any], spec: dict[str, Any] | None = None, *without: str, **metadata: Any
) -> dict[str, Any]:
    """The body of a replace that has these fields changed, and not those of the metadata"""
    kept = {key: answer["metadata"][key] for key in ("name", "uid", "resourceVersion")}
    body = lease(spec={**fields(answer), **(spec or {})})
    body["metadata"] = {**kept, **metadata}
    for key in without:
        del body["metadata"][key]
    return body


def accepted(reply: Reply, status: int = 200) -> dict[str, Any]:
    assert reply.status == status, reply
    body: dict[str, Any] = reply.body
    return body


def assert_refused(reply: Reply, status: int, reason: str | None) -> None:
    """By a Status which says the same as the status line"""
    body = reply.body
    found = (reply.status, *(body.get(key) for key in ("kind", "status", "code", "reason")))
    assert found == (status, "Status", "Failure", status, reason), reply


def assert_invalid(reply: Reply, *blamed: str) -> None:
    assert_refused(reply, 422, "Invalid")
    assert {cause["field"] for cause in reply.body["details"]["causes"]} == set(blamed)


def fields(answer: dict[str, Any]) -> dict[str, Any]:
    """What is set in the spec: a model cannot tell null from absent"""
    return {key: value for key, value in (answer["spec"] or {}).items() if value is not None}


def version(answer: dict[str, Any]) -> int:
    return int(answer["metadata"]["resourceVersion"])


def instant(time: str) -> datetime:
    """The same for all ways of writing it: the models have theirs"""
    return datetime.fromisoformat(time.replace("Z", "+00:00"))


def start(leases: Leases) -> str:
    """The version from which a watch sees all that happens from now on"""
    text: str = accepted(leases.list())["metadata"]["resourceVersion"]
    return text


def events(leases: Leases, count: int, **query: str) -> list[tuple[str, str, int]]:
    """Type, name and version of the next so many; fewer if they do not come within seconds"""
    with leases.watch(timeoutSeconds="5", **query) as stream:
        return [summary(event) for event in islice(stream, count)]


def summary(event: dict[str, Any]) -> tuple[str, str, int]:
    return event["type"], event["object"]["metadata"]["name"], version(event["object"])

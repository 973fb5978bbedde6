"""From the line of an HTTP request to what is meant by it; what the server tells of itself."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ._kinds import CORE_EVENT, KINDS, LEASE, Kind
from ._refusal import Refusal
from ._service import Call

_VERBS = {
    ("POST", False): "create",
    ("GET", False): "list",
    ("GET", True): "get",
    ("PUT", True): "update",
    ("PATCH", True): "patch",
    ("DELETE", True): "delete",
}
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?/?"
)
_KINDS = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}


def route(method: str, target: str) -> Call:
    """Return what is asked for, without its body and its user.

    :raises Refusal: 404 or 405, it is nothing that is known here.
    """
    parts = urlsplit(target)
    found = _PATH.fullmatch(parts.path)
    kind = _KINDS.get((found["group"] or "", found["version"], found["plural"])) if found else None
    if found is None or kind is None:
        raise Refusal(404, "the server could not find the requested resource")
    verb = _VERBS.get((method, found["name"] is not None))
    if verb is None or (found["namespace"] is None and verb != "list"):
        raise Refusal(405, "the server does not allow this method on the requested resource")
    query = dict(parse_qsl(parts.query))
    if verb == "list" and query.get("watch", "false") not in ("false", "0"):
        verb = "watch"
    namespace = unquote(found["namespace"]) if found["namespace"] else None
    return Call(verb, kind, namespace, unquote(found["name"] or ""), query=query)


def discovery(path: str) -> dict[str, Any] | str | None:
    """Return what a GET of `path` tells of the server itself, `None` where it tells nothing."""
    return _DISCOVERY.get(path.rstrip("/"))


def _resources(kind: Kind) -> dict[str, Any]:
    resource = {
        "name": kind.plural,
        "singularName": kind.name.lower(),
        "namespaced": True,
        "kind": kind.name,
        "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
    }
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": kind.api_version,
        "resources": [resource],
    }


def _groups() -> dict[str, Any]:
    groups = []
    for kind in KINDS:
        if kind.group:
            version = {"groupVersion": kind.api_version, "version": kind.version}
            groups.append({"name": kind.group, "versions": [version], "preferredVersion": version})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _open_api() -> dict[str, Any]:
    """As much as kubectl looks at before it writes: that a patch knows `fieldValidation`."""
    kind = {"group": LEASE.group, "version": LEASE.version, "kind": LEASE.name}
    patch = {
        "parameters": [{"name": "fieldValidation", "in": "query"}],
        "responses": {},
        "x-kubernetes-group-version-kind": kind,
    }
    path = f"{LEASES}/namespaces/{{namespace}}/{LEASE.plural}/{{name}}"
    info = {"title": "Leases", "version": LEASE.version}
    return {"openapi": "3.0.0", "info": info, "paths": {path: {"patch": patch}}}


REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
LEASES = f"/apis/{LEASE.api_version}"
_OPEN_API = "/openapi/v3"

_DISCOVERY: dict[str, dict[str, Any] | str] = {
    "/healthz": "ok",
    "/livez": "ok",
    "/readyz": "ok",
    "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": _resources(CORE_EVENT),
    "/apis": _groups(),
    **{f"/apis/{kind.api_version}": _resources(kind) for kind in KINDS if kind.group},
    _OPEN_API: {"paths": {LEASES[1:]: {"serverRelativeURL": f"{_OPEN_API}{LEASES}?hash=1"}}},
    f"{_OPEN_API}{LEASES}": _open_api(),
}

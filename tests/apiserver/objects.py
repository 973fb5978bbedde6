"""The objects the harness writes, as JSON; independent of any client library's models"""

from __future__ import annotations

from typing import Any

_RBAC = "rbac.authorization.k8s.io"
_LEASES = "coordination.k8s.io"


def kubeconfig(*, server: str, ca_file: str, user: str, token: str) -> dict[str, Any]:
    cluster = {"server": server, "certificate-authority": ca_file}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        "current-context": "test",
    }


def lease_role(user: str, verbs: list[str], name: str) -> dict[str, Any]:
    """For the Lease of that name, or for all if it is empty"""
    rule: dict[str, Any] = {"apiGroups": [_LEASES], "resources": ["leases"], "verbs": verbs}
    if name:
        rule["resourceNames"] = [name]
    return {"metadata": {"generateName": f"{user}-"}, "rules": [rule]}


def role_binding(user: str, role: str) -> dict[str, Any]:
    return {
        "metadata": {"generateName": f"{user}-"},
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user}],
    }


def access_review(user: str, namespace: str, verb: str, name: str) -> dict[str, Any]:
    """The question whether `user` may do that to a Lease"""
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": _LEASES,
        "resource": "leases",
        "name": name,
    }
    return {"spec": {"user": user, "resourceAttributes": attributes}}

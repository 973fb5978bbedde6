"""``rbac``: what a candidate for a Lease must be allowed to do, and no more."""

from __future__ import annotations

import argparse
import json
import re

from ._options import add_lease, add_namespace, describe, lease_name, namespace_of, user_name
from ._say import say

VERBS = ("get", "update", "watch")  # of the one Lease; a create cannot be limited to a name

_REASON = """\
# What a candidate for the Lease {lease} must be allowed to do. It needs each of these verbs, and
# no other one; `watch` is for a LeaderElector, which polls where it may not.
#
# There is no `delete`: to a new candidate a deleted Lease looks as if nobody had ever led, so it
# would lead beside the old leader. To take the Lease from its holder by hand, name another. The
# old one then stops at its next call, and everybody waits until its time would have been over:
#
#   kubectl patch lease {lease} --type merge --patch '{{"spec": {{"holderIdentity": "nobody"}}}}'
"""
_SERVICE_ACCOUNT = """\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {subject}
  namespace: {namespace}
---
"""
_ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {name}
  namespace: {namespace}
rules:
  # A create cannot be limited to one name, which is not in the path of the request.
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [create]
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [{name}]
    verbs: [get, update, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {name}
  namespace: {namespace}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {name}
subjects:
"""
_TO_SERVICE_ACCOUNT = """\
  - kind: ServiceAccount
    name: {subject}
    namespace: {namespace}
"""
_TO_USER = """\
  - apiGroup: rbac.authorization.k8s.io
    kind: User
    name: {subject}
"""
# What YAML takes for text wherever it stands, but for these words.
_PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[a-z][-a-z0-9.]*", re.IGNORECASE)


def add_to(parser: argparse.ArgumentParser) -> None:
    """`parser` is that of this command."""
    describe(
        parser,
        "Print, as YAML, the least Role with which a program can contend for the Lease, and the"
        " RoleBinding of the ServiceAccount that it runs under. Asks no server.",
        "rbac my-app -n my-namespace | kubectl apply -f -",
        "rbac my-app --service-account default",
    )
    add_lease(parser)
    add_namespace(parser)
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument(
        "--service-account",
        type=lease_name,
        metavar="NAME",
        help="one that exists (default: a new one, with the name of the Lease)",
    )
    whom.add_argument(
        "--user", type=user_name, metavar="NAME", help="a user in the place of a ServiceAccount"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    say(
        manifest(
            options.lease,
            namespace_of(options),
            service_account=options.service_account,
            user=options.user,
        ),
        end="",
    )
    return 0


def manifest(
    lease: str, namespace: str, *, service_account: str | None = None, user: str | None = None
) -> str:
    """Return the Role and its RoleBinding as YAML; with neither a ServiceAccount of its own too."""
    parts = [_REASON]
    if service_account is None and user is None:
        parts.append(_SERVICE_ACCOUNT)
    parts += [_ROLE, _TO_SERVICE_ACCOUNT if user is None else _TO_USER]
    subject = user or service_account or lease
    return "".join(parts).format(
        lease=lease,
        name=_text(lease),
        namespace=_text(namespace),
        subject=_text(subject),
    )


def rule(verb: str, lease: str) -> str:
    """Return the one rule of a Role that allows `verb` on the Lease, as YAML."""
    names = [] if verb == "create" else [f"  resourceNames: [{_text(lease)}]"]
    lines = ["- apiGroups: [coordination.k8s.io]", "  resources: [leases]", *names]
    return "\n".join([*lines, f"  verbs: [{verb}]"])


def _text(text: str) -> str:
    """Return `text` so that YAML takes it for text, and not for a number or a truth."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text)

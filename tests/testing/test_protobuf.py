"""What Go's clients send, byte by byte as client-go 0.36 was seen to send it"""

from __future__ import annotations

import contextlib
import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest

from kube_leader_election.testing import ApiServer

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
PROTOBUF = {"Content-Type": "application/vnd.kubernetes.protobuf"}


def part(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + varint(value)


def body(kind: bytes, content: bytes, api: bytes = b"coordination.k8s.io/v1") -> bytes:
    type_meta = part(1, part(1, api) + part(2, kind))
    return b"k8s\0" + type_meta + part(2, content) + part(3, b"") + part(4, b"")


TIME = number(1, 1_704_164_645) + number(2, 806_867_800)
METADATA = (
    part(1, b"leader") + part(2, b"") + part(3, b"default") + part(4, b"") + part(5, b"")
) + (part(6, b"") + number(7, 0) + part(8, b""))
SPEC = part(1, b"") + number(2, 60) + part(3, TIME) + part(4, TIME) + number(5, 0)


def post(server: ApiServer, content: bytes, path: str = LEASES) -> int:
    with contextlib.closing(http.client.HTTPConnection(urlsplit(server.url).netloc)) as connection:
        connection.request("POST", path, content, PROTOBUF)
        return connection.getresponse().status


def stored(server: ApiServer) -> dict[str, Any]:
    lease = server.stored_lease("leader")
    assert lease is not None
    return lease


def test_what_is_written_is_set_also_where_it_is_empty_or_0(lease_server: ApiServer) -> None:
    assert post(lease_server, body(b"Lease", part(1, METADATA) + part(2, SPEC))) == 201
    assert stored(lease_server)["spec"] == {
        "holderIdentity": "",
        "leaseDurationSeconds": 60,
        "acquireTime": "2024-01-02T03:04:05.806867Z",
        "renewTime": "2024-01-02T03:04:05.806867Z",
        "leaseTransitions": 0,
    }


def test_what_is_not_written_is_not_set(lease_server: ApiServer) -> None:
    assert post(lease_server, body(b"Lease", part(1, METADATA))) == 201
    assert stored(lease_server)["spec"] == {}


def test_repeated_fields_are_kept_each(lease_server: ApiServer) -> None:
    labels = b"".join(part(11, part(1, key) + part(2, b"x")) for key in (b"a", b"b"))
    finalizers = part(14, b"example.com/one") + part(14, b"example.com/two")
    owner = part(1, b"Pod") + part(3, b"pod") + part(4, b"uid") + part(5, b"v1") + number(6, 1)
    owners = part(13, owner) + part(13, owner)
    metadata = METADATA + labels + finalizers + owners
    assert post(lease_server, body(b"Lease", part(1, metadata))) == 201
    kept = stored(lease_server)["metadata"]
    reference = {"kind": "Pod", "name": "pod", "uid": "uid", "apiVersion": "v1", "controller": True}
    assert kept["labels"] == {"a": "x", "b": "x"}
    assert kept["finalizers"] == ["example.com/one", "example.com/two"]
    assert kept["ownerReferences"] == [reference, reference]


def test_an_access_review_is_answered(lease_server: ApiServer) -> None:
    attributes = part(1, b"default") + part(2, b"update") + part(5, b"leases")
    review = body(
        b"SelfSubjectAccessReview", part(2, part(1, attributes)), b"authorization.k8s.io/v1"
    )
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert post(lease_server, review, path) == 201


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"metadata": {"name": "leader"}}',
        body(b"Pod", b""),
        body(b"Lease", part(1, METADATA))[:-20],
        body(b"Lease", part(1, number(1, 5))),
        body(b"Lease", part(1, METADATA) + part(2, part(2, b"60"))),
        body(b"Lease", part(1, METADATA) + part(2, part(4, number(1, 2**60)))),
        b"k8s\0\x0f",
        b"k8s\0\x80",
    ],
)
def test_what_is_no_such_object_is_refused(lease_server: ApiServer, content: bytes) -> None:
    assert post(lease_server, content) == 400
    assert lease_server.stored_lease("leader") is None

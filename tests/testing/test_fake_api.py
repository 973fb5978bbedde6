"""Leases in memory behind the client's methods: what is beyond the rules of the API server"""

from __future__ import annotations

import contextlib
import threading
from datetime import datetime, timezone
from typing import Any

import pytest
import urllib3
from kubernetes.client import V1Lease, V1LeaseSpec, V1ObjectMeta
from kubernetes.client.exceptions import ApiException
from kubernetes.watch import Watch

from kube_leader_election.testing import FakeClock, FakeCoordinationV1Api, faults

TIME = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=timezone.utc)


@pytest.fixture
def api() -> FakeCoordinationV1Api:
    return FakeCoordinationV1Api(clock=FakeClock())


def model(name: str = "leader", **spec: Any) -> V1Lease:
    return V1Lease(metadata=V1ObjectMeta(name=name), spec=V1LeaseSpec(**spec))


def test_models_go_in_and_come_out(api: FakeCoordinationV1Api) -> None:
    created = api.create_namespaced_lease("default", model(holder_identity="a", renew_time=TIME))
    read: Any = api.read_namespaced_lease("leader", "default")
    assert isinstance(created, V1Lease)
    assert read == created
    assert read.spec.renew_time == TIME
    assert read.metadata.uid
    assert read.metadata.creation_timestamp == FakeClock().utcnow().replace(microsecond=0)


def test_arguments_may_be_named(api: FakeCoordinationV1Api) -> None:
    api.create_namespaced_lease(namespace="default", body=model(holder_identity="a"))
    lease = api.read_namespaced_lease(name="leader", namespace="default", _request_timeout=(1, 1))
    lease.spec.holder_identity = "b"
    api.replace_namespaced_lease(name="leader", namespace="default", body=lease)
    api.patch_namespaced_lease(
        name="leader", namespace="default", body={"spec": {"leaseTransitions": 3}}
    )
    (listed,) = api.list_namespaced_lease(namespace="default").items
    assert (listed.spec.holder_identity, listed.spec.lease_transitions) == ("b", 3)
    api.delete_namespaced_lease(name="leader", namespace="default")
    assert api.list_namespaced_lease("default").items == []


def test_what_is_kept_is_a_copy_and_so_is_what_is_returned(api: FakeCoordinationV1Api) -> None:
    sent: Any = model(holder_identity="a")
    sent.metadata.labels = {"app": "x"}
    returned = api.create_namespaced_lease("default", sent)
    sent.metadata.labels["app"] = "changed"
    returned.metadata.labels["app"] = "changed"
    read = api.read_namespaced_lease("leader", "default")
    read.metadata.labels["app"] = "changed"
    stored = api.stored_lease("leader")
    assert stored is not None
    stored["metadata"]["labels"]["app"] = "changed"
    again = api.read_namespaced_lease("leader", "default")
    assert again.metadata.labels == {"app": "x"}


def test_a_time_on_a_whole_second_is_refused_as_the_typed_client_writes_it(
    api: FakeCoordinationV1Api,
) -> None:
    with pytest.raises(ApiException) as caught:
        api.create_namespaced_lease("default", model(renew_time=TIME.replace(microsecond=0)))
    assert caught.value.status == 400


def test_a_refusal_is_the_client_s_exception_with_a_status_object(
    api: FakeCoordinationV1Api,
) -> None:
    with pytest.raises(ApiException) as caught:
        api.read_namespaced_lease("leader", "default")
    assert (caught.value.status, caught.value.reason) == (404, "Not Found")
    assert '"reason": "NotFound"' in str(caught.value.body)


def test_an_option_that_the_client_does_not_have_is_refused(api: FakeCoordinationV1Api) -> None:
    with pytest.raises(TypeError, match="'timeout' is an option that FakeCoordinationV1Api does"):
        api.read_namespaced_lease("leader", "default", timeout=1)
    assert api.requests == []


def test_an_option_that_would_be_ignored_is_refused(api: FakeCoordinationV1Api) -> None:
    with pytest.raises(ApiException) as caught:
        api.list_namespaced_lease("default", label_selector="a=b")
    assert caught.value.status == 400


def test_the_options_of_a_list_mean_what_they_mean_over_http(api: FakeCoordinationV1Api) -> None:
    api.put_lease("leader")
    with pytest.raises(ApiException) as caught:
        api.list_namespaced_lease("default", resource_version="1", resource_version_match="Exact")
    assert caught.value.status == 400
    assert api.list_namespaced_lease("default", field_selector="metadata.name=LEADER").items == []


def test_every_request_is_logged_with_its_user_body_and_status(
    api: FakeCoordinationV1Api,
) -> None:
    api.as_user("b").create_namespaced_lease("default", model(holder_identity="b"))
    with pytest.raises(ApiException):
        api.as_user("c").read_namespaced_lease("other", "elsewhere")
    create, read = api.requests
    assert (create.verb, create.namespace, create.name) == ("create", "default", "leader")
    assert (create.user, create.status) == ("b", 201)
    assert create.body["spec"] == {"holderIdentity": "b"}
    assert (read.verb, read.namespace, read.name) == ("get", "elsewhere", "other")
    assert (read.user, read.status, read.body) == ("c", 404, None)


def test_a_lease_put_there_by_the_test_needs_no_more_than_its_holder(
    api: FakeCoordinationV1Api,
) -> None:
    api.put_lease("leader", holder_identity="b")
    spec = api.read_namespaced_lease("leader", "default").spec
    now = FakeClock().utcnow()
    assert (spec.holder_identity, spec.lease_duration_seconds) == ("b", 15)
    assert (spec.acquire_time, spec.renew_time) == (now, now)


def test_a_lease_put_there_again_is_the_same_one_of_another_version(
    api: FakeCoordinationV1Api,
) -> None:
    first = api.put_lease("leader", holder_identity="b")["metadata"]
    second = api.put_lease("leader", holder_identity="c")["metadata"]
    assert second["uid"] == first["uid"]
    assert int(second["resourceVersion"]) > int(first["resourceVersion"])


def test_a_lease_put_there_is_held_to_no_rule_and_is_no_request(
    api: FakeCoordinationV1Api,
) -> None:
    api.put_lease("leader", lease_duration_seconds=-1, renew_time=None, acquire_time=None)
    stored = api.stored_lease("leader")
    assert stored is not None
    assert stored["spec"] == {"leaseDurationSeconds": -1}
    assert api.requests == []


def test_a_field_that_no_lease_has_cannot_be_put(api: FakeCoordinationV1Api) -> None:
    with pytest.raises(TypeError, match="'holder' is no field of V1LeaseSpec"):
        api.put_lease("leader", holder="b")
    assert api.stored_lease("leader") is None


def test_the_watch_of_the_client_works_as_usual(api: FakeCoordinationV1Api) -> None:
    def write() -> None:
        for holder in "bcd":
            api.put_lease("leader", holder_identity=holder)
        api.remove_lease("leader")

    api.put_lease("leader", holder_identity="a")
    watch = Watch()
    seen: list[tuple[str, str]] = []
    for event in watch.stream(api.list_namespaced_lease, "default", timeout_seconds=20):
        if not seen:
            thread = threading.Thread(target=write)
            thread.start()
        seen.append((event["type"], event["object"].spec.holder_identity))
        if event["type"] == "DELETED":
            watch.stop()
    thread.join()
    assert seen == [
        ("ADDED", "a"),
        ("MODIFIED", "b"),
        ("MODIFIED", "c"),
        ("MODIFIED", "d"),
        ("DELETED", "d"),
    ]


def test_the_client_raises_what_it_raises_for_a_dead_connection(
    api: FakeCoordinationV1Api,
) -> None:
    for fault in (faults.lose_answer(), faults.reset()):
        api.fail_next(fault)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            api.read_namespaced_lease("leader", "default")


def test_a_hang_takes_the_client_s_whole_timeout_on_the_clock() -> None:
    clock = FakeClock()
    api = FakeCoordinationV1Api(clock=clock)
    api.fail_next(faults.hang())
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        api.read_namespaced_lease("leader", "default", _request_timeout=3)
    assert clock.monotonic() == FakeClock().monotonic() + 3


def test_a_watch_that_falls_silent_takes_no_longer_than_the_client_s_timeout() -> None:
    api = FakeCoordinationV1Api()
    api.fail_next(faults.stall_watch())
    response = api.list_namespaced_lease("default", watch=True, _request_timeout=(1, 0.05))
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        list(response.stream())


def test_a_watch_ends_with_the_block_of_the_api() -> None:
    with FakeCoordinationV1Api() as api:
        stream = api.list_namespaced_lease("default", watch=True).stream()
    assert list(stream) == []
    with pytest.raises(urllib3.exceptions.ProtocolError):
        api.read_namespaced_lease("leader", "default")


def test_the_leases_of_all_namespaces_can_be_listed(api: FakeCoordinationV1Api) -> None:
    api.put_lease("leader", "one")
    api.put_lease("leader", "two")
    listed = api.list_lease_for_all_namespaces(field_selector="metadata.name=leader").items
    assert [lease.metadata.namespace for lease in listed] == ["one", "two"]


def test_writes_of_many_threads_are_each_one_version() -> None:
    api = FakeCoordinationV1Api()
    won: list[int] = []

    def contend() -> None:
        for _ in range(20):
            lease = api.read_namespaced_lease("leader", "default")
            lease.spec.lease_transitions += 1
            with contextlib.suppress(ApiException):
                replaced = api.replace_namespaced_lease("leader", "default", lease)
                won.append(int(replaced.metadata.resource_version))

    api.put_lease("leader", lease_transitions=0)
    threads = [threading.Thread(target=contend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(won)) == len(won) > 0
    assert {request.status for request in api.requests} <= {200, 409}
    assert api.read_namespaced_lease("leader", "default").spec.lease_transitions == len(won)

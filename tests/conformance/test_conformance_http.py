"""What only plain HTTP shows of the answers: the bytes, the paths, the other resources"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.conformance.leases import API, JSON, MERGE_PATCH, HttpLeases, Reply, WatchRefused
from tests.conformance.objects import (
    FINALIZER,
    HELD,
    NAME,
    TIME,
    accepted,
    assert_refused,
    created,
    events,
    lease,
    sent_back,
    start,
    version,
)
from tests.conformance.tables import rows


@pytest.mark.parametrize(
    "payload",
    rows(
        {
            "nothing": b"",
            "no JSON": b"{nope",
            "something after it": b'{"metadata": {"name": "leader"}}x',
            "a list": b"[]",
            "a string": b'"a"',
            "a number": b"3",
        }
    ),
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_that_is_no_object_answers_400(
    http_leases: HttpLeases, method: str, payload: bytes
) -> None:
    path = http_leases.path if method == "POST" else f"{http_leases.path}/{NAME}"
    assert_refused(http_leases.send(method, path, payload), 400, "BadRequest")


@pytest.mark.parametrize(
    "payload", rows({"nothing": b"", "no JSON": b"{nope", "a list": b"[]", "a string": b'"a"'})
)
def test_a_patch_that_is_no_object_answers_400(http_leases: HttpLeases, payload: bytes) -> None:
    created(http_leases)
    path = f"{http_leases.path}/{NAME}"
    reply = http_leases.send("PATCH", path, payload, content_type=MERGE_PATCH)
    assert_refused(reply, 400, "BadRequest")


def applied(leases: HttpLeases, body: Any) -> Reply:
    return leases.request(
        "PATCH",
        f"{leases.path}/{NAME}",
        body,
        content_type="application/apply-patch+yaml",
        fieldManager="somebody",
        force="true",
    )


def test_an_apply_creates_what_is_absent(http_leases: HttpLeases) -> None:
    answer = accepted(applied(http_leases, lease()), 201)
    assert answer["spec"] == HELD
    assert accepted(http_leases.read(NAME))["metadata"]["uid"] == answer["metadata"]["uid"]


def test_an_apply_by_force_merges_into_what_there_is(http_leases: HttpLeases) -> None:
    before = created(http_leases, spec={**HELD, "leaseTransitions": 3})
    answer = accepted(applied(http_leases, lease(spec={"holderIdentity": "b"})))
    assert answer["spec"] == {**HELD, "holderIdentity": "b", "leaseTransitions": 3}
    assert version(answer) > version(before)


def test_an_apply_to_an_old_version_answers_409(http_leases: HttpLeases) -> None:
    before = created(http_leases)
    accepted(http_leases.replace(NAME, sent_back(before, {"holderIdentity": "b"})))
    body = lease(resourceVersion=before["metadata"]["resourceVersion"])
    assert_refused(applied(http_leases, body), 409, "Conflict")


def test_an_apply_to_a_deleted_lease_answers_409(http_leases: HttpLeases) -> None:
    before = created(http_leases)
    accepted(http_leases.delete(NAME))
    assert_refused(applied(http_leases, lease(uid=before["metadata"]["uid"])), 409, "Conflict")


def test_a_delete_whose_body_is_no_json_answers_400(http_leases: HttpLeases) -> None:
    created(http_leases)
    reply = http_leases.send("DELETE", f"{http_leases.path}/{NAME}", b"{nope")
    assert_refused(reply, 400, "BadRequest")
    accepted(http_leases.read(NAME))


@pytest.mark.parametrize(
    ("method", "content_type"),
    [("POST", "text/plain"), ("PUT", "text/plain"), ("PATCH", "text/plain"), ("PATCH", JSON)],
)
def test_another_content_type_answers_415(
    http_leases: HttpLeases, method: str, content_type: str
) -> None:
    path = http_leases.path if method == "POST" else f"{http_leases.path}/{NAME}"
    reply = http_leases.request(method, path, lease(), content_type=content_type)
    assert_refused(reply, 415, "UnsupportedMediaType")


def test_a_content_type_may_have_a_charset(http_leases: HttpLeases) -> None:
    content_type = "application/json; charset=utf-8"
    reply = http_leases.request("POST", http_leases.path, lease(), content_type=content_type)
    accepted(reply, 201)


@pytest.mark.parametrize(
    "body",
    rows(
        {
            "in the spec": lease(spec={**HELD, "nope": 1}),
            "in the metadata": lease(nope=1),
            "beside them": {**lease(), "nope": 1},
            "in another case": lease(spec={**HELD, "RenewTime": TIME}),
        }
    ),
)
def test_an_unknown_field_is_dropped(http_leases: HttpLeases, body: Any) -> None:
    answer = accepted(http_leases.create(body), 201)
    assert answer["spec"] == HELD
    assert not {"nope"} & {*answer, *answer["metadata"]}


def test_an_unknown_field_is_no_change(http_leases: HttpLeases) -> None:
    before = created(http_leases)
    replaced = accepted(http_leases.replace(NAME, sent_back(before, {"nope": 1})))
    patched = accepted(http_leases.patch(NAME, {"spec": {"nope": 1}}))
    assert version(before) == version(replaced) == version(patched)


def test_what_is_absent_has_no_key_in_the_answer(http_leases: HttpLeases) -> None:
    answer = accepted(http_leases.create({"metadata": {"name": NAME, "labels": {}}}), 201)
    assert answer["spec"] == {}
    assert not answer["metadata"].keys() & {"labels", "annotations", "deletionTimestamp"}


def test_a_time_in_an_answer_has_six_digits_and_a_z(http_leases: HttpLeases) -> None:
    answer = created(http_leases, spec={"renewTime": "2024-01-02T03:04:05.000000+02:00"})
    assert answer["spec"] == {"renewTime": "2024-01-02T01:04:05.000000Z"}
    created_at = answer["metadata"]["creationTimestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created_at)


def test_every_answer_has_the_time_of_the_server(http_leases: HttpLeases) -> None:
    began_at = int(time.time())
    answers = [http_leases.create(lease()), http_leases.read(NAME), http_leases.read("nope")]
    dates = [parsedate_to_datetime(answer.headers["Date"]).timestamp() for answer in answers]
    assert [answer.status for answer in answers] == [201, 200, 404]
    assert began_at <= min(dates)
    assert max(dates) <= time.time()


def test_a_year_beyond_9999_is_in_the_answer_if_the_offset_leads_there(
    http_leases: HttpLeases,
) -> None:
    answer = created(http_leases, spec={"renewTime": "9999-12-31T23:59:59.999999-01:00"})
    assert answer["spec"] == {"renewTime": "10000-01-01T00:59:59.999999Z"}


def test_the_fields_of_coordinated_leader_election_are_kept(http_leases: HttpLeases) -> None:
    spec = {**HELD, "strategy": "OldestEmulationVersion", "preferredHolder": "b"}
    assert created(http_leases, spec=spec)["spec"] == spec


def test_the_items_of_a_list_have_no_kind(http_leases: HttpLeases) -> None:
    created(http_leases)
    (item,) = accepted(http_leases.list())["items"]
    assert not item.keys() & {"kind", "apiVersion"}


def test_a_success_status_has_no_code_and_no_reason(http_leases: HttpLeases) -> None:
    created(http_leases)
    body = accepted(http_leases.delete(NAME))
    assert not body.keys() & {"code", "reason", "message"}
    assert body["details"].keys() == {"name", "group", "kind", "uid"}


def test_a_delete_that_a_finalizer_delays_answers_with_the_lease(http_leases: HttpLeases) -> None:
    created(http_leases, finalizers=[FINALIZER])
    body = accepted(http_leases.delete(NAME))
    assert body["kind"] == "Lease"
    assert body["metadata"]["deletionTimestamp"]
    assert body == accepted(http_leases.read(NAME))


def test_a_path_of_no_resource_answers_404(http_leases: HttpLeases) -> None:
    parent = f"{API}/namespaces/{http_leases.namespace}"
    assert_refused(http_leases.request("GET", f"{parent}/nopes/{NAME}"), 404, "NotFound")
    assert_refused(http_leases.request("POST", f"{parent}/nopes", {}), 404, "NotFound")


def test_a_path_of_no_group_answers_404(http_leases: HttpLeases) -> None:
    path = f"/apis/nope.example.com/v1/namespaces/{http_leases.namespace}/leases"
    assert http_leases.request("GET", path).status == 404
    assert http_leases.request("GET", "/nope").status == 404


def test_an_unknown_namespace_is_an_empty_one_to_readers(http_leases: HttpLeases) -> None:
    path = f"{API}/namespaces/nowhere/leases"
    assert_refused(http_leases.request("GET", f"{path}/{NAME}"), 404, "NotFound")
    assert_refused(http_leases.request("DELETE", f"{path}/{NAME}"), 404, "NotFound")
    assert accepted(http_leases.request("GET", path))["items"] == []


def test_a_lease_of_one_namespace_is_not_in_another(http_leases: HttpLeases) -> None:
    created(http_leases)
    reply = http_leases.request("GET", f"{API}/namespaces/default/leases/{NAME}")
    assert_refused(reply, 404, "NotFound")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", f"/{NAME}"), ("PUT", ""), ("PATCH", ""), ("OPTIONS", "")]
)
def test_a_method_that_is_not_for_this_path_answers_405(
    http_leases: HttpLeases, method: str, path: str
) -> None:
    content_type = MERGE_PATCH if method == "PATCH" else JSON
    reply = http_leases.request(method, http_leases.path + path, lease(), content_type=content_type)
    assert_refused(reply, 405, "MethodNotAllowed")


def test_a_watch_may_be_asked_for_with_1(http_leases: HttpLeases) -> None:
    first = created(http_leases)
    assert events(http_leases, 1, watch="1") == [("ADDED", NAME, version(first))]


@pytest.mark.parametrize("seconds", ["abc", "0.5"])
def test_a_watch_with_a_timeout_that_is_no_number_answers_400(
    http_leases: HttpLeases, seconds: str
) -> None:
    with (
        pytest.raises(WatchRefused) as refused,
        http_leases.watch(timeoutSeconds=seconds) as stream,
    ):
        list(stream)
    assert_refused(refused.value.reply, 400, "BadRequest")


def test_the_head_of_an_idle_watch_comes_at_once(http_leases: HttpLeases) -> None:
    began_at = time.monotonic()
    with http_leases.watch(resourceVersion=start(http_leases), timeoutSeconds="5"):
        opened_after = time.monotonic() - began_at
    assert opened_after < 2


def test_an_access_review_allows_an_administrator_everything(http_leases: HttpLeases) -> None:
    attributes = {
        "namespace": http_leases.namespace,
        "verb": "update",
        "group": "coordination.k8s.io",
        "resource": "leases",
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = accepted(http_leases.request("POST", path, body), 201)
    assert answer["kind"] == "SelfSubjectAccessReview"
    assert answer["status"]["allowed"] is True


def test_an_event_is_created_with_a_uid_and_a_generated_name(http_leases: HttpLeases) -> None:
    namespace = http_leases.namespace
    about = {"kind": "Lease", "name": NAME, "namespace": namespace}
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{NAME}-", "namespace": namespace},
        "involvedObject": {"apiVersion": "coordination.k8s.io/v1", **about},
        "reason": "LeaderElection",
        "message": "a became leader",
        "type": "Normal",
    }
    path = f"/api/v1/namespaces/{namespace}/events"
    answer = accepted(http_leases.request("POST", path, body), 201)
    assert answer["metadata"]["uid"]
    assert answer["metadata"]["name"].startswith(f"{NAME}-")
    assert (answer["reason"], answer["message"]) == ("LeaderElection", "a became leader")

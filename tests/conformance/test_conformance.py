"""What the Kubernetes API server answers, and thus what those must that stand in for it

All was measured on kube-apiserver 1.36.3. The texts of messages are not part of it.
"""

from __future__ import annotations

import re
import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.leases import Leases, Reply, WatchRefused
from tests.conformance.objects import (
    FINALIZER,
    HELD,
    NAME,
    OTHER_UID,
    TIME,
    accepted,
    assert_invalid,
    assert_refused,
    created,
    events,
    fields,
    instant,
    lease,
    sent_back,
    start,
    summary,
    version,
)
from tests.conformance.tables import (
    BADLY_WRITTEN_TIMES,
    COORDINATED_SPECS,
    DURATION,
    INVALID_SPECS,
    METADATA,
    MISTYPED_SPECS,
    NAMES_THAT_ARE_NONE,
    VALID_SPECS,
    VERSION,
    WELL_WRITTEN_TIMES,
    rows,
)


def test_a_create_answers_201_with_the_lease_as_stored(leases: Leases) -> None:
    spec = {**HELD, "acquireTime": TIME, "renewTime": TIME, "leaseTransitions": 0}
    answer = created(leases, spec=spec)
    stored = accepted(leases.read(NAME))
    assert (answer["kind"], answer["apiVersion"]) == ("Lease", "coordination.k8s.io/v1")
    assert answer["metadata"]["name"] == NAME
    assert answer["metadata"]["namespace"] == leases.namespace
    assert fields(answer).keys() == spec.keys()
    assert fields(answer).items() >= {**HELD, "leaseTransitions": 0}.items()
    assert instant(fields(answer)["renewTime"]) == instant(TIME)
    assert fields(answer) == fields(stored)
    for key in ("uid", "resourceVersion", "creationTimestamp"):
        assert answer["metadata"][key]
        assert answer["metadata"][key] == stored["metadata"][key]


def test_two_leases_have_different_uids(leases: Leases) -> None:
    first, second = created(leases, "first"), created(leases, "second")
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


def test_a_create_over_an_existing_lease_answers_409_and_changes_nothing(leases: Leases) -> None:
    before = created(leases)
    reply = leases.create(lease(spec={"holderIdentity": "b"}))
    after = accepted(leases.read(NAME))
    assert_refused(reply, 409, "AlreadyExists")
    assert reply.body["details"]["name"] == NAME
    assert (version(after), fields(after)) == (version(before), HELD)


def test_an_invalid_create_over_an_existing_lease_answers_422(leases: Leases) -> None:
    created(leases)
    assert_invalid(leases.create(lease(spec={"leaseDurationSeconds": 0})), DURATION)


@pytest.mark.parametrize(
    "body",
    rows(
        {
            "no name": {"metadata": {}, "spec": {}},
            "an empty name": {"metadata": {"name": ""}, "spec": {}},
            "null for the name": {"metadata": {"name": None}, "spec": {}},
            "no metadata": {"spec": {}},
            "null for the metadata": {"metadata": None, "spec": {}},
            "nothing at all": {},
        }
    ),
)
def test_a_create_without_a_name_answers_422(leases: Leases, body: Any) -> None:
    assert_invalid(leases.create(body), "metadata.name")


@pytest.mark.parametrize("name", NAMES_THAT_ARE_NONE)
def test_a_name_that_is_no_dns_subdomain_answers_422(leases: Leases, name: str) -> None:
    assert_invalid(leases.create(lease(name)), "metadata.name")


@pytest.mark.parametrize(
    "name",
    rows({"a digit": "1", "dots and dashes": "a.b-c.1", "253 characters": "a" * 253}),
)
def test_a_dns_subdomain_is_a_name(leases: Leases, name: str) -> None:
    assert created(leases, name)["metadata"]["name"] == name
    assert accepted(leases.read(name))["metadata"]["name"] == name


def test_a_bad_name_and_a_bad_spec_are_both_blamed(leases: Leases) -> None:
    reply = leases.create(lease("Leader", {"leaseDurationSeconds": 0}))
    assert_invalid(reply, "metadata.name", DURATION)


def test_a_name_is_sensitive_to_case(leases: Leases) -> None:
    created(leases, "leader")
    assert_refused(leases.read("LEADER"), 404, "NotFound")


def test_generate_name_is_a_prefix_of_the_name(leases: Leases) -> None:
    answers = [leases.create({"metadata": {"generateName": "work-"}}) for _ in range(2)]
    names = {accepted(answer, 201)["metadata"]["name"] for answer in answers}
    assert len(names) == 2
    assert all(re.fullmatch("work-[a-z0-9]{5}", name) for name in names)


def test_a_name_wins_over_generate_name(leases: Leases) -> None:
    assert created(leases, generateName="work-")["metadata"]["name"] == NAME


def test_a_create_with_a_version_answers_500(leases: Leases) -> None:
    assert_refused(leases.create(lease(resourceVersion="1")), 500, None)
    assert_refused(leases.read(NAME), 404, "NotFound")


def test_a_create_with_a_version_over_an_existing_lease_answers_500(leases: Leases) -> None:
    created(leases)
    assert_refused(leases.create(lease(resourceVersion="1")), 500, None)


@pytest.mark.parametrize("text", rows({"zero": "0", "empty": "", "no number": "abc"}))
def test_a_create_ignores_a_version_that_is_none(leases: Leases, text: str) -> None:
    answer = created(leases, resourceVersion=text)
    assert answer["metadata"]["resourceVersion"] not in ("0", "", "abc")


def test_a_create_ignores_the_fields_that_the_server_sets(leases: Leases) -> None:
    long_ago = "2001-01-01T00:00:00Z"
    answer = created(leases, uid=OTHER_UID, creationTimestamp=long_ago, deletionTimestamp=long_ago)
    assert answer["metadata"]["uid"] != OTHER_UID
    assert not answer["metadata"]["creationTimestamp"].startswith("2001")
    assert answer["metadata"].get("deletionTimestamp") is None


def test_a_create_with_another_namespace_in_the_body_answers_400(leases: Leases) -> None:
    assert_refused(leases.create(lease(namespace="another")), 400, "BadRequest")


def test_a_create_may_name_its_namespace(leases: Leases) -> None:
    created(leases, "named", namespace=leases.namespace)
    created(leases, "empty", namespace="")


@pytest.mark.parametrize(
    "type_meta",
    rows(
        {
            "neither": {},
            "no kind": {"apiVersion": "coordination.k8s.io/v1"},
            "no apiVersion": {"kind": "Lease"},
            "null for both": {"kind": None, "apiVersion": None},
        }
    ),
)
def test_a_create_needs_no_kind_and_no_api_version(leases: Leases, type_meta: Any) -> None:
    body = {**type_meta, "metadata": {"name": NAME}, "spec": HELD}
    answer = accepted(leases.create(body), 201)
    assert (answer["kind"], answer["apiVersion"]) == ("Lease", "coordination.k8s.io/v1")


@pytest.mark.parametrize(
    "type_meta",
    rows(
        {
            "another kind": {"kind": "Pod"},
            "a kind in lower case": {"kind": "lease"},
            "the kind of a list": {"kind": "LeaseList"},
            "no group": {"apiVersion": "v1"},
            "another version": {"apiVersion": "coordination.k8s.io/v2"},
            "an older version": {"apiVersion": "coordination.k8s.io/v1beta1"},
            "two slashes": {"apiVersion": "a/b/c"},
        }
    ),
)
def test_a_wrong_kind_or_api_version_answers_400(leases: Leases, type_meta: Any) -> None:
    assert_refused(leases.create({**lease(), **type_meta}), 400, "BadRequest")
    body = {**sent_back(created(leases)), **type_meta}
    assert_refused(leases.replace(NAME, body), 400, "BadRequest")


@pytest.mark.parametrize(
    "body",
    rows(
        {
            "no spec": {"metadata": {"name": NAME}},
            "null for the spec": {"metadata": {"name": NAME}, "spec": None},
            "null for each field": lease(spec=dict.fromkeys([*HELD, "renewTime", "strategy"])),
        }
    ),
)
def test_a_create_without_a_spec_has_none_of_its_fields(leases: Leases, body: Any) -> None:
    assert fields(accepted(leases.create(body), 201)) == {}


@pytest.mark.parametrize("spec", VALID_SPECS)
def test_a_valid_spec_is_kept_as_it_is(leases: Leases, spec: Any) -> None:
    assert fields(created(leases, spec=spec)) == spec
    assert fields(accepted(leases.read(NAME))) == spec


@pytest.mark.parametrize("spec", COORDINATED_SPECS)
def test_a_spec_for_coordinated_leader_election_is_accepted(leases: Leases, spec: Any) -> None:
    created(leases, spec=spec)


@pytest.mark.parametrize("case", INVALID_SPECS)
def test_a_create_with_an_invalid_spec_answers_422(leases: Leases, case: Any) -> None:
    spec, blamed = case
    assert_invalid(leases.create(lease(spec=spec)), *blamed)
    assert_refused(leases.read(NAME), 404, "NotFound")


@pytest.mark.parametrize("case", INVALID_SPECS)
def test_a_replace_with_an_invalid_spec_answers_422(leases: Leases, case: Any) -> None:
    spec, blamed = case
    before = created(leases)
    assert_invalid(leases.replace(NAME, sent_back(before, spec)), *blamed)
    assert version(accepted(leases.read(NAME))) == version(before)


@pytest.mark.parametrize("case", INVALID_SPECS)
def test_a_patch_to_an_invalid_spec_answers_422(leases: Leases, case: Any) -> None:
    spec, blamed = case
    before = created(leases)
    assert_invalid(leases.patch(NAME, {"spec": spec}), *blamed)
    assert version(accepted(leases.read(NAME))) == version(before)


@pytest.mark.parametrize("spec", MISTYPED_SPECS)
def test_a_create_with_a_wrong_type_answers_400(leases: Leases, spec: Any) -> None:
    assert_refused(leases.create(lease(spec=spec)), 400, "BadRequest")


@pytest.mark.parametrize("spec", MISTYPED_SPECS)
def test_a_patch_to_a_wrong_type_answers_422(leases: Leases, spec: Any) -> None:
    created(leases)
    assert_invalid(leases.patch(NAME, {"spec": spec}), "patch")


def test_a_replace_with_a_wrong_type_answers_400_before_anything_else(leases: Leases) -> None:
    body = sent_back(created(leases), {"leaseDurationSeconds": "15"}, uid=OTHER_UID)
    assert_refused(leases.replace(NAME, body), 400, "BadRequest")
    assert_refused(leases.replace("another", body), 400, "BadRequest")


@pytest.mark.parametrize(
    "metadata",
    rows(
        {
            "a number for the name": {"name": 5},
            "a number for the version": {"resourceVersion": 5},
            "a number for a label": {"labels": {"a": 1}},
            "a list for the annotations": {"annotations": []},
        }
    ),
)
def test_a_wrong_type_in_the_metadata_answers_400(leases: Leases, metadata: Any) -> None:
    body = lease()
    body["metadata"] |= metadata
    assert_refused(leases.create(body), 400, "BadRequest")


@pytest.mark.parametrize("case", WELL_WRITTEN_TIMES)
def test_a_time_is_read_back_as_the_same_instant(leases: Leases, case: Any) -> None:
    written, read = case
    created(leases, spec={"acquireTime": written, "renewTime": written})
    stored = fields(accepted(leases.read(NAME)))
    assert instant(stored["acquireTime"]) == instant(stored["renewTime"]) == instant(read)


@pytest.mark.parametrize("text", BADLY_WRITTEN_TIMES)
@pytest.mark.parametrize("key", ["acquireTime", "renewTime"])
def test_a_time_not_written_with_six_digits_and_an_offset_answers_400(
    leases: Leases, key: str, text: str
) -> None:
    assert_refused(leases.create(lease(spec={key: text})), 400, "BadRequest")


def test_a_patch_to_a_time_without_six_digits_answers_422(leases: Leases) -> None:
    created(leases)
    assert_invalid(leases.patch(NAME, {"spec": {"renewTime": "2024-01-02T03:04:05Z"}}), "patch")


def test_the_first_instant_of_year_1_is_no_time(leases: Leases) -> None:
    created(leases, spec={"renewTime": "0001-01-01T00:00:00.000000Z"})
    assert fields(accepted(leases.read(NAME))) == {}


def test_an_empty_holder_differs_from_none(leases: Leases) -> None:
    before = created(leases, spec={"holderIdentity": ""})
    after = accepted(leases.replace(NAME, sent_back(before, {"holderIdentity": None})))
    assert fields(before) == {"holderIdentity": ""}
    assert fields(after) == {}
    assert version(after) > version(before)


def test_a_create_keeps_the_metadata(leases: Leases) -> None:
    created(leases, **METADATA)
    stored = accepted(leases.read(NAME))["metadata"]
    assert [stored[key] for key in ("labels", "annotations", "finalizers")] == [
        METADATA[key] for key in ("labels", "annotations", "finalizers")
    ]
    assert [owner["uid"] for owner in stored["ownerReferences"]] == ["u"]


def test_a_read_of_an_absent_lease_answers_404(leases: Leases) -> None:
    reply = leases.read(NAME)
    assert_refused(reply, 404, "NotFound")
    assert reply.body["details"]["name"] == NAME


def test_a_read_of_a_name_that_can_be_none_answers_404(leases: Leases) -> None:
    assert_refused(leases.read("A_b"), 404, "NotFound")


def test_a_replace_with_the_current_version_answers_200_and_a_greater_one(leases: Leases) -> None:
    before = created(leases)
    after = accepted(leases.replace(NAME, sent_back(before, {"holderIdentity": "b"})))
    stored = accepted(leases.read(NAME))
    assert fields(after) == fields(stored) == {**HELD, "holderIdentity": "b"}
    assert version(after) == version(stored) > version(before)
    for key in ("uid", "creationTimestamp"):
        assert after["metadata"][key] == before["metadata"][key]


def test_of_two_replaces_of_one_version_the_second_answers_409(leases: Leases) -> None:
    before = created(leases)
    accepted(leases.replace(NAME, sent_back(before, {"holderIdentity": "b"})))
    reply = leases.replace(NAME, sent_back(before, {"holderIdentity": "c"}))
    assert_refused(reply, 409, "Conflict")
    assert reply.body["details"]["name"] == NAME
    assert fields(accepted(leases.read(NAME)))["holderIdentity"] == "b"


@pytest.mark.parametrize(
    "text", rows({"the past": "1", "the future": "999999999999", "a leading zero": "01"})
)
def test_a_replace_with_another_version_answers_409(leases: Leases, text: str) -> None:
    body = sent_back(created(leases), {"holderIdentity": "b"}, resourceVersion=text)
    assert_refused(leases.replace(NAME, body), 409, "Conflict")


def test_a_replace_takes_the_version_for_a_number(leases: Leases) -> None:
    before = created(leases)
    body = sent_back(before, {"holderIdentity": "b"}, resourceVersion=f"0{version(before)}")
    assert version(accepted(leases.replace(NAME, body))) > version(before)


@pytest.mark.parametrize("text", rows({"zero": "0", "empty": "", "null": None}))
def test_a_replace_of_an_existing_lease_with_no_version_answers_422(
    leases: Leases, text: str | None
) -> None:
    body = sent_back(created(leases), {"holderIdentity": "b"}, resourceVersion=text)
    assert_invalid(leases.replace(NAME, body), VERSION)


def test_a_replace_of_an_existing_lease_without_a_version_answers_422(leases: Leases) -> None:
    before = created(leases)
    body = sent_back(before, {"holderIdentity": "b"}, "resourceVersion")
    assert_invalid(leases.replace(NAME, body), VERSION)
    assert_invalid(leases.replace(NAME, lease(spec={"holderIdentity": "b"})), VERSION)
    assert fields(accepted(leases.read(NAME))) == HELD


@pytest.mark.parametrize(
    "text", rows({"no number": "abc", "negative": "-1", "a fraction": "1.5", "too big": f"{2**64}"})
)
def test_a_replace_with_a_version_that_is_no_number_answers_500(leases: Leases, text: str) -> None:
    body = sent_back(created(leases), {"holderIdentity": "b"}, resourceVersion=text)
    assert_refused(leases.replace(NAME, body), 500, None)


@pytest.mark.parametrize("text", rows({"right": "", "old": "1", "no number": "abc"}))
def test_a_replace_with_another_uid_answers_409_whatever_the_version(
    leases: Leases, text: str
) -> None:
    before = created(leases)
    body = sent_back(before, {"holderIdentity": "b"}, uid=OTHER_UID)
    body["metadata"]["resourceVersion"] = text or before["metadata"]["resourceVersion"]
    assert_refused(leases.replace(NAME, body), 409, "Conflict")
    assert version(accepted(leases.read(NAME))) == version(before)


def test_a_replace_with_another_uid_and_no_version_answers_409(leases: Leases) -> None:
    body = sent_back(created(leases), {"holderIdentity": "b"}, "resourceVersion", uid=OTHER_UID)
    assert_refused(leases.replace(NAME, body), 409, "Conflict")


def test_a_replace_needs_no_uid(leases: Leases) -> None:
    before = created(leases)
    after = accepted(leases.replace(NAME, sent_back(before, {"holderIdentity": "b"}, "uid")))
    last = accepted(leases.replace(NAME, sent_back(after, {"holderIdentity": "c"}, uid="")))
    assert last["metadata"]["uid"] == before["metadata"]["uid"]
    assert version(last) > version(after) > version(before)


def test_a_replace_with_another_name_answers_400(leases: Leases) -> None:
    before = created(leases)
    assert_refused(leases.replace(NAME, sent_back(before, name="other")), 400, "BadRequest")
    assert_refused(leases.replace("other", sent_back(before)), 400, "BadRequest")


def test_a_replace_without_a_name_answers_400(leases: Leases) -> None:
    before = created(leases)
    assert_refused(leases.replace(NAME, sent_back(before, None, "name")), 400, "BadRequest")
    assert_refused(leases.replace("absent", {"spec": HELD}), 400, "BadRequest")


def test_a_replace_with_another_namespace_answers_400(leases: Leases) -> None:
    before = created(leases)
    body = sent_back(before, {"holderIdentity": "b"}, namespace="another")
    assert_refused(leases.replace(NAME, body), 400, "BadRequest")


def test_a_replace_with_an_old_version_and_an_invalid_spec_answers_409(leases: Leases) -> None:
    body = sent_back(created(leases), {"leaseDurationSeconds": 0}, resourceVersion="1")
    assert_refused(leases.replace(NAME, body), 409, "Conflict")


def test_a_replace_without_a_version_and_with_an_invalid_spec_blames_the_version(
    leases: Leases,
) -> None:
    body = sent_back(created(leases), {"leaseDurationSeconds": 0}, "resourceVersion")
    assert_invalid(leases.replace(NAME, body), VERSION)


def test_a_replace_of_an_absent_lease_without_uid_and_version_creates_it(leases: Leases) -> None:
    answer = accepted(leases.replace(NAME, lease()), 201)
    assert answer["metadata"]["uid"] == accepted(leases.read(NAME))["metadata"]["uid"]


@pytest.mark.parametrize("text", ["7", "0"])
def test_a_replace_of_an_absent_lease_with_only_a_version_creates_it(
    leases: Leases, text: str
) -> None:
    answer = accepted(leases.replace(NAME, lease(resourceVersion=text)), 201)
    assert answer["metadata"]["resourceVersion"] != text


@pytest.mark.parametrize("metadata", rows({"alone": {}, "and a version": {"resourceVersion": "7"}}))
def test_a_replace_of_an_absent_lease_with_a_uid_answers_409(leases: Leases, metadata: Any) -> None:
    reply = leases.replace(NAME, lease(uid=OTHER_UID, **metadata))
    assert_refused(reply, 409, "Conflict")
    assert_refused(leases.read(NAME), 404, "NotFound")


def test_a_replace_of_an_absent_lease_with_a_version_that_is_no_number_answers_500(
    leases: Leases,
) -> None:
    assert_refused(leases.replace(NAME, lease(resourceVersion="abc")), 500, None)


def test_a_replace_of_an_absent_lease_is_validated_as_a_create(leases: Leases) -> None:
    reply = leases.replace(NAME, lease(spec={"leaseDurationSeconds": 0}))
    assert_invalid(reply, DURATION)
    assert_invalid(leases.replace("A_b", lease("A_b")), "metadata.name")


def test_a_replace_with_the_uid_of_a_deleted_lease_answers_409(leases: Leases) -> None:
    before = created(leases)
    accepted(leases.delete(NAME))
    assert_refused(leases.replace(NAME, sent_back(before)), 409, "Conflict")


def test_a_replace_with_the_uid_of_a_predecessor_answers_409(leases: Leases) -> None:
    before = created(leases)
    accepted(leases.delete(NAME))
    successor = created(leases)["metadata"]["resourceVersion"]
    body = sent_back(before, {"holderIdentity": "b"}, resourceVersion=successor)
    assert_refused(leases.replace(NAME, body), 409, "Conflict")


def test_a_replace_with_the_version_alone_creates_a_deleted_lease_again(leases: Leases) -> None:
    before = created(leases)
    accepted(leases.delete(NAME))
    answer = accepted(leases.replace(NAME, sent_back(before, None, "uid")), 201)
    assert answer["metadata"]["uid"] != before["metadata"]["uid"]


def test_a_replace_that_changes_nothing_keeps_the_version(leases: Leases) -> None:
    before = created(leases, spec={**HELD, "renewTime": TIME}, **METADATA)
    same = sent_back(before, {"renewTime": TIME}, **METADATA)
    assert version(accepted(leases.replace(NAME, same))) == version(before)
    assert version(accepted(leases.read(NAME))) == version(before)


@pytest.mark.parametrize(
    "metadata",
    rows(
        {
            "no uid": {"uid": None},
            "another creationTimestamp": {"creationTimestamp": "2001-01-01T00:00:00Z"},
            "empty metadata": {"labels": {}, "annotations": {}, "finalizers": []},
        }
    ),
)
def test_a_replace_that_changes_nothing_that_counts_keeps_the_version(
    leases: Leases, metadata: Any
) -> None:
    before = created(leases)
    after = accepted(leases.replace(NAME, sent_back(before, **metadata)))
    assert version(after) == version(before)


def test_a_replace_with_the_same_instant_in_another_offset_keeps_the_version(
    leases: Leases,
) -> None:
    before = created(leases, spec={"renewTime": "2024-01-02T03:04:05.678901Z"})
    body = sent_back(before, {"renewTime": "2024-01-02T05:04:05.678901+02:00"})
    assert version(accepted(leases.replace(NAME, body))) == version(before)


def test_a_replace_with_an_old_version_that_changes_nothing_answers_409(leases: Leases) -> None:
    body = sent_back(created(leases), resourceVersion="1")
    assert_refused(leases.replace(NAME, body), 409, "Conflict")


@pytest.mark.parametrize(
    "metadata",
    rows(
        {
            "absent": {},
            "null": {"creationTimestamp": None},
            "changed": {"creationTimestamp": "2001-01-01T00:00:00Z"},
        }
    ),
)
def test_a_replace_keeps_the_creation_timestamp(leases: Leases, metadata: Any) -> None:
    before = created(leases)
    body = sent_back(before, {"holderIdentity": "b"}, **metadata)
    after = accepted(leases.replace(NAME, body))
    assert after["metadata"]["creationTimestamp"] == before["metadata"]["creationTimestamp"]


def test_a_replace_cannot_set_the_deletion_timestamp(leases: Leases) -> None:
    body = sent_back(created(leases), deletionTimestamp="2001-01-01T00:00:00Z")
    assert_invalid(leases.replace(NAME, body), "metadata.deletionTimestamp")


def test_a_replace_keeps_the_metadata_it_sends(leases: Leases) -> None:
    before = created(leases, **METADATA)
    accepted(leases.replace(NAME, sent_back(before, {"holderIdentity": "b"}, **METADATA)))
    stored = accepted(leases.read(NAME))["metadata"]
    for key in METADATA:
        assert stored[key] == before["metadata"][key]


def test_a_replace_drops_the_metadata_it_does_not_send(leases: Leases) -> None:
    before = created(leases, **METADATA)
    accepted(leases.replace(NAME, sent_back(before, {"holderIdentity": "b"})))
    stored = accepted(leases.read(NAME))["metadata"]
    assert not any(stored.get(key) for key in METADATA)


def test_a_replace_without_a_label_drops_that_label(leases: Leases) -> None:
    before = created(leases, **METADATA)
    accepted(leases.replace(NAME, sent_back(before, **{**METADATA, "labels": {"app": "work"}})))
    stored = accepted(leases.read(NAME))
    assert stored["metadata"]["labels"] == {"app": "work"}
    assert version(stored) > version(before)


def test_a_replace_drops_the_fields_of_the_spec_it_does_not_send(leases: Leases) -> None:
    before = created(leases, spec={**HELD, "leaseTransitions": 3})
    body = {**sent_back(before), "spec": {"holderIdentity": "b"}}
    assert fields(accepted(leases.replace(NAME, body))) == {"holderIdentity": "b"}


def test_a_replace_without_a_spec_empties_it(leases: Leases) -> None:
    body = sent_back(created(leases))
    del body["spec"]
    assert fields(accepted(leases.replace(NAME, body))) == {}


def test_transitions_may_go_down(leases: Leases) -> None:
    before = created(leases, spec={"leaseTransitions": 5})
    after = accepted(leases.replace(NAME, sent_back(before, {"leaseTransitions": 4})))
    assert fields(after) == {"leaseTransitions": 4}


def test_a_patch_sets_a_field_and_keeps_the_others(leases: Leases) -> None:
    before = created(leases, **METADATA)
    after = accepted(leases.patch(NAME, {"spec": {"holderIdentity": "b"}}))
    assert fields(after) == {**HELD, "holderIdentity": "b"}
    assert version(after) > version(before)
    for key in ("uid", *METADATA):
        assert after["metadata"][key] == before["metadata"][key]


def test_a_null_in_a_patch_removes_the_field(leases: Leases) -> None:
    created(leases)
    after = accepted(leases.patch(NAME, {"spec": {"holderIdentity": None}}))
    assert fields(after) == {"leaseDurationSeconds": 15}


def test_a_null_in_a_patch_removes_a_label(leases: Leases) -> None:
    created(leases, **METADATA)
    after = accepted(leases.patch(NAME, {"metadata": {"labels": {"app": None}}}))
    assert after["metadata"]["labels"] == {"tier": "back"}


def test_a_null_for_the_spec_in_a_patch_empties_it(leases: Leases) -> None:
    created(leases)
    assert fields(accepted(leases.patch(NAME, {"spec": None}))) == {}


@pytest.mark.parametrize(
    "patch",
    rows(
        {
            "nothing": {},
            "the same value": {"spec": {"holderIdentity": "a"}},
            "null for what is absent": {"spec": {"renewTime": None}},
            "another creationTimestamp": {
                "metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}
            },
        }
    ),
)
def test_a_patch_that_changes_nothing_keeps_the_version(leases: Leases, patch: Any) -> None:
    before = created(leases)
    assert version(accepted(leases.patch(NAME, patch))) == version(before)


@pytest.mark.parametrize(
    "metadata",
    rows({"alone": {}, "a uid": {"uid": OTHER_UID}, "a version": {"resourceVersion": "5"}}),
)
def test_a_patch_of_an_absent_lease_answers_404(leases: Leases, metadata: Any) -> None:
    patch = {"metadata": metadata, "spec": {"holderIdentity": "b"}}
    assert_refused(leases.patch(NAME, patch), 404, "NotFound")


def test_a_patch_with_the_current_version_and_uid_is_accepted(leases: Leases) -> None:
    before = created(leases)
    guard = {key: before["metadata"][key] for key in ("uid", "resourceVersion")}
    after = accepted(leases.patch(NAME, {"metadata": guard, "spec": {"holderIdentity": "b"}}))
    assert version(after) > version(before)


@pytest.mark.parametrize("text", rows({"the past": "1", "the future": "999999999999"}))
@pytest.mark.parametrize(
    "spec",
    rows(
        {
            "valid": {"holderIdentity": "b"},
            "unchanged": {},
            "invalid": {"leaseDurationSeconds": 0},
        }
    ),
)
def test_a_patch_with_another_version_answers_409(leases: Leases, spec: Any, text: str) -> None:
    created(leases)
    patch = {"metadata": {"resourceVersion": text}, "spec": spec}
    assert_refused(leases.patch(NAME, patch), 409, "Conflict")


@pytest.mark.parametrize("text", rows({"zero": "0", "empty": "", "null": None}))
def test_a_patch_that_removes_the_version_answers_422(leases: Leases, text: str | None) -> None:
    created(leases)
    patch = {"metadata": {"resourceVersion": text}, "spec": {"holderIdentity": "b"}}
    assert_invalid(leases.patch(NAME, patch), VERSION)


def test_a_patch_with_a_version_that_is_no_number_answers_500(leases: Leases) -> None:
    created(leases)
    patch = {"metadata": {"resourceVersion": "abc"}, "spec": {"holderIdentity": "b"}}
    assert_refused(leases.patch(NAME, patch), 500, None)


def test_a_patch_with_another_uid_answers_422_and_no_409(leases: Leases) -> None:
    before = created(leases)
    patch = {"metadata": {"uid": OTHER_UID}, "spec": {"holderIdentity": "b"}}
    assert_invalid(leases.patch(NAME, patch), "metadata.uid")
    assert version(accepted(leases.read(NAME))) == version(before)


def test_a_patch_with_another_uid_and_an_old_version_answers_409(leases: Leases) -> None:
    created(leases)
    patch = {"metadata": {"uid": OTHER_UID, "resourceVersion": "1"}}
    assert_refused(leases.patch(NAME, patch), 409, "Conflict")


def test_a_patch_cannot_remove_the_uid(leases: Leases) -> None:
    before = created(leases)
    after = accepted(leases.patch(NAME, {"metadata": {"uid": None}, "spec": {}}))
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize(
    "metadata",
    rows(
        {
            "another name": {"name": "other"},
            "null for the name": {"name": None},
            "another namespace": {"namespace": "another"},
        }
    ),
)
def test_a_patch_of_the_name_answers_400(leases: Leases, metadata: Any) -> None:
    created(leases)
    assert_refused(leases.patch(NAME, {"metadata": metadata}), 400, "BadRequest")


@pytest.mark.parametrize("patch", rows({"kind": {"kind": "Pod"}, "version": {"apiVersion": "v1"}}))
def test_a_patch_to_another_kind_or_api_version_answers_422(leases: Leases, patch: Any) -> None:
    created(leases)
    assert_invalid(leases.patch(NAME, patch), "patch")


def test_a_patch_that_takes_the_strategy_from_a_preferred_holder_answers_422(
    leases: Leases,
) -> None:
    created(leases, spec={"strategy": "OldestEmulationVersion", "preferredHolder": "b"})
    assert_invalid(leases.patch(NAME, {"spec": {"strategy": None}}), "spec.preferredHolder")


def test_a_delete_answers_200_with_the_uid_of_what_is_gone(leases: Leases) -> None:
    before = created(leases)
    body = accepted(leases.delete(NAME))
    assert (body["kind"], body["status"]) == ("Status", "Success")
    assert body["details"]["name"] == NAME
    assert body["details"]["uid"] == before["metadata"]["uid"]
    assert_refused(leases.read(NAME), 404, "NotFound")


@pytest.mark.parametrize(
    "options", rows({"none": None, "preconditions": {"preconditions": {"uid": OTHER_UID}}})
)
def test_a_delete_of_an_absent_lease_answers_404(leases: Leases, options: Any) -> None:
    assert_refused(leases.delete(NAME, options), 404, "NotFound")


@pytest.mark.parametrize(
    "preconditions",
    rows(
        {
            "another uid": {"uid": OTHER_UID},
            "an empty uid": {"uid": ""},
            "an old version": {"resourceVersion": "1"},
            "a version that is no number": {"resourceVersion": "abc"},
            "both": {"uid": OTHER_UID, "resourceVersion": "1"},
        }
    ),
)
def test_a_delete_whose_preconditions_do_not_hold_answers_409(
    leases: Leases, preconditions: Any
) -> None:
    before = created(leases)
    assert_refused(leases.delete(NAME, {"preconditions": preconditions}), 409, "Conflict")
    assert version(accepted(leases.read(NAME))) == version(before)


@pytest.mark.parametrize(
    "options", rows({"a list": [], "a text": "x", "a number": 3, "a Lease": lease()})
)
def test_a_delete_with_options_that_are_none_answers_400(leases: Leases, options: Any) -> None:
    created(leases)
    assert_refused(leases.delete(NAME, options), 400, "BadRequest")
    accepted(leases.read(NAME))


def test_a_delete_with_an_unknown_policy_answers_422(leases: Leases) -> None:
    created(leases)
    assert_invalid(leases.delete(NAME, {"propagationPolicy": "Odd"}), "propagationPolicy")
    accepted(leases.read(NAME))


def test_a_precondition_that_is_null_is_none(leases: Leases) -> None:
    created(leases)
    accepted(leases.delete(NAME, {"preconditions": {"uid": None, "resourceVersion": None}}))
    assert_refused(leases.read(NAME), 404, "NotFound")


@pytest.mark.parametrize(
    "metadata",
    rows(
        {
            "a name": {"labels": {"app": "web_1.x-y"}},
            "a domain and a name": {"labels": {"example.com/app": ""}},
            "an annotation of any text": {"annotations": {"example.com/app": "what? ever!"}},
        }
    ),
)
def test_a_key_is_a_name_that_may_have_a_domain(leases: Leases, metadata: Any) -> None:
    answer = created(leases, **metadata)
    assert answer["metadata"].items() >= metadata.items()


@pytest.mark.parametrize(
    "invalid",
    rows(
        {
            "a key with a space": ({"labels": {"a b": "c"}}, "metadata.labels"),
            "a key that is empty": ({"labels": {"": "c"}}, "metadata.labels"),
            "a key with an odd domain": ({"labels": {"A!/b": "c"}}, "metadata.labels"),
            "a value with a space": ({"labels": {"a": "b c"}}, "metadata.labels"),
            "a value that is too long": ({"labels": {"a": "b" * 64}}, "metadata.labels"),
            "an annotation's key": ({"annotations": {"a b": "c"}}, "metadata.annotations"),
            "an owner without a uid": (
                {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a"}]},
                "metadata.ownerReferences.uid",
            ),
        }
    ),
)
def test_a_create_with_invalid_metadata_answers_422(leases: Leases, invalid: Any) -> None:
    metadata, field = invalid
    assert_invalid(leases.create(lease(**metadata)), field)


@pytest.mark.parametrize(
    "keys",
    rows(
        {
            "the uid": ["uid"],
            "the version": ["resourceVersion"],
            "both": ["uid", "resourceVersion"],
        }
    ),
)
def test_a_delete_whose_preconditions_hold_answers_200(leases: Leases, keys: list[str]) -> None:
    before = created(leases)
    preconditions = {key: before["metadata"][key] for key in keys}
    accepted(leases.delete(NAME, {"preconditions": preconditions}))
    assert_refused(leases.read(NAME), 404, "NotFound")


@pytest.mark.parametrize(
    "options",
    rows(
        {
            "nothing": {},
            "kind and apiVersion": {"kind": "DeleteOptions", "apiVersion": "v1"},
            "a grace period": {"gracePeriodSeconds": 30},
            "in the background": {"propagationPolicy": "Background"},
        }
    ),
)
def test_a_delete_is_at_once_whatever_the_options(leases: Leases, options: Any) -> None:
    created(leases)
    accepted(leases.delete(NAME, options))
    assert_refused(leases.read(NAME), 404, "NotFound")


def test_a_lease_created_again_has_another_uid_and_a_greater_version(leases: Leases) -> None:
    before = created(leases)
    accepted(leases.delete(NAME))
    after = created(leases)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert version(after) > version(before) + 1


def dying(leases: Leases) -> dict[str, Any]:
    """A Lease that a finalizer keeps after its deletion"""
    created(leases, finalizers=[FINALIZER])
    accepted(leases.delete(NAME))
    return accepted(leases.read(NAME))


def test_a_lease_with_a_finalizer_outlives_its_deletion(leases: Leases) -> None:
    before = created(leases, finalizers=[FINALIZER])
    accepted(leases.delete(NAME))
    after = accepted(leases.read(NAME))
    assert after["metadata"]["deletionTimestamp"]
    assert after["metadata"]["deletionGracePeriodSeconds"] == 0
    assert after["metadata"]["finalizers"] == [FINALIZER]
    assert version(after) > version(before)


def test_a_second_deletion_changes_nothing(leases: Leases) -> None:
    before = dying(leases)
    accepted(leases.delete(NAME))
    assert version(accepted(leases.read(NAME))) == version(before)


def test_a_second_deletion_still_has_its_preconditions(leases: Leases) -> None:
    dying(leases)
    reply = leases.delete(NAME, {"preconditions": {"uid": OTHER_UID}})
    assert_refused(reply, 409, "Conflict")


def test_a_create_over_a_lease_being_deleted_answers_409(leases: Leases) -> None:
    dying(leases)
    assert_refused(leases.create(lease()), 409, "AlreadyExists")


def test_a_lease_being_deleted_can_be_written(leases: Leases) -> None:
    before = dying(leases)
    body = sent_back(before, {"holderIdentity": "b"}, finalizers=[FINALIZER])
    replaced = accepted(leases.replace(NAME, body))
    patched = accepted(leases.patch(NAME, {"spec": {"leaseTransitions": 1}}))
    assert fields(patched) == {**HELD, "holderIdentity": "b", "leaseTransitions": 1}
    assert version(patched) > version(replaced) > version(before)
    for key in ("deletionTimestamp", "uid"):
        assert patched["metadata"][key] == before["metadata"][key]


def test_a_lease_being_deleted_gets_no_new_finalizer(leases: Leases) -> None:
    dying(leases)
    patch = {"metadata": {"finalizers": [FINALIZER, "example.com/late"]}}
    assert_invalid(leases.patch(NAME, patch), "metadata.finalizers")


def test_a_replace_without_the_last_finalizer_ends_the_deletion(leases: Leases) -> None:
    before = dying(leases)
    answer = accepted(leases.replace(NAME, sent_back(before, {"holderIdentity": "b"})))
    assert (version(answer), fields(answer)["holderIdentity"]) == (version(before), "b")
    assert_refused(leases.read(NAME), 404, "NotFound")


@pytest.mark.parametrize("finalizers", rows({"null": None, "an empty list": []}))
def test_a_patch_without_the_last_finalizer_ends_the_deletion(
    leases: Leases, finalizers: Any
) -> None:
    before = dying(leases)
    answer = accepted(leases.patch(NAME, {"metadata": {"finalizers": finalizers}}))
    assert version(answer) == version(before)
    assert_refused(leases.read(NAME), 404, "NotFound")


def test_an_invalid_replace_without_the_last_finalizer_deletes_nothing(leases: Leases) -> None:
    before = dying(leases)
    reply = leases.replace(NAME, sent_back(before, {"leaseDurationSeconds": 0}))
    assert_invalid(reply, DURATION)
    assert version(accepted(leases.read(NAME))) == version(before)


def test_one_of_two_finalizers_keeps_the_lease(leases: Leases) -> None:
    created(leases, finalizers=[FINALIZER, "example.com/second"])
    accepted(leases.delete(NAME))
    accepted(leases.patch(NAME, {"metadata": {"finalizers": ["example.com/second"]}}))
    assert accepted(leases.read(NAME))["metadata"]["finalizers"] == ["example.com/second"]


def test_a_lease_that_lost_its_finalizer_lives_until_it_is_deleted(leases: Leases) -> None:
    created(leases, finalizers=[FINALIZER])
    accepted(leases.patch(NAME, {"metadata": {"finalizers": None}}))
    accepted(leases.read(NAME))
    accepted(leases.delete(NAME))
    assert_refused(leases.read(NAME), 404, "NotFound")


def test_versions_are_positive_integers_without_leading_zeros(leases: Leases) -> None:
    answer = created(leases)
    listed = accepted(leases.list())
    for text in (answer["metadata"]["resourceVersion"], listed["metadata"]["resourceVersion"]):
        assert re.fullmatch("[1-9][0-9]*", text)


def test_versions_grow_over_all_leases(leases: Leases) -> None:
    first = created(leases, "first")
    second = created(leases, "second")
    replaced = accepted(
        leases.replace("first", sent_back(first, {"holderIdentity": "b"}, name="first"))
    )
    patched = accepted(leases.patch("second", {"spec": {"holderIdentity": "b"}}))
    third = created(leases, "third")
    versions = [version(answer) for answer in (first, second, replaced, patched, third)]
    assert all(earlier < later for earlier, later in pairwise(versions))


def test_a_delete_takes_a_version_of_its_own(leases: Leases) -> None:
    before = created(leases, "first")
    accepted(leases.delete("first"))
    listed = accepted(leases.list())
    after = created(leases, "second")
    assert version(before) < version(listed) < version(after)


def test_a_list_has_the_leases_sorted_by_name(leases: Leases) -> None:
    versions = [version(created(leases, name)) for name in ("c", "a", "b.d", "b")]
    body = accepted(leases.list())
    assert (body["kind"], body["apiVersion"]) == ("LeaseList", "coordination.k8s.io/v1")
    assert [item["metadata"]["name"] for item in body["items"]] == ["a", "b", "b.d", "c"]
    assert all(fields(item) == HELD for item in body["items"])
    assert version(body) >= max(versions)


def test_a_list_of_nothing_is_empty_and_has_a_version(leases: Leases) -> None:
    body = accepted(leases.list())
    assert body["items"] == []
    assert version(body) > 0


def test_the_version_of_a_list_is_not_behind_a_deletion(leases: Leases) -> None:
    before = created(leases)
    accepted(leases.delete(NAME))
    assert version(accepted(leases.list())) > version(before)


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=b", ["b"]),
        ("metadata.name==b", ["b"]),
        ("metadata.name!=b", ["a", "c"]),
        ("metadata.name=absent", []),
        ("metadata.namespace=another", []),
        ("", ["a", "b", "c"]),
    ],
)
def test_a_list_has_what_the_field_selector_selects(
    leases: Leases, selector: str, names: list[str]
) -> None:
    for name in "abc":
        created(leases, name)
    items = accepted(leases.list(fieldSelector=selector))["items"]
    assert [item["metadata"]["name"] for item in items] == names


def test_a_field_selector_may_name_the_namespace_too(leases: Leases) -> None:
    for name in "ab":
        created(leases, name)
    selector = f"metadata.namespace={leases.namespace},metadata.name=a"
    items = accepted(leases.list(fieldSelector=selector))["items"]
    assert [item["metadata"]["name"] for item in items] == ["a"]


@pytest.mark.parametrize("selector", ["spec.holderIdentity=a", "nonsense"])
def test_a_list_by_an_unknown_field_answers_400(leases: Leases, selector: str) -> None:
    assert_refused(leases.list(fieldSelector=selector), 400, "BadRequest")


def test_a_list_not_older_than_a_version_has_what_came_after_it(leases: Leases) -> None:
    first = created(leases, "a")
    created(leases, "b")
    body = accepted(leases.list(resourceVersion=first["metadata"]["resourceVersion"]))
    assert [item["metadata"]["name"] for item in body["items"]] == ["a", "b"]


def test_a_list_from_version_0_is_a_list_of_some_version(leases: Leases) -> None:
    assert version(accepted(leases.list(resourceVersion="0"))) > 0


def test_a_list_with_a_version_that_is_no_number_answers_400(leases: Leases) -> None:
    assert_refused(leases.list(resourceVersion="abc"), 400, "BadRequest")


def test_a_watch_from_a_version_has_all_later_changes_in_order(leases: Leases) -> None:
    since = start(leases)
    first = created(leases, "a")
    replaced = accepted(leases.replace("a", sent_back(first, {"holderIdentity": "b"}, name="a")))
    second = created(leases, "b")
    patched = accepted(leases.patch("a", {"spec": {"leaseTransitions": 1}}))
    assert events(leases, 4, resourceVersion=since) == [
        ("ADDED", "a", version(first)),
        ("MODIFIED", "a", version(replaced)),
        ("ADDED", "b", version(second)),
        ("MODIFIED", "a", version(patched)),
    ]


def test_a_watch_begins_after_its_version(leases: Leases) -> None:
    first = created(leases, "a")
    second = created(leases, "b")
    since = first["metadata"]["resourceVersion"]
    assert events(leases, 1, resourceVersion=since) == [("ADDED", "b", version(second))]


def test_a_watch_has_what_happens_while_it_is_open(leases: Leases) -> None:
    with leases.watch(resourceVersion=start(leases), timeoutSeconds="5") as stream:
        first = created(leases)
        added = next(stream)
        accepted(leases.patch(NAME, {"spec": {"holderIdentity": "b"}}))
        modified = next(stream)
    assert summary(added) == ("ADDED", NAME, version(first))
    assert (modified["type"], fields(modified["object"])["holderIdentity"]) == ("MODIFIED", "b")


def test_an_event_has_the_whole_lease(leases: Leases) -> None:
    since = start(leases)
    answer = created(leases, **METADATA)
    with leases.watch(resourceVersion=since, timeoutSeconds="5") as stream:
        found = next(stream)["object"]
    assert (found["kind"], found["apiVersion"]) == ("Lease", "coordination.k8s.io/v1")
    assert fields(found) == HELD
    for key in ("name", "namespace", "uid", *METADATA):
        assert found["metadata"][key] == answer["metadata"][key]
    times = [instant(each["metadata"]["creationTimestamp"]) for each in (found, answer)]
    assert times[0] == times[1]


def test_a_deleted_event_has_the_version_of_the_deletion_and_the_last_state(
    leases: Leases,
) -> None:
    first = created(leases)
    accepted(leases.delete(NAME))
    after = created(leases)
    since = first["metadata"]["resourceVersion"]
    with leases.watch(resourceVersion=since, timeoutSeconds="5") as stream:
        deleted, added = next(stream), next(stream)
    assert (deleted["type"], fields(deleted["object"])) == ("DELETED", HELD)
    assert deleted["object"]["metadata"]["uid"] == first["metadata"]["uid"]
    assert version(first) < version(deleted["object"]) < version(after)
    assert summary(added) == ("ADDED", NAME, version(after))


def test_a_deletion_with_a_finalizer_is_a_change_first(leases: Leases) -> None:
    first = created(leases, finalizers=[FINALIZER])
    accepted(leases.delete(NAME))
    kept = accepted(leases.read(NAME))
    accepted(leases.replace(NAME, sent_back(kept, {"holderIdentity": "b"})))
    since = first["metadata"]["resourceVersion"]
    with leases.watch(resourceVersion=since, timeoutSeconds="5") as stream:
        modified, deleted = next(stream), next(stream)
    assert summary(modified) == ("MODIFIED", NAME, version(kept))
    assert modified["object"]["metadata"]["deletionTimestamp"]
    assert deleted["type"] == "DELETED"
    assert version(deleted["object"]) > version(kept)
    assert deleted["object"]["metadata"]["finalizers"] == [FINALIZER]
    assert fields(deleted["object"]) == HELD


@pytest.mark.parametrize(
    "query",
    rows({"no version": {}, "empty": {"resourceVersion": ""}, "0": {"resourceVersion": "0"}}),
)
def test_a_watch_from_no_version_begins_with_what_exists(leases: Leases, query: Any) -> None:
    second, first = created(leases, "b"), created(leases, "a")
    accepted(leases.list())
    with leases.watch(timeoutSeconds="5", **query) as stream:
        existing = [next(stream), next(stream)]
        third = created(leases, "c")
        later = next(stream)
    assert [summary(event) for event in existing] == [
        ("ADDED", "a", version(first)),
        ("ADDED", "b", version(second)),
    ]
    assert summary(later) == ("ADDED", "c", version(third))


def test_a_watch_has_what_the_field_selector_selects(leases: Leases) -> None:
    since = start(leases)
    created(leases, "a")
    second = created(leases, "b")
    accepted(leases.patch("a", {"spec": {"holderIdentity": "b"}}))
    patched = accepted(leases.patch("b", {"spec": {"holderIdentity": "b"}}))
    found = events(leases, 2, resourceVersion=since, fieldSelector="metadata.name=b")
    assert found == [("ADDED", "b", version(second)), ("MODIFIED", "b", version(patched))]


def test_a_watch_by_name_begins_with_that_lease(leases: Leases) -> None:
    created(leases, "a")
    second = created(leases, "b")
    found = events(leases, 1, fieldSelector="metadata.name=b")
    assert found == [("ADDED", "b", version(second))]


def test_what_changes_nothing_makes_no_event(leases: Leases) -> None:
    first = created(leases)
    accepted(leases.replace(NAME, sent_back(first)))
    accepted(leases.patch(NAME, {"spec": {"holderIdentity": "a"}}))
    changed = accepted(leases.patch(NAME, {"spec": {"holderIdentity": "b"}}))
    since = first["metadata"]["resourceVersion"]
    assert events(leases, 1, resourceVersion=since) == [("MODIFIED", NAME, version(changed))]


def test_what_is_refused_makes_no_event(leases: Leases) -> None:
    first = created(leases)
    refused = [
        leases.create(lease()),
        leases.replace(NAME, sent_back(first, {"holderIdentity": "b"}, resourceVersion="1")),
        leases.patch(NAME, {"spec": {"leaseDurationSeconds": 0}}),
        leases.delete(NAME, {"preconditions": {"uid": OTHER_UID}}),
    ]
    changed = accepted(leases.patch(NAME, {"spec": {"holderIdentity": "b"}}))
    since = first["metadata"]["resourceVersion"]
    assert [reply.status for reply in refused] == [409, 409, 422, 409]
    assert events(leases, 1, resourceVersion=since) == [("MODIFIED", NAME, version(changed))]


def test_a_watch_ends_normally_after_its_timeout(leases: Leases) -> None:
    began_at = time.monotonic()
    with leases.watch(resourceVersion=start(leases), timeoutSeconds="1") as stream:
        found = list(stream)
    assert found == []
    assert 0.9 < time.monotonic() - began_at < 4


def test_two_watches_have_the_same_events(leases: Leases) -> None:
    since = start(leases)
    with (
        leases.watch(resourceVersion=since, timeoutSeconds="5") as one,
        leases.watch(resourceVersion=since, timeoutSeconds="5") as other,
    ):
        answer = created(leases)
        found = [summary(next(one)), summary(next(other))]
    assert found == [("ADDED", NAME, version(answer))] * 2


def test_a_watch_wakes_up_for_the_write_of_another_thread(leases: Leases) -> None:
    replies: list[Reply] = []
    writer = threading.Timer(0.2, lambda: replies.append(leases.create(lease())))
    with leases.watch(resourceVersion=start(leases), timeoutSeconds="5") as stream:
        writer.start()
        event = next(stream)
    writer.join()
    assert summary(event) == ("ADDED", NAME, version(accepted(replies[0], 201)))


def test_a_watch_from_a_future_version_has_what_is_later_than_that(leases: Leases) -> None:
    since = int(start(leases)) + 5
    with leases.watch(resourceVersion=str(since), timeoutSeconds="5") as stream:
        versions = [version(created(leases, f"lease-{number}")) for number in range(10)]
        later = [number for number in versions if number > since]
        found = [version(next(stream)["object"]) for _ in later]
    assert found == later != []


def test_a_watch_from_a_far_future_is_silent_until_its_timeout(leases: Leases) -> None:
    since = int(start(leases)) + 100_000
    began_at = time.monotonic()
    with leases.watch(resourceVersion=str(since), timeoutSeconds="1") as stream:
        created(leases)
        found = list(stream)
    assert found == []
    assert 0.9 < time.monotonic() - began_at < 4


@pytest.mark.parametrize("text", ["abc", "-1"])
def test_a_watch_from_a_version_that_is_no_number_answers_500(leases: Leases, text: str) -> None:
    with (
        pytest.raises(WatchRefused) as refused,
        leases.watch(resourceVersion=text, timeoutSeconds="5") as stream,
    ):
        list(stream)
    assert_refused(refused.value.reply, 500, None)


@pytest.mark.parametrize("selector", ["spec.holderIdentity=a", "nonsense"])
def test_a_watch_by_an_unknown_field_answers_400(leases: Leases, selector: str) -> None:
    with (
        pytest.raises(WatchRefused) as refused,
        leases.watch(fieldSelector=selector, timeoutSeconds="5") as stream,
    ):
        list(stream)
    assert_refused(refused.value.reply, 400, "BadRequest")


def test_a_watch_from_a_version_may_allow_bookmarks(leases: Leases) -> None:
    since = start(leases)
    first = created(leases)
    found = events(leases, 1, resourceVersion=since, allowWatchBookmarks="true")
    assert found == [("ADDED", NAME, version(first))]


def test_a_bookmark_ends_what_exists_if_it_is_allowed(leases: Leases) -> None:
    first = created(leases)
    with leases.watch(allowWatchBookmarks="true", timeoutSeconds="5") as stream:
        added, bookmark = next(stream), next(stream)
    assert summary(added) == ("ADDED", NAME, version(first))
    assert bookmark["type"] == "BOOKMARK"
    assert version(bookmark["object"]) >= version(first)
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_from_a_forgotten_version_is_one_error_of_code_410(
    forgetful_leases: Leases,
) -> None:
    with forgetful_leases.watch(resourceVersion="1", timeoutSeconds="5") as stream:
        found = list(stream)
    assert [event["type"] for event in found] == ["ERROR"]
    status = found[0]["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")

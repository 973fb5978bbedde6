"""What a Lease says, in the rows of `status`"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from kube_leader_election.cli._leases import Row, row_of
from kube_leader_election.cli._status import changes

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def lease(name: str = "my-app", **fields: Any) -> dict[str, Any]:
    """Of a holder that renewed 2 s ago; a field of the spec is left out where it is None"""
    spec = {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": at(-100),
        "renewTime": at(-2),
        "leaseTransitions": 3,
        **fields,
    }
    metadata = {"namespace": "default", "name": name, "uid": "u", "resourceVersion": "7"}
    metadata |= fields.get("metadata", {})
    spec.pop("metadata", None)
    return {"metadata": metadata, "spec": {k: v for k, v in spec.items() if v is not None}}


def row(**fields: Any) -> Row:
    return row_of(lease(**fields), NOW)


def test_a_held_lease_says_since_when_and_for_how_long_still() -> None:
    assert row() == Row(
        namespace="default",
        name="my-app",
        holder="a",
        held_for=100,
        renewed_ago=2,
        expires_in=13,
        transitions=3,
        resource_version="7",
    )


@pytest.mark.parametrize("holder", [None, ""])
def test_a_free_lease_expires_never_and_is_nothing_odd(holder: str | None) -> None:
    free = row(holderIdentity=holder)
    assert (free.holder, free.held_for, free.renewed_ago, free.expires_in) == (None,) * 4
    assert free.notes == ()
    assert free.cells()[2:6] == ["-"] * 4


@pytest.mark.parametrize(
    ("fields", "marks"),
    [
        ({"renewTime": at(-15)}, []),
        ({"renewTime": at(-15.1)}, ["expired"]),
        ({"renewTime": at(1)}, []),
        ({"renewTime": at(1.1)}, ["renewed in the future"]),
        ({"renewTime": None, "acquireTime": at(-2)}, ["no renewTime"]),
        ({"renewTime": None}, ["no renewTime", "expired"]),
        ({"renewTime": None, "acquireTime": None}, ["no renewTime"]),
        ({"leaseDurationSeconds": None}, ["no duration"]),
        ({"leaseDurationSeconds": 0}, ["duration 0"]),
        ({"leaseDurationSeconds": -3}, ["duration -3"]),
        ({"leaseDurationSeconds": True}, ["duration True"]),
        ({"leaseDurationSeconds": 3600}, []),
        ({"leaseDurationSeconds": 3601}, ["lasts 1h"]),
        ({"strategy": "OldestEmulationVersion"}, ["strategy OldestEmulationVersion"]),
        ({"metadata": {"deletionTimestamp": at(0)}}, ["being deleted"]),
        ({"metadata": {"resourceVersion": "0x7"}}, ["no token"]),
        ({"renewTime": "soon"}, ["unreadable"]),
        ({"holderIdentity": 7}, ["unreadable"]),
    ],
)
def test_what_is_odd_is_marked(fields: dict[str, Any], marks: list[str]) -> None:
    assert row(**fields).marks == marks


@pytest.mark.parametrize("seconds", [2**31 - 1, 10**11, 10**15, 10**400])
def test_a_duration_that_is_too_long_for_a_date_is_shown_all_the_same(seconds: int) -> None:
    found = row(leaseDurationSeconds=seconds)
    assert found.expires_in is not None
    assert found.expires_in > 10**9
    assert found.marks[0].startswith("lasts ")


@pytest.mark.parametrize("odd", [{}, {"spec": None}, {"metadata": []}, {"spec": "x"}, {"spec": {}}])
def test_nothing_that_a_server_may_answer_raises(odd: dict[str, Any]) -> None:
    assert row_of(odd, NOW).cells()


def test_a_row_for_machines_has_numbers() -> None:
    assert row(renewTime=at(-2.5)).document() == {
        "namespace": "default",
        "name": "my-app",
        "holder": "a",
        "heldForSeconds": 100.0,
        "renewedAgoSeconds": 2.5,
        "expiresInSeconds": 12.5,
        "transitions": 3,
        "resourceVersion": "7",
        "notes": [],
    }


def keyed(*rows: Row) -> dict[tuple[str, str], Row]:
    return {each.key: each for each in rows}


def test_a_renewal_is_no_news() -> None:
    assert changes(keyed(row()), [row(renewTime=at(-1))]) == []


@pytest.mark.parametrize(
    "news",
    [{"holderIdentity": "b"}, {"leaseTransitions": 4}, {"renewTime": at(-20)}, {"strategy": "x"}],
)
def test_a_new_holder_term_or_mark_is_news(news: dict[str, Any]) -> None:
    assert changes(keyed(row()), [row(**news)]) == [row(**news)]


def test_a_lease_that_appears_and_one_that_is_gone_are_news() -> None:
    first, second = row_of(lease("first"), NOW), row_of(lease("second"), NOW)
    appeared, gone = changes(keyed(first), [second])
    assert appeared == second
    assert gone.sentence() == "default/first: deleted"

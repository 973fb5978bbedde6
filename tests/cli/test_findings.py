"""What `doctor` finds, by tables"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import yaml

from kube_leader_election import LeaderElectorParams
from kube_leader_election._params import timing_of
from kube_leader_election.cli._findings import (
    Finding,
    Level,
    clock_offset,
    of_clock,
    of_lease,
    of_reads,
    of_rights,
    of_settings,
    percentile,
)
from kube_leader_election.cli._leases import row_of

DEFAULTS = LeaderElectorParams(lease_name="my-app")
ALL = dict.fromkeys(("create", "get", "update", "watch"), True)


def levels(findings: list[Finding]) -> list[str]:
    return [each.level.value for each in findings]


# Settings.


@pytest.mark.parametrize(
    ("settings", "found", "says"),
    [
        ({}, ["well"], "an outage of 5.89 s is survived"),
        ({"renew_deadline": 13.7}, ["well"], ""),
        ({"renew_deadline": 13.8}, ["fragile", "well"], "more than 13.7 s"),
        ({"renew_deadline": 4.9}, ["fragile", "well"], "one attempt has only 0.98 s"),
        ({"max_clock_skew": 0.0, "lease_ttl": 5, "renew_deadline": 3}, ["fragile"] * 2, "0.050 s"),
    ],
)
def test_fragile_settings_are_told_with_their_numbers(
    settings: dict[str, Any], found: list[str], says: str
) -> None:
    params = LeaderElectorParams(lease_name="my-app", **settings)
    findings = list(of_settings(params, timing_of(params)))
    assert levels(findings)[: len(found)] == found
    assert says in " ".join(each.says for each in findings)


# Reads.


@pytest.mark.parametrize(
    ("slowest", "level"),
    [(0.666, "well"), (0.667, "fragile"), (2.0, "fragile"), (2.001, "trouble")],
)
def test_a_server_is_slow_where_an_attempt_may_not_end(slowest: float, level: str) -> None:
    (found,) = of_reads([0.01] * 98 + [slowest] * 2, [], timeout=2.0)
    assert found.level.value == level
    assert "100 reads took 10ms (p50)" in found.says


def test_the_mend_of_slow_reads_is_enough() -> None:
    (found,) = of_reads([1.0], [], timeout=2.0)
    assert found.mend == "renew_deadline of 15 s or more, lease_ttl of 23 s"
    longer = LeaderElectorParams(lease_name="my-app", renew_deadline=15, lease_ttl=23)
    (found,) = of_reads([1.0], [], timing_of(longer).attempt_timeout)
    assert found.level is Level.WELL


def test_reads_that_failed_are_trouble() -> None:
    found = list(of_reads([0.01], ["first", "no answer"], timeout=2.0))
    assert levels(found) == ["trouble", "well"]
    assert found[0].says == "2 of 3 reads failed: no answer"
    assert levels(list(of_reads([], ["no answer"], timeout=2.0))) == ["trouble"]


@pytest.mark.parametrize(("part", "value"), [(0.5, 2.0), (0.99, 4.0), (0.25, 1.0), (0.0, 1.0)])
def test_a_percentile_is_one_of_the_values(part: float, value: float) -> None:
    assert percentile([3.0, 1.0, 4.0, 2.0], part) == value


# Rights.


@pytest.mark.parametrize(
    ("verb", "exists", "level"),
    [
        ("get", True, "trouble"),
        ("update", True, "trouble"),
        ("watch", True, "fragile"),
        ("create", True, "fragile"),
        ("create", False, "trouble"),
    ],
)
def test_a_missing_verb_comes_with_the_rule_that_grants_it(
    verb: str, exists: bool, level: str
) -> None:
    (found,) = of_rights({**ALL, verb: False}, "my-app", "COMMAND", exists=exists)
    assert found.level.value == level
    assert repr(verb) in found.says
    lines = found.mend.splitlines()
    (rule,) = yaml.safe_load("\n".join(lines[1 : lines.index("or all that is needed:")]))
    assert rule["verbs"] == [verb]
    assert rule.get("resourceNames") == (None if verb == "create" else ["my-app"])
    assert lines[-1] == "COMMAND"


def test_all_that_is_needed_is_well_and_delete_is_worth_a_note() -> None:
    assert levels(list(of_rights(ALL, "my-app", "", exists=True))) == ["well"]
    more = {**ALL, "delete": True}
    assert levels(list(of_rights(more, "my-app", "", exists=True))) == ["well", "note"]


# The clock.


def asked(*, ahead: float, at: float, took: float = 0.004) -> tuple[float, float, float]:
    """An answer of a server whose clock is so much ahead, which leaves the fraction out"""
    return at, at + took, float(int(at + took / 2 + ahead))


@pytest.mark.parametrize("ahead", [-10.0, -0.3, 0.0, 0.25, 0.999, 7.4])
def test_reads_over_a_second_tell_the_offset_of_the_clock(ahead: float) -> None:
    offset = clock_offset(asked(ahead=ahead, at=1000.123 + 0.012 * n) for n in range(100))
    assert offset is not None
    low, high = offset
    assert low <= ahead <= high
    assert high - low < 0.03


def test_one_answer_tells_the_offset_to_a_second() -> None:
    offset = clock_offset([asked(ahead=10, at=1000.5, took=0.0)])
    assert offset == pytest.approx((9.5, 10.5))
    assert clock_offset([]) is None


def test_servers_whose_clocks_differ_give_a_wider_range() -> None:
    offset = clock_offset([asked(ahead=0, at=1000.0), asked(ahead=5, at=1001.0)])
    assert offset is not None
    assert offset[1] - offset[0] > 3


@pytest.mark.parametrize(
    ("offset", "skew", "level", "says"),
    [
        (None, None, "note", "no Date"),
        ((-0.01, 0.02), None, "well", "within 20ms of the server's"),
        ((0.9, 1.1), None, "well", "within 1.1s"),
        ((9.9, 10.1), None, "fragile", "wall clock is 9.9s behind the server's"),
        ((-10.1, -9.9), None, "fragile", "wall clock is 9.9s ahead of the server's"),
        ((-0.005, 0.01), 0.0, "well", ""),
        ((0.02, 0.03), 0.0, "trouble", "max_clock_skew is 0 s: two may lead"),
        ((0.4, 0.6), 0.5, "well", ""),
        ((0.6, 0.7), 0.5, "trouble", "max_clock_skew is 0.5 s: two may lead"),
    ],
)
def test_clocks_that_are_further_apart_than_declared_are_trouble(
    offset: tuple[float, float] | None, skew: float | None, level: str, says: str
) -> None:
    (found,) = of_clock(offset, skew)
    assert found.level.value == level
    assert says in found.says
    assert found.is_well or "chrony" in found.mend


# The Lease.

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def found_of(
    *, metadata: dict[str, Any] | None = None, holders: str | None = None, **spec: Any
) -> list[Finding]:
    times = {"acquireTime": at(-60), "renewTime": at(-2)}
    held = {"holderIdentity": "my-app-1", "leaseDurationSeconds": 15, **times}
    lease = {
        "metadata": {"namespace": "default", "name": "my-app", **(metadata or {})},
        "spec": {key: value for key, value in {**held, **spec}.items() if value is not None},
    }
    return list(of_lease(row_of(lease, NOW), lease, DEFAULTS, holders))


NODE = {"ownerReferences": [{"kind": "Node", "name": "worker"}]}
API_SERVER = {"labels": {"apiserver.kubernetes.io/identity": "kube-apiserver"}}


@pytest.mark.parametrize(
    ("lease", "found", "says"),
    [
        ({}, ["well"], "held by my-app-1, renewed 2.0s ago"),
        ({"holders": "my-app-*"}, ["well"], "held by my-app-1"),
        ({"holders": "other-*"}, ["trouble"], "which is none of other-*"),
        ({"holderIdentity": None}, ["well"], "it is free"),
        ({"leaseDurationSeconds": 60}, ["fragile", "well"], "claims it for 1m, these settings"),
        ({"leaseDurationSeconds": None}, ["fragile", "well"], "no duration"),
        ({"renewTime": at(-20)}, ["note", "well"], "expired"),
        ({"renewTime": at(20)}, ["fragile", "well"], "in the future"),
        ({"renewTime": None}, ["fragile", "note", "well"], "no renewTime"),
        ({"renewTime": "soon"}, ["trouble"], "unreadable"),
        ({"strategy": "OldestEmulationVersion"}, ["trouble", "well"], "appoints the holder"),
        ({"metadata": {"deletionTimestamp": at(0)}}, ["trouble", "well"], "being deleted"),
        ({"metadata": NODE}, ["trouble", "well"], "belongs to the Node worker"),
        ({"metadata": API_SERVER}, ["trouble", "well"], "belongs to an API server"),
    ],
)
def test_what_is_odd_about_the_lease_is_found(
    lease: dict[str, Any], found: list[str], says: str
) -> None:
    findings = found_of(**lease)
    assert levels(findings) == found
    assert says in " ".join(each.says for each in findings)
    assert all(each.is_well or each.mend for each in findings)


def test_an_absent_lease_is_well() -> None:
    assert levels(list(of_lease(None, {}, DEFAULTS, None))) == ["note"]

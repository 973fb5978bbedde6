from __future__ import annotations

from typing import Any

import pytest

from kube_leader_election import InvalidParamsError, LeaderElectorParams
from kube_leader_election.contrib.django._settings import Settings, checked


def test_settings_are_the_parameters_of_an_elector_and_its_namespace() -> None:
    told = {
        "LEASE_NAME": "my-site",
        "NAMESPACE": "web",
        "LEASE_TTL": 30,
        "RENEW_DEADLINE": 20.0,
        "RETRY_PERIOD": 4.0,
        "MAX_CLOCK_SKEW": 0.5,
        "DRAIN_TIMEOUT": 60.0,
    }
    params = LeaderElectorParams(
        lease_name="my-site",
        lease_ttl=30,
        renew_deadline=20.0,
        retry_period=4.0,
        max_clock_skew=0.5,
        drain_timeout=60.0,
    )
    assert checked(told) == Settings(params=params, namespace="web")


def test_a_name_of_a_command_s_own_comes_before_that_of_the_settings() -> None:
    params = LeaderElectorParams(lease_name="mine")
    assert checked({"LEASE_NAME": "my-site"}, "mine") == Settings(params=params, namespace=None)
    assert checked({}, "mine") == Settings(params=params, namespace=None)


@pytest.mark.parametrize(
    ("told", "field", "value", "rule"),
    [
        (None, "KUBE_LEADER_ELECTION", None, "must be a dict with some of LEASE_NAME"),
        ("my-site", "KUBE_LEADER_ELECTION", "my-site", "must be a dict"),
        ({}, "KUBE_LEADER_ELECTION['LEASE_NAME']", None, "must be a DNS subdomain"),
        ({"LEASE_NAME": "A"}, "KUBE_LEADER_ELECTION['LEASE_NAME']", "A", "must be a DNS subdomain"),
        ({"NAMESPACE": "a.b"}, "KUBE_LEADER_ELECTION['NAMESPACE']", "a.b", "must be a DNS label"),
        (
            {"LEASE_NAME": "a", "LEASE_TTL": "15"},
            "KUBE_LEADER_ELECTION['LEASE_TTL']",
            "15",
            "must be",
        ),
        ({"lease_name": "a"}, "KUBE_LEADER_ELECTION['lease_name']", "a", "is none of LEASE_NAME"),
        ({1: 2}, "KUBE_LEADER_ELECTION[1]", 2, "is none of LEASE_NAME"),
        ({"HOLDER_ID": "a"}, "KUBE_LEADER_ELECTION['HOLDER_ID']", "a", "would have one name"),
    ],
)
def test_what_breaks_a_rule_is_named_as_in_the_settings(
    told: Any, field: str, value: object, rule: str
) -> None:
    with pytest.raises(InvalidParamsError) as raised:
        checked(told)
    assert (raised.value.field, raised.value.value) == (field, value)
    assert rule in raised.value.rule


def test_a_command_s_own_name_is_not_blamed_on_the_settings() -> None:
    with pytest.raises(InvalidParamsError) as raised:
        checked({"LEASE_NAME": "my-site"}, "Mine")
    assert (raised.value.field, raised.value.value) == ("lease_name", "Mine")

"""`doctor`, against the embedded server"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from kube_leader_election.testing import ApiServer, FakeClock, faults
from tests.cli.conftest import Command, findings

# With so long a ttl a machine that is busy with something else is no finding.
QUICK = ("--reads", "3", "--lease-ttl", "120")


def test_where_all_is_well_the_exit_code_is_0(lease_server: ApiServer, command: Command) -> None:
    said = command("doctor", "my-app", *QUICK, kubeconfig=lease_server.kubeconfig)
    assert (said.code, said.errors) == (0, "")
    assert "does not exist yet" in said.output
    assert "of the server's" in said.output
    assert {each.verb for each in lease_server.requests} == {"get"}


def test_what_is_to_be_mended_makes_it_1(lease_server: ApiServer, command: Command) -> None:
    lease_server.put_lease("my-app", holder_identity="theirs")
    arguments = ("doctor", "my-app", *QUICK, "--holders", "my-app-*", "--json")
    said = command(*arguments, kubeconfig=lease_server.kubeconfig)
    assert said.code == 1
    assert json.loads(said.output)["well"] is False
    assert list(findings(said)) == ["lease"]


def test_the_mend_stands_below_what_was_found(lease_server: ApiServer, command: Command) -> None:
    lease_server.put_lease("my-app", holder_identity="theirs")
    arguments = ("doctor", "my-app", *QUICK, "--holders", "my-app-*")
    lines = command(*arguments, kubeconfig=lease_server.kubeconfig).output.splitlines()
    assert lines[-1].split() == ["mend", "give", "one", "of", "the", "two", "another", "Lease"]


def test_settings_that_are_refused_are_found_and_the_rest_too(
    lease_server: ApiServer, command: Command
) -> None:
    arguments = ("doctor", "my-app", *QUICK, "--renew-deadline", "119", "--json")
    said = command(*arguments, kubeconfig=lease_server.kubeconfig)
    assert said.code == 1
    assert "from 1.0 to 117.6" in findings(said)["settings"][0]["says"]
    assert len(json.loads(said.output)["findings"]) > 4


def test_clocks_that_are_apart_are_found(
    fake_clock: FakeClock, lease_server: ApiServer, command: Command
) -> None:
    ahead = datetime.now(timezone.utc) + timedelta(minutes=5) - fake_clock.utcnow()
    fake_clock.shift_wall(ahead.total_seconds())
    arguments = ("doctor", "my-app", *QUICK, "--json")
    said = command(*arguments, kubeconfig=lease_server.kubeconfig)
    assert said.code == 1
    assert "behind the server's" in findings(said)["clock"][0]["says"]


def test_a_server_that_is_not_reached_is_found(lease_server: ApiServer, command: Command) -> None:
    path = lease_server.kubeconfig
    with lease_server.refuse_connections():
        said = command("doctor", "my-app", "--json", kubeconfig=path)
    assert said.code == 1
    assert "Connection refused" in findings(said)["server"][0]["says"]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, faults.html, "is no API server"),
        (200, b"[]", "is no API server"),
        (200, b'{"hello": 1}', "is no API server"),
    ],
)
def test_what_is_no_api_server_is_found(
    lease_server: ApiServer, command: Command, status: int, body: Any, says: str
) -> None:
    lease_server.fail_next(faults.answer(status, body=body), verb="get")
    said = command("doctor", "my-app", "--json", kubeconfig=lease_server.kubeconfig)
    assert says in findings(said)["server"][0]["says"]


def test_credentials_that_are_refused_are_found(lease_server: ApiServer, command: Command) -> None:
    path = lease_server.kubeconfig
    lease_server.rotate_token()
    said = command("doctor", "my-app", "--json", kubeconfig=path)
    assert said.code == 1
    assert "credentials" in findings(said)["server"][0]["says"]


def test_reads_that_fail_are_found_and_not_measured_for_ever(
    lease_server: ApiServer, command: Command
) -> None:
    lease_server.fail_next(faults.answer(503), verb="get", skip=1, times=3)
    said = command("doctor", "my-app", "--json", kubeconfig=lease_server.kubeconfig)
    assert said.code == 1
    assert "3 of 3 reads failed" in findings(said)["reads"][0]["says"]


@pytest.mark.parametrize("arguments", [[], ["My_App"], ["my-app", "--reads", "0"]])
def test_wrong_usage_is_2(command: Command, arguments: list[str]) -> None:
    assert command("doctor", *arguments).code == 2

"""What ``run`` accepts on its command line"""

from __future__ import annotations

import argparse

import pytest

from kube_leader_election.cli import _run, main
from kube_leader_election.cli._options import add_settings, settings
from kube_leader_election.cli._run import parsed
from kube_leader_election.cli.running._order import Order


def options(*arguments: str, command: tuple[str, ...] = ("true",)) -> Order:
    parser = argparse.ArgumentParser()
    _run.add_to(parser)
    given = parser.parse_args(arguments)
    given.to_run = command
    return parsed(given)


def test_the_defaults_are_those_of_an_elector_with_all_the_grace_there_is_room_for() -> None:
    found = options("my-app")
    params = found.params
    assert (params.lease_ttl, params.renew_deadline, params.retry_period) == (15, 10.0, 2.0)
    assert found.grace == pytest.approx(3.7)
    assert found.namespace is None
    assert found.health_port is None
    assert params.holder_id is None  # the name of the Pod and a random part


@pytest.mark.parametrize("ttl", ["4", "6", "30"])
def test_what_is_not_said_follows_from_the_ttl_as_in_a_plan(ttl: str) -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    planned = settings(parser.parse_args(["--ttl", ttl]))
    found = options("my-app", "--ttl", ttl).params
    assert found.lease_ttl == planned.lease_ttl == int(ttl)
    assert found.renew_deadline == planned.renew_deadline
    assert found.retry_period == planned.retry_period


def test_the_election_waits_longer_than_the_command_has_to_finish() -> None:
    found = options("my-app", "--drain-timeout", "3")
    assert found.drain_timeout == 3
    assert found.params.drain_timeout > 3


def test_all_of_it_can_be_said() -> None:
    found = options(
        *("my-app", "-n", "jobs", "--lease-ttl", "30", "--renew-deadline", "20.5"),
        *("--retry-period", "3", "--grace", "2", "--health-port", "8080"),
    )
    assert found.namespace == "jobs"
    assert found.params.lease_ttl == 30
    assert found.params.renew_deadline == 20.5
    assert (found.grace, found.health_port) == (2.0, 8080)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run", "my-app", "--", "true", "--grace", "5"], None),  # that is the command's
        (["run", "my-app"], "COMMAND=None: must be given, after --"),
        (["run", "my-app", "true"], "unrecognized arguments: true: the COMMAND comes after --"),
        (["run", "my-app", "--nope", "--", "true"], "unrecognized arguments: --nope\n"),
        (["run", "My App", "--", "true"], "LEASE: 'My App': must be a DNS subdomain"),
        (["run", "my-app", "-n", "", "--", "true"], "namespace='': must be a DNS label"),
        (["run", "my-app", "--lease-ttl", "1.5", "--", "true"], "'1.5': must be a whole number"),
        (["run", "my-app", "--lease-ttl", "nan", "--", "true"], "'nan': must be a whole number"),
        (["run", "my-app", "--grace", "5", "--", "true"], "grace=5.0: must be from 0 to 3.7 s"),
        (["run", "my-app", "--grace", "x", "--", "true"], "invalid float value: 'x'"),
        (
            ["run", "my-app", "--renew-deadline", "14", "--", "true"],
            "renew_deadline=14.0: leaves no time to end the command before another may lead",
        ),
        (["run", "my-app", "--drain-timeout", "-1", "--", "true"], "drain_timeout=-1.0: must be"),
        (["run", "my-app", "--health-port", "x", "--", "true"], "must be from 0 to 65535"),
        (["serve", "--", "true"], "unrecognized arguments: -- true"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(
    arguments: list[str],
    problem: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if problem is None:
        monkeypatch.setattr("kube_leader_election.cli.running._runner.run", lambda options: 42)
        assert main(arguments) == 42
        return
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert problem in capsys.readouterr().err


def test_all_after_the_first_dashes_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Order] = []

    def run(told: Order) -> int:
        seen.append(told)
        return 0

    monkeypatch.setattr("kube_leader_election.cli.running._runner.run", run)
    assert main(["run", "-n", "jobs", "my-app", "--", "sh", "-c", "x", "--", "-n", "y"]) == 0
    assert seen[0].command == ("sh", "-c", "x", "--", "-n", "y")
    assert seen[0].namespace == "jobs"


def test_the_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "command: [kube-leader-election, run, my-app, " in capsys.readouterr().out

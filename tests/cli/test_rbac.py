"""`rbac`, whose text is that of the example and of the README"""

from __future__ import annotations

import pytest
import yaml

from kube_leader_election.cli._rbac import manifest, rule
from tests.cli.conftest import Command
from tests.programs import EXAMPLES


def test_what_is_printed_is_the_example(command: Command) -> None:
    said = command("rbac", "my-app", "-n", "default")
    assert said.code == 0
    assert said.output == (EXAMPLES / "rbac.yaml").read_text()


@pytest.mark.parametrize("name", ["true", "1", "1e3", "0x1", "1.5", "null", "no", "y", "a.b-1"])
def test_names_that_yaml_would_take_for_something_else_stay_names(name: str) -> None:
    account, role, binding = yaml.safe_load_all(manifest(name, name))
    for each in (account, role, binding):
        assert each["metadata"] == {"name": name, "namespace": name}
    assert role["rules"][1]["resourceNames"] == [name]
    assert binding["roleRef"]["name"] == name
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": name}]


def test_a_service_account_that_exists_is_bound_and_not_made(command: Command) -> None:
    said = command("rbac", "my-app", "-n", "default", "--service-account", "mine")
    role, binding = yaml.safe_load_all(said.output)
    assert (role["kind"], binding["kind"]) == ("Role", "RoleBinding")
    assert binding["subjects"][0]["name"] == "mine"


def test_a_user_may_be_bound(command: Command) -> None:
    said = command("rbac", "my-app", "-n", "default", "--user", "system:node:a")
    _, binding = yaml.safe_load_all(said.output)
    group = "rbac.authorization.k8s.io"
    assert binding["subjects"] == [{"apiGroup": group, "kind": "User", "name": "system:node:a"}]


@pytest.mark.parametrize("verb", ["create", "get", "update", "watch"])
def test_the_rule_of_one_verb_is_within_the_role(verb: str) -> None:
    (found,) = yaml.safe_load(rule(verb, "my-app"))
    _, role, _ = yaml.safe_load_all(manifest("my-app", "default"))
    assert any(
        {**found, "verbs": each["verbs"]} == each and verb in each["verbs"]
        for each in role["rules"]
    )


@pytest.mark.parametrize("option", [("rbac", "my-app", "--user"), ("doctor", "my-app", "--as")])
@pytest.mark.parametrize("name", ["", "a\nb"])
def test_a_user_without_a_name_is_wrong_usage(
    command: Command, option: tuple[str, ...], name: str
) -> None:
    said = command(*option, name)
    assert said.code == 2
    assert f"{name!r}: must be a name that can be printed" in said.errors

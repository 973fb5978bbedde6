"""`doctor`, against the embedded server and a real one"""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from kube_leader_election.testing import ApiServer, faults
from tests.apiserver import objects
from tests.apiserver.server import ADMIN, NOBODY, USERS
from tests.apiserver.server import ApiServer as RealServer
from tests.cli.conftest import Command, Said

# With so long a ttl a machine that is busy with something else is no finding.
QUICK = ("--reads", "3", "--lease-ttl", "120")


def findings(said: Said) -> dict[str, list[dict[str, str]]]:
    """Those that are to be mended, by what they are about"""
    found: dict[str, list[dict[str, str]]] = {}
    for each in json.loads(said.output)["findings"]:
        if each["level"] in ("fragile", "trouble"):
            found.setdefault(each["about"], []).append(each)
    return found


def test_where_all_is_well_the_exit_code_is_0(lease_server: ApiServer, command: Command) -> None:
    said = command("doctor", "my-app", *QUICK, kubeconfig=lease_server.kubeconfig)
    assert (said.code, said.errors) == (0, "")
    assert "does not exist yet" in said.output
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


# On a real server: ten faults, each with its mend.


class Cluster:
    """A namespace of the real server, and doctors in it"""

    def __init__(self, server: RealServer, namespace: str, command: Command) -> None:
        self.server = server
        self.namespace = namespace
        self._command = command

    def doctor(self, *more: str, user: str = ADMIN, kubeconfig: Path | None = None) -> Said:
        arguments = ["doctor", "my-app", "-n", self.namespace, "--reads", "30", "--json", *more]
        path = kubeconfig or self.server.kubeconfig(user)
        if "--lease-ttl" not in more:
            arguments += ["--lease-ttl", "120", "--renew-deadline", "80"]
        return self._command(*arguments, kubeconfig=path)

    def put(self, **fields: Any) -> None:
        """The Lease of a holder that has just renewed it"""
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": "my-app-1", "leaseDurationSeconds": 120, "renewTime": now}
        spec |= fields
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
        body = {"metadata": {"name": "my-app"}, "spec": spec}
        status, answer = self.server.call("POST", path, body)
        assert status == 201, answer

    def apply(self, text: str) -> None:
        """What `kubectl apply` makes of a Role and a RoleBinding"""
        for each in yaml.safe_load_all(text):
            plural = f"{each['kind'].lower()}s"
            path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/{plural}"
            status, answer = self.server.call("POST", path, each)
            assert status == 201, answer


@pytest.fixture
def cluster(apiserver: RealServer, apiserver_namespace: str, command: Command) -> Cluster:
    return Cluster(apiserver, apiserver_namespace, command)


def only(said: Said, about: str) -> dict[str, str]:
    """The one finding that is to be mended"""
    assert said.code == 1, said
    found = findings(said)
    assert list(found) == [about], said.output
    (finding,) = found[about]
    assert finding["mend"]
    return finding


@pytest.mark.apiserver
def test_a_real_server_is_well_and_tells_its_time(cluster: Cluster) -> None:
    cluster.put()
    said = cluster.doctor("--holders", "my-app-*")
    assert said.code == 0, said
    assert "of the server's" in said.output


@pytest.mark.apiserver
def test_who_has_no_rights_is_told_which_and_the_mend_mends(
    cluster: Cluster, command: Command
) -> None:
    said = cluster.doctor(user=USERS[7])
    found = findings(said)
    assert said.code == 1
    assert list(found) == ["rights"]
    says = [each["says"].split()[0] for each in found["rights"]]
    assert says == ["'create'", "'get'", "'update'", "'watch'"]
    told = found["rights"][0]["mend"].splitlines()[-1]
    program, *arguments = told.removesuffix(" | kubectl apply -f -").split()
    assert program == "kube-leader-election"
    cluster.apply(command(*arguments).output)
    gives_up_at = time.monotonic() + 60  # the authorizer learns of it by a watch
    while (said := cluster.doctor(user=USERS[7])).code == 1:
        assert time.monotonic() < gives_up_at, said
    assert "allowed are create, get, update, watch" in said.output
    assert "'delete'" not in said.output


@pytest.mark.apiserver
def test_a_missing_watch_is_found(cluster: Cluster) -> None:
    user = USERS[8]
    cluster.server.grant(user, cluster.namespace, ["create"])
    cluster.server.grant(user, cluster.namespace, ["get", "update"], name="my-app")
    assert only(cluster.doctor(user=user), "rights")["says"].startswith("'watch' is not allowed")


@pytest.mark.apiserver
def test_the_rights_of_another_are_looked_at(cluster: Cluster) -> None:
    account = f"system:serviceaccount:{cluster.namespace}:mine"
    said = cluster.doctor("--as", account)
    mend = findings(said)["rights"][0]["mend"]
    assert f"rbac my-app -n {cluster.namespace} --service-account mine |" in mend


@pytest.mark.apiserver
def test_who_may_not_look_for_another_is_told(cluster: Cluster) -> None:
    said = cluster.doctor("--as", "somebody", user=NOBODY)
    assert "cannot impersonate" in only(said, "rights")["says"]


@pytest.mark.apiserver
@pytest.mark.parametrize("ahead", [-10.0, 10.0])
@pytest.mark.parametrize(("skew", "level"), [([], "fragile"), (["0.5"], "trouble")])
def test_a_clock_that_is_10_s_off_is_found(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, ahead: float, skew: list[str], level: str
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + ahead)
    declared = ["--max-clock-skew", *skew] if skew else []
    found = only(cluster.doctor(*declared), "clock")
    assert found["level"] == level
    assert f"{'ahead of' if ahead > 0 else 'behind'} the server's" in found["says"]


@pytest.mark.apiserver
def test_a_lease_of_another_program_is_found(cluster: Cluster) -> None:
    cluster.put(holderIdentity="kube-scheduler-1")
    found = only(cluster.doctor("--holders", "my-app-*"), "lease")
    assert "kube-scheduler-1" in found["says"]


@pytest.mark.apiserver
@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"leaseDurationSeconds": 600}, "claims it for 10m"),
        ({"leaseDurationSeconds": None}, "no duration"),
        ({"strategy": "OldestEmulationVersion"}, "appoints the holder"),
    ],
)
def test_an_odd_lease_is_found(cluster: Cluster, fields: dict[str, Any], says: str) -> None:
    cluster.put(**fields)
    assert says in only(cluster.doctor(), "lease")["says"]


@pytest.mark.apiserver
def test_a_lease_from_the_future_is_found(cluster: Cluster) -> None:
    later = datetime.now(timezone.utc) + timedelta(seconds=600)
    cluster.put(renewTime=later.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    assert "in the future" in only(cluster.doctor(), "lease")["says"]


@pytest.mark.apiserver
def test_a_namespace_that_is_not_there_is_found(cluster: Cluster) -> None:
    cluster.namespace = "nowhere"
    assert only(cluster.doctor(), "namespace")["mend"] == "kubectl create namespace nowhere"


@pytest.mark.apiserver
def test_a_namespace_that_is_being_deleted_is_found(cluster: Cluster) -> None:
    status, _ = cluster.server.call("DELETE", f"/api/v1/namespaces/{cluster.namespace}")
    assert status == 200
    assert "is being deleted" in only(cluster.doctor(), "namespace")["says"]


@pytest.mark.apiserver
def test_a_server_with_another_certificate_is_found(cluster: Cluster, tmp_path: Path) -> None:
    config = objects.kubeconfig(
        server=cluster.server.url, ca_file="", user=ADMIN, token=cluster.server.token(ADMIN)
    )
    del config["clusters"][0]["cluster"]["certificate-authority"]
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    assert "certificate verify failed" in only(cluster.doctor(kubeconfig=path), "server")["says"]


@pytest.mark.apiserver
def test_a_wrong_token_is_found(cluster: Cluster, tmp_path: Path) -> None:
    config = objects.kubeconfig(
        server=cluster.server.url, ca_file=str(cluster.server.ca_file), user=ADMIN, token="wrong"
    )
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    assert "credentials" in only(cluster.doctor(kubeconfig=path), "server")["says"]


@pytest.mark.apiserver
def test_settings_that_clash_are_found(cluster: Cluster) -> None:
    said = cluster.doctor("--lease-ttl", "120", "--renew-deadline", "119")
    assert said.code == 1
    (found,) = findings(said)["settings"]
    assert "from 1.0 to 117.6" in found["says"]

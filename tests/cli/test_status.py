"""`status` against the embedded server"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kube_leader_election import LeaseLock, LeaseLockParams
from kube_leader_election.testing import ApiServer, faults
from tests.apiserver.server import NOBODY
from tests.apiserver.server import ApiServer as RealServer
from tests.cli.conftest import Command
from tests.programs import Program, prepare_environment, wait_until

# In seconds: so long no machine is busy with something else.
LONG = 600
STATUS = [sys.executable, "-m", "kube_leader_election", "status"]


@pytest.fixture
def server(lease_server: ApiServer) -> ApiServer:
    params = LeaseLockParams(lease_name="my-app", holder_id="a", lease_ttl=LONG)
    LeaseLock(lease_server.client(), "default", params).try_acquire_or_renew()
    lease_server.put_lease("free", holder_identity=None)
    return lease_server


def test_all_leases_of_a_namespace_are_shown_in_plain_lines(
    server: ApiServer, command: Command
) -> None:
    said = command("status", kubeconfig=server.kubeconfig)
    assert (said.code, said.errors) == (0, "")
    header, free, held = said.output.splitlines()
    assert header.split() == ["LEASE", "HOLDER", "HELD", "RENEWED", "EXPIRES", "TRANSITIONS"]
    assert free.split() == ["free", "-", "-", "-", "-", "0"]
    assert held.split()[:2] == ["my-app", "a"]


def test_one_lease_is_shown(server: ApiServer, command: Command) -> None:
    said = command("status", "my-app", kubeconfig=server.kubeconfig)
    assert said.code == 0
    assert [line.split()[0] for line in said.output.splitlines()] == ["LEASE", "my-app"]
    assert server.requests[-1].verb == "get"


def test_those_of_all_namespaces_are_shown_with_theirs(server: ApiServer, command: Command) -> None:
    params = LeaseLockParams(lease_name="other", lease_ttl=LONG)
    LeaseLock(server.client(), "elsewhere", params).try_acquire_or_renew()
    said = command("status", "-A", kubeconfig=server.kubeconfig)
    rows = [tuple(line.split()[:2]) for line in said.output.splitlines()]
    assert rows[0] == ("NAMESPACE", "LEASE")
    assert rows[1:] == [("default", "free"), ("default", "my-app"), ("elsewhere", "other")]


def test_for_machines_it_is_json(server: ApiServer, command: Command) -> None:
    said = command("status", "--json", kubeconfig=server.kubeconfig)
    free, held = json.loads(said.output)["leases"]
    assert (free["holder"], held["holder"]) == (None, "a")
    assert held["expiresInSeconds"] <= LONG


def test_no_lease_is_said(lease_server: ApiServer, command: Command) -> None:
    said = command("status", "-n", "other", kubeconfig=lease_server.kubeconfig)
    assert (said.code, said.output) == (0, "there is no Lease in other\n")


def test_a_lease_that_is_not_there_is_an_error(lease_server: ApiServer, command: Command) -> None:
    said = command("status", "none", kubeconfig=lease_server.kubeconfig)
    assert said.code == "kube-leader-election: there is no Lease default/none"


def test_a_404_of_a_proxy_says_nothing_of_the_lease(
    lease_server: ApiServer, command: Command
) -> None:
    lease_server.fail_next(faults.answer(404, body=faults.html), verb="get")
    said = command("status", "none", kubeconfig=lease_server.kubeconfig)
    assert said.code == "kube-leader-election: get of Lease default/none: answered 404 Not Found"


@pytest.mark.parametrize(
    ("arguments", "verb", "what"),
    [(["my-app"], "get", "get of Lease default/my-app"), ([], "list", "list of Leases in default")],
)
def test_a_refusal_is_told_in_the_words_of_the_server(
    server: ApiServer, command: Command, arguments: list[str], verb: str, what: str
) -> None:
    server.fail_next(faults.answer(403), verb=verb)
    said = command("status", *arguments, kubeconfig=server.kubeconfig)
    assert str(said.code).startswith(f"kube-leader-election: {what}: answered 403 Forbidden")


def test_a_server_that_is_not_there_is_named(lease_server: ApiServer, command: Command) -> None:
    path = lease_server.kubeconfig
    with lease_server.refuse_connections():
        said = command("status", kubeconfig=path)
    says = f"kube-leader-election: no answer from {lease_server.url}: Connection refused"
    assert said.code == says


def test_without_a_kubeconfig_it_says_so(command: Command) -> None:
    assert str(command("status").code).startswith("kube-leader-election: no cluster is named: ")


@pytest.mark.parametrize("arguments", [["-n", "default"], []])
def test_what_a_broken_kubeconfig_holds_is_not_shown(
    command: Command, tmp_path: Path, arguments: list[str]
) -> None:
    path = tmp_path / "config"
    path.write_text("token: s3cret\n  : {")
    said = command("status", *arguments, kubeconfig=path)
    assert re.match("kube-leader-election: .*the kubeconfig.* cannot be read: ", str(said.code))
    assert "s3cret" not in str(said)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-A", "my-app"],
        ["-A", "-n", "default"],
        ["-n", "NOT"],
        ["My_App"],
        ["--interval", "0"],
        ["--interval", "soon"],
    ],
)
def test_wrong_usage_is_2(command: Command, arguments: list[str]) -> None:
    said = command("status", *arguments)
    assert said.code == 2
    assert said.errors


@pytest.fixture
def watching(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Program]:
    prepare_environment(monkeypatch, server.kubeconfig)
    command = [*STATUS, "--watch", "--interval", "0.1"]
    with Program(command, folder=tmp_path / "run") as program:
        wait_until(lambda: "default/my-app: held by a" in program.output)
        yield program


def test_a_watch_tells_each_change_and_ends_at_ctrl_c(server: ApiServer, watching: Program) -> None:
    server.put_lease("my-app", holder_identity="b", lease_duration_seconds=LONG)
    wait_until(lambda: "default/my-app: held by b" in watching.output)
    server.remove_lease("free")
    wait_until(lambda: "default/free: deleted\n" in watching.output)
    assert watching.end(signal.SIGINT) == 130
    assert re.match(r"\d\d:\d\d:\d\dZ  default/free: free, ", watching.output)
    assert len(watching.output.splitlines()) == 4
    assert "Traceback" not in watching.output


def test_a_watch_goes_on_when_the_server_is_back(server: ApiServer, watching: Program) -> None:
    with server.refuse_connections():
        wait_until(lambda: "Connection refused" in watching.output)
        server.put_lease("my-app", holder_identity="b", lease_duration_seconds=LONG)
    wait_until(lambda: "default/my-app: held by b" in watching.output)


def test_a_watch_tells_a_failure_that_lasts_once(server: ApiServer, watching: Program) -> None:
    server.fail_next(faults.answer(503), verb="list", times=3)
    server.put_lease("my-app", holder_identity="b", lease_duration_seconds=LONG)
    wait_until(lambda: "default/my-app: held by b" in watching.output)
    assert watching.output.count("answered 503") == 1


def test_ctrl_c_ends_any_command_with_130(
    command: Command, lease_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kube_leader_election.cli._cluster.Cluster.leases", interrupted)
    said = command("status", kubeconfig=lease_server.kubeconfig)
    assert (said.code, said.output, said.errors) == (130, "", "")


# On a real server.


@pytest.fixture
def real(apiserver: RealServer, apiserver_namespace: str) -> str:
    """A namespace with three Leases"""
    for name in ("a", "b", "c"):
        params = LeaseLockParams(lease_name=name, holder_id=f"holder-of-{name}", lease_ttl=LONG)
        LeaseLock(apiserver.api_client(), apiserver_namespace, params).try_acquire_or_renew()
    return apiserver_namespace


@pytest.mark.apiserver
@pytest.mark.parametrize("page", [1, 2, 500])
def test_a_real_server_gives_all_pages(
    apiserver: RealServer, real: str, command: Command, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr("kube_leader_election.cli._cluster._PAGE", page)
    said = command("status", "-n", real, kubeconfig=apiserver.kubeconfig())
    holders = [line.split()[1] for line in said.output.splitlines()]
    assert holders == ["HOLDER", "holder-of-a", "holder-of-b", "holder-of-c"]
    said = command("status", "-A", "--json", kubeconfig=apiserver.kubeconfig())
    assert {each["namespace"] for each in json.loads(said.output)["leases"]} >= {real}


@pytest.mark.apiserver
@pytest.mark.parametrize(("ahead", "side"), [(5430, "1h30m ahead of"), (-5430, "1h30m behind")])
def test_a_wrong_clock_makes_no_lease_odd(
    apiserver: RealServer,
    real: str,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    ahead: float,
    side: str,
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + ahead)
    said = command("status", "a", "-n", real, kubeconfig=apiserver.kubeconfig())
    header, _, last = said.output.splitlines()
    assert "NOTES" not in header
    assert last == f"this machine's clock is {side} the server's, which all times are by"


@pytest.mark.apiserver
def test_who_may_not_list_is_told(apiserver: RealServer, real: str, command: Command) -> None:
    said = command("status", "-n", real, kubeconfig=apiserver.kubeconfig(NOBODY))
    assert "answered 403 Forbidden: leases.coordination.k8s.io is forbidden" in str(said.code)

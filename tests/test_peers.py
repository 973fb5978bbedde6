"""Foreign clients as real processes, each contending with its own kind or driven by hand"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kube_leader_election import testing
from tests.apiserver.server import ApiServer
from tests.peers.build import CLIENT_GO, KUBE_COORDINATE, KUBE_LEADER_ELECTION, KUBECTL, peers
from tests.programs import PATIENCE, Program, prepare_environment, wait_until

pytestmark = pytest.mark.peers

LEASE = "work"
LONG = 600
SHORT = 2  # the least that kube-coordinate takes


@dataclass(frozen=True)
class Server:
    """What a test needs to know of the server: one empty namespace, and how it is read"""

    kubeconfig: Path
    namespace: str
    lease: Callable[[], Any]

    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.lease()["spec"]
        return spec


@pytest.fixture
def real_server(apiserver: ApiServer, apiserver_namespace: str) -> Server:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{apiserver_namespace}/leases/{LEASE}"
    return Server(
        apiserver.kubeconfig(), apiserver_namespace, lambda: apiserver.call("GET", path)[1]
    )


@pytest.fixture
def embedded_server() -> Iterator[Server]:
    with testing.ApiServer() as server:
        yield Server(server.kubeconfig, "test", lambda: server.stored_lease(LEASE, "test"))


@pytest.fixture
def embedded_tls_server() -> Iterator[Server]:
    with testing.ApiServer(tls=True) as server:
        yield Server(server.kubeconfig, "test", lambda: server.stored_lease(LEASE, "test"))


@pytest.fixture(params=["real_server", "embedded_server", "embedded_tls_server"])
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Server:
    server: Server = request.getfixturevalue(request.param)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    # What kubectl has learned of a server is of no use for the next one on its port.
    prepare_environment(monkeypatch, server.kubeconfig, KUBECACHEDIR=str(tmp_path / "kubectl"))
    return server


class Candidate(Program):
    """One of a pair in `folder`; the crates take a TTL, client-go's example has a minute"""

    def __init__(
        self,
        binary: str,
        server: Server,
        holder: str,
        *,
        folder: Path,
        ttl: int = LONG,
        lease: str = LEASE,
    ) -> None:
        if binary == CLIENT_GO:
            options = {
                "kubeconfig": server.kubeconfig,
                "lease-lock-namespace": server.namespace,
                "lease-lock-name": lease,
                "id": holder,
            }
            arguments = [f"-{name}={value}" for name, value in options.items()]
            self._leading, self._following = "Successfully acquired lease", "new leader elected"
        else:
            arguments = [server.namespace, lease, holder, str(ttl)]
            self._leading, self._following = "leading\n", "following\n"
        super().__init__([str(peers() / binary), *arguments], folder=folder / holder)

    def __enter__(self) -> Candidate:
        self.start()
        return self

    def wait_until_leading(self) -> None:
        wait_until(lambda: self._has_printed(self._leading))

    def wait_until_following(self) -> None:
        wait_until(lambda: self._has_printed(self._following))

    def _has_printed(self, text: str) -> bool:
        self.check()
        return text in self.output


@pytest.mark.parametrize("binary", [CLIENT_GO, KUBE_LEADER_ELECTION])
def test_a_leader_refuses_another_and_hands_over_at_sigterm(
    server: Server, tmp_path: Path, binary: str
) -> None:
    with Candidate(binary, server, "one", folder=tmp_path) as one:
        one.wait_until_leading()
        with Candidate(binary, server, "two", folder=tmp_path) as two:
            two.wait_until_following()
            led = server.spec()
            assert one.end(signal.SIGTERM) == 0
            two.wait_until_leading()
            taken_over = server.spec()
            assert two.end(signal.SIGTERM) == 0
    released = server.spec()
    assert (led["holderIdentity"], led["leaseTransitions"]) == ("one", 0)
    assert (taken_over["holderIdentity"], taken_over["leaseTransitions"]) == ("two", 1)
    assert taken_over["leaseDurationSeconds"] == led["leaseDurationSeconds"]
    assert (released["holderIdentity"], released["leaseDurationSeconds"]) == ("", 1)


def test_kube_coordinate_refuses_another_and_keeps_its_lease_at_sigterm(
    server: Server, tmp_path: Path
) -> None:
    with Candidate(KUBE_COORDINATE, server, "one", folder=tmp_path) as one:
        one.wait_until_leading()
        led = server.spec()
        with Candidate(KUBE_COORDINATE, server, "two", folder=tmp_path) as two:
            two.wait_until_following()
            assert one.end(signal.SIGTERM) == 0
            assert two.end(signal.SIGTERM) == 0
    assert (led["holderIdentity"], led["leaseDurationSeconds"]) == ("one", LONG)
    assert server.spec() == led


@pytest.mark.parametrize("binary", [KUBE_COORDINATE, KUBE_LEADER_ELECTION])
def test_after_kill_9_of_the_leader_another_leads_once_the_ttl_has_passed(
    server: Server, tmp_path: Path, binary: str
) -> None:
    with Candidate(binary, server, "one", folder=tmp_path, ttl=SHORT) as one:
        one.wait_until_leading()
    left = server.spec()
    with Candidate(binary, server, "two", folder=tmp_path, ttl=SHORT) as two:
        two.wait_until_leading()
        taken_over = server.spec()
    assert (left["holderIdentity"], taken_over["holderIdentity"]) == ("one", "two")
    assert taken_over["leaseTransitions"] == left["leaseTransitions"] + 1


def test_kube_coordinate_sees_by_its_watch_that_another_has_taken_its_lease(
    server: Server, tmp_path: Path
) -> None:
    with Candidate(KUBE_COORDINATE, server, "one", folder=tmp_path) as one:
        one.wait_until_leading()
        kubectl(server, "patch", "lease", LEASE, "--type=merge", holder_patch("other"))
        one.wait_until_following()


def kubectl_command(server: Server, *arguments: str) -> list[str]:
    return [str(peers() / KUBECTL), f"--namespace={server.namespace}", *arguments]


def run_kubectl(
    server: Server, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        kubectl_command(server, *arguments),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def kubectl(server: Server, *arguments: str, stdin: str = "") -> str:
    """What it prints; it must not fail"""
    done = run_kubectl(server, *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kubectl_create(server: Server) -> dict[str, Any]:
    """The spec of a new Lease, which is held by a"""
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15}
    manifest = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE},
        "spec": spec,
    }
    kubectl(server, "create", "--filename=-", stdin=json.dumps(manifest))
    return spec


def holder_patch(holder: str) -> str:
    return f'--patch={{"spec":{{"holderIdentity":"{holder}"}}}}'


COLUMNS = "--output=custom-columns=NAME:.metadata.name,HOLDER:.spec.holderIdentity"


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


def test_kubectl_creates_reads_lists_and_deletes_a_lease(server: Server) -> None:
    spec = kubectl_create(server)
    lease = json.loads(kubectl(server, "get", "lease", LEASE, "--output=json"))
    listed = kubectl(server, "get", "leases", COLUMNS)
    kubectl(server, "delete", "lease", LEASE)
    after = run_kubectl(server, "get", "lease", LEASE)
    assert (lease["metadata"]["namespace"], lease["spec"]) == (server.namespace, spec)
    assert rows(listed) == [["NAME", "HOLDER"], [LEASE, "a"]]
    assert (after.returncode, "(NotFound)" in after.stderr) == (1, True)


def test_kubectl_patches_a_lease_and_replaces_what_it_has_read_only_once(server: Server) -> None:
    spec = kubectl_create(server)
    kubectl(server, "patch", "lease", LEASE, "--type=merge", holder_patch("b"))
    patched = server.spec()
    lease = json.loads(kubectl(server, "get", "lease", LEASE, "--output=json"))
    lease["spec"]["holderIdentity"] = "c"
    kubectl(server, "replace", "--filename=-", stdin=json.dumps(lease))
    lease["spec"]["holderIdentity"] = "d"
    again = run_kubectl(server, "replace", "--filename=-", stdin=json.dumps(lease))
    assert patched == {**spec, "holderIdentity": "b"}
    assert server.spec() == {**spec, "holderIdentity": "c"}
    assert (again.returncode, "(Conflict)" in again.stderr) == (1, True)


def test_kubectl_watches_the_changes_of_a_lease(server: Server, tmp_path: Path) -> None:
    kubectl_create(server)
    holder = "--output=jsonpath={.spec.holderIdentity}\n"
    command = kubectl_command(server, "get", "leases", "--watch", holder)
    with Program(command, folder=tmp_path / "watch") as watch:
        wait_until(lambda: watch.output == "a\n")
        kubectl(server, "patch", "lease", LEASE, "--type=merge", holder_patch("b"))
        kubectl(server, "delete", "lease", LEASE)
        wait_until(lambda: watch.output == "a\nb\nb\n")


def test_kubectl_says_that_its_user_may_update_leases(server: Server) -> None:
    assert kubectl(server, "auth", "can-i", "update", "leases") == "yes\n"

"""The examples as a stranger runs them, as the user that has only the Role of examples/rbac.yaml"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from kube_leader_election import (
    CreateLeaseError,
    GetLeaseError,
    LeaderElector,
    LeaderElectorParams,
    LeaseError,
    LeaseLock,
    LeaseLockParams,
    RenewLeaseError,
)
from tests.apiserver import objects
from tests.apiserver.server import ApiServer
from tests.programs import EXAMPLES, PATIENCE, Program, prepare_environment, wait_until

pytestmark = pytest.mark.apiserver

NAME = "my-app"
TTL = 15
INTERVAL = 5
MARGIN = TTL - INTERVAL  # for a busy machine; a poll still comes before an expiry
GRACE = 30.0  # what Kubernetes gives a Pod to end in


class RoleUser:
    """The ServiceAccount of examples/rbac.yaml, in another namespace, with a token of its own"""

    def __init__(self, server: ApiServer, namespace: str, *, without_verb: str = "") -> None:
        self.server = server
        self.namespace = namespace
        verbs = [
            verb
            for manifest in yaml.safe_load_all((EXAMPLES / "rbac.yaml").read_text())
            for verb in self._apply(manifest, without_verb)
        ]
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{NAME}/token"
        self.token: str = self._post(path, {"spec": {}})["status"]["token"]
        wait_until(lambda: all(self.may(verb) for verb in verbs))

    def _apply(self, manifest: dict[str, Any], without_verb: str) -> Iterator[str]:
        """Creates the object; the verbs it grants"""
        manifest["metadata"]["namespace"] = self.namespace
        for subject in manifest.get("subjects", ()):
            subject["namespace"] = self.namespace
        for rule in manifest.get("rules", ()):
            rule["verbs"] = [verb for verb in rule["verbs"] if verb != without_verb]
            yield from rule["verbs"]
        manifest["rules"] = [rule for rule in manifest.get("rules", ()) if rule["verbs"]]
        version, kind = manifest["apiVersion"], manifest["kind"].lower()
        group = "/api/v1" if version == "v1" else f"/apis/{version}"
        self._post(f"{group}/namespaces/{self.namespace}/{kind}s", manifest)

    def _post(self, path: str, body: object) -> Any:
        status, answer = self.server.call("POST", path, body)
        assert status == 201, answer
        return answer

    def may(self, verb: str) -> bool:
        """Whether the token is known and allows that; the server learns of both by a watch"""
        review = objects.access_review("", self.namespace, verb, NAME)["spec"]
        del review["user"]
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        status, answer = self.call("POST", path, {"spec": review})
        return status == 201 and answer["status"]["allowed"] is True

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        with closing(self.server.connect()) as connection:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        config = objects.kubeconfig(
            server=self.server.url,
            ca_file=str(self.server.ca_file),
            user=NAME,
            token=self.token,
        )
        config["contexts"][0]["context"]["namespace"] = self.namespace
        path.write_text(json.dumps(config))
        return path

    def client(self, folder: Path) -> Any:
        from kubernetes import config

        new_client: Any = config.new_client_from_config  # untyped
        return new_client(str(self.kubeconfig(folder)))

    def lock(self, folder: Path) -> LeaseLock:
        params = LeaseLockParams(lease_name=NAME, lease_ttl=600)
        return LeaseLock(self.client(folder), self.namespace, params)

    def elector(self, folder: Path) -> LeaderElector:
        params = LeaderElectorParams(lease_name=NAME)
        return LeaderElector(self.client(folder), self.namespace, params)

    def requests(self) -> list[tuple[str, int]]:
        """The verbs and statuses of its requests for Leases"""
        name = f"system:serviceaccount:{self.namespace}:{NAME}"
        return self.server.requests(user=name, namespace=self.namespace)

    def is_contended(self) -> bool:
        """Whether a candidate has left the Lease to another; the write after one read may be due"""
        verbs = [verb for verb, _ in self.requests()]
        return verbs.count("get") > verbs.count("create") + verbs.count("update") + 1

    def lease(self) -> dict[str, Any]:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{NAME}"
        status, lease = self.server.call("GET", path)
        assert status == 200, lease
        spec: dict[str, Any] = lease["spec"]
        return spec


@pytest.fixture
def user(
    apiserver: ApiServer,
    apiserver_namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> RoleUser:
    user = RoleUser(apiserver, apiserver_namespace)
    prepare_environment(monkeypatch, user.kubeconfig(tmp_path), LEASE_NAMESPACE=user.namespace)
    return user


def example(name: str, folder: Path) -> Program:
    return Program([sys.executable, str(EXAMPLES / name)], folder=folder)


def seconds_between(earlier: str, later: str) -> float:
    times = [datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (earlier, later)]
    return (times[1] - times[0]).total_seconds()


def test_the_role_allows_all_that_a_candidate_does(user: RoleUser, tmp_path: Path) -> None:
    first, second = user.lock(tmp_path), user.lock(tmp_path)
    done = [bool(first.try_acquire_or_renew()) for _ in range(2)]
    done.append(bool(second.try_acquire_or_renew()))
    first.step_down()
    done.append(bool(second.try_acquire_or_renew()))
    assert done == [True, True, False, True]


@pytest.mark.parametrize(
    ("verb", "kind"),
    [("get", GetLeaseError), ("create", CreateLeaseError), ("update", RenewLeaseError)],
)
def test_without_one_of_its_verbs_the_role_is_too_little(
    apiserver: ApiServer,
    apiserver_namespace: str,
    tmp_path: Path,
    verb: str,
    kind: type[LeaseError],
) -> None:
    lock = RoleUser(apiserver, apiserver_namespace, without_verb=verb).lock(tmp_path)
    if verb == "update":
        lock.try_acquire_or_renew()
    with pytest.raises(kind, match=f"a Role must allow '{verb}' on leases") as refused:
        lock.try_acquire_or_renew()
    assert (refused.value.status, refused.value.verb) == (403, verb)


def test_the_role_allows_an_elector_to_watch(user: RoleUser, tmp_path: Path) -> None:
    with user.elector(tmp_path) as first, user.elector(tmp_path) as second:
        wait_until(lambda: user.requests().count(("watch", 200)) == 2)
        leader = first if first.wait_until_leading(1) else second
        leader.stop()
        assert (second if leader is first else first).wait_until_leading(PATIENCE)
    assert 403 not in {status for _, status in user.requests()}


def test_without_watch_an_elector_polls(
    apiserver: ApiServer,
    apiserver_namespace: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    user = RoleUser(apiserver, apiserver_namespace, without_verb="watch")
    with user.elector(tmp_path) as first:
        assert first.wait_until_leading(PATIENCE)
        with user.elector(tmp_path) as second:
            wait_until(lambda: caplog.text.count("a Role must allow 'watch' on leases") == 2)
            first.stop()
            assert second.wait_until_leading(PATIENCE)


def test_the_role_allows_nothing_else(user: RoleUser) -> None:
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{user.namespace}/leases"
    body = {"metadata": {"name": "other"}, "spec": {}}
    user.call("POST", leases, body)
    requests = [
        ("GET", f"{leases}/other", None),
        ("PUT", f"{leases}/other", body),
        ("DELETE", f"{leases}/{NAME}", None),
        ("PATCH", f"{leases}/{NAME}", body),
        ("GET", leases, None),
        ("GET", f"{leases}?watch=true", None),
        ("GET", f"{leases}?watch=true&fieldSelector=metadata.name%3Dother", None),
        ("POST", leases.replace(user.namespace, "default"), body),
        ("GET", f"/api/v1/namespaces/{user.namespace}/configmaps", None),
    ]
    assert [user.call(*request)[0] for request in requests] == [403] * len(requests)


def test_after_kill_9_the_other_leads_once_the_ttl_has_passed_and_not_before(
    user: RoleUser, tmp_path: Path
) -> None:
    with example("shared_lease.py", tmp_path / "a") as first:
        wait_until(lambda: "working" in first.output)
        with example("shared_lease.py", tmp_path / "b") as second:
            wait_until(user.is_contended)
            leases = [user.lease()]
            first.kill()

            def is_taken_over() -> bool:
                time.sleep(0.1)  # for the server, which is asked a hundred times
                leases.append(user.lease())  # a renewal under way may still be carried out
                return bool(leases[-1]["holderIdentity"] != leases[0]["holderIdentity"])

            wait_until(is_taken_over)
            wait_until(lambda: "working" in second.output)
            assert second.end(signal.SIGTERM) == 0
    last_renewal, taken_over = leases[-2]["renewTime"], leases[-1]["acquireTime"]
    assert TTL < seconds_between(last_renewal, taken_over) < TTL + INTERVAL + MARGIN


def test_after_sigterm_the_other_leads_at_its_next_poll(user: RoleUser, tmp_path: Path) -> None:
    with example("shared_lease.py", tmp_path / "a") as first:
        wait_until(lambda: "working" in first.output)
        with example("shared_lease.py", tmp_path / "b") as second:
            wait_until(user.is_contended)
            second.pause()
            assert first.end(signal.SIGTERM) == 0
            released = user.lease()
            second.resume()
            wait_until(lambda: "working" in second.output)
            taken_over = user.lease()["acquireTime"]
            assert second.end(signal.SIGTERM) == 0
    assert released.get("holderIdentity", "") == ""
    assert 0 < seconds_between(released["renewTime"], taken_over) < INTERVAL + MARGIN
    assert first.output.count("leads, fencing token") == 1
    assert "Traceback" not in first.output + second.output


def test_shared_lease_works_only_while_it_leads_and_outlives_a_silent_server(
    user: RoleUser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEASE_TTL", "3")
    with example("shared_lease.py", tmp_path / "a") as program:
        wait_until(lambda: "working" in program.output)
        user.server.pause()
        wait_until(lambda: not says_it_leads(program))
        wait_for_a_turn_in_vain(program)  # a step may have been under way
        steps = program.output.count("working")
        wait_for_a_turn_in_vain(program)
        steps_without_leading = program.output.count("working") - steps
        user.server.resume()
        wait_until(lambda: program.output.count("working") > steps)
        assert program.end(signal.SIGTERM) == 0
    assert steps_without_leading == 0
    assert "Traceback" not in program.output


def says_it_leads(program: Program) -> bool:
    """What it has logged last of its role"""
    said = [line for line in program.output.splitlines() if " leads" in line]
    return bool(said) and not said[-1].endswith(" leads no more")


def wait_for_a_turn_in_vain(program: Program) -> None:
    before = program.output.count("no whole answer")
    wait_until(lambda: program.output.count("no whole answer") > before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_simple_lease_leads_says_so_and_steps_down_at_a_signal(
    user: RoleUser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    monkeypatch.setenv("LEASE_TTL", "60")  # so a request may take long
    with example("simple_lease.py", tmp_path / "a") as program:
        wait_until(lambda: "leading" in program.output)
        holder = user.lease()["holderIdentity"]
        assert program.end(number) == 0
    assert holder
    assert user.lease().get("holderIdentity", "") == ""
    assert "Traceback" not in program.output


def test_simple_lease_follows_while_another_leads_and_then_leads(
    user: RoleUser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEASE_TTL", "3")
    lock = user.lock(tmp_path)
    assert lock.try_acquire_or_renew()
    with example("simple_lease.py", tmp_path / "a") as program:
        wait_until(lambda: f"following {lock.holder_id}\n" in program.output)
        lock.step_down()
        wait_until(lambda: "leading" in program.output)
        assert program.end(signal.SIGINT) == 0


@pytest.mark.parametrize("name", ["simple_lease.py", "shared_lease.py"])
def test_a_signal_ends_an_example_in_time_though_the_server_is_silent(
    user: RoleUser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("LEASE_TTL", "3")
    with example(name, tmp_path / "a") as program:
        wait_until(lambda: "leads, fencing token" in program.output)
        user.server.pause()
        wait_for_a_turn_in_vain(program)
        assert program.end(signal.SIGTERM, seconds=GRACE) == 0
        user.server.resume()
    assert user.lease()["holderIdentity"]
    assert "Traceback" not in program.output


def test_the_controller_works_and_releases_at_a_signal(user: RoleUser, tmp_path: Path) -> None:
    with example("controller.py", tmp_path / "a") as program:
        wait_until(lambda: "item 1 of term " in program.output)
        holder = user.lease()["holderIdentity"]
        assert program.end(signal.SIGTERM) == 0
    assert holder
    assert user.lease().get("holderIdentity", "") == ""
    assert program.output.splitlines()[-1].endswith(" leads no more")
    assert "Traceback" not in program.output

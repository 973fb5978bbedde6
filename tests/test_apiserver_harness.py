"""The server the other tests rely on: its answers, its rights, its counts, its end"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.build import BuildError, binaries
from tests.apiserver.server import ADMIN, NOBODY, USERS, ApiServer
from tests.programs import wait_until

pytestmark = pytest.mark.apiserver

_SERVE_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from tests.apiserver.server import ApiServer
with ApiServer(Path(sys.argv[1])) as server:
    print(server.etcd.pid, server.kube_apiserver.pid, flush=True)
    time.sleep(600)
"""

_DEAD = {"", "Z", "X"}


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def _lease(name: str, holder: str) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15},
    }


# kubernetes 34 asks urllib3 for the headers of an error in a way the latter has deprecated.
@pytest.mark.filterwarnings("ignore:HTTPResponse.getheaders:DeprecationWarning")
def test_of_two_writers_with_one_version_the_second_gets_a_conflict(
    apiserver: ApiServer, apiserver_namespace: str
) -> None:
    from kubernetes import client

    with apiserver.api_client() as api_client:
        api: Any = client.CoordinationV1Api(api_client)
        lease = api.create_namespaced_lease(apiserver_namespace, _lease("work", "a"))
        lease.spec.holder_identity = "b"
        replaced = api.replace_namespaced_lease("work", apiserver_namespace, lease)
        lease.spec.holder_identity = "c"
        with pytest.raises(client.ApiException) as refused:
            api.replace_namespaced_lease("work", apiserver_namespace, lease)
    assert refused.value.status == 409
    assert replaced.spec.holder_identity == "b"


def test_a_user_without_rights_is_refused(apiserver: ApiServer, apiserver_namespace: str) -> None:
    for user in (NOBODY, USERS[0]):
        status, answer = apiserver.call("GET", _leases(apiserver_namespace), user=user)
        assert status == 403
        assert f'User "{user}" cannot list' in answer["message"]


def test_a_granted_right_holds_for_its_verb_name_and_namespace_only(
    apiserver: ApiServer, apiserver_namespace: str
) -> None:
    path = _leases(apiserver_namespace)
    for name in ("mine", "other"):
        apiserver.call("POST", path, _lease(name, "a"))
    apiserver.grant(USERS[1], apiserver_namespace, ["get"], name="mine")
    asked = [("GET", f"{path}/mine"), ("DELETE", f"{path}/mine"), ("GET", f"{path}/other")]
    answers = [apiserver.call(*request, user=USERS[1])[0] for request in asked]
    elsewhere = apiserver.call("GET", _leases("default") + "/mine", user=USERS[1])[0]
    assert [*answers, elsewhere] == [200, 403, 403, 403]


def test_each_answered_request_for_a_lease_is_counted_once(
    apiserver: ApiServer, apiserver_namespace: str
) -> None:
    path = _leases(apiserver_namespace)
    made = []
    for number in range(20):
        apiserver.call("POST", path, _lease(f"work-{number}", "a"))
        apiserver.call("GET", f"{path}/work-{number}", user=NOBODY)
        made += [("create", 201), ("get", 403)]
        assert apiserver.requests(namespace=apiserver_namespace) == made
    assert apiserver.requests(namespace=apiserver_namespace, user=NOBODY) == made[1::2]
    assert apiserver.requests(namespace=apiserver_namespace, name="work-7") == made[:2]


@pytest.mark.parametrize("query", ["", "?watch=true"])
def test_a_request_with_an_unknown_token_is_counted_once(
    apiserver: ApiServer, apiserver_namespace: str, query: str
) -> None:
    with _get(apiserver, _leases(apiserver_namespace) + query, token="unknown") as status:
        assert status == 401
    verb = "watch" if query else "list"
    assert apiserver.requests(namespace=apiserver_namespace) == [(verb, 401)]


def test_a_watch_is_counted_once_and_while_it_is_still_open(
    apiserver: ApiServer, apiserver_namespace: str
) -> None:
    path = _leases(apiserver_namespace) + "?watch=true&timeoutSeconds=1"
    with _get(apiserver, path, token=apiserver.token(ADMIN)) as status:
        counted = apiserver.requests(namespace=apiserver_namespace)
    refused = apiserver.call("GET", path, user=NOBODY)[0]
    assert (status, refused) == (200, 403)
    assert counted == [("watch", 200)]
    assert apiserver.requests(namespace=apiserver_namespace) == [("watch", 200), ("watch", 403)]


@contextmanager
def _get(server: ApiServer, path: str, *, token: str) -> Iterator[int]:
    """The status as soon as it is there, with the body of a watch still under way"""
    with closing(server.connect()) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        with connection.getresponse() as answer:
            yield answer.status
            answer.read()


def test_a_paused_server_does_not_answer_and_a_resumed_one_does(
    apiserver: ApiServer, apiserver_namespace: str
) -> None:
    path = _leases(apiserver_namespace)
    apiserver.pause()
    with pytest.raises(TimeoutError):
        apiserver.call("GET", path, timeout=0.5)
    apiserver.resume()
    assert apiserver.call("GET", path)[0] == 200


def test_a_restarted_server_keeps_its_address_its_certificate_and_its_leases(
    apiserver: ApiServer, apiserver_namespace: str
) -> None:
    apiserver.call("POST", _leases(apiserver_namespace), _lease("work", "a"))
    before = apiserver.url, apiserver.ca_file.read_bytes(), apiserver.kube_apiserver.pid
    apiserver.restart()
    after = apiserver.url, apiserver.ca_file.read_bytes(), apiserver.kube_apiserver.pid
    status, lease = apiserver.call("GET", _leases(apiserver_namespace) + "/work")
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert (status, lease["spec"]["holderIdentity"]) == (200, "a")


def test_a_server_whose_etcd_was_killed_serves_its_leases_again_once_restored(
    apiserver: ApiServer, apiserver_namespace: str
) -> None:
    apiserver.call("POST", _leases(apiserver_namespace), _lease("work", "a"))
    apiserver.etcd.kill()
    apiserver.restore()
    status, lease = apiserver.call("GET", _leases(apiserver_namespace) + "/work")
    assert (status, lease["spec"]["holderIdentity"]) == (200, "a")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_both_processes_end_with_a_parent_that_was_killed(number: int, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _SERVE_UNTIL_KILLED, str(binaries())],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        before = [_state(pid) for pid in pids]
        parent.send_signal(number)
    wait_until(lambda: all(_state(pid) in _DEAD for pid in pids))
    shutil.rmtree(tmp_path)
    assert [state in _DEAD for state in before] == [False, False]


def _state(pid: int) -> str:
    """The state letter of a process, empty where there is none"""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[0]


def test_a_server_that_ends_normally_leaves_no_process_and_no_file() -> None:
    with ApiServer(binaries()) as server:
        processes = [server.etcd, server.kube_apiserver]
        assert all(process.running for process in processes)
    assert not any(process.running for process in processes)
    assert not server.folder.exists()


def test_a_binary_absent_from_kubebuilder_assets_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(BuildError, match="no executable etcd in"):
        binaries()


def test_without_go_the_build_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BuildError, match="need go on the PATH"):
        binaries()

"""The API server on loopback: what is beyond the rules of the API, and beyond its faults"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes import config
from kubernetes.client import (
    ApiClient,
    Configuration,
    CoordinationV1Api,
    V1Lease,
    V1LeaseSpec,
    V1ObjectMeta,
)
from kubernetes.client.exceptions import ApiException
from kubernetes.watch import Watch

from kube_leader_election import GetLeaseError, LeaseLock, LeaseLockParams
from kube_leader_election.testing import ApiServer, UnmetFaultsError, _listener, faults
from tests.programs import wait_until

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    with ApiServer(tls=request.param == "https") as server:
        yield server


@pytest.fixture
def plain() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def loaded(path: Path) -> ApiClient:
    configuration = Configuration()
    load: Any = config.load_kube_config  # untyped
    load(str(path), client_configuration=configuration)
    return ApiClient(configuration)


def lock_of(client: Any, **params: Any) -> LeaseLock:
    return LeaseLock(client, "default", LeaseLockParams(lease_name="leader", **params))


def get(server: ApiServer, path: str, **headers: str) -> Any:
    with urllib3.PoolManager(ca_certs=server.ca_file and str(server.ca_file)) as pool:
        return pool.request("GET", f"{server.url}{path}", headers=headers, retries=False)


def test_a_typed_client_reads_writes_patches_lists_and_deletes(server: ApiServer) -> None:
    api: Any = CoordinationV1Api(server.client())
    body = V1Lease(metadata=V1ObjectMeta(name="leader"), spec=V1LeaseSpec(holder_identity="a"))
    created = api.create_namespaced_lease("default", body)
    created.spec.holder_identity = "b"
    replaced = api.replace_namespaced_lease("leader", "default", created)
    assert int(replaced.metadata.resource_version) > int(created.metadata.resource_version)
    patch = {"spec": {"leaseTransitions": 7}}
    api.api_client.set_default_header("Content-Type", "application/merge-patch+json")
    patched = api.patch_namespaced_lease("leader", "default", patch)
    assert (patched.spec.holder_identity, patched.spec.lease_transitions) == ("b", 7)
    (listed,) = api.list_namespaced_lease("default").items
    assert listed.metadata.uid == created.metadata.uid
    api.delete_namespaced_lease("leader", "default")
    with pytest.raises(ApiException) as caught:
        api.read_namespaced_lease("leader", "default")
    assert caught.value.status == 404


def test_the_watch_of_the_client_sees_each_write_at_once(server: ApiServer) -> None:
    api = CoordinationV1Api(server.client())
    server.put_lease("leader", holder_identity="a")
    server.put_lease("other", holder_identity="x")
    watch = Watch()
    seen = []
    events = watch.stream(
        api.list_namespaced_lease,
        "default",
        field_selector="metadata.name=leader",
        timeout_seconds=30,
    )
    for event in events:
        seen.append((event["type"], event["object"].spec.holder_identity))
        if len(seen) == 1:
            server.put_lease("other", holder_identity="y")
            server.put_lease("leader", holder_identity="b")
        elif len(seen) == 2:
            server.remove_lease("leader")
        else:
            watch.stop()
    assert seen == [("ADDED", "a"), ("MODIFIED", "b"), ("DELETED", "b")]


def test_a_lock_leads_by_the_kubeconfig_alone(server: ApiServer) -> None:
    assert lock_of(loaded(server.kubeconfig)).try_acquire_or_renew()


def test_a_kubeconfig_is_for_its_owner_alone_and_needs_no_other_file(tmp_path: Path) -> None:
    with ApiServer(tls=True) as server:
        path = server.write_kubeconfig(tmp_path / "config", user="b")
        text = path.read_text()
        assert lock_of(loaded(path), holder_id="b").try_acquire_or_renew()
        assert {request.user for request in server.requests} == {"b"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(yaml.safe_load(text)["clusters"][0]["cluster"]) == {
        "server",
        "certificate-authority-data",
    }


def test_who_reads_a_kubeconfig_while_it_is_written_again_reads_the_one_before(
    tmp_path: Path,
) -> None:
    with ApiServer() as server:
        path = server.write_kubeconfig(tmp_path / "config")
        before = path.read_text()
        with path.open() as file:
            server.rotate_token()
            server.write_kubeconfig(path)
            assert file.read() == before
    assert path.read_text() != before
    assert list(tmp_path.iterdir()) == [path]


def test_with_tls_nobody_is_served_without_a_token() -> None:
    with ApiServer(tls=True) as server:
        assert get(server, LEASES).status == 401
        assert get(server, LEASES, Authorization="Bearer guessed").status == 401
        assert get(server, LEASES, Authorization=f"Bearer {server.token()}").status == 200


def test_without_tls_a_token_is_needed_by_nobody_but_must_be_right(plain: ApiServer) -> None:
    assert get(plain, LEASES).status == 200
    assert get(plain, LEASES, Authorization="Bearer guessed").status == 401


def test_a_rotated_token_is_answered_with_401(server: ApiServer) -> None:
    client = server.client()
    lock = lock_of(client)
    lock.read()
    new = server.rotate_token()
    with pytest.raises(GetLeaseError) as caught:
        lock.read()
    assert caught.value.status == 401
    configuration: Any = client.configuration
    configuration.api_key["authorization"] = f"Bearer {new}"
    assert lock.read() is None


def test_a_client_that_does_not_know_the_authority_is_not_served() -> None:
    with ApiServer(tls=True) as server:
        client = server.client()
        client.configuration.ssl_ca_cert = None
        with pytest.raises(GetLeaseError) as caught:
            lock_of(ApiClient(client.configuration)).read()
        assert caught.value.status is None
        assert server.requests == []


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version", "/api", "/apis"])
def test_the_server_tells_of_itself(plain: ApiServer, path: str) -> None:
    assert get(plain, path).status == 200


def test_what_is_no_http_is_not_answered_and_harms_nobody(plain: ApiServer) -> None:
    host, _, port = plain.url.removeprefix("http://").partition(":")
    for sent in (
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ):
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
    assert get(plain, LEASES).status == 200


def exchange(server: ApiServer, request: bytes) -> bytes:
    """All that comes for these bytes until the connection ends"""
    host, _, port = server.url.removeprefix("http://").partition(":")
    answer = bytearray()
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            answer += piece
    return bytes(answer)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 1000000000000000000000000", b"413"),
        (b"Content-Length: 3145729", b"413"),
        (b"Content-Length: -1", b"400"),
        (b"Content-Length: x", b"400"),
    ],
)
def test_a_body_of_no_possible_length_is_refused(
    plain: ApiServer, head: bytes, status: bytes
) -> None:
    request = b"POST %s HTTP/1.1\r\n%s\r\n\r\n" % (LEASES.encode(), head)
    assert exchange(plain, request).startswith(b"HTTP/1.1 " + status)


def test_a_body_may_come_in_chunks(plain: ApiServer) -> None:
    pieces = (b'{"met', b'adata": {"name": "leader"}', b"}", b"")
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    head = b"POST %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % LEASES.encode()
    answer = exchange(plain, head + body)
    assert answer.startswith(b"HTTP/1.1 201"), answer
    assert plain.stored_lease("leader") is not None


def test_a_body_that_is_nested_too_deep_is_refused(plain: ApiServer) -> None:
    body = b"[" * 100_000
    head = b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (LEASES.encode(), len(body))
    assert exchange(plain, head + body).startswith(b"HTTP/1.1 400")


def test_a_watch_that_is_refused_is_logged_with_its_status(plain: ApiServer) -> None:
    assert get(plain, f"{LEASES}?watch=true&resourceVersion=abc").status == 500
    assert [(each.verb, each.status) for each in plain.requests] == [("watch", 500)]


def test_an_action_that_never_returns_does_not_hang_the_end_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kube_leader_election.testing._listener.PATIENCE_SECONDS", 0.2)
    gate = threading.Event()
    server = ApiServer()
    server.__enter__()
    server.before_next(gate.wait)
    request = f"GET {LEASES}/x HTTP/1.1\r\n\r\n".encode()
    asking = threading.Thread(target=exchange, args=(server, request))
    asking.start()
    wait_until(lambda: len(server.requests) == 1)
    with pytest.raises(RuntimeError, match="an action of before_next has not returned"):
        server.__exit__(None, None, None)
    gate.set()
    asking.join()


def test_a_forked_child_that_leaves_the_block_leaves_the_server_alone(plain: ApiServer) -> None:
    child = os.fork()
    if child == 0:
        try:
            plain.__exit__(None, None, None)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert get(plain, LEASES).status == 200


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_thread_socket_or_file_is_left_after_100_starts_and_ends() -> None:
    threads, open_before, folders = set(threading.enumerate()), descriptors(), []
    for _ in range(100):
        with ApiServer() as server:
            folders.append(server.kubeconfig.parent)
            host, _, port = server.url.removeprefix("http://").partition(":")
            with socket.create_connection((host, int(port))) as idle, contextlib.closing(idle):
                assert get(server, LEASES).status == 200
    assert set(threading.enumerate()) - threads == set()
    assert descriptors() <= open_before
    assert [folder for folder in folders if folder.exists()] == []


def test_a_server_ends_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=pauses.append)
    monkeypatch.setattr(_listener, "time", clock)
    for _ in range(100):
        with ApiServer():
            pass
    assert pauses == []


def test_the_end_of_the_server_ends_watches_hung_requests_and_handshakes() -> None:
    threads = set(threading.enumerate())
    with ApiServer() as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        server.fail_next(faults.hang_in_handshake())
        server.fail_next(faults.hang(), verb="get")
        server.fail_next(faults.dribble(), verb="list")
        server.fail_next(faults.hold_answer(1000), verb="create")
        requests = [
            b"",
            f"GET {LEASES}/x HTTP/1.1\r\n\r\n".encode(),
            f"GET {LEASES} HTTP/1.1\r\n\r\n".encode(),
            f"POST {LEASES} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
            f"GET {LEASES}?watch=true HTTP/1.1\r\n\r\n".encode(),
        ]
        with contextlib.ExitStack() as stack:
            for request in requests:
                sock = stack.enter_context(socket.create_connection((host, int(port))))
                sock.sendall(request)
                if not request:
                    wait_until(lambda: not unmet_handshake(server), 30)
            wait_until(lambda: len(server.requests) == 4, 30)
            server.__exit__(None, None, None)
    assert set(threading.enumerate()) - threads == set()


def unmet_handshake(server: ApiServer) -> bool:
    try:
        server.check_faults_met()
    except UnmetFaultsError as error:
        return "HANDSHAKE" in str(error)
    return False


def test_a_fault_that_was_never_met_fails_the_block() -> None:
    with pytest.raises(UnmetFaultsError), ApiServer() as server:
        server.fail_next(faults.hang())


def test_the_error_of_the_block_comes_first() -> None:
    server = ApiServer()

    def fail_in_the_block() -> None:
        with server:
            server.fail_next(faults.hang())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_block()


def test_200_watches_each_see_every_event_and_are_gone_with_their_clients(
    plain: ApiServer,
) -> None:
    threads = threading.active_count()
    host, _, port = plain.url.removeprefix("http://").partition(":")
    with contextlib.ExitStack() as stack:
        streams = []
        for _ in range(200):
            sock = stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
            sock.sendall(f"GET {LEASES}?watch=true HTTP/1.1\r\n\r\n".encode())
            streams.append(stack.enter_context(sock.makefile("rb")))
        wait_until(lambda: len(plain.requests) == 200)
        for holder in "abc":
            plain.put_lease("leader", holder_identity=holder)
        for stream in streams:
            lines = (line for line in stream if line.startswith(b'{"type"'))
            assert [next(lines)[:12] for _ in range(3)] == [b'{"type": "AD', *[b'{"type": "MO'] * 2]
    wait_until(lambda: threading.active_count() <= threads)


def test_the_port_stays_the_same_while_connections_are_refused(plain: ApiServer) -> None:
    url = plain.url
    with plain.refuse_connections(), pytest.raises(urllib3.exceptions.HTTPError):
        get(plain, LEASES)
    assert plain.url == url
    assert get(plain, LEASES).status == 200


def test_connections_that_are_cut_are_made_anew(plain: ApiServer) -> None:
    lock = lock_of(plain.client())
    lock.try_acquire_or_renew()
    plain.cut_connections()
    with contextlib.suppress(GetLeaseError):
        lock.try_acquire_or_renew()
    assert lock.try_acquire_or_renew()


def test_a_server_serves_within_its_block_only_and_once() -> None:
    server = ApiServer()
    with pytest.raises(RuntimeError, match="within its with-block only"):
        server.client()
    with server, pytest.raises(RuntimeError, match="serves once"):
        server.__enter__()
    with pytest.raises(RuntimeError, match="serves once"), server:
        pass


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), ApiServer(port=port):
            pass


def test_two_servers_never_share_a_port(plain: ApiServer) -> None:
    port = int(plain.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"), ApiServer(port=port):
        pass


def test_an_event_is_kept_as_it_was_sent(plain: ApiServer) -> None:
    body = b'{"metadata": {"generateName": "leader-"}, "message": "a became leader"}'
    with urllib3.PoolManager() as pool:
        url = f"{plain.url}/api/v1/namespaces/default/events"
        answer = pool.request("POST", url, body=body, headers={"Content-Type": "application/json"})
    assert answer.status == 201
    assert answer.json()["message"] == "a became leader"
    assert get(plain, "/api/v1/namespaces/default/events").json()["items"]

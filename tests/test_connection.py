from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from kube_leader_election._connection import MAX_STUCK_THREADS, Connection
from kube_leader_election._link import MAX_BODY_BYTES
from tests.forks import descriptors, descriptors_of, forked, is_closed
from tests.hostile import (
    PATIENCE,
    Behaviour,
    FairClock,
    HostileServer,
    answer,
    answer_and_close,
    close,
    dribble,
    echo,
    endless_continue,
    hang,
    head,
    hold,
    raw,
    reset,
    tunnel,
    url_that_refuses,
    wait_until,
)

LEASE = {"kind": "Lease", "metadata": {"name": "a"}}
PATH = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a"
DEADLINE = 1.0  # enough for a busy machine to bring a request to the server
LATE = 0.25

EOF_ANSWER = head(200, {"Connection": "close"})
THREAD_NAME = "kube-leader-election-connection"


_others: set[threading.Thread] = set()


def threads() -> list[threading.Thread]:
    """Those of the connections that the test has made"""
    running = set(threading.enumerate()) - _others
    return [thread for thread in running if thread.name == THREAD_NAME]


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    with FairClock() as clock:
        yield
        assert clock.seconds < DEADLINE + LATE


@pytest.fixture(autouse=True, scope="module")
def _cheap_collections() -> Iterator[None]:
    gc.collect()
    gc.freeze()  # the models of the client are many
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_connection() -> Iterator[None]:
    _others.clear()
    _others.update(threading.enumerate())
    yield
    gc.collect()
    wait_until(lambda: threads() == [])


# What is sent, what is answered.


def test_a_request_is_sent_once_and_the_whole_answer_comes_back() -> None:
    with HostileServer(answer(LEASE, status=201)) as server:
        response = Connection(server.api_client()).request(
            "PUT", PATH, b'{"a":1}', timeout=PATIENCE
        )
    assert (response.status, json.loads(response.body)) == (201, LEASE)
    assert response.headers["content-type"] == "application/json"
    [request] = server.requests
    assert (request.method, request.path, request.body) == ("PUT", PATH, b'{"a":1}')
    assert request.headers["Content-Type"] == request.headers["Accept"] == "application/json"
    assert request.headers["Accept-Encoding"] == "identity"


def test_a_get_has_no_body_and_no_content_type() -> None:
    with HostileServer() as server:
        Connection(server.api_client()).request("GET", PATH, timeout=PATIENCE)
    [request] = server.requests
    assert "Content-Type" not in request.headers
    assert request.body == b""


def test_the_headers_of_the_users_client_are_sent() -> None:
    with HostileServer() as server:
        client = server.api_client(api_key={"authorization": "Bearer secret"})
        client.user_agent = "mine/1"
        client.default_headers |= {"x-team": "blue", "accept": "*/*", "accept-encoding": "gzip"}
        client.cookie = "a=b"
        Connection(client).request("GET", PATH, timeout=PATIENCE)
    headers = server.requests[0].headers
    assert headers["User-Agent"] == "mine/1"
    assert headers["X-Team"] == "blue"
    assert headers["Cookie"] == "a=b"
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Accept"] == "application/json"
    assert headers["Accept-Encoding"] == "identity"


def test_credentials_are_asked_for_anew_at_every_request() -> None:
    tokens = iter(["one", "two", "three"])

    def rotate(configuration: Any) -> None:
        configuration.api_key["authorization"] = f"Bearer {next(tokens)}"

    with HostileServer() as server:
        client = server.api_client(
            api_key={"authorization": "Bearer zero"}, refresh_api_key_hook=rotate
        )
        connection = Connection(client)
        for _ in range(3):
            connection.request("GET", PATH, timeout=PATIENCE)
        client.configuration.refresh_api_key_hook = None
        client.configuration.api_key["authorization"] = "Bearer four"
        connection.request("GET", PATH, timeout=PATIENCE)
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["Bearer one", "Bearer two", "Bearer three", "Bearer four"]
    assert server.accepted == 1


def test_a_token_that_ends_with_a_line_break_is_sent_without_it() -> None:
    with HostileServer() as server:
        client = server.api_client(api_key={"authorization": "Bearer secret\n"})
        Connection(client).request("GET", PATH, timeout=PATIENCE)
    assert server.requests[0].headers["Authorization"] == "Bearer secret"


def test_an_unprintable_token_is_an_error_that_does_not_show_it() -> None:
    with HostileServer() as server:
        client = server.api_client(api_key={"authorization": "Bearer sec\r\nret"})
        with pytest.raises(ValueError, match="authorization") as caught:
            Connection(client).request("GET", PATH, timeout=PATIENCE)
    assert "ret" not in str(caught.value)
    assert server.requests == []


def test_an_answer_shows_neither_headers_nor_body_in_its_repr() -> None:
    with HostileServer(answer(body=b"secret", headers={"X-Token": "hidden"})) as server:
        response = Connection(server.api_client()).request("GET", PATH, timeout=PATIENCE)
    assert repr(response) == "Response(status=200)"


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_path_prefix_of_the_host_is_kept(slash: str) -> None:
    with HostileServer() as server:
        client = server.api_client(host=f"{server.url}/k8s/clusters/x{slash}")
        Connection(client).request("GET", PATH, timeout=PATIENCE)
    assert server.requests[0].path == f"/k8s/clusters/x{PATH}"


def test_a_query_is_sent_as_it_is() -> None:
    path = f"{PATH}?watch=true&fieldSelector=metadata.name%3Da"
    with HostileServer() as server:
        Connection(server.api_client()).request("GET", path, timeout=PATIENCE)
    assert server.requests[0].path == path


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    elsewhere = {"Location": "http://127.0.0.1:1/"}
    with HostileServer(answer(status=status, headers=elsewhere)) as server:
        response = Connection(server.api_client()).request("PUT", PATH, b"{}", timeout=PATIENCE)
    assert (response.status, response.headers["Location"]) == (status, elsewhere["Location"])
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422, 429, 500, 503])
def test_an_error_status_is_an_answer_and_retry_after_is_not_slept_out(status: int) -> None:
    with HostileServer(answer(status=status, headers={"Retry-After": "60"})) as server:
        client = server.api_client(retries=5)
        with bounded():
            response = Connection(client).request("PUT", PATH, b"{}", timeout=PATIENCE)
    assert (response.status, response.headers["retry-after"]) == (status, "60")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "body"),
    [
        (answer(body=b"<html>gateway</html>"), b"<html>gateway</html>"),
        (answer(body=b""), b""),
        (answer(body=b'{"kind": "Lea'), b'{"kind": "Lea'),
        (answer(body=b"\x1f\x8b!", headers={"Content-Encoding": "gzip"}), b"\x1f\x8b!"),
        (answer(body=b"x" * MAX_BODY_BYTES), b"x" * MAX_BODY_BYTES),
        (raw(EOF_ANSWER, b"{", b"}", every=0.01, then_close=True), b"{}"),
        (
            raw(head(200, {"Transfer-Encoding": "chunked"}), b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
            b"{}",
        ),
        (raw(head(100), head(100), head(200, {"Content-Length": "2"}), b"{}"), b"{}"),
    ],
    ids=["html", "empty", "cut json", "gzip", "2 MiB", "until EOF", "chunked", "continue"],
)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_body_comes_back_as_it_was_sent(behaviour: Behaviour, body: bytes, tls: bool) -> None:
    with HostileServer(behaviour, tls=tls) as server:
        connection = Connection(server.api_client())
        response = connection.request("GET", PATH, timeout=PATIENCE)
        assert connection.request("GET", PATH, timeout=PATIENCE).body == b"{}"
    assert response.body == body


# Failures.


@pytest.mark.parametrize(
    "behaviour",
    [
        close,
        reset,
        raw(b"\x16\x03\x01 what?\r\n\r\n", then_close=True),
        raw(head(200, {"Content-Length": "10"}), b"{}", then_close=True),
        raw(head(200, {"Transfer-Encoding": "chunked"}), b"5\r\n{}", then_close=True),
        raw(head(200, {"Transfer-Encoding": "chunked"}), b"five\r\n", then_close=True),
        answer(body=b"x" * (MAX_BODY_BYTES + 1)),
        answer(body=b"x" * 10_000_000),
        dribble(EOF_ANSWER, iter(lambda: b"x" * 1_000_000, b""), every=0.0),
    ],
    ids=[
        "closed",
        "reset",
        "no http",
        "cut",
        "cut chunk",
        "no chunk",
        "one byte more than 2 MiB",
        "10 MB",
        "endless",
    ],
)
def test_a_failure_is_an_error_and_the_next_request_has_a_new_connection(
    behaviour: Behaviour,
) -> None:
    with HostileServer(behaviour, answer(LEASE)) as server:
        connection = Connection(server.api_client())
        with pytest.raises((urllib3.exceptions.HTTPError, OSError)) as caught:
            connection.request("PUT", PATH, b"{}", timeout=PATIENCE)
        assert len(server.requests) == 1
        wait_until(lambda: server.open_connections == 0)
        assert json.loads(connection.request("GET", PATH, timeout=PATIENCE).body) == LEASE
    assert not isinstance(caught.value, TimeoutError)
    assert server.accepted == 2


def test_a_refused_connection_is_an_error_at_once() -> None:
    with HostileServer() as server, url_that_refuses() as url:
        client = server.api_client(host=url)
        with bounded(), pytest.raises(urllib3.exceptions.NewConnectionError):
            Connection(client).request("GET", PATH, timeout=PATIENCE)


def test_a_certificate_of_a_stranger_is_an_error() -> None:
    with HostileServer(tls=True) as other, HostileServer(tls=True) as server:
        client = server.api_client(ssl_ca_cert=other.ca_file)
        with pytest.raises(urllib3.exceptions.SSLError):
            Connection(client).request("GET", PATH, timeout=PATIENCE)
    assert server.requests == []


def test_the_authority_is_read_again_for_a_new_connection(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    with HostileServer(tls=True) as other, HostileServer(tls=True) as server:
        assert other.ca_file is not None
        assert server.ca_file is not None
        file.write_bytes(Path(other.ca_file).read_bytes())
        connection = Connection(server.api_client(ssl_ca_cert=str(file)))
        with pytest.raises(urllib3.exceptions.SSLError):
            connection.request("GET", PATH, timeout=PATIENCE)
        file.write_bytes(Path(server.ca_file).read_bytes())
        assert connection.request("GET", PATH, timeout=PATIENCE).status == 200


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_what_an_auth_hook_raises_comes_out_as_it_is(kind: type[BaseException]) -> None:
    error = kind("the plugin failed")

    def refuse(configuration: Any) -> None:
        raise error

    with HostileServer() as server:
        client = server.api_client(api_key={"authorization": "x"}, refresh_api_key_hook=refuse)
        connection = Connection(client)
        with pytest.raises(kind) as caught:
            connection.request("GET", PATH, timeout=PATIENCE)
        assert caught.value is error
        client.configuration.refresh_api_key_hook = None
        assert connection.request("GET", PATH, timeout=PATIENCE).status == 200


# The deadline.

HANGS: dict[str, Behaviour] = {
    "hang": hang,
    "dribbled status line": dribble(b"HTTP/1.1 200 OK", iter(lambda: b"K", b"")),
    "dribbled headers": dribble(head()[:-2], iter(lambda: b"A: b\r\n", b""), every=0.02),
    "dribbled length": dribble(head(200, {"Content-Length": "500"}), [b"{"] * 500),
    "dribbled chunks": dribble(
        head(200, {"Transfer-Encoding": "chunked"}), iter(lambda: b"1\r\n{\r\n", b"")
    ),
    "dribbled until EOF": dribble(EOF_ANSWER, iter(lambda: b"{", b"")),
    "endless 100 Continue": endless_continue,
}


def outcomes_at_once(connections: Iterable[Connection]) -> list[object]:
    """Of a request on each of them, all at the same time, since each may take its deadline."""

    def outcome(connection: Connection) -> object:
        try:
            return connection.request("PUT", PATH, b"{}", timeout=DEADLINE)
        except Exception as error:  # noqa: BLE001
            return type(error)

    connections = list(connections)
    with bounded(), ThreadPoolExecutor(len(connections)) as pool:
        return list(pool.map(outcome, connections))


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_an_answer_that_is_not_whole_in_time_is_a_timeout(tls: bool) -> None:
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(HostileServer(answer(), behaviour, answer(LEASE), tls=tls))
            for name, behaviour in HANGS.items()
        }
        connections = {name: Connection(each.api_client()) for name, each in servers.items()}
        for connection in connections.values():
            connection.request("GET", PATH, timeout=PATIENCE)
        outcomes = outcomes_at_once(connections.values())
        assert dict(zip(HANGS, outcomes, strict=True)) == dict.fromkeys(HANGS, TimeoutError)
        for server in servers.values():
            wait_until(lambda server=server: server.open_connections == 0)  # type: ignore[misc]
        wait_until(lambda: threads() == [])
        for connection in connections.values():
            assert json.loads(connection.request("GET", PATH, timeout=PATIENCE).body) == LEASE
    asked = {
        name: [(request.method, request.connection) for request in server.requests]
        for name, server in servers.items()
    }
    assert asked == {name: [("GET", 1), ("PUT", 1), ("GET", 2)] for name in HANGS}


def test_a_proxy_that_hangs_is_a_timeout() -> None:
    dribbling = dribble(head()[:-2], iter(lambda: b"A: b\r\n", b""), every=0.02)
    with (
        HostileServer(hang) as one,
        HostileServer(dribbling) as other,
        HostileServer(tls=True) as server,
    ):
        connections = [Connection(server.api_client(proxy=each.url)) for each in (one, other)]
        assert outcomes_at_once(connections) == [TimeoutError, TimeoutError]
        wait_until(lambda: threads() == [])
    assert [request.method for request in one.requests + other.requests] == ["CONNECT", "CONNECT"]
    assert server.accepted == 0


@pytest.mark.parametrize("tls", [False, True], ids=["http proxy", "https proxy"])
def test_a_proxy_is_used_for_https_and_its_failures_are_bounded(tls: bool) -> None:
    script = [answer(), hang]
    with HostileServer(*script, tls=True) as server, HostileServer(then=tunnel, tls=tls) as proxy:
        files = [Path(file) for file in (server.ca_file, proxy.ca_file) if file is not None]
        files[0].write_text("".join(file.read_text() for file in files))
        connection = Connection(server.api_client(proxy=proxy.url))
        assert connection.request("GET", PATH, timeout=PATIENCE).status == 200
        with bounded(), pytest.raises(TimeoutError):
            connection.request("GET", PATH, timeout=DEADLINE)
        wait_until(lambda: threads() == [])
        assert connection.request("GET", PATH, timeout=PATIENCE).status == 200
        with forked(lambda: connection.request("GET", PATH, timeout=PATIENCE).status == 200):
            pass
        assert connection.request("GET", PATH, timeout=PATIENCE).status == 200
    assert [request.method for request in proxy.requests] == ["CONNECT"] * 3
    assert len(server.requests) == 5


def test_a_proxy_is_used_for_http_too() -> None:
    with HostileServer(answer(LEASE)) as proxy:
        client = proxy.api_client(host="http://cluster.invalid/prefix", proxy=proxy.url)
        response = Connection(client).request("GET", PATH, timeout=PATIENCE)
    assert json.loads(response.body) == LEASE
    assert proxy.requests[0].path == f"http://cluster.invalid/prefix{PATH}"


def test_a_hung_auth_hook_is_a_timeout_and_nothing_is_sent_when_it_returns() -> None:
    gate = threading.Event()

    def wait(configuration: Any) -> None:
        gate.wait()

    with HostileServer() as server:
        client = server.api_client(api_key={"authorization": "x"}, refresh_api_key_hook=wait)
        with bounded(), pytest.raises(TimeoutError):
            Connection(client).request("PUT", PATH, b"{}", timeout=DEADLINE)
        gate.set()
        wait_until(lambda: threads() == [])
    assert server.accepted == 0


def test_a_hung_resolver_is_a_timeout_and_a_late_connect_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = threading.Event()
    resolve = socket.getaddrinfo

    def slow(*args: Any, **kwargs: Any) -> Any:
        gate.wait()
        return resolve(*args, **kwargs)

    with HostileServer() as server:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with bounded(), pytest.raises(TimeoutError):
            Connection(server.api_client()).request("PUT", PATH, b"{}", timeout=DEADLINE)
        gate.set()
        wait_until(lambda: threads() == [])
        wait_until(lambda: (server.accepted, server.open_connections) == (1, 0))
    assert server.requests == []


def test_a_hung_tls_handshake_is_a_timeout_and_nothing_is_sent_when_it_goes_on() -> None:
    gate = threading.Event()
    with HostileServer(tls=True, handshake=gate) as server:
        with bounded(), pytest.raises(TimeoutError):
            Connection(server.api_client()).request("PUT", PATH, b"{}", timeout=DEADLINE)
        wait_until(lambda: threads() == [])
        gate.set()
        wait_until(lambda: server.open_connections == 0)
    assert server.requests == []


@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_without_time_nothing_is_sent(timeout: float, used_before: bool) -> None:
    with HostileServer() as server:
        connection = Connection(server.api_client())
        if used_before:
            connection.request("GET", PATH, timeout=PATIENCE)
        with bounded(), pytest.raises(TimeoutError):
            connection.request("PUT", PATH, b"{}", timeout=timeout)
        wait_until(lambda: threads() == [])
    assert "PUT" not in [request.method for request in server.requests]


def test_threads_that_cannot_be_interrupted_are_bounded_in_number() -> None:
    gate = threading.Event()

    def wait(configuration: Any) -> None:
        gate.wait()

    with HostileServer() as server:
        client = server.api_client(api_key={"authorization": "x"}, refresh_api_key_hook=wait)
        connection = Connection(client)
        for _ in range(2 * MAX_STUCK_THREADS):
            with bounded(), pytest.raises(TimeoutError):
                connection.request("GET", PATH, timeout=0.02)
        assert len(threads()) == MAX_STUCK_THREADS
        gate.set()
        assert connection.request("GET", PATH, timeout=PATIENCE).status == 200


# One connection, kept alive.


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_requests_share_one_connection_and_one_thread(tls: bool) -> None:
    with HostileServer(tls=tls) as server:
        connection = Connection(server.api_client())
        for _ in range(50):
            connection.request("PUT", PATH, b"{}", timeout=PATIENCE)
        assert len(threads()) == 1
    assert (server.accepted, len(server.requests)) == (1, 50)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_connection_that_the_server_closed_while_idle_fails_no_request(tls: bool) -> None:
    with HostileServer(then=answer_and_close(), tls=tls) as server:
        connection = Connection(server.api_client())
        for _ in range(20):
            assert connection.request("PUT", PATH, b"{}", timeout=PATIENCE).status == 200
            wait_until(lambda: server.open_connections == 0)
    assert len(server.requests) == server.accepted == 20


def test_a_write_is_sent_once_when_the_connection_dies_under_it() -> None:
    script = [answer(), close] * 10
    with HostileServer(*script) as server:
        connection = Connection(server.api_client())
        for _ in range(10):
            connection.request("PUT", PATH, b"{}", timeout=PATIENCE)
            with pytest.raises(urllib3.exceptions.ProtocolError):
                connection.request("PUT", PATH, b"{}", timeout=PATIENCE)
    assert len(server.requests) == 20


def test_a_connection_that_the_server_wants_closed_is_closed() -> None:
    with HostileServer(then=answer(headers={"Connection": "close"})) as server:
        connection = Connection(server.api_client())
        for count in range(1, 4):
            connection.request("GET", PATH, timeout=PATIENCE)
            assert server.accepted == count
            # The server did not close its end: it sees the end of file from ours.
            wait_until(lambda: server.open_connections == 0)
        assert len(threads()) == 1


def test_a_changed_host_means_a_new_connection() -> None:
    with HostileServer(then=echo) as one, HostileServer(then=echo, tls=True) as two:
        client = one.api_client(ssl_ca_cert=two.ca_file)
        connection = Connection(client)
        connection.request("GET", "/1", timeout=PATIENCE)
        client.configuration.host = two.url
        connection.request("GET", "/2", timeout=PATIENCE)
        wait_until(lambda: one.open_connections == 0)
    assert [request.path for request in one.requests + two.requests] == ["/1", "/2"]


def test_nothing_is_connected_or_started_before_the_first_request() -> None:
    with HostileServer() as server:
        Connection(server.api_client())
        assert (server.accepted, threads()) == (0, [])


def test_an_idle_thread_uses_no_processor() -> None:
    with HostileServer() as server:
        connection = Connection(server.api_client())
        connection.request("GET", PATH, timeout=PATIENCE)
        [thread] = threads()
        assert thread.ident
        processor = time.pthread_getcpuclockid(thread.ident)
        start = time.clock_gettime(processor)
        for _ in range(20):
            connection.request("GET", PATH, timeout=PATIENCE)
        of_a_request = (time.clock_gettime(processor) - start) / 20
        start = time.clock_gettime(processor)
        time.sleep(0.1)
        assert time.clock_gettime(processor) - start < of_a_request
        connection.close()


# The end.


@pytest.mark.parametrize("drop", [False, True], ids=["closed", "dropped"])
@pytest.mark.parametrize("behaviour", [answer(), hang], ids=["used", "given up"])
def test_a_hundred_connections_leave_no_thread_and_no_descriptor(
    drop: bool, behaviour: Behaviour
) -> None:
    with HostileServer(then=behaviour) as server:
        client = server.api_client()
        gc.collect()
        gc.disable()
        try:
            before = descriptors()
            for _ in range(100):
                connection = Connection(client)
                with contextlib.suppress(TimeoutError):
                    connection.request(
                        "GET", PATH, timeout=0.002 if behaviour is hang else PATIENCE
                    )
                if not drop:
                    connection.close()
                del connection
            wait_until(lambda: threads() == [])
            wait_until(lambda: server.open_connections == 0)
            wait_until(lambda: descriptors() <= before)
        finally:
            gc.enable()


def test_a_connection_is_collected_at_once_after_an_error_of_urllib3() -> None:
    with HostileServer(close) as server:
        gc.collect()
        gc.disable()
        try:
            connection = Connection(server.api_client())
            with contextlib.suppress(urllib3.exceptions.ProtocolError):
                connection.request("GET", PATH, timeout=PATIENCE)
            connection.request("GET", PATH, timeout=PATIENCE)
            wait_until(lambda: len(threads()) == 1)
            del connection
            wait_until(lambda: threads() == [])
        finally:
            gc.enable()


def test_close_may_be_repeated_and_a_later_request_opens_anew() -> None:
    with HostileServer() as server:
        connection = Connection(server.api_client())
        connection.close()
        connection.request("GET", PATH, timeout=PATIENCE)
        connection.close()
        connection.close()
        wait_until(lambda: server.open_connections == 0)
        connection.request("GET", PATH, timeout=PATIENCE)
        assert server.accepted == 2


def test_close_from_another_thread_ends_a_request_at_once() -> None:
    with HostileServer(hang) as server:
        connection = Connection(server.api_client())

        def close_it() -> None:
            wait_until(lambda: len(server.requests) == 1)
            connection.close()

        closer = threading.Thread(target=close_it)
        closer.start()
        with bounded(), pytest.raises(ConnectionAbortedError):
            connection.request("GET", PATH, timeout=PATIENCE)
        closer.join()
        wait_until(lambda: server.open_connections == 0)


@contextlib.contextmanager
def alarm(server: HostileServer, handler: Callable[..., None]) -> Iterator[None]:
    """The signal comes when the server has a request."""
    main = threading.main_thread().ident
    assert main is not None

    def strike() -> None:
        wait_until(lambda: server.requests != [])
        signal.pthread_kill(main, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, handler)
    striker = threading.Thread(target=strike)
    striker.start()
    try:
        yield
    finally:
        striker.join()
        signal.signal(signal.SIGALRM, before)


def test_close_from_a_signal_handler_ends_the_request_it_interrupted() -> None:
    with HostileServer(hang) as server:
        connection = Connection(server.api_client())
        closing = alarm(server, lambda *_: connection.close())
        with closing, bounded(), pytest.raises(ConnectionAbortedError):
            connection.request("GET", PATH, timeout=PATIENCE)


def test_an_interrupted_caller_leaves_no_thread_and_no_connection() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with HostileServer(hang, answer(LEASE)) as server:
        connection = Connection(server.api_client())
        with alarm(server, interrupt), bounded(), pytest.raises(KeyboardInterrupt):
            connection.request("GET", PATH, timeout=PATIENCE)
        wait_until(lambda: server.open_connections == 0)
        wait_until(lambda: threads() == [])
        assert json.loads(connection.request("GET", PATH, timeout=PATIENCE).body) == LEASE


def test_without_threads_a_request_is_carried_out_by_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == THREAD_NAME:
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with HostileServer(answer(LEASE), answer(LEASE), hang, close) as server:
        connection = Connection(server.api_client())
        for _ in range(2):
            assert json.loads(connection.request("GET", PATH, timeout=PATIENCE).body) == LEASE
        with bounded(), pytest.raises(TimeoutError):
            connection.request("GET", PATH, timeout=DEADLINE)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            connection.request("GET", PATH, timeout=PATIENCE)
        wait_until(lambda: server.open_connections == 0)
    assert len(server.requests) == 4


@pytest.mark.parametrize("used_before", [False, True])
def test_a_request_works_while_the_interpreter_exits(used_before: bool) -> None:
    script = textwrap.dedent(
        f"""
        import atexit, kubernetes.client, warnings
        from kube_leader_election._connection import Connection

        configuration = kubernetes.client.Configuration()
        configuration.host, configuration.proxy = "URL", None
        connection = Connection(kubernetes.client.ApiClient(configuration))
        atexit.register(lambda: print(connection.request("PUT", "/", b"", timeout=60).status))
        if {used_before}:
            connection.request("GET", "/", timeout=60)
        """
    )
    with HostileServer() as server:
        finished = subprocess.run(
            [sys.executable, "-c", script.replace("URL", server.url)],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert (finished.stdout.split(), finished.returncode) == (["200"], 0)
    assert "Exception" not in finished.stderr
    assert [request.method for request in server.requests][-1] == "PUT"


# A fork.


def reads(connection: Connection, who: str, numbers: range) -> bool:
    paths = [f"/{who}/{number}" for number in numbers]
    return all(
        json.loads(connection.request("GET", path, timeout=PATIENCE).body)["path"] == path
        for path in paths
    )


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_parent_and_child_each_get_their_own_answers(tls: bool) -> None:
    with HostileServer(then=echo, tls=tls) as server:
        connection = Connection(server.api_client())
        assert reads(connection, "before", range(1))
        with forked(lambda: reads(connection, "child", range(300))):
            assert reads(connection, "parent", range(300))
        assert reads(connection, "after", range(1))
    assert server.accepted == 2
    own = {request.path.split("/")[1]: request.connection for request in server.requests}
    assert own == {"before": 1, "parent": 1, "after": 1, "child": 2}


def test_turn_by_turn_parent_and_child_get_their_own_answers() -> None:
    to_child, to_parent = os.pipe(), os.pipe()
    with HostileServer(then=echo) as server:
        connection = Connection(server.api_client())
        assert reads(connection, "before", range(1))

        def child() -> bool:
            right = True
            for number in range(300):
                os.read(to_child[0], 1)
                right = reads(connection, "child", range(number, number + 1)) and right
                os.write(to_parent[1], b".")
            return right

        with forked(child):
            for number in range(300):
                assert reads(connection, "parent", range(number, number + 1))
                os.write(to_child[1], b".")
                os.read(to_parent[0], 1)
    for descriptor in (*to_child, *to_parent):
        os.close(descriptor)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_child_holds_no_descriptor_of_the_parent_and_ends_nothing_of_it(tls: bool) -> None:
    with HostileServer(then=echo, tls=tls) as server:
        client = server.api_client()
        connections = [Connection(client)]
        assert reads(connections[0], "before", range(1))
        held = descriptors_of(connections[0]._links[0]._wire)

        def child() -> bool:
            clean = all(map(is_closed, held))
            connections.pop().close()
            gc.collect()
            return clean

        with forked(child):
            pass
        assert len(held) == 2
        assert reads(connections[0], "after", range(1))
    assert server.accepted == 1


def connected_to(port: int) -> int:
    """How many sockets of this process are, one that serves it apart."""
    found = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (not a path of ours)
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as sock:
            found += sock.getpeername()[1] == port
    return found


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_fork_while_a_connection_is_made_leaves_the_child_none_of_it(
    monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    begun = threading.Event()
    # Right after the socket was made, and in the middle of TLS.
    owner: Any = ssl.SSLSocket if tls else socket.socket
    name = "do_handshake" if tls else "connect"
    original = getattr(owner, name)

    def slow(*args: Any, **options: Any) -> Any:
        begun.set()
        time.sleep(0.02)
        return original(*args, **options)

    done_in_parent, told = os.pipe()
    with HostileServer(then=echo, tls=tls) as server:
        port = urlsplit(server.url).port
        assert port is not None
        connection = Connection(server.api_client())
        with monkeypatch.context() as patch, ThreadPoolExecutor(1) as pool:
            patch.setattr(owner, name, slow)
            done = pool.submit(reads, connection, "parent", range(1))
            assert begun.wait(PATIENCE)
            with forked(lambda: os.read(done_in_parent, 1) and connected_to(port) == 0):
                assert done.result(PATIENCE)
                os.write(told, b".")
        assert connected_to(port) == 2  # the one connection, and the handle that ends it
        connection.close()
    for descriptor in (done_in_parent, told):
        os.close(descriptor)


def test_a_fork_does_not_wait_long_for_a_connection_that_is_not_made() -> None:
    gate = threading.Event()
    with HostileServer(tls=True) as server, ThreadPoolExecutor(1) as pool:
        connection = Connection(server.api_client())
        with pytest.MonkeyPatch.context() as patch:
            begun = threading.Event()

            def hang(*_: object) -> None:
                begun.set()
                gate.wait(PATIENCE)

            patch.setattr(socket, "getaddrinfo", hang)
            failing = pool.submit(connection.request, "GET", PATH, timeout=PATIENCE)
            assert begun.wait(PATIENCE)
            with FairClock() as clock, forked(lambda: True):
                waited = clock.seconds
            gate.set()
            assert failing.exception(PATIENCE) is not None
    assert waited < PATIENCE / 2


def test_a_fork_in_the_middle_of_a_request_harms_neither_side() -> None:
    gate = threading.Event()
    with HostileServer(hold(gate, echo), then=echo) as server:
        connection = Connection(server.api_client())
        results: list[bool] = []
        reader = threading.Thread(
            target=lambda: results.append(reads(connection, "parent", range(5)))
        )
        reader.start()
        wait_until(lambda: len(server.requests) == 1)
        with forked(lambda: reads(connection, "child", range(5))):
            pass
        gate.set()
        reader.join()
    assert results == [True]


def test_many_forks_beside_a_busy_thread_never_deadlock() -> None:
    with HostileServer(then=echo) as server:
        connection = Connection(server.api_client())
        results: list[bool] = []
        reader = threading.Thread(
            target=lambda: results.append(reads(connection, "parent", range(500)))
        )
        reader.start()
        for _ in range(20):
            with forked(lambda: reads(connection, "child", range(2))):
                pass
        reader.join()
    assert results == [True]


def test_a_forgotten_connection_is_ended_in_the_parent_after_a_fork() -> None:
    ready, done = os.pipe(), os.pipe()
    with HostileServer(then=echo) as server:
        connection = Connection(server.api_client())
        assert reads(connection, "before", range(1))

        def child() -> bool:
            os.write(ready[1], b".")
            return os.read(done[0], 1) == b"."

        with forked(child):
            os.read(ready[0], 1)
            connection.close()
            wait_until(lambda: server.open_connections == 0)
            os.write(done[1], b".")
    for descriptor in (*ready, *done):
        os.close(descriptor)

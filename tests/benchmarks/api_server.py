"""How much load `kube_leader_election.testing.ApiServer` bears

``python -m tests.benchmarks.api_server`` prints what it measured. The clients are processes of
their own, which read a Lease and replace it in turn.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import multiprocessing
import statistics
import threading
import time
from multiprocessing.queues import SimpleQueue
from urllib.parse import urlsplit

from kube_leader_election.testing import ApiServer

SECONDS = 3.0
CLIENTS = (1, 4)
WATCHES = 200
STARTS = 20
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
HEADERS = {"Content-Type": "application/json"}


def connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)


def load(url: str, name: str, rates: SimpleQueue[float]) -> None:
    """GET and PUT in turn; the requests per second go into the queue"""
    with contextlib.closing(connect(url)) as connection:
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            connection.request("GET", f"{LEASES}/{name}")
            lease = json.loads(connection.getresponse().read())
            lease["spec"]["leaseTransitions"] = count
            connection.request("PUT", f"{LEASES}/{name}", json.dumps(lease), HEADERS)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"PUT answered {answer.status}")
            count += 2
        rates.put(count / (time.perf_counter() - began))


def requests_per_second(clients: int) -> float:
    context = multiprocessing.get_context("spawn")
    with ApiServer() as server:
        rates: SimpleQueue[float] = context.SimpleQueue()
        processes = []
        for number in range(clients):
            name = f"lease-{number}"
            server.put_lease(name, holder_identity="a")
            processes.append(context.Process(target=load, args=(server.url, name, rates)))
        for process in processes:
            process.start()
        total = sum(rates.get() for _ in processes)
        for process in processes:
            process.join()
    return total


def seconds_to_start(*, tls: bool) -> float:
    """The median of the time until a request was answered, the first start left out"""
    seconds = []
    for _ in range(STARTS + 1):
        began = time.perf_counter()
        with ApiServer(tls=tls) as server:
            with contextlib.closing(connect(server.url)) as connection:
                if not tls:
                    connection.request("GET", "/readyz")
                    connection.getresponse().read()
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def seconds_to_tell_all_watches() -> float:
    """From a write until the last of many watches has shown it"""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ApiServer())
        streams = []
        for _ in range(WATCHES):
            connection = stack.enter_context(contextlib.closing(connect(server.url)))
            connection.request("GET", f"{LEASES}?watch=true")
            streams.append(stack.enter_context(connection.getresponse()))
        threads = [threading.Thread(target=stream.readline) for stream in streams]
        for thread in threads:
            thread.start()
        began = time.perf_counter()
        server.put_lease("leader", holder_identity="a")
        for thread in threads:
            thread.join()
        return time.perf_counter() - began


def main() -> None:
    for clients in CLIENTS:
        rate = requests_per_second(clients)
        print(f"GET and PUT, {clients} connections: {rate:.0f} requests/s", flush=True)
    print(f"start to first answer: {1000 * seconds_to_start(tls=False):.1f} ms")
    print(f"start with a certificate: {1000 * seconds_to_start(tls=True):.1f} ms")
    print(f"{WATCHES} watches all told: {1000 * seconds_to_tell_all_watches():.0f} ms")


if __name__ == "__main__":
    main()

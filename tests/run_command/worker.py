"""A command for `run` that writes down that it lives, every few milliseconds, until it is ended.

``python worker.py FILE KIND``: `plain` ends when it is told to; `stubborn` does not; `forking` is
plain, and its children are stubborn: one in its session, one in another, and one that has made
itself a daemon.
"""

import os
import signal
import sys
import time

KINDS = ("plain", "stubborn", "forking")
BEAT = 0.002  # in seconds


def main(path: str, kind: str) -> None:
    """Each line is the instant, the fencing token, the pid and what there is to say"""
    to_write = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    token = os.environ["KUBE_LEADER_ELECTION_FENCING_TOKEN"]
    told = []

    def stamp(what: str) -> None:
        line = f"{time.monotonic():.6f} {token} {os.getpid()} {what}\n"
        os.write(to_write, line.encode())

    stamp(f"begin:{age():.3f}")
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    if kind == "forking":
        for leave in (stay, os.setsid, become_daemon):
            if os.fork() == 0:
                leave()
                kind = "stubborn"
                break
    while not told or kind == "stubborn":
        stamp("beat")
        time.sleep(BEAT)
    stamp("end")
    os._exit(0)  # at once


def age() -> float:
    """Return for how many seconds there is this process: the least that it can be."""
    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 (a quick start is what counts)
        ticks = int(file.read().rpartition(b")")[2].split()[19]) + 1
    born_at = ticks / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - born_at)


def stay() -> None:
    """Nothing has changed."""


def become_daemon() -> None:
    """Its parent is not the one that it had."""
    os.setsid()
    if os.fork():
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Runs each command as if it were a Pod, with Leases in memory, until Ctrl-C:

python laptop.py 'python controller.py' 'python controller.py'
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from contextlib import suppress
from subprocess import Popen, TimeoutExpired

from kube_leader_election.testing import ApiServer


def main(commands: list[str]) -> int:
    with ApiServer() as server:
        environment = {**os.environ, "KUBECONFIG": str(server.kubeconfig)}
        # In sessions of their own: Ctrl-C is for us, and we tell them, as a kubelet does.
        pods = [
            Popen(shlex.split(command), env=environment, start_new_session=True)
            for command in commands
        ]

        def end(*_: object) -> None:
            for pod in pods[1:]:
                pod.terminate()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        codes = [exit_code(pod) for pod in pods[1:]]
        pods[0].terminate()
        return max(*codes, exit_code(pods[0]))


def exit_code(pod: Popen[bytes]) -> int:
    while True:  # a signal is heard in between
        with suppress(TimeoutExpired):
            return abs(pod.wait(1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

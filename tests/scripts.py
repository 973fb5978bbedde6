"""Scripts in processes of their own, that tell and hear lines"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import kube_leader_election
from tests.programs import CHECKOUT, PATIENCE

_BEGIN = """
import json, logging, multiprocessing, os, signal, sys, threading, time
from kubernetes import client, config
from kube_leader_election import (
    LeaderElector, LeaderElectorParams, LeaseLock, LeaseLockParams, NotLeadingError
)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
kubeconfig, namespace, options = sys.argv[1:]
configuration = client.Configuration()
config.load_kube_config(kubeconfig, client_configuration=configuration)
configuration.proxy = None
api_client = client.ApiClient(configuration)
options = json.loads(options)
logging.getLogger("kube_leader_election").setLevel(logging.ERROR)

def make_elector(**told):
    return LeaderElector(api_client, namespace, LeaderElectorParams(**options), **told)

def make_lock():
    return LeaseLock(api_client, namespace, LeaseLockParams(**options))

def tell(*things):
    print(*things, flush=True)

def hear():
    return sys.stdin.readline().strip()

def sockets():
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            pass
    return sorted(link for link in links if link.startswith("socket:"))
"""


class Script:
    """Runs within the with-block, where it may `tell` and `hear` lines; its children end with it.

    It finds `make_elector` and `make_lock`, for the Lease and the other `params`, and `sockets`.
    """

    def __init__(
        self,
        kubeconfig: Path,
        script: str,
        *,
        namespace: str = "default",
        lease_name: str = "leader",
        holder_id: str | None = "a",
        **params: Any,
    ) -> None:
        options = {"lease_name": lease_name, "holder_id": holder_id, **params}
        self._script = _BEGIN + textwrap.dedent(script)
        self._arguments = [str(kubeconfig), namespace, json.dumps(options)]

    def __enter__(self) -> Script:
        self._errors = tempfile.TemporaryFile("w+")
        self._folder = tempfile.TemporaryDirectory()
        program = Path(self._folder.name, "program.py")
        program.write_text(self._script)
        warnings = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")  # of a fork
        command = [sys.executable, "-X", "faulthandler", *warnings, str(program), *self._arguments]
        self.process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": str(Path(kube_leader_election.__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        # If they hang, a child too: each tells where, and is gone, so that nothing waits for it.
        self._guard = threading.Timer(PATIENCE, self._signal_all, (signal.SIGABRT,))
        self._guard.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._guard.cancel()
        if exc[0] is not None:
            self._errors.seek(0)
            sys.stderr.write(self._errors.read())
        self._signal_all(signal.SIGKILL)
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self._errors):
            if file is not None:
                with suppress(BrokenPipeError):
                    file.close()
        self._folder.cleanup()

    def hear(self) -> str:
        """What it tells next; nothing where it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def say(self, line: str = "") -> None:
        """It hears `line`."""
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)

    def stand_still(self) -> None:
        """SIGSTOP, and it does nothing any more."""
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self) -> tuple[int, str, str]:
        """Its exit code, and what it has told since the last `hear`, and on stderr."""
        assert self.process.stdout is not None
        code = self.process.wait(2 * PATIENCE)
        self._guard.cancel()
        self._errors.seek(0)
        return code, self.process.stdout.read().strip(), self._errors.read()

    def _signal_all(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

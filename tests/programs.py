"""Programs as real processes against the real server, with a kubeconfig and nothing else"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pytest

import kube_leader_election
from tests.apiserver.process import Process

CHECKOUT = Path(__file__).parents[1]
EXAMPLES = CHECKOUT / "examples"

PATIENCE = 90.0  # for what takes seconds, on a machine that is busy with something else


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """:raises AssertionError: the condition never held"""
    began_at = time.monotonic()
    while not condition():
        if time.monotonic() - began_at > seconds:
            raise AssertionError(f"still not after {seconds} s")
        time.sleep(0.01)


def prepare_environment(monkeypatch: pytest.MonkeyPatch, kubeconfig: Path, **more: str) -> None:
    """What programs started from now on find: this kubeconfig, no cluster, no proxy"""
    for name in ("KUBERNETES_SERVICE_HOST", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    package = Path(kube_leader_election.__file__).parent
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    for name, value in more.items():
        monkeypatch.setenv(name, value)


def share_environment() -> None:
    """Processes started from now on import what this one does, and use no proxy. For commands"""
    roots = [Path(kube_leader_election.__file__).parents[1], CHECKOUT]
    os.environ["PYTHONPATH"] = os.pathsep.join(str(root) for root in dict.fromkeys(roots))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"


class Program(Process):
    """A command that runs within the with-block, in `folder`; all its processes end with it"""

    def __init__(self, command: list[str], *, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(command, folder=folder)

    def __enter__(self) -> Program:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL to all its processes, and wait until the first one is gone"""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def end(self, number: int, *, seconds: float = PATIENCE) -> int:
        """The exit code after a signal to all its processes"""
        self.check()
        os.killpg(self.pid, number)
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        """The exit code; it must end in time"""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.wait(seconds)

    @property
    def output(self) -> str:
        """What it has printed and logged so far"""
        return self.log.read_text()

"""The stand-in, as the process that is weighed sees it"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiClient, Configuration


@dataclass(frozen=True)
class Counts:
    """What was asked of the stand-in, what of it went wrong, and the MiB that it takes"""

    asked: Counter[str]
    met: Counter[str]
    resident_mib: float

    @property
    def requests(self) -> int:
        return self.asked.total()


class StandIn:
    """Serves within its with-block, in a process of its own"""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._turn = threading.Lock()

    def __enter__(self) -> StandIn:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.server", str(self._seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = self._read()
        self.url: str = told["url"]
        self.token: str = told["token"]
        return self

    def __exit__(self, *exc: object) -> None:
        with self._process:
            if self._process.stdin is not None:
                self._process.stdin.close()

    def client(self) -> ApiClient:
        """Return a new client, with a token"""
        configuration: Any = Configuration()
        configuration.host = self.url
        configuration.proxy = None
        configuration.api_key = {"authorization": f"Bearer {self.token}"}
        return ApiClient(configuration)

    def counts(self) -> Counts:
        """Return what was counted so far"""
        with self._turn:
            assert self._process.stdin is not None
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            told = self._read()
        return Counts(Counter(told["asked"]), Counter(told["met"]), told["RSS"])

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the stand-in has ended")
        return json.loads(line)

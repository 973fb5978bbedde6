from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kube_leader_election.cli import main


@dataclass(frozen=True)
class Said:
    """What a command has written, and its exit code"""

    code: object
    output: str
    errors: str


Command = Callable[..., Said]


def findings(said: Said) -> dict[str, list[dict[str, str]]]:
    """What `doctor` has found that is to be mended, by what it is about"""
    found: dict[str, list[dict[str, str]]] = {}
    for each in json.loads(said.output)["findings"]:
        if each["level"] in ("fragile", "trouble"):
            found.setdefault(each["about"], []).append(each)
    return found


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Runs a command of the command line in this process, with that kubeconfig, else none"""

    def run(*arguments: str, kubeconfig: Path = tmp_path / "none") -> Said:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "127.0.0.1")
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        default = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
        monkeypatch.setattr(default, str(kubeconfig))
        capsys.readouterr()
        try:
            code: object = main(arguments)
        except SystemExit as error:
            code = error.code
        written = capsys.readouterr()
        return Said(code, written.out, written.err)

    return run

"""The README, executed: what it shows must work when pasted"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.server import ApiServer
from tests.programs import (
    CHECKOUT,
    EXAMPLES,
    PATIENCE,
    Program,
    prepare_environment,
    wait_until,
)

pytest_plugins = ["pytester"]

TEXT = (CHECKOUT / "README.rst").read_text(encoding="utf-8")
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


@dataclass(frozen=True)
class Block:
    """A code block; `marker` is the comment before it, if there is one"""

    line: int
    language: str
    marker: str
    code: str

    def __str__(self) -> str:
        return f"line {self.line}"


def blocks_in(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    before = ""
    for number, line in enumerate(lines, start=1):
        directive, _, language = line.partition(":: ")
        if directive == ".. code-block":
            rest = itertools.takewhile(lambda each: not each or each[0] == " ", lines[number:])
            marker = before.removeprefix(".. ") if before.startswith(".. ") else ""
            yield Block(number, language, marker, textwrap.dedent("\n".join(rest)).strip() + "\n")
        before = line or before


BLOCKS = list(blocks_in(TEXT))


def blocks(language: str, *, marker: str | None = None) -> list[Block]:
    return [
        block for block in BLOCKS if block.language == language and marker in (None, block.marker)
    ]


def test_all_code_is_of_a_kind_that_is_tested_here() -> None:
    literal = re.findall(r"^(?!\.\. ).*::$|^ *>>> .*$|^\.\. code::.*$", TEXT, re.MULTILINE)
    assert literal == []
    assert {block.language for block in BLOCKS} == {"python", "sh", "yaml"}


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_what_is_shown_in_yaml_is_a_part_of_the_example(block: Block) -> None:
    manifests = yaml.safe_load_all((EXAMPLES / "rbac.yaml").read_text())
    shown: dict[str, Any] = yaml.safe_load(block.code)
    assert any(shown.items() <= manifest.items() for manifest in manifests)


def test_the_shell_commands_are_those_that_are_known() -> None:
    commands = {block.marker: block.code for block in blocks("sh")}
    assert commands.keys() == {"", "demo-command", "serve-command", "test-command"}
    assert len(commands) == len(blocks("sh"))
    assert commands[""] == "pip install kube-leader-election\n"


@pytest.fixture
def environment(apiserver: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig of one who may do everything, and no Lease of an earlier block"""
    prepare_environment(monkeypatch, apiserver.kubeconfig())
    assert apiserver.call("DELETE", LEASES)[0] == 200


def test_it_is_short_and_begins_with_ten_lines_that_run() -> None:
    assert len(TEXT.splitlines()) < 150
    assert len([line for line in BLOCKS[0].code.splitlines() if line]) <= 10
    assert "elector.run(" in BLOCKS[0].code


def test_the_test_has_8_lines_at_most() -> None:
    (block,) = blocks("python", marker="pytest")
    assert len([line for line in block.code.splitlines() if line]) <= 8


@pytest.mark.parametrize("name", ["README.rst", "docs/testing.rst"])
def test_the_tests_pass_when_pasted(pytester: pytest.Pytester, name: str) -> None:
    shown = list(blocks_in((CHECKOUT / name).read_text(encoding="utf-8")))
    tests = [block.code for block in shown if block.marker == "pytest"]
    assert tests
    pytester.makepyfile(**{f"test_{number}": code for number, code in enumerate(tests)})
    passed = sum(code.count("def test_") for code in tests)
    pytester.runpytest_subprocess().assert_outcomes(passed=passed)


def granted(apiserver: ApiServer, verb: str) -> int:
    status = {"create": 201}.get(verb, 200)
    return apiserver.requests(namespace="default").count((verb, status))


@pytest.mark.apiserver
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("block", blocks("python", marker=""), ids=str)
def test_python_works_when_pasted(apiserver: ApiServer, tmp_path: Path, block: Block) -> None:
    """It ends by itself, or else it leads, and says something, until it is ended"""
    script = tmp_path / "pasted.py"
    script.write_text(block.code)
    created = granted(apiserver, "create")
    with Program([sys.executable, str(script)], folder=tmp_path / "run") as program:
        wait_until(
            lambda: (
                not program.running or (granted(apiserver, "create") > created and program.output)
            )
        )
        with suppress(ProcessLookupError):  # it may end by itself at any moment
            os.killpg(program.pid, signal.SIGTERM)
        code = program.wait(PATIENCE)
    assert "Traceback" not in program.output
    assert code in (0, -signal.SIGTERM)


@pytest.mark.apiserver  # not for the server, but for the time that it takes
def test_the_commands_work_without_a_cluster_in_a_fresh_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepare_environment(monkeypatch, tmp_path / "none")
    monkeypatch.delenv("PYTHONPATH")
    (block,) = blocks("sh", marker="demo-command")
    checkout = tmp_path / "checkout"
    derived = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
    shutil.copytree(CHECKOUT, checkout, ignore=derived)

    def run(code: str, name: str) -> Program:
        shell = str(shutil.which("bash"))
        return Program([shell, "-e", "-c", f"cd {checkout}; {code}"], folder=tmp_path / name)

    with run(block.code, "demo") as demo:
        code = demo.wait(300)
    assert code == 0, demo.output
    assert demo.output.count(" leads (fencing token ") >= 3

    (serve,) = blocks("sh", marker="serve-command")
    with run(serve.code, "serve") as serving:
        wait_until(lambda: ".kubeconfig\n" in serving.output or not serving.running)
        export = serving.output.splitlines()[-1]
        example = f"{export}; .venv/bin/python examples/simple_lease.py"
        assert_leads_until_interrupted(run(example, "served"))
        (told,) = re.findall(r"``(kube-leader-election run [^`]+)``", TEXT)
        worker = checkout / "worker"
        worker.write_text("#!/bin/sh\ntrap 'exit 0' INT\nwhile echo leading; do sleep 0.1; done\n")
        worker.chmod(0o755)
        assert_leads_until_interrupted(run(f"{export}; PATH=.venv/bin:$PATH; {told}", "worker"))


def assert_leads_until_interrupted(program: Program) -> None:
    with program:
        wait_until(lambda: not program.running or program.output.count("leading") >= 2, 300)
        code = program.end(signal.SIGINT)
    assert code == 0, program.output
    assert program.output.count("leading") >= 2
    assert "Traceback" not in program.output

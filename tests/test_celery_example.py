"""examples/celery_beat and docs/celery.rst, as a stranger uses them"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest
import yaml

from kube_leader_election.contrib.celery import _settings
from tests.programs import CHECKOUT, EXAMPLES, Program, wait_until

EXAMPLE = EXAMPLES / "celery_beat"
DOCS = CHECKOUT / "docs" / "celery.rst"


def test_the_manifest_grants_what_an_elector_needs_and_no_more() -> None:
    granted, needed = (
        [each["rules"] for each in yaml.safe_load_all(text) if each["kind"] == "Role"]
        for text in (
            (EXAMPLE / "manifest.yaml").read_text(),
            (EXAMPLES / "rbac.yaml").read_text().replace("my-app", "my-beat"),
        )
    )
    assert granted == needed


def test_the_docs_name_every_setting() -> None:
    text = DOCS.read_text()
    names = {"beat_leader_scheduler", "leader_namespace", *_settings.FIELDS.values()}
    assert {name for name in names if f"``{name}``" not in text} == set()


def beats_of(session: int) -> list[int]:
    """The processes of that session that are a beat."""
    return sorted(
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdecimal() and is_beat_of(session, process)
    )


def is_beat_of(session: int, process: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        return b"beat" in words and os.getsid(int(process.name)) == session
    except OSError:  # it has ended
        return False


@pytest.mark.celery
def test_of_three_replicas_on_a_laptop_one_sends_and_another_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    monkeypatch.setenv("REDIS_PORT", str(port))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    with Program(["/bin/sh", str(EXAMPLE / "three_replicas.sh")], folder=tmp_path) as program:

        def senders() -> set[str]:
            return set(re.findall(r"beat (\d): .*Sending due task", program.output))

        wait_until(lambda: len(set(re.findall(r"beat (\d): .*Starting", program.output))) == 3)
        wait_until(lambda: program.output.count("another second, due at 20") >= 2)
        assert len(senders()) == 1
        for pid in beats_of(program.pid)[:1]:
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: len(beats_of(program.pid)) == 2)
        count = program.output.count("another second")
        wait_until(lambda: program.output.count("another second") >= count + 2)
        due = re.findall(r"another second, due at (\S+)", program.output)
        assert len(set(due)) == len(due)
        os.kill(program.pid, signal.SIGINT)
        program.wait(60)
        wait_until(lambda: not beats_of(program.pid))

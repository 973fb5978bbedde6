"""The examples for Django, Celery and APScheduler, by the one command that each of them names"""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.programs import EXAMPLES, Program, prepare_environment, wait_until


def example(file: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The command in the docstring of the file, in a copy of the examples"""
    prepare_environment(monkeypatch, folder / "none", PYTHONDONTWRITEBYTECODE="1")
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    path = shutil.copytree(EXAMPLES, folder / "examples") / file
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    (command,) = re.findall(r"^    python ((?:.*\\\n)*.*)$", said, re.MULTILINE)
    command = re.sub(r"PORT=\d+", "PORT=0", command.replace("\\\n", " "))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = str(sock.getsockname()[1])
    monkeypatch.setenv("BROKER", f"redis://127.0.0.1:{port}")
    command = command.replace("6399", port).replace("/tmp", str(folder))
    return Program([sys.executable, *shlex.split(command)], folder=path.parent)


@pytest.mark.django
def test_of_the_pods_of_django_one_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with example("django_app/manage.py", tmp_path, monkeypatch) as program:
        wait_until(lambda: program.output.count("Booting worker") == 8)
        wait_until(lambda: program.output.count("cleans up") >= 2)
        assert program.output.count("begins with fencing token") == 1
        program.check()
        os.kill(program.pid, signal.SIGINT)
        assert program.wait(60.0) == 0
        assert "Traceback" not in program.output


@pytest.mark.celery
def test_of_the_workers_of_celery_one_does_the_duties(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with example("celery_worker/tasks.py", tmp_path, monkeypatch) as program:
        wait_until(lambda: program.output.count("ends") >= 3)
        program.check()
        os.kill(program.pid, signal.SIGTERM)
        assert program.wait(60.0) == 0
        output = program.output
    said = re.findall(r"begins|ends", output)
    assert said == ["begins", "ends"] * (len(said) // 2)
    assert "Traceback" not in output


@pytest.mark.apscheduler
def test_of_the_schedulers_of_apscheduler_one_tells_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS", f"sqlite:///{tmp_path / 'jobs.db'}")
    with example("apscheduler_jobs.py", tmp_path, monkeypatch) as program:
        told = re.compile(r"^(\d+) ([\d.]+) \d+$", re.MULTILINE)
        wait_until(lambda: len(told.findall(program.output)) >= 2)
        program.check()
        os.kill(program.pid, signal.SIGTERM)
        assert program.wait(60.0) == 0
        lines = told.findall(program.output)
    processes = [process for process, _ in lines]
    assert processes == sorted(processes, key=processes.index)  # one after the other
    assert "Traceback" not in program.output

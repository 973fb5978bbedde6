"""A copy of the package with a mistake in it, and of the tests that are to find it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import kube_leader_election

from .mutants_listed import Change

PACKAGE = Path(kube_leader_election.__file__).parent
TESTS = Path(__file__).parents[1]
_NEEDED = ("__init__.py", "forks.py", "core", "proof")


def copy_to(folder: Path, changes: Sequence[Change]) -> None:
    """`folder` has the package with the changes, and what kills mutants."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=ignored)
    (folder / TESTS.name).mkdir()
    for name in _NEEDED:
        source, target = TESTS / name, folder / TESTS.name / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy2(source, target)
    for path in {change.path for change in changes}:
        mutated = changed(path, [change for change in changes if change.path == path])
        (folder / PACKAGE.name / path).write_text(mutated)


def changed(path: str, changes: Sequence[Change]) -> str:
    """Return what the file `path` of the package is with the changes.

    :raises ValueError: the lines that are to be changed are not there exactly once.
    """
    source = "\n" + (PACKAGE / path).read_text()
    for change in changes:
        if (count := source.count("\n" + change.old)) != 1:
            raise ValueError(f"{path} has {count} times:\n{change.old}")
        source = source.replace("\n" + change.old, "\n" + change.new)
    return source[1:]

"""Copies what the tests need, the package excepted, and checks that the installed one is imported

``python suite.py FOLDER``
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

import kube_leader_election

CHECKOUT = Path(__file__).resolve().parent.parent
NEEDED = ["README.rst", "docs", "examples", "setup.cfg", "tests"]


def copy(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in NEEDED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy2(source, folder / name)


def check_import() -> None:
    package = Path(kube_leader_election.__file__).resolve()
    installed = Path(sysconfig.get_path("purelib")).resolve()
    if not package.is_relative_to(installed):
        sys.exit(f"{package} is not the installed package")
    print(package)
    print(*sorted(f"{found.name}=={found.version}" for found in distributions()))


if __name__ == "__main__":
    copy(Path(sys.argv[1]))
    check_import()

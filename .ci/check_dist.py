"""Compares the sdist and the wheel in a folder with the files of the checkout

``python check_dist.py FOLDER``
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = "kube_leader_election"
PLUGIN = "_kube_leader_election_pytest.py"
REQUIRED = {
    "LICENSE",
    "README.rst",
    "examples/",
    "pyproject.toml",
    "setup.cfg",
    "tests/",
    f"{PACKAGE}/__init__.py",
    f"{PACKAGE}/py.typed",
}
GENERATED = ("PKG-INFO", f"{PACKAGE}.egg-info/")


def checkout_files() -> set[str]:
    """All but the ignored ones"""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    options = ["--cached", "--others", "--exclude-standard"]
    output = subprocess.run([*command, *options], cwd=CHECKOUT, check=True, stdout=subprocess.PIPE)
    names = output.stdout.decode().split("\0")
    return {name for name in names if name and (CHECKOUT / name).is_file()}


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def difference(kind: str, found: set[str], expected: set[str]) -> list[str]:
    return [f"{kind} lacks {name}" for name in sorted(expected - found)] + [
        f"{kind} has {name}" for name in sorted(found - expected)
    ]


def sdist_problems(path: Path, files: set[str]) -> list[str]:
    with tarfile.open(path) as archive:
        names = {member.name for member in archive.getmembers() if member.isfile()}
    found = {name.partition("/")[2] for name in names}
    absent = {name for name in REQUIRED if not any(one.startswith(name) for one in found)}
    found = {name for name in found if not name.startswith(GENERATED)}
    return [f"the sdist lacks {name}" for name in sorted(absent)] + difference(
        "the sdist", found, files
    )


def wheel_problems(path: Path, files: set[str]) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        info = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(info))
    folder = info.removesuffix("METADATA")
    problems = []
    if metadata["License-Expression"] != "MIT":
        problems.append(f"the license of the wheel is {metadata['License-Expression']}")
    if f"{folder}licenses/LICENSE" not in names:
        problems.append("the wheel lacks the license's text")
    package = {name for name in files if name.startswith(f"{PACKAGE}/") or name == PLUGIN}
    found = {name for name in names if not name.startswith(folder)}
    return problems + difference("the wheel", found, package)


def main(folder: Path) -> int:
    files = checkout_files()
    problems = sdist_problems(only(folder, "*.tar.gz"), files)
    problems += wheel_problems(only(folder, "*.whl"), files)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

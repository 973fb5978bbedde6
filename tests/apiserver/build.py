"""Builds etcd and kube-apiserver from their Go modules, once for each set of versions

``python -m tests.apiserver.build`` builds what is absent and prints the folder. Binaries in the
folder named by ``KUBEBUILDER_ASSETS`` (envtest's convention) are used instead where it is set.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

MODULE = Path(__file__).parent
ETCD = "etcd"
KUBE_APISERVER = "kube-apiserver"
_PACKAGES = {
    ETCD: "go.etcd.io/etcd/server/v3",
    KUBE_APISERVER: "k8s.io/kubernetes/cmd/kube-apiserver",
}


class BuildError(Exception):
    """The binaries are neither there nor could they be built"""


def binaries() -> Path:
    """The folder with both binaries; builds them first where they are absent

    A build takes minutes. Of several processes one builds and the others wait for it.

    :raises BuildError: no ``go``, a build that failed, or ``KUBEBUILDER_ASSETS`` lacks a binary
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        return _checked(Path(assets))
    commands = _commands()
    folder = _cache() / f"apiserver-{_digest(commands)}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _build(commands, folder)
    return _checked(folder)


def _checked(folder: Path) -> Path:
    for name in _PACKAGES:
        if not os.access(folder / name, os.X_OK):
            raise BuildError(f"no executable {name} in {folder}")
    return folder.resolve()


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kube-leader-election"


def _commands() -> dict[str, list[str]]:
    """The arguments of ``go`` for each binary, the output file excepted"""
    build = ["build", "-mod=readonly", "-trimpath"]
    return {
        name: [*build, "-ldflags", _linker_flags(name), package]
        for name, package in _PACKAGES.items()
    }


def _linker_flags(name: str) -> str:
    flags = "-s -w"
    if name == KUBE_APISERVER:  # without these it reports v0.0.0
        found = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.\S+", (MODULE / "go.mod").read_text())
        if found is None:
            raise BuildError("go.mod does not require k8s.io/kubernetes")
        version = {
            "gitVersion": found[0].split()[1],
            "gitMajor": found[1],
            "gitMinor": found[2],
        }
        for key, value in version.items():
            flags += f" -X k8s.io/component-base/version.{key}={value}"
    return flags


def _digest(commands: dict[str, list[str]]) -> str:
    digest = hashlib.sha256(repr(sorted(commands.items())).encode())
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes())
    return digest.hexdigest()[:16]


def _build(commands: dict[str, list[str]], folder: Path) -> None:
    """Fill a folder beside `folder` and rename it; the caller holds the lock"""
    go = shutil.which("go")
    if go is None:
        raise BuildError("the API server's tests need go on the PATH, or KUBEBUILDER_ASSETS")
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    environment = {**os.environ, "CGO_ENABLED": "0"}
    for name, (verb, *rest) in commands.items():
        command = [go, verb, "-o", str(partial / name), *rest]
        done = subprocess.run(
            command, cwd=MODULE, env=environment, text=True, stderr=subprocess.PIPE, check=False
        )
        if done.returncode != 0:
            raise BuildError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    partial.rename(folder)


if __name__ == "__main__":
    try:
        print(binaries())
    except BuildError as error:
        sys.exit(str(error))

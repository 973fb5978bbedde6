"""Builds programs from pinned sources, once for each set of versions: here etcd and kube-apiserver

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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Step:
    """A command that makes one executable in the folder which replaces ``{folder}``"""

    binary: str
    command: tuple[str, ...]
    sources: Path
    """The folder it runs in; the files directly there and in ``src`` decide what it makes"""


def binaries() -> Path:
    """The folder with both binaries; builds them first where they are absent

    :raises BuildError: no ``go``, a build that failed, or ``KUBEBUILDER_ASSETS`` lacks a binary
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        return _checked(Path(assets), _PACKAGES)
    return built("apiserver", [go_step(*item) for item in _PACKAGES.items()])


def go_step(binary: str, package: str) -> Step:
    """A package of the Go module in this folder"""
    output = f"-o={{folder}}/{binary}"
    command = ("go", "build", "-mod=readonly", "-trimpath", "-ldflags", _linker_flags(), output)
    return Step(binary, (*command, package), MODULE)


def built(name: str, steps: list[Step]) -> Path:
    """The folder in the cache with what the steps make; runs them first where it is absent

    A build takes minutes. Of several processes one builds and the others wait for it.

    :raises BuildError: a tool is not on the PATH, or a step failed
    """
    folder = _cache() / f"{name}-{_digest(steps)}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _build(steps, folder)
    return _checked(folder, [step.binary for step in steps])


def _checked(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        if not os.access(folder / name, os.X_OK):
            raise BuildError(f"no executable {name} in {folder}")
    return folder.resolve()


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kube-leader-election"


def _linker_flags() -> str:
    """Without the version, kube-apiserver reports v0.0.0 and kubectl one that it cannot parse"""
    found = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.\S+", (MODULE / "go.mod").read_text())
    if found is None:
        raise BuildError("go.mod does not require k8s.io/kubernetes")
    version = {
        "gitVersion": found[0].split()[1],
        "gitMajor": found[1],
        "gitMinor": found[2],
    }
    flags = [f"-X k8s.io/component-base/version.{key}={value}" for key, value in version.items()]
    return " ".join(["-s -w", *flags])


def _digest(steps: list[Step]) -> str:
    digest = hashlib.sha256()
    for step in steps:
        digest.update(repr((step.binary, step.command)).encode())
    for folder in sorted({step.sources for step in steps}):
        patterns = ("go.*", "Cargo.*", "src/*")
        for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build(steps: list[Step], folder: Path) -> None:
    """Fill a folder beside `folder` and rename it; the caller holds the lock"""
    for tool in sorted({step.command[0] for step in steps}):
        if shutil.which(tool) is None:
            raise BuildError(f"the tests against real programs need {tool} on the PATH")
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    environment = {**os.environ, "CGO_ENABLED": "0"}
    for step in steps:
        command = [argument.replace("{folder}", str(partial)) for argument in step.command]
        done = subprocess.run(
            command,
            cwd=step.sources,
            env=environment,
            text=True,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    partial.rename(folder)


def main(build: Callable[[], Path]) -> None:
    """Print the folder, or why there is none"""
    try:
        print(build())
    except BuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(binaries)

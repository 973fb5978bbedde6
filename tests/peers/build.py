"""Builds the foreign clients, once for each set of versions and sources

``python -m tests.peers.build`` builds what is absent and prints the folder. The Go ones are in the
API server's Go module, whose packages they share. Cargo's folder stays in the cache: the crates
have most of their dependencies in common.
"""

from __future__ import annotations

from pathlib import Path

from tests.apiserver.build import Step, built, go_step, main

CLIENT_GO = "client-go"
KUBECTL = "kubectl"
KUBE_COORDINATE = "bin/peer-kube-coordinate"
KUBE_LEADER_ELECTION = "bin/peer-kube-leader-election"
_CRATES = Path(__file__).with_name("rust")


def peers() -> Path:
    """The folder with the executables; builds them first where they are absent

    :raises BuildError: no ``go``, no ``cargo``, or a build that failed
    """
    return built(
        "peers",
        [
            go_step(CLIENT_GO, "k8s.io/client-go/examples/leader-election"),
            go_step(KUBECTL, "k8s.io/kubernetes/cmd/kubectl"),
            _cargo_step(KUBE_COORDINATE, "kube-coordinate"),
            _cargo_step(KUBE_LEADER_ELECTION, "kube-leader-election"),
        ],
    )


def _cargo_step(binary: str, crate: str) -> Step:
    """Unoptimized: what it does takes no time, what the compiler does takes a minute"""
    folders = ("--path=.", "--root={folder}", "--target-dir={folder}/../cargo")
    command = ("cargo", "install", "--debug", "--locked", "--no-track", *folders)
    return Step(binary, command, _CRATES / crate)


if __name__ == "__main__":
    main(peers)

"""The command lines of both servers, which run alone and listen on loopback or a Unix socket"""

from __future__ import annotations

from pathlib import Path

HOST = "127.0.0.1"
TOKENS = "tokens.csv"
AUDIT_LOG = "audit.log"
CERTIFICATE = "apiserver.crt"
ETCD_SOCKET = "client:0"  # etcd wants a port, which a socket has not
_KEY = "apiserver.key"
_AUDIT_POLICY = Path(__file__).with_name("audit-policy.yaml").resolve()


def etcd(binary: Path) -> list[str]:
    """Relative to the working folder, so that no path is too long for a Unix socket"""
    client, peer = f"unix://{ETCD_SOCKET}", "unix://peer:0"
    return [
        str(binary),
        "--data-dir=etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def kube_apiserver(binary: Path, *, port: int) -> list[str]:
    """It makes its own certificate; the key also signs service account tokens"""
    return [
        str(binary),
        f"--etcd-servers=unix://{ETCD_SOCKET}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        "--permit-port-sharing",
        "--cert-dir=.",
        f"--service-account-key-file={_KEY}",
        f"--service-account-signing-key-file={_KEY}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--disable-admission-plugins=ServiceAccount",
        "--authorization-mode=RBAC",
        f"--token-auth-file={TOKENS}",
        f"--audit-policy-file={_AUDIT_POLICY}",
        f"--audit-log-path={AUDIT_LOG}",
        "--audit-log-mode=blocking",
        # Without both, a Lease's `strategy` and `preferredHolder` are dropped without a word.
        "--feature-gates=CoordinatedLeaderElection=true",
        "--runtime-config=coordination.k8s.io/v1beta1=true",
    ]

"""Requests of the command line, and what is told of them"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kube_leader_election.cli._cluster import Answer, Cluster, NoAnswerError, _why, connect, refusal


def answer(status: int, document: Mapping[str, Any] | None) -> Answer:
    return Answer(status, {}, document, 0.0, 0.0, 0.0)


class Scripted(Cluster):
    """Answers what it was given, and keeps the paths"""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.paths: list[str] = []

    def call(self, method: str, path: str, body: object = None, *, timeout: float = 1) -> Answer:
        self.paths.append(path)
        return self.answers.pop(0)


def page(*names: str, more: str = "") -> Answer:
    items = [{"metadata": {"name": name}} for name in names]
    return answer(200, {"kind": "LeaseList", "metadata": {"continue": more}, "items": items})


def test_all_pages_are_read() -> None:
    cluster = Scripted(page("a", "b", more="next/1="), page("c"))
    assert [each["metadata"]["name"] for each in cluster.leases("default")] == ["a", "b", "c"]
    first, second = cluster.paths
    assert first == "/apis/coordination.k8s.io/v1/namespaces/default/leases?limit=500"
    assert second == f"{first}&continue=next%2F1%3D"


@pytest.mark.parametrize(
    "odd",
    [answer(200, None), answer(200, {}), answer(200, {"items": 7}), answer(403, {"items": []})],
)
def test_what_is_no_list_is_no_answer(odd: Answer) -> None:
    with pytest.raises(NoAnswerError, match="list of Leases in all: answered"):
        list(Scripted(odd).leases(None))


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Thu, 01 Jan 1970 00:16:40 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:16:39 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:16:38 GMT", -0.5),
        ("Thu, 01 Jan 1970 00:16:41 GMT", 0.25),
        ("Thu, 01 Jan 1970 00:16:51 GMT", 10.25),
        ("soon", 0.0),
        (None, 0.0),
    ],
)
def test_the_servers_clock_is_told_as_far_as_the_date_tells_it(
    date: str | None, ahead: float
) -> None:
    headers = {} if date is None else {"Date": date}
    came = Answer(200, headers, {}, sent_at=999.5, came_at=1000.75, took=1.25)
    assert came.ahead == ahead


def test_only_the_servers_own_words_are_shown() -> None:
    status = {"kind": "Status", "message": "no \x1b[31m way"}
    assert refusal(answer(403, status), "it") == "it: answered 403 Forbidden: no \\x1b[31m way"
    assert refusal(answer(403, {"message": "s3cret"}), "it") == "it: answered 403 Forbidden"
    assert refusal(answer(799, None), "it") == "it: answered 799"


def test_the_reason_is_the_innermost_one_of_the_system() -> None:
    outer = ValueError("s3cret")
    outer.__cause__ = middle = RuntimeError("s3cret")
    middle.__context__ = OSError(111, "Connection refused")
    assert _why(outer) == "Connection refused"
    assert _why(ValueError("s3cret")) == "ValueError"
    assert _why(TimeoutError("no whole answer within 10 s")) == "no whole answer within 10 s"


def test_without_a_kubeconfig_a_pod_asks_its_own_cluster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("token", "cert"):
        (tmp_path / name).write_text("s3cret")
        constant = f"kubernetes.config.incluster_config.SERVICE_{name.upper()}_FILENAME"
        monkeypatch.setattr(constant, str(tmp_path / name))
    default = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
    monkeypatch.setattr(default, str(tmp_path / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    monkeypatch.setattr("kubernetes.client.ApiClient", Client)
    assert connect().url == "https://10.0.0.1:6443"


class Client:
    """Makes nothing of its configuration: the certificate is none"""

    def __init__(self, configuration: Any) -> None:
        self.configuration = configuration

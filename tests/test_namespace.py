from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import kube_config
from kubernetes.config.config_exception import ConfigException

from kube_leader_election import InvalidParamsError, _namespace
from kube_leader_election._namespace import current_namespace

LABEL = "must be a DNS label: 1 to 63"


@pytest.fixture
def pod_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a Pod's namespace would be; there is none yet."""
    path = tmp_path / "serviceaccount" / "namespace"
    path.parent.mkdir()
    monkeypatch.setattr(_namespace, "_POD_FILE", path)
    return path


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `kubernetes.config` looks; there is nothing yet."""
    path = tmp_path / "kube" / "config"
    path.parent.mkdir()
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    return path


@pytest.fixture(autouse=True)
def _nowhere(pod_file: Path, kubeconfig: Path) -> None:
    """No test sees where it really runs."""


def config(*, current: str = "here", **namespaces: object) -> dict[str, Any]:
    contexts = [
        {"name": name, "context": {"cluster": "c", "user": "u", "namespace": namespace}}
        for name, namespace in namespaces.items()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "hunter2"}}],
        "contexts": contexts,
        "current-context": current,
    }


def write(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def in_a_process(pod_file: Path, **environment: str) -> str:
    """What a new process finds, and whether it has imported kubernetes for it."""
    code = f"""if True:
        import pathlib, sys
        from kube_leader_election import _namespace
        _namespace._POD_FILE = pathlib.Path({str(pod_file)!r})
        print(_namespace.current_namespace(), "kubernetes" in sys.modules)
    """
    command, env = [sys.executable, "-c", code], {**os.environ, **environment}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def refusal(make: Callable[[], object]) -> InvalidParamsError:
    with pytest.raises(InvalidParamsError) as caught:
        make()
    assert caught.value.field == "namespace"
    return caught.value


def test_the_pod_s_namespace_comes_first(pod_file: Path, kubeconfig: Path) -> None:
    pod_file.write_text("of-the-pod\n", encoding="utf-8")
    write(kubeconfig, config(here="of-the-kubeconfig"))
    assert current_namespace("of-the-default") == "of-the-pod"


def test_in_a_pod_nothing_is_imported_of_kubernetes(pod_file: Path) -> None:
    pod_file.write_text("of-the-pod", encoding="utf-8")
    assert in_a_process(pod_file) == "of-the-pod False\n"


def test_the_kubeconfig_s_comes_next_and_is_that_of_its_current_context(kubeconfig: Path) -> None:
    write(kubeconfig, config(current="there", here="a", there="b"))
    assert current_namespace("of-the-default") == "b"


def test_the_environment_names_the_kubeconfig_and_may_name_several(
    pod_file: Path, tmp_path: Path
) -> None:
    missing, first, second = (tmp_path / name for name in ("missing", "first", "second"))
    write(first, config(current="there", here="a"))
    write(second, {**config(current="there", there="b"), "clusters": [], "users": []})
    places = os.pathsep.join(map(str, (missing, first, second)))
    assert in_a_process(pod_file, KUBECONFIG=places) == "b True\n"


def test_the_default_comes_last() -> None:
    assert current_namespace("of-the-default") == "of-the-default"


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_context_without_a_namespace_leaves_it_to_the_default(
    kubeconfig: Path, nothing: str | None
) -> None:
    write(kubeconfig, config(here=nothing))
    assert current_namespace("of-the-default") == "of-the-default"
    content = config(here="a")
    del content["contexts"][0]["context"]["namespace"]
    write(kubeconfig, content)
    assert current_namespace("of-the-default") == "of-the-default"


def test_another_context_s_namespace_does_not_count(kubeconfig: Path) -> None:
    write(kubeconfig, config(here=None, there="b"))
    assert current_namespace("of-the-default") == "of-the-default"


@pytest.mark.parametrize("location", ["", ":", "/nowhere/a:/nowhere/b"])
def test_a_kubeconfig_that_is_named_but_not_there_counts_as_none(
    monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", location)
    assert current_namespace("of-the-default") == "of-the-default"


def test_a_home_is_found_as_the_client_finds_it(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(kubeconfig, config(here="a"))
    monkeypatch.setenv("HOME", str(kubeconfig.parent))
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", "~/config")
    assert current_namespace() == "a"


def test_a_process_without_a_home_has_no_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", "~nobody-of-this-name/config")
    assert current_namespace("of-the-default") == "of-the-default"


def test_a_file_where_the_pod_s_folder_would_be_counts_as_none(pod_file: Path) -> None:
    pod_file.parent.rmdir()
    pod_file.parent.write_text("", encoding="utf-8")
    assert current_namespace("of-the-default") == "of-the-default"


def test_where_nothing_is_found_the_error_says_what_was_looked_for(
    pod_file: Path, kubeconfig: Path
) -> None:
    error = refusal(current_namespace)
    assert error.value is None
    assert error.rule.startswith("not found: ")
    assert str(pod_file) in error.rule
    assert f"no kubeconfig ({kubeconfig}) with a namespace" in error.rule
    assert error.rule.endswith("no default")


# What was found, but is none


@pytest.mark.parametrize("value", ["", "A", "a.b", "two\nlines", "x" * 64])
def test_a_pod_s_namespace_that_is_none_is_refused(pod_file: Path, value: str) -> None:
    pod_file.write_text(value, encoding="utf-8")
    error = refusal(lambda: current_namespace("of-the-default"))
    assert error.value == value
    assert error.rule.startswith(LABEL)
    assert error.rule.endswith(f"this one is from {pod_file}")


@pytest.mark.parametrize(
    "make", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")]
)
def test_a_pod_s_file_that_cannot_be_read_is_refused(
    pod_file: Path, make: Callable[[Path], object]
) -> None:
    make(pod_file)
    error = refusal(lambda: current_namespace("of-the-default"))
    assert error.rule.startswith(f"{pod_file} cannot be read: ")
    assert isinstance(error.__cause__, (IsADirectoryError, UnicodeDecodeError))


@pytest.mark.parametrize("value", ["A", "a.b", 1, ["a"]])
def test_a_kubeconfig_s_namespace_that_is_none_is_refused(kubeconfig: Path, value: object) -> None:
    write(kubeconfig, config(here=value))
    error = refusal(lambda: current_namespace("of-the-default"))
    assert error.value == value
    assert error.rule.startswith(LABEL)
    assert error.rule.endswith(f"this one is from {kubeconfig}")


@pytest.mark.parametrize("value", ["", "A", 1, b"a"])
def test_a_default_that_is_none_is_refused_even_where_it_is_not_needed(
    pod_file: Path, value: Any
) -> None:
    pod_file.write_text("of-the-pod", encoding="utf-8")
    error = refusal(lambda: current_namespace(value))
    assert error.value is value
    assert error.rule.startswith(LABEL)


@pytest.mark.parametrize(
    "content",
    [
        None,
        {"contexts": []},
        config(current="nowhere", here="a"),
        {**config(here="a"), "contexts": [{"name": "here"}]},
        {**config(here="a"), "clusters": []},
    ],
)
def test_of_a_broken_kubeconfig_the_client_s_own_error_is_the_cause(
    kubeconfig: Path, content: object
) -> None:
    write(kubeconfig, content)
    error = refusal(lambda: current_namespace("of-the-default"))
    assert error.rule == f"the kubeconfig ({kubeconfig}) cannot be read: ConfigException"
    assert isinstance(error.__cause__, ConfigException)


@pytest.mark.parametrize("content", ["{", "- a", "text", "contexts: 1", "\x00", "contexts: [1]"])
def test_a_kubeconfig_that_is_something_else_is_refused(kubeconfig: Path, content: str) -> None:
    kubeconfig.write_text(content, encoding="utf-8")
    error = refusal(lambda: current_namespace("of-the-default"))
    assert error.rule.startswith(f"the kubeconfig ({kubeconfig}) cannot be read: ")
    assert error.__cause__ is not None


def test_what_the_client_s_error_repeats_of_the_file_is_not_in_ours(kubeconfig: Path) -> None:
    write(kubeconfig, {**config(here="a"), "clusters": [{"name": "c", "token": "hunter2"}]})
    error = refusal(current_namespace)
    assert "hunter2" in str(error.__cause__)
    assert "hunter2" not in str(error)

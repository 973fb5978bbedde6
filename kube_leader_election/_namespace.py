"""The namespace that a program is meant to use."""

from __future__ import annotations

import os
from pathlib import Path

from ._errors import InvalidParamsError
from ._params import check_namespace

# Where Kubernetes tells a Pod, beside the token of its service account.
_POD_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def current_namespace(default: str | None = None) -> str:
    """Return the Pod's namespace, else that of the kubeconfig's current context, else `default`.

    The Pod's is in a file beside its service account's token, which is missing if that is not
    mounted. The kubeconfig is the one that `kubernetes.config.load_kube_config()` reads, so
    `KUBECONFIG` counts as it was when `kubernetes.config` was imported. Makes no request.

    :raises InvalidParamsError: nothing was found, or something that cannot be read or is no
        namespace; of a broken kubeconfig `__cause__` says more. Pass a `default`, or mend it.
    """
    if default is not None:
        check_namespace(default)
    found = _from_pod()
    if found is None:
        found = _from_kubeconfig()
    if found is None:
        found = default
    if found is None:
        rule = (
            f"not found: there is no {_POD_FILE} (not in a Pod, or its service account is not"
            f" mounted), no kubeconfig ({_kubeconfig()}) with a namespace in its current context,"
            " and no default"
        )
        raise InvalidParamsError("namespace", None, rule)
    return found


def _from_pod() -> str | None:
    try:
        found = _POD_FILE.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        rule = f"{_POD_FILE} cannot be read: {type(error).__name__}"
        raise InvalidParamsError("namespace", None, rule) from error
    return _checked(found, str(_POD_FILE))


def _from_kubeconfig() -> str | None:
    from kubernetes.config import list_kube_config_contexts

    if not _kubeconfig_exists():
        return None
    try:
        _, context = list_kube_config_contexts()
        found = context["context"].get("namespace")
    except Exception as error:
        # Of the error's own words, some could repeat what the file keeps secret.
        rule = f"the kubeconfig ({_kubeconfig()}) cannot be read: {type(error).__name__}"
        raise InvalidParamsError("namespace", None, rule) from error
    return _checked(found, _kubeconfig()) if found else None


def _kubeconfig() -> str:
    """Return what `kubernetes.config` reads by default: a path, or several."""
    from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION

    return str(KUBE_CONFIG_DEFAULT_LOCATION)


def _kubeconfig_exists() -> bool:
    from kubernetes.config.kube_config import ENV_KUBECONFIG_PATH_SEPARATOR

    # As the client asks it. Those of pathlib raise where there is no home, or a closed one.
    return any(
        os.path.exists(os.path.expanduser(path))  # noqa: PTH110, PTH111
        for path in _kubeconfig().split(ENV_KUBECONFIG_PATH_SEPARATOR)
        if path
    )


def _checked(found: object, source: str) -> str:
    try:
        return check_namespace(found)
    except InvalidParamsError as error:
        rule = f"{error.rule}; this one is from {source}"
        raise InvalidParamsError("namespace", found, rule) from None

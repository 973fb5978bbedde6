"""`doctor` on a real server: prepared faults, and the mend that it names for each"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver import objects
from tests.apiserver.server import ADMIN, NOBODY, USERS, ApiServer
from tests.cli.conftest import Command, Said, findings
from tests.proxy import Proxy

pytestmark = pytest.mark.apiserver

NEEDED = ("create", "get", "update", "watch")


class Place:
    """A namespace of the real server and a way to it, where all is well until it is spoiled

    `options` are those of the doctor, for whom `mend` fills in the names of the place. With so long
    a ttl a machine that is busy with something else is no finding.
    """

    def __init__(self, server: ApiServer, namespace: str, command: Command, folder: Path) -> None:
        self.server = server
        self.namespace = namespace
        self.user = ADMIN
        self.options = ["--lease-ttl", "120", "--renew-deadline", "80"]
        self.url, self.ca_file, self.token = server.url, str(server.ca_file), ""
        self.now = time.time
        self.at_exit = contextlib.ExitStack()
        self._command = command
        self._kubeconfig = folder / "kubeconfig"

    def doctor(self, *more: str) -> Said:
        token = self.token or self.server.token(self.user)
        config = objects.kubeconfig(
            server=self.url, ca_file=self.ca_file, user=self.user, token=token
        )
        if not self.ca_file:
            del config["clusters"][0]["cluster"]["certificate-authority"]
        self._kubeconfig.write_text(json.dumps(config))
        asked = ("doctor", "my-app", "-n", self.namespace, "--reads", "30", "--json")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", self.now)
            return self._command(*asked, *self.options, *more, kubeconfig=self._kubeconfig)

    def mend(self, template: str) -> str:
        return template.format(namespace=self.namespace, user=self.user)

    def put(self, **fields: Any) -> None:
        """The Lease of a holder that has just renewed it"""
        spec = {"holderIdentity": "my-app-1", "leaseDurationSeconds": 120, "renewTime": at(0)}
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
        body = {"metadata": {"name": "my-app"}, "spec": {**spec, **fields}}
        status, answer = self.server.call("POST", path, body)
        assert status == 201, answer

    def apply(self, text: str) -> None:
        """What `kubectl apply` makes of a Role and a RoleBinding"""
        for each in yaml.safe_load_all(text):
            plural = f"{each['kind'].lower()}s"
            path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/{plural}"
            status, answer = self.server.call("POST", path, each)
            assert status == 201, answer


@pytest.fixture
def place(
    apiserver: ApiServer, apiserver_namespace: str, command: Command, tmp_path: Path
) -> Iterator[Place]:
    place = Place(apiserver, apiserver_namespace, command, tmp_path)
    with place.at_exit:
        yield place


def at(seconds: float) -> str:
    """The time in so many seconds"""
    then = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return then.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# The faults.

Fault = Callable[[Place], None]


def without(*verbs: str) -> Fault:
    """Its user may do all that is needed, but for this."""

    def spoil(place: Place) -> None:
        place.user = USERS[-1]
        granted = [verb for verb in NEEDED if verb not in verbs]
        if granted:
            place.server.grant(place.user, place.namespace, granted)

    return spoil


def clock(ahead: float, *options: str) -> Fault:
    def spoil(place: Place) -> None:
        right = time.time
        place.now = lambda: right() + ahead
        place.options += options

    return spoil


def lease(*options: str, renewed_in: float = 0.0, **fields: Any) -> Fault:
    def spoil(place: Place) -> None:
        place.options += options
        place.put(**{"renewTime": at(renewed_in), **fields})

    return spoil


def settings(*options: str) -> Fault:
    def spoil(place: Place) -> None:
        place.options += options

    return spoil


def unreachable(place: Place) -> None:
    proxy = place.at_exit.enter_context(Proxy(place.server.port))
    place.at_exit.enter_context(proxy.refusing())
    place.url = proxy.url


def slow(place: Place) -> None:
    """What it answers arrives once a second, with settings for which that is too slow."""
    proxy = place.at_exit.enter_context(Proxy(place.server.port))
    is_over = threading.Event()

    def hold_up() -> None:
        while not is_over.is_set():
            with proxy.holding("answers"):
                is_over.wait(1)

    thread = threading.Thread(target=hold_up)
    thread.start()
    place.at_exit.callback(thread.join)
    place.at_exit.callback(is_over.set)
    place.url = proxy.url
    place.options += ("--lease-ttl", "15", "--renew-deadline", "10", "--reads", "3")


def another_authority(place: Place) -> None:
    place.ca_file = ""


def wrong_token(place: Place) -> None:
    place.token = "wrong"


def no_namespace(place: Place) -> None:
    place.namespace = "nowhere"


def namespace_on_its_way_out(place: Place) -> None:
    status, _ = place.server.call("DELETE", f"/api/v1/namespaces/{place.namespace}")
    assert status == 200


# Each with what it is about, a part of what is said, and of the mend.
FAULTS: dict[str, tuple[Fault, str, str, str]] = {
    "no rights at all": (
        without(*NEEDED),
        "rights",
        "'update' is not allowed: no candidate can lead",
        "kube-leader-election rbac my-app -n {namespace} --user {user} | kubectl apply -f -",
    ),
    "no create": (without("create"), "rights", "'create' is not allowed", "verbs: [create]"),
    "no get": (without("get"), "rights", "'get' is not allowed", "verbs: [get]"),
    "no update": (without("update"), "rights", "'update' is not allowed", "verbs: [update]"),
    "no watch": (without("watch"), "rights", "'watch' is not allowed", "verbs: [watch]"),
    "clock 10 s behind": (
        clock(-10),
        "clock",
        "behind the server's; electors do not go by it",
        "set the clock (chrony, ntpd)",
    ),
    "clock 10 s ahead, and less declared": (
        clock(10, "--max-clock-skew", "0.5"),
        "clock",
        "ahead of the server's, and max_clock_skew is 0.5 s: two may lead",
        "or declare a max_clock_skew of 10 s for all, or None",
    ),
    "held by another program": (
        lease("--holders", "my-app-*", holderIdentity="kube-scheduler-1"),
        "lease",
        "held by kube-scheduler-1, which is none of my-app-*",
        "give one of the two another Lease",
    ),
    "claimed for another duration": (
        lease(leaseDurationSeconds=600),
        "lease",
        "my-app-1 claims it for 10m, these settings for 2m",
        "give all candidates the same lease_ttl",
    ),
    "no duration": (
        lease(leaseDurationSeconds=None),
        "lease",
        "no duration: each candidate goes by its own lease_ttl",
        "mend the program that wrote it",
    ),
    "no renewTime": (
        lease(renewTime=None),
        "lease",
        "no renewTime: by the wall clock it has expired",
        "mend the program that wrote it",
    ),
    "renewed in ten minutes": (
        lease(renewed_in=600),
        "lease",
        "renewed in the future: its holder's clock is wrong",
        "set the clocks (chrony, ntpd)",
    ),
    "a holder that Kubernetes appoints": (
        lease(strategy="OldestEmulationVersion"),
        "lease",
        "Kubernetes itself appoints the holder",
        "use another name",
    ),
    "nobody listens": (
        unreachable,
        "server",
        "Connection refused",
        "look at the address in the kubeconfig, the network",
    ),
    "answers after a second": (
        slow,
        "reads",
        "one attempt has 2 s, a fifth of renew_deadline, for up to 3 requests",
        "renew_deadline of ",
    ),
    "another certificate": (
        another_authority,
        "server",
        "certificate verify failed",
        "look at the address in the kubeconfig",
    ),
    "a wrong token": (
        wrong_token,
        "server",
        "the credentials are refused (401)",
        "log in anew, or mount a valid token",
    ),
    "settings that are refused": (
        settings("--renew-deadline", "119"),
        "settings",
        "from 1.0 to 117.6",
        "obey this rule",
    ),
    "settings that are fragile": (
        settings("--renew-deadline", "117"),
        "settings",
        "renew_deadline (117.0) is more than 116.6 s",
        "see: kube-leader-election plan",
    ),
    "no such namespace": (
        no_namespace,
        "namespace",
        "there is no namespace nowhere",
        "kubectl create namespace nowhere",
    ),
    "a namespace that is being deleted": (
        namespace_on_its_way_out,
        "namespace",
        "{namespace} is being deleted: no Lease can be created there",
        "use another namespace",
    ),
}


@pytest.mark.parametrize(("spoil", "about", "says", "mend"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_and_the_mend_named(
    place: Place, spoil: Fault, about: str, says: str, mend: str
) -> None:
    spoil(place)
    said = place.doctor()
    found = findings(said)
    assert said.code == 1, said
    assert [each for each in found if each != "reads" or about == "reads"] == [about], said.output
    assert place.mend(says) in " ".join(each["says"] for each in found[about])
    assert place.mend(mend) in " ".join(each["mend"] for each in found[about])
    assert all(each["mend"] for each in found[about])


def test_there_are_more_than_ten_faults_and_all_that_is_looked_at_has_one() -> None:
    assert len(FAULTS) >= 10
    assert {about for _, about, _, _ in FAULTS.values()} == {
        *("settings", "server", "reads", "namespace", "rights", "clock", "lease")
    }


def test_where_nothing_is_spoiled_nothing_is_found(place: Place) -> None:
    place.put()
    said = place.doctor("--holders", "my-app-*")
    assert said.code == 0, said
    assert findings(said) == {}
    assert "of the server's" in said.output


def test_a_lease_that_has_expired_is_only_noted(place: Place) -> None:
    place.put(renewTime=at(-600))
    said = place.doctor()
    assert said.code == 0, said
    assert "expired: its holder has not renewed it in time" in said.output


def test_the_mend_of_missing_rights_mends(place: Place, command: Command) -> None:
    without(*NEEDED)(place)
    found = findings(place.doctor())["rights"]
    assert [each["says"].split()[0] for each in found] == [repr(verb) for verb in NEEDED]
    told = found[0]["mend"].splitlines()[-1]
    program, *arguments = told.removesuffix(" | kubectl apply -f -").split()
    assert program == "kube-leader-election"
    place.apply(command(*arguments).output)
    gives_up_at = time.monotonic() + 60  # the authorizer learns of it by a watch
    while (said := place.doctor()).code == 1:
        assert time.monotonic() < gives_up_at, said
    assert "allowed are create, get, update, watch" in said.output
    assert "'delete'" not in said.output


def test_the_rights_of_another_are_looked_at(place: Place) -> None:
    said = place.doctor("--as", f"system:serviceaccount:{place.namespace}:mine")
    mend = findings(said)["rights"][0]["mend"]
    assert f"rbac my-app -n {place.namespace} --service-account mine |" in mend


def test_who_may_not_look_for_another_is_told(place: Place) -> None:
    place.user = NOBODY
    said = place.doctor("--as", "somebody")
    (found,) = findings(said)["rights"]
    assert said.code == 1
    assert "cannot impersonate" in found["says"]
    assert found["mend"] == "ask as somebody who may ask this, or without --as"

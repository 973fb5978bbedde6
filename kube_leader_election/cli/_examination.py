"""What `doctor` asks the API server, one thing after the other."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any

from kube_leader_election import InvalidParamsError, LeaderElectorParams
from kube_leader_election._params import timing_of

from ._cluster import Answer, Cluster, NoAnswerError, refusal
from ._findings import (
    Finding,
    Level,
    clock_offset,
    of_clock,
    of_lease,
    of_reads,
    of_rights,
    of_settings,
)
from ._leases import row_of
from ._options import PROGRAM
from ._rbac import VERBS

# In seconds: for all reads, which are spread over the first, so that they tell the clock, whose
# Date has whole seconds; and for the rest of them, however slow the server is.
SPREAD, PATIENCE = 1.2, 10.0
MOST_FAILURES = 3
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class Examination:
    """What is asked for, one thing after the other."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        params: LeaderElectorParams,
        *,
        refused: InvalidParamsError | None = None,
        holders: str | None = None,
        reads: int = 100,
    ) -> None:
        """Nothing was asked yet.

        `params`: the settings of all candidates; the defaults where those were `refused`.
        `holders`: a pattern of their names. `reads`: how many to measure.
        """
        self._cluster = cluster
        self._namespace = namespace
        self._params = params
        self._lease = params.lease_name
        self._refused = refused
        self._holders = holders
        self._reads = reads
        self._answers: list[Answer] = []
        self._may_read = True

    def findings(self) -> Iterator[Finding]:
        """Yield all; what needs the server is left out where it is not reached."""
        timing = timing_of(self._params)
        if self._refused is not None:
            yield Finding(Level.TROUBLE, "settings", f"refused: {self._refused}", "obey this rule")
        else:
            yield from of_settings(self._params, timing)
        try:
            first = self._cluster.lease(self._namespace, self._lease)
        except NoAnswerError as error:
            mend = "look at the address in the kubeconfig, the network, and proxies in between"
            yield Finding(Level.TROUBLE, "server", str(error), mend)
            return
        problem = self._problem(first)
        if problem is not None:
            yield problem
            return
        says = f"{self._cluster.url} answers, the first time within {first.took * 1000:.0f} ms"
        yield Finding(Level.WELL, "server", says)
        self._may_read = first.status != HTTPStatus.FORBIDDEN
        yield from self._of_reads(timing.attempt_timeout)
        try:
            yield from self._of_namespace()
            yield from self._of_rights(exists=first.lease is not None)
        except NoAnswerError as error:
            yield Finding(Level.TROUBLE, "server", str(error), "try again")
        offset = clock_offset(
            (each.sent_at, each.came_at, each.date)
            for each in self._answers
            if each.date is not None
        )
        yield from of_clock(offset, self._params.max_clock_skew)
        yield from self._of_lease(0.0 if offset is None else sum(offset) / 2)

    def _problem(self, answer: Answer) -> Finding | None:
        """Return why nothing else can be asked, if it is so."""
        if answer.status == HTTPStatus.UNAUTHORIZED:
            says = "the credentials are refused (401)"
            return Finding(Level.TROUBLE, "server", says, "log in anew, or mount a valid token")
        if answer.lease is not None or answer.is_the_servers:
            return None
        says = f"{self._cluster.url} is no API server: {refusal(answer, 'a get of the Lease')}"
        return Finding(Level.TROUBLE, "server", says, "look at the address, and at proxies between")

    def _of_reads(self, timeout: float) -> Iterator[Finding]:
        failures: list[str] = []
        began_at, wanted = time.monotonic(), self._reads
        for number in range(wanted):
            due_in = began_at + number * SPREAD / wanted - time.monotonic()
            if due_in > 0:
                time.sleep(due_in)
            if -due_in > PATIENCE or len(failures) >= MOST_FAILURES:
                break
            try:
                answer = self._cluster.lease(self._namespace, self._lease)
            except NoAnswerError as error:
                failures.append(str(error))
                continue
            if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == 429:
                failures.append(refusal(answer, "a get of the Lease"))
            else:
                self._answers.append(answer)
        yield from of_reads([each.took for each in self._answers], failures, timeout)

    def _of_namespace(self) -> Iterator[Finding]:
        answer = self._cluster.call("GET", f"/api/v1/namespaces/{self._namespace}")
        document = answer.document or {}
        details = document.get("details")
        kind = details.get("kind") if isinstance(details, Mapping) else None
        if answer.status == HTTPStatus.NOT_FOUND and kind == "namespaces":
            says = f"there is no namespace {self._namespace}"
            mend = f"kubectl create namespace {self._namespace}"
            yield Finding(Level.TROUBLE, "namespace", says, mend)
        elif answer.is_well and (document.get("status") or {}).get("phase") == "Terminating":
            says = f"{self._namespace} is being deleted: no Lease can be created there"
            yield Finding(Level.TROUBLE, "namespace", says, "use another namespace")

    def _of_rights(self, *, exists: bool) -> Iterator[Finding]:
        allowed: dict[str, bool] = {}
        for verb in ("create", *VERBS, "delete"):
            answer = self._cluster.call("POST", _REVIEWS, self._review(verb))
            status = answer.document.get("status") if answer.document and answer.is_well else None
            if not isinstance(status, Mapping):
                level = Level.NOTE if self._may_read else Level.TROUBLE
                mend = "ask as somebody who may ask this, or without --as"
                yield Finding(level, "rights", refusal(answer, "an access review"), mend)
                return
            allowed[verb] = status.get("allowed") is True
        yield from of_rights(allowed, self._lease, self._command(), exists=exists)

    def _review(self, verb: str) -> dict[str, Any]:
        attributes = {
            "namespace": self._namespace,
            "verb": verb,
            "group": "coordination.k8s.io",
            "resource": "leases",
            "name": "" if verb == "create" else self._lease,
        }
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }

    def _command(self) -> str:
        """Return what grants all that is needed to whom the server takes us for."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = self._cluster.call("POST", _WHO_AM_I, review)  # not before Kubernetes 1.28
        status = (answer.document or {}).get("status") if answer.is_well else None
        info = status.get("userInfo") if isinstance(status, Mapping) else None
        user = str(info.get("username") or "") if isinstance(info, Mapping) else ""
        account = user.removeprefix(f"system:serviceaccount:{self._namespace}:")
        whom = ["--service-account", account] if account != user else ["--user", user]
        words = [PROGRAM, "rbac", self._lease, "-n", self._namespace, *(whom if user else [])]
        return f"{shlex.join(words)} | kubectl apply -f -"

    def _of_lease(self, ahead: float) -> Iterator[Finding]:
        try:
            answer = self._cluster.lease(self._namespace, self._lease)
        except NoAnswerError as error:
            yield Finding(Level.TROUBLE, "lease", str(error), "try again")
            return
        if answer.lease is None and answer.status != HTTPStatus.NOT_FOUND:
            yield Finding(Level.NOTE, "lease", refusal(answer, "a get of the Lease"))
            return
        lease = answer.lease
        now = datetime.fromtimestamp(answer.came_at + ahead, timezone.utc)
        row = None if lease is None else row_of(lease, now)
        yield from of_lease(row, lease or {}, self._params, self._holders)

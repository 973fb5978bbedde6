"""A behaviour for a `HostileServer`: the API that a Lease needs, in front of a `FakeApi`."""

from __future__ import annotations

import json
import re
from typing import Any

from dateutil.parser import isoparse
from kubernetes.client import ApiClient, Configuration, V1Lease, V1LeaseSpec, V1ObjectMeta
from kubernetes.client.exceptions import ApiException

from tests.fakes import FakeApi
from tests.hostile import Exchange, Request, answer

PATH = re.compile(r"/apis/coordination\.k8s\.io/v1/namespaces/([^/]+)/leases(?:/([^/]+))?")
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
TIMES = {"acquireTime": "acquire_time", "renewTime": "renew_time"}


class LeaseFront:
    """Keeps each Lease as it was written, unknown fields included; `bodies` are what was sent."""

    def __init__(self, api: FakeApi) -> None:
        self.bodies: list[Any] = []
        self._api = api
        self._documents: dict[str, dict[str, Any]] = {}
        self._models: Any = ApiClient(Configuration())

    def __call__(self, exchange: Exchange) -> None:
        try:
            status, payload = self._carry_out(exchange.request)
        except ApiException as error:
            status = error.status
            payload = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
        answer(payload, status=status)(exchange)

    def document(self, lease: V1Lease) -> dict[str, Any]:
        """What the server says that `lease` is, in the form of its JSON."""
        metadata = self._models.sanitize_for_serialization(lease.metadata)
        document = self._documents.get(metadata["resourceVersion"])
        if document is None:
            spec = self._models.sanitize_for_serialization(lease.spec)
            times = {name: getattr(lease.spec, field) for name, field in TIMES.items()}
            spec |= {n: f"{t:%Y-%m-%dT%H:%M:%S.%f}Z" for n, t in times.items() if t is not None}
            document = {"metadata": {}, "spec": spec}
        kept = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **document}
        return {**kept, "metadata": {**document["metadata"], **metadata}}

    def _carry_out(self, request: Request) -> tuple[int, dict[str, Any]]:
        found = PATH.fullmatch(request.path)
        if found is None:
            raise ApiException(status=404)
        namespace, name = found.groups()
        if request.method == "GET":
            return 200, self.document(self._api.read_namespaced_lease(name, namespace))
        body = json.loads(request.body)
        self.bodies.append(body)
        lease = self._model(body)
        if request.method == "POST":
            status, stored = 201, self._api.create_namespaced_lease(namespace, lease)
        else:
            status, stored = 200, self._api.replace_namespaced_lease(name, namespace, lease)
        self._documents[stored.metadata.resource_version] = body
        return status, self.document(stored)

    def _model(self, body: dict[str, Any]) -> V1Lease:
        metadata, spec = body["metadata"], body["spec"]
        if not all(spec[name] is None or MICRO_TIME.fullmatch(spec[name]) for name in TIMES):
            raise ApiException(status=400)
        kept = {name: metadata.get(name) for name in ("name", "uid", "labels", "annotations")}
        made = V1LeaseSpec(
            holder_identity=spec["holderIdentity"],
            lease_duration_seconds=spec["leaseDurationSeconds"],
            lease_transitions=spec["leaseTransitions"],
        )
        for name, field in TIMES.items():
            setattr(made, field, spec[name] and isoparse(spec[name]))
        guarded = V1ObjectMeta(**kept, resource_version=metadata.get("resourceVersion"))
        return V1Lease(metadata=guarded, spec=made)

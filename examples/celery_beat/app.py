"""A Celery app whose beat runs in three replicas, of which one sends what is due.

On a laptop, with nothing but redis-server besides: ``sh examples/celery_beat/three_replicas.sh``.
End one of the replicas with ``kill``: another goes on, with no second missed and none sent twice.
In a cluster: ``kubectl apply -f examples/celery_beat/manifest.yaml``, with your image in it.
"""

from __future__ import annotations

import os

from celery import Celery
from celery.schedules import crontab

app = Celery("app", broker=os.environ.get("BROKER_URL", "redis://localhost:6379/0"))
app.conf.beat_scheduler = "leader"
app.conf.leader_lease = "my-beat"
app.conf.beat_schedule = {
    "each-second": {"task": "greet", "schedule": 1.0, "args": ("another second",)},
    "each-minute": {"task": "greet", "schedule": crontab(), "args": ("another minute",)},
}


@app.task(name="greet", bind=True)  # type: ignore[untyped-decorator]
def greet(task: object, what: str) -> None:
    """Each slot has one id, also if it is sent again after a crash."""
    headers = getattr(task, "request").headers or {}  # noqa: B009 (Celery has no types)
    print(f"{what}, due at {headers.get('leader_slot')}", flush=True)

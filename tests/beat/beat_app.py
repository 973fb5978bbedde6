"""The Celery app of the replicas, by itself: what it is to do says the environment.

Each message says besides when it was sent and by which process.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab

INNER = os.environ["BEAT_INNER"]
# Replicas that share a lock of their own kind, with its defaults, and no Lease.
PEERS = {
    "multibeat": "multibeat.django.MultiBeatDatabaseScheduler",
    "redbeat-lock": "redbeat.RedBeatScheduler",
}
NEEDS_DATABASE = INNER in ("database", "multibeat")

if NEEDS_DATABASE:
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["django_celery_beat"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ["BEAT_DATABASE"],
                "OPTIONS": {"timeout": float(os.environ.get("BEAT_DATABASE_TIMEOUT", "5"))},
            }
        },
        USE_TZ=True,
        SECRET_KEY="not one",
    )
    django.setup()

app = Celery("beat_app", broker=os.environ["BEAT_BROKER"])
app.conf.beat_scheduler = PEERS.get(INNER, "leader")
app.conf.leader_lease = "my-beat"
app.conf.leader_lease_ttl = int(os.environ.get("BEAT_LEASE_TTL", "3"))
app.conf.leader_renew_deadline = float(os.environ.get("BEAT_RENEW_DEADLINE", "2"))
app.conf.leader_retry_period = 0.5
app.conf.beat_leader_scheduler = {
    "shelve": "celery.beat:PersistentScheduler",
    "database": "django_celery_beat.schedulers:DatabaseScheduler",
    "redbeat": "redbeat.RedBeatScheduler",
}.get(INNER)
app.conf.redbeat_redis_url = os.environ["BEAT_BROKER"]
app.conf.redbeat_redis_options = {}
app.conf.result_expires = None  # no entry but those below
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_enable_remote_control = os.environ.get("BEAT_REMOTE") == "yes"
app.conf.task_default_queue = "celery"
app.conf.beat_schedule = {
    name: {"task": name, "schedule": crontab() if every is None else every}
    for name, every in json.loads(os.environ["BEAT_ENTRIES"]).items()
}

if "BEAT_LIMITS" in os.environ:
    from kube_leader_election.contrib.celery import _patience

    _patience.TICK_LIMIT, _patience.END_LIMIT = json.loads(os.environ["BEAT_LIMITS"])

SLOW = Path(os.environ["BEAT_FOLDER"]) / "slow"


@signals.before_task_publish.connect  # type: ignore[untyped-decorator]
def note(headers: dict[str, Any], **_: object) -> None:
    """The message says more."""
    headers["sent_at"], headers["sent_by"] = time.time(), os.getpid()
    if SLOW.exists():  # a publish takes so long
        SLOW.with_name("publishing").write_text(str(os.getpid()))
        time.sleep(float(SLOW.read_text() or 1))


if __name__ == "__main__" and NEEDS_DATABASE:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)

"""Workers of which one does the duties: they are sent to all, and done by the one that leads.

On a laptop, with Leases in memory, until Ctrl-C:

    python ../laptop.py 'redis-server --port 6399 --save ""' \\
        'celery -A tasks worker -n a' 'celery -A tasks worker -n b' \\
        'celery -A tasks beat --schedule=/tmp/beat'
"""

from __future__ import annotations

import os
import time

from celery import Celery
from kombu import Exchange
from kombu.common import Broadcast

from kube_leader_election import LeaderElectorParams
from kube_leader_election.contrib.celery import WorkerElector

app = Celery("tasks", broker=os.environ.get("BROKER", "redis://localhost:6399"))
app.conf.broker_connection_retry_on_startup = True
app.conf.task_default_queue = "work"
# Whoever sends must have declared it, or nobody gets what is sent.
duties = Exchange("duties", type="fanout")
app.conf.task_queues = [Broadcast("duties", exchange=duties)]
app.conf.task_routes = {"clean_up": {"queue": "duties", "declare": [duties]}}
app.conf.beat_schedule = {"clean up": {"task": "clean_up", "schedule": 1.0}}

leader = WorkerElector(LeaderElectorParams(lease_name="my-workers"))


@app.task(name="clean_up", ignore_result=True)
@leader.duty
def clean_up() -> None:
    print(f"begins with fencing token {leader.fencing_token}", flush=True)
    time.sleep(0.5)
    print("ends", flush=True)

"""Workers of which one does the duties: they are sent to all, and done by the one that leads.

On a laptop, with Leases in memory and messages in files, until Ctrl-C:

    python ../laptop.py 'celery -A tasks worker -n a' 'celery -A tasks worker -n b' \\
        'celery -A tasks beat --schedule=broker/beat'
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery
from kombu.common import Broadcast

from kube_leader_election import LeaderElectorParams
from kube_leader_election.contrib.celery import WorkerElector

app = Celery("tasks", broker=os.environ.get("BROKER", "filesystem://"))
if "BROKER" not in os.environ:
    folder = Path(__file__).parent / "broker"
    folder.mkdir(exist_ok=True)
    folders = ("data_folder_in", "data_folder_out", "control_folder")
    app.conf.broker_transport_options = dict.fromkeys(folders, str(folder))
app.conf.task_default_queue = "work"
app.conf.task_queues = [Broadcast("duties")]
app.conf.task_routes = {"clean_up": {"queue": "duties"}}
app.conf.beat_schedule = {"clean up": {"task": "clean_up", "schedule": 1.0}}

leader = WorkerElector(LeaderElectorParams(lease_name="my-workers"))


@app.task(name="clean_up", ignore_result=True)
@leader.duty
def clean_up() -> None:
    print(f"begins with fencing token {leader.fencing_token}", flush=True)
    time.sleep(0.5)
    print("ends", flush=True)

"""A scheduler in every replica, whose jobs run in one: it prints the time each second.

On a laptop, with Leases in memory and jobs in a file, until Ctrl-C:

    python laptop.py 'python apscheduler_jobs.py' 'python apscheduler_jobs.py'

It needs pip install 'kube-leader-election[apscheduler]' sqlalchemy
"""

from __future__ import annotations

import os
import signal
import time

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore

from kube_leader_election import LeaderElectorParams
from kube_leader_election.contrib.apscheduler import LeaderBlockingScheduler

store = SQLAlchemyJobStore(url=os.environ.get("JOBS", "sqlite:////tmp/jobs.db"))
scheduler = LeaderBlockingScheduler(
    LeaderElectorParams(lease_name="my-jobs"),
    jobstores={"default": store},
    job_defaults={"misfire_grace_time": 30},
)


def tell_the_time() -> None:
    leadership = scheduler.leadership
    if leadership is not None:
        print(f"{os.getpid()} {time.time():.2f} {leadership.fencing_token}", flush=True)


def main() -> None:
    scheduler.add_job(tell_the_time, "cron", second="*", id="time", replace_existing=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduler.shutdown())
    scheduler.start()


if __name__ == "__main__":
    main()

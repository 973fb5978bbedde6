"""One candidate for each Pod of the web application. gunicorn.conf.py starts it."""

from __future__ import annotations

from kube_leader_election import LeaderElectorParams
from kube_leader_election.contrib.prefork import PodElector

pod = PodElector(LeaderElectorParams(lease_name="my-site-web"))

from __future__ import annotations

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "only for a laptop")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.urls"
TIME_ZONE = "UTC"
INSTALLED_APPS = ["kube_leader_election.contrib.django", "jobs"]

KUBE_LEADER_ELECTION = {"LEASE_NAME": "my-site"}

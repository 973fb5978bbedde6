"""The application that INSTALLED_APPS names: it has checks, and nothing else."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from ._checks import check


class KubeLeaderElectionConfig(AppConfig):
    name = "kube_leader_election.contrib.django"
    label = "kube_leader_election"
    verbose_name = "Leader election"

    def ready(self) -> None:
        """The checks are known."""
        register(check)

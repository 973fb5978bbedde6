"""A management command that works where this replica leads, and nowhere else."""

from __future__ import annotations

import threading
from signal import SIGINT, SIGTERM
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import close_old_connections

from kube_leader_election import (
    InvalidParamsError,
    LeaderElectionError,
    LeaderElector,
    Leadership,
    LeaseApi,
    current_namespace,
)
from kube_leader_election.contrib import _cluster

from ._settings import read_settings


class LeaderCommand(BaseCommand):
    """Override `handle_leading`, and set `lease_name` where the setting's is not meant.

    The command contends until `handle_leading` returns while it leads, or raises, or SIGTERM or
    SIGINT asks for the end. Then the Lease is released, and the command ends.
    """

    lease_name: str | None = None

    def handle_leading(self, leadership: Leadership, *args: Any, **options: Any) -> object:
        """Work; it is called for each term, with the arguments of `handle`.

        Return soon after `leadership.stopping` is set. Connections to databases that are too old,
        or broken, are closed before and after.
        """
        raise NotImplementedError("override handle_leading()")

    def handle(self, *args: Any, **options: Any) -> None:
        """The work was done, or was asked to end. Overrides what only `handle_leading` is for.

        :raises CommandError: a setting breaks its rule, or no cluster is known.
        """
        elector = self._new_elector()
        is_main = threading.current_thread() is threading.main_thread()

        def work(leadership: Leadership) -> None:
            close_old_connections()
            try:
                self.handle_leading(leadership, *args, **options)
            finally:
                close_old_connections()

        elector.run(work, stop_on=(SIGTERM, SIGINT) if is_main else ())

    def make_client(self) -> LeaseApi:
        """Return the client of the cluster: by the kubeconfig, else the Pod's service account."""
        return _cluster.connect()

    def _new_elector(self) -> LeaderElector:
        try:
            settings = read_settings(self.lease_name)
            namespace = settings.namespace or current_namespace("default")
            return LeaderElector(self.make_client(), namespace, settings.params)
        except (InvalidParamsError, LeaderElectionError) as error:
            raise CommandError(str(error)) from error

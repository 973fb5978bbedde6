from __future__ import annotations

from typing import Any

from kube_leader_election import Leadership
from kube_leader_election.contrib.django import LeaderCommand


class Command(LeaderCommand):
    help = "Cleans up, in one replica of all."

    def handle_leading(self, leadership: Leadership, *args: Any, **options: Any) -> None:
        self.say(f"begins with fencing token {leadership.fencing_token}")
        while not leadership.stopping.wait(1):
            self.say("cleans up")
        self.say("ends")

    def say(self, what: str) -> None:
        self.stdout.write(what)
        self.stdout.flush()

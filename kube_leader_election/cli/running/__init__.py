"""What ``run`` runs, and how that is ended in time: the command, its guard, what came of it."""

"""What django-celery-beat's scheduler needs besides, so that no slot is sent twice."""

from __future__ import annotations

from typing import Any

from ._termed import Termed


class DatabaseTermed(Termed):
    """Mixed into a `DatabaseScheduler`'s class, before it."""

    _unsaved: set[str]

    def setup_schedule(self) -> None:
        """Also entries that have never run keep the time from which their intervals count.

        A row that does not say when it last ran counts from when it was last changed, and each
        leader's `update_from_dict` changes those that are in the settings.
        """
        super().setup_schedule()
        for row in self.Model.objects.filter(last_run_at=None, start_time=None):
            entry = self.schedule.get(row.name)
            if entry is not None:
                same = self.Model.objects.filter(pk=row.pk, last_run_at=None)
                same.update(last_run_at=entry.last_run_at)

    def sync(self) -> None:
        """What could not be written, while the database was down, is written the next time."""
        super().sync()
        self._dirty |= self._unsaved
        self._unsaved.clear()


def noting_failures(entry_class: Any, unsaved: set[str]) -> Any:
    """Return a class of entries whose names are in `unsaved` after they could not be saved."""

    class Entry(entry_class):
        def save(self) -> None:
            try:
                super().save()
            except Exception:
                unsaved.add(self.name)
                raise

    return Entry

"""Celery beat in several replicas, on a real Redis."""

from __future__ import annotations

from pathlib import Path


def beat_app_path() -> Path:
    """Return where the app of the replicas is."""
    return Path(__file__).with_name("beat_app.py")

"""gunicorn mysite.wsgi, with --preload or without: the arbiter contends, its workers ask."""

from __future__ import annotations

import os
from typing import Any

from mysite.leading import pod

bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
workers = 4


def when_ready(server: Any) -> None:
    pod.start()


def on_exit(server: Any) -> None:
    pod.stop()

"""What is written for people, who may read it through a pipe."""

from __future__ import annotations

import functools

say = functools.partial(print, flush=True)

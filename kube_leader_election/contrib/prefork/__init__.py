"""One candidate for a process and all its children: those of gunicorn's arbiter, say.

The main process contends, and each child may ask whether it leads: a comparison with a clock.
"""

from __future__ import annotations

from ._elector import PodElector
from ._leadership import PodLeadership

__all__ = ["PodElector", "PodLeadership"]

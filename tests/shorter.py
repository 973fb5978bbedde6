"""Runs a program whose electors are quicker than they are by default, for who waits for a takeover

``shorter.py PROGRAM [ARGUMENT...]``: a file that ends in .py, or a module
"""

from __future__ import annotations

import runpy
import sys

from kube_leader_election import LeaderElectorParams

if __name__ == "__main__":
    shorter = {"lease_ttl": 4, "renew_deadline": 3.0, "retry_period": 0.5}
    defaults = LeaderElectorParams.__init__.__kwdefaults__ or {}
    if not shorter.keys() <= defaults.keys():
        sys.exit(f"the defaults are elsewhere: {defaults}")
    defaults.update(shorter)
    del sys.argv[0]
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

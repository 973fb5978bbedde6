"""The durations of the run, and how long there may be no leader where all is well"""

from __future__ import annotations

LEASE_TTL = 4
RENEW_DEADLINE = 2.5
RETRY_PERIOD = 0.5
LOOP_PERIOD = 0.4  # between two calls of a LeaseLock
DRAIN_TIMEOUT = 2.0

_CLOCK_RATE = 0.99
_LOCK_ATTEMPT = 0.98 * LEASE_TTL / 5

# L/0.99 + W + 2R, with LeaseLocks among the candidates: they call every LOOP_PERIOD whatever
# happened before, so that neither the back-off of an elector that was refused (up to a minute)
# nor its silent watch (half of L) counts. The first attempt may still go over a connection that
# nobody answers any more, another be needed for the write, and the first record be seen only by
# the second: two attempts before the Lease is seen, and two after it has expired.
LEADER_WITHIN = LEASE_TTL / _CLOCK_RATE + 2 * LOOP_PERIOD + 4 * _LOCK_ATTEMPT

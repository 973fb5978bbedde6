"""Mistakes that were made, or could have been: each as a small change of the production code.

Who finds a mistake is stored with it; ``python -m tests.proof.mutants --search`` tells who else
does. A patch is as a diff is, without numbers: `-` is left out, `+` is put in, and `@@` begins
another place of the same file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Simulated:
    """Random schedules find it: one of the `count` whose seeds begin with `first`.

    `invariant` is the number of that which is violated first, most often.
    """

    invariant: int
    on_average: int | None
    first: int = 0
    count: int = 1000


@dataclass(frozen=True)
class Explored:
    """The explorer finds it, in the short form of this configuration."""

    configuration: str
    on_average: int | None = None


@dataclass(frozen=True)
class Scripted:
    """A script finds it: the function of this name in `mutants_scripts`."""

    script: str
    on_average: int | None = None


# `on_average` so many random schedules are played until one finds it; `None`: more than 500, or
# it is not what is played.
Killer = Simulated | Explored | Scripted


@dataclass(frozen=True)
class Change:
    """In the file `path` of the package, the lines `old` are `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """The mistake in plain words, who finds it, and what it is in the code."""

    name: str
    killer: Killer
    patch: str

    @property
    def changes(self) -> tuple[Change, ...]:
        """The patch, place by place."""
        return tuple(_changes(self.patch))


def _changes(patch: str) -> Iterator[Change]:
    for file in patch.split("\n--- ")[1:]:
        path, _, places = file.partition("\n")
        for place in places.split("@@\n"):
            lines = place.splitlines(keepends=True)
            old, new = (
                "".join(line[1:] for line in lines if line[0] in f" {sign}") for sign in "-+"
            )
            yield Change(path, old, new)


BELIEF = (
    Mutant(
        "belief counts from the answer",
        Simulated(invariant=2, on_average=1),
        """
--- _core/candidate.py
-        self._term = replace(term, anchor=sent.anchor)
+        self._term = replace(term, anchor=now)
""",
    ),
    Mutant(
        "belief lasts for the whole TTL",
        Explored("no fault"),
        """
--- _core/timing.py
-    return CLOCK_RATE_MARGIN * lease_ttl - (max_clock_skew or 0)
+    return lease_ttl - (max_clock_skew or 0)
""",
    ),
    Mutant(
        "the skew is added to belief",
        Explored("wall clocks, skew 0.2 s"),
        """
--- _core/timing.py
-    return CLOCK_RATE_MARGIN * lease_ttl - (max_clock_skew or 0)
+    return CLOCK_RATE_MARGIN * lease_ttl + (max_clock_skew or 0)
""",
    ),
    Mutant(
        "a late success goes on with a term that had lapsed",
        Simulated(invariant=6, on_average=45),
        """
--- _core/candidate.py
-        term = self.term(now)
+        term = self._term
-        if term is None:
+        if term is None or term.era is not self._era:
             self._terms += 1
""",
    ),
    Mutant(
        "an answer that was lost is recognised by the holder only",
        Simulated(invariant=2, on_average=17),
        """
--- _core/own_writes.py
-        if self.record.renew_time != seen.renew_time:  # by far the most, and quickly told
+        if self.record.holder_identity == seen.holder_identity:
+            return True
+        if self.record.renew_time != seen.renew_time:
""",
    ),
    Mutant(
        "renewTime is read before the monotonic clock",
        Scripted(
            "a_pause_between_the_two_clocks_lets_nobody_believe_for_longer_than_the_lease_says"
        ),
        """
--- _clock.py
+    utc = as_utc(clock.utcnow())
-    return Instant(clock.monotonic(), as_utc(clock.utcnow()))
+    return Instant(clock.monotonic(), utc)
""",
    ),
    Mutant(
        "belief is kept over a fork by a lock",
        Scripted("a_forked_child_does_not_lead_by_the_lock_of_its_parent"),
        """
--- _lock.py
-        process = process_id()
+        process = self._born_in
@@
-        state = self._states.get(process_id())
+        state = self._states.get(self._born_in)
         return state is not None and state.candidate.is_leader(look_at(self._clock))
""",
    ),
    Mutant(
        "belief is kept over a fork by an elector",
        Scripted("a_forked_child_does_not_lead_in_the_term_of_its_parent_s_elector"),
        """
--- _election.py
-        if self._process != process_id():
-            return None
         return self._candidate.term(look_at(self._clock))
""",
    ),
)

TERMS = (
    Mutant(
        "writes are kept as proof after step_down",
        Scripted("a_renewal_that_shows_after_step_down_begins_no_term"),
        '''
--- _core/candidate.py
         """
-        self._era = object()
+        self._term = None
''',
    ),
    Mutant(
        "a late answer counts after an event that ended the term",
        Scripted("a_late_answer_begins_no_term_after_an_event_that_ended_one"),
        """
--- _core/candidate.py
-        if sent is None or outdated:
+        if sent is None:
@@
-            self.end_term()
+            self._term = None
             if record.holder_identity == self._holder_id:
""",
    ),
    Mutant(
        "a stale read ends a term",
        Explored("stale reads"),
        """
--- _core/candidate.py
-        return record.holder_identity != self._holder_id if newer is None else newer
+        return record.holder_identity != self._holder_id or bool(newer)
""",
    ),
    Mutant(
        "an older event of the watch is accepted",
        Scripted("an_event_older_than_what_was_seen_ends_no_term"),
        """
--- _core/candidate.py
-        return record.holder_identity != self._holder_id if newer is None else newer
+        return record.holder_identity != self._holder_id or bool(newer)
--- _core/observation.py
-        return event.version > self._newest_version
+        return True
""",
    ),
    Mutant(
        "an older deletion is accepted",
        Scripted("a_deletion_older_than_what_was_seen_ends_no_term"),
        """
--- _core/observation.py
-        return last.version > self._newest_version
+        return True
""",
    ),
    Mutant(
        "versions are compared as texts",
        Scripted("the_tenth_version_is_newer_than_the_ninth"),
        """
--- _core/observation.py
-        return event.version > self._newest_version
+        return str(event.version) > str(self._newest_version)
""",
    ),
    Mutant(
        "a read that an event has overtaken is accepted",
        Scripted("what_an_event_has_overtaken_is_not_acted_on"),
        """
--- _core/candidate.py
-            elif not outdated:
+            else:
""",
    ),
    Mutant(
        "lower versions are never believed again",
        Scripted("a_lease_that_was_restored_is_believed_though_its_version_is_lower"),
        """
--- _core/candidate.py
-            elif not outdated:
+            elif not outdated and self._observed.is_news(answer.record):
""",
    ),
    Mutant(
        "the record of another does not end a term",
        Explored("other writers"),
        """
--- _core/candidate.py
-            self.end_term()
             if record.holder_identity == self._holder_id:
""",
    ),
    Mutant(
        "a deletion does not end a term",
        Simulated(invariant=2, on_average=17),
        """
--- _core/candidate.py
-        self.end_term()
""",
    ),
    Mutant(
        "the token is the number of transitions",
        Simulated(invariant=6, on_average=1),
        """
--- _core/candidate.py
-                self._terms, record.version, sent.anchor, sent.era, belief, self._wall_ends_term
+                self._terms,
+                record.lease_transitions,
+                sent.anchor,
+                sent.era,
+                belief,
+                self._wall_ends_term,
""",
    ),
    Mutant(
        "the token is that of the last renewal",
        Simulated(invariant=6, on_average=1),
        """
--- _core/candidate.py
-        self._term = replace(term, anchor=sent.anchor)
+        self._term = replace(term, anchor=sent.anchor, token=record.version)
""",
    ),
)

OTHERS = (
    Mutant(
        "observation counts from before the read",
        Scripted("a_slow_answer_to_a_read_makes_nobody_too_early"),
        """
--- _core/campaign.py
-                request = steps.send((answer, now))
+                request, began = steps.send((answer, began)), now
""",
    ),
    Mutant(
        "observation counts from renewTime, by the wall",
        Simulated(invariant=1, on_average=6),
        """
--- _core/observation.py
+        max_clock_skew = max_clock_skew or 0.0
-        if max_clock_skew is None:
-            return by_observation
""",
    ),
    Mutant(
        "the skew is taken off the promise of another",
        Scripted("the_wall_clocks_are_trusted_by_no_more_than_is_declared", on_average=137),
        """
--- _core/observation.py
-            left = promised + timedelta(seconds=max_clock_skew) - (now.utc - record.renew_time)
+            left = promised - timedelta(seconds=max_clock_skew) - (now.utc - record.renew_time)
""",
    ),
    Mutant(
        "a standby counts with its own TTL",
        Scripted("a_holder_is_waited_out_for_as_long_as_its_lease_says", on_average=64),
        """
--- _core/observation.py
-        self._longest_duration = lease_ttl
+        self._longest_duration = self._ttl = lease_ttl
@@
-        by_observation = _after(self._unchanged_since, record.lease_duration_seconds)
+        by_observation = _after(self._unchanged_since, self._ttl)
""",
    ),
    Mutant(
        "the TTL is rounded down in the Lease only",
        Simulated(invariant=1, on_average=17),
        """
--- _core/candidate.py
-        self._writes = OwnWrites(holder_id, timing.lease_ttl)
+        self._writes = OwnWrites(holder_id, int(timing.belief))
""",
    ),
    Mutant(
        "seconds are cut off renewTime",
        Scripted("by_the_wall_no_lease_ends_before_its_holder_does", on_average=333),
        """
--- _core/writes.py
-    time = max(utc, soonest) if soonest else utc
+    time = (max(utc, soonest) if soonest else utc).replace(microsecond=0)
""",
    ),
    Mutant(
        "the six digits are cut off renewTime",
        Simulated(invariant=10, on_average=1),
        """
--- _core/record.py
-    return time.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
+    return time.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
""",
    ),
    Mutant(
        "observation goes on when only leaseTransitions has changed",
        Scripted("what_a_holder_writes_anew_counts_anew_though_its_clocks_stand_still"),
        """
--- _core/record.py
-        counts = self.lease_duration_seconds, self.lease_transitions
+        counts = (self.lease_duration_seconds,)
""",
    ),
    Mutant(
        "an elector adopts beside a living namesake",
        Simulated(invariant=1, on_average=60),
        """
--- _core/candidate.py
-        return self._adopts and not self._supersedes_ours(record)
+        return not self._supersedes_ours(record)
""",
    ),
    Mutant(
        "a namesake counts as us after a conflict",
        Explored("namesakes", on_average=168),
        """
--- _core/attempt.py
             request = compose(now)
+            seen = candidate.lease
+            if not request and conflicts and seen and seen.holder_identity == candidate._holder_id:
+                assert candidate._observed.lease is not None
+                era = candidate._era
+                request = candidate._writes.renewal(candidate._observed.lease, now, era)
""",
    ),
)

WRITES = (
    Mutant(
        "a replace does not name the version",
        Simulated(invariant=10, on_average=1),
        """
--- _core/record.py
     metadata.pop("managedFields", None)
+    metadata.pop("resourceVersion", None)
""",
    ),
    Mutant(
        "a write that was refused is sent again over what is read then",
        Simulated(invariant=4, on_average=4),
        """
--- _core/attempt.py
-            request = Read()
+            refused, request = request, Read()
@@
             request = compose(now)
+            if conflicts and isinstance(answer, Found) and hasattr(refused, "base"):
+                request = type(refused)(refused.record, answer, refused.intent)
""",
    ),
    Mutant(
        "a replace does not name the uid",
        Simulated(invariant=5, on_average=144),
        """
--- _core/record.py
     metadata.pop("managedFields", None)
+    metadata.pop("uid", None)
""",
    ),
    Mutant(
        "no Lease is a free Lease",
        Simulated(invariant=9, on_average=23),
        """
--- _core/observation.py
-        return _after(since, self._longest_duration)
+        return since
""",
    ),
    Mutant(
        "absence counts from when the Lease was last seen to change",
        Simulated(invariant=9, on_average=76),
        """
--- _core/observation.py
-            self._absent_since = now.monotonic
+            self._absent_since = self._unchanged_since
""",
    ),
    Mutant(
        "absence is waited out for our own TTL only",
        Simulated(invariant=9, on_average=248),
        """
--- _core/observation.py
-        self._longest_duration = max(self._longest_duration, record.lease_duration_seconds)
+        self._longest_duration = self._longest_duration
""",
    ),
    Mutant(
        "a create that shows late leads at once, whoever led since",
        Scripted("a_lease_that_was_made_late_is_not_led_before_who_led_since_ends"),
        """
--- _core/candidate.py
-            self._may_renew_at = self._observed.wait_all_out(now)
+            self._may_renew_at = now.monotonic
""",
    ),
    Mutant(
        "equal renewTimes are written while the wall clock stands still",
        Scripted("no_two_writes_are_alike_while_the_wall_clock_stands_still"),
        """
--- _core/writes.py
-    while time in unlike or time.microsecond == 0:
+    while time.microsecond == 0:
@@
-    time = max(utc, soonest) if soonest else utc
+    time = utc
""",
    ),
    Mutant(
        "renewTime grows by less than time passes where the wall clock was set back",
        Scripted(
            "renewals_are_told_apart_by_who_sees_whole_seconds_though_the_wall_clock_was_set_back"
        ),
        """
--- _core/writes.py
-    return after if after.year == MAXYEAR else after + timedelta(seconds=min(elapsed, 1.0))
+    return after
""",
    ),
    Mutant(
        "renewTime goes back with the wall clock",
        Simulated(invariant=4, on_average=58),
        """
--- _core/writes.py
-    time = max(utc, soonest) if soonest else utc
+    time = utc
""",
    ),
)

RELEASES = (
    Mutant(
        "an elector releases before belief ends",
        Simulated(invariant=8, on_average=26),
        """
--- _core/campaign.py
-            self._candidate.end_term()
--- _core/attempt.py
-    candidate.end_term()
""",
    ),
    Mutant(
        "step_down releases before belief ends",
        Explored("step down"),
        """
--- _core/attempt.py
-    candidate.end_term()
""",
    ),
    Mutant(
        "an elector releases under work that runs on",
        Simulated(invariant=8, on_average=33),
        """
--- _core/campaign.py
-        self._may_release = not self._reporter.is_engaged
+        self._may_release = True
""",
    ),
    Mutant(
        "the Lease of a namesake is released",
        Scripted("the_lease_of_a_namesake_is_not_released"),
        """
--- _core/candidate.py
-        if seen is None or not self._is_ours_to_write(seen.record):
+        if seen is None or seen.record.holder_identity != self._holder_id:
""",
    ),
)

TIMES = (
    Mutant(
        "the end of a term wakes nobody",
        Scripted("the_end_of_a_term_is_told_in_time_whenever_the_next_attempt_is"),
        """
--- _core/campaign.py
-        changes_at = [term.ends_at(now) if term else self._candidate.acts_at(now)]
+        changes_at = [math.inf if term else self._candidate.acts_at(now)]
""",
    ),
    Mutant(
        "a failed attempt is repeated at once",
        Simulated(invariant=11, on_average=14),
        """
--- _core/campaign.py
-            self._ready_at = self._retries_at(answer, began, now)
+            self._ready_at = now.monotonic
""",
    ),
)

GROUPS = {
    "What is believed": BELIEF,
    "When a term ends, and what it is called": TERMS,
    "When another may lead": OTHERS,
    "What is written": WRITES,
    "When the Lease is released": RELEASES,
    "When an elector acts": TIMES,
}
MUTANTS = tuple(mutant for group in GROUPS.values() for mutant in group)

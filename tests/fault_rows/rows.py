"""The faults that an election meets in production, and what must hold in each"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One fault; `lock` and `server`: to be shown of a LeaseLock, and on a real API server, too"""

    number: int
    fault: str
    must_hold: str
    lock: bool = True
    server: bool = True


ROWS = (
    Row(
        1,
        "a request is lost",
        "It is tried again with the same ``resourceVersion``. A leader believes until its deadline"
        " and no longer.",
    ),
    Row(
        2,
        "a replace is committed, and its answer lost",
        "Nothing sends it again by itself. What the next read or conflict shows is recognised by"
        " its holder and the ``renewTime`` that was sent, and counts from when it was sent: no"
        " step down, the same token while the term was unbroken, at most two more requests.",
    ),
    Row(
        3,
        "a create is committed, and its answer lost",
        "The next create conflicts, a read shows the Lease to be ours, and we lead.",
    ),
    Row(
        4,
        "an answer comes after the end of the attempt, or after that of the term",
        "The attempt ends in time. A late success extends no belief; where it is recognised after"
        " the deadline, but while the write still counts, it begins a new term.",
    ),
    Row(
        5,
        "an answer dribbles, byte by byte",
        "The attempt ends in time: its deadline is for the whole answer.",
    ),
    Row(
        6,
        "a conflict, and the record is still ours: labels were edited",
        "It is replaced again in time. Fields of others are kept.",
    ),
    Row(
        7,
        "a conflict or a read shows another holder",
        "A leader is told at once, and contends again.",
    ),
    Row(
        8,
        "the Lease is deleted in the middle of a term",
        "The leader's term ends, or it makes the Lease again as a new term. A standby makes it"
        " only after the longest of its own ``lease_ttl`` and every duration that it saw, from when"
        " it first saw this absence.",
    ),
    Row(
        9,
        "the Lease is deleted, and made again by another",
        "Another ``uid`` is a loss, whatever the record says.",
    ),
    Row(
        10,
        "the namespace is absent, or is being deleted",
        "A clear error, and longer and longer waits.",
    ),
    Row(
        11,
        "403: a Role allows it no more",
        "A clear error that names verb and resource. A leader tries on until its deadline; a"
        " standby waits longer and longer, up to a minute, and recovers once it is allowed.",
    ),
    Row(
        12,
        "401: the token was rotated",
        "Credentials are read once more, and the request is sent again, in the time of the same"
        " attempt.",
    ),
    Row(
        13,
        "429 or 503 with ``Retry-After``: 0, 1, 60, a date, garbage",
        "The wait is as long as asked for, or as there is time before the deadline. The client"
        " library does not sleep it out.",
        server=False,
    ),
    Row(
        14,
        "500, 502, 504, HTML, an empty or a cut body, another kind, no ``uid``, 10 MB",
        "An error, and never a free Lease.",
        server=False,
    ),
    Row(
        15,
        "400 or 422, of validation or of a webhook",
        "It is told, and not tried again at once.",
    ),
    Row(
        16,
        "reset, refused, DNS, TLS, a kept connection that is stale",
        "Our error. The next try has a connection of its own.",
    ),
    Row(
        17,
        "the server has vanished without a word",
        "The attempt ends in time, and its connection is not used again.",
    ),
    Row(
        18,
        "the API server is restarted, or etcd away, for less or for more than the margin",
        "The term survives, or ends at its deadline. Not all come back at once.",
    ),
    Row(
        19,
        "a stale read, stale events, an etcd that was restored",
        "Belief is as it was, and the guarded write decides. Older events are ignored. After a"
        " restore, which lowers all versions, the election goes on.",
    ),
    Row(
        20,
        "a watch: 410, its end, an ERROR event, bookmarks alone, silence, duplicates",
        "The Lease is read and watched again, with waits between; a watch that is silent for half"
        " the duration costs one read. Expiry has a timer of its own. A normal end is no error.",
        lock=False,
    ),
    Row(
        21,
        "the event of a release is missed",
        "The Lease is taken over when it expires, at the latest.",
        lock=False,
    ),
    Row(
        22,
        "the process stands still for longer than ``lease_ttl``",
        "The first ``is_leader()`` afterwards is False, and nothing is written to the Lease before"
        " that can be told.",
    ),
    Row(
        23,
        "a pause between the question and what is done because of the answer",
        "The resource refuses the older fencing token.",
    ),
    Row(
        24,
        "the wall clock jumps, by an hour or by ten years; daylight saving; time zones",
        "No exception, and no belief that grows.",
        server=False,
    ),
    Row(
        25,
        "clocks run at different rates",
        "Never two leaders where each is wrong by up to 1 %, nor beyond that while"
        " ``max_clock_skew`` covers it.",
        server=False,
    ),
    Row(
        26,
        "the machine sleeps",
        "The clock runs on meanwhile: as for a process that stands still.",
        server=False,
    ),
    Row(
        27,
        "``fork()`` after use: Celery's prefork, gunicorn's preload, multiprocessing",
        "The child does not lead, has no socket of its parent's, does not hang, and never releases"
        " its parent's Lease. The parent notices nothing.",
    ),
    Row(
        28,
        "the thread that renews is dead, or gets no time",
        "``is_leader()`` is False at the deadline, by no thread's help.",
        server=False,
    ),
    Row(
        29,
        "a callback or the work raises, or blocks",
        "Raises: released, and the error told once. Blocks: told ``lost`` at the end of the term,"
        " not renewed any more, *not* released.",
        lock=False,
        server=False,
    ),
    Row(
        30,
        "the interpreter ends: by itself, ``sys.exit``, Ctrl-C",
        "Released in time if no work runs. No hang, and no traceback of ours.",
        lock=False,
    ),
    Row(
        31,
        "two processes have one ``holder_id``",
        "At most one believes, and is warned once, with the fix; a LeaseLock's adoption apart,"
        " whose condition is documented. Nobody releases its namesake's term. Default names cannot"
        " collide.",
    ),
    Row(
        32,
        "SIGTERM while acquiring, renewing, releasing",
        "No handler is installed unasked, and ``stop()`` may be called in one.",
        lock=False,
    ),
    Row(
        33,
        "two threads use one candidate",
        "They take turns, and are told the same.",
    ),
    Row(
        34,
        "odd Leases: no holder, no times, no spec; durations null, 0 or huge",
        "Read as documented. Nothing overflows.",
    ),
    Row(
        35,
        "candidates of client-go, of the Rust crates, of the Python client",
        "No overlap of ours with theirs, but where theirs breaks its own promise, which is told at"
        " once. A release by one wakes the other.",
    ),
    Row(
        36,
        "Kubernetes appoints the holder: ``preferredHolder`` and ``strategy``",
        "The fields are kept in writes. An elector does not contend, and ends at its deadline"
        " where they appear.",
    ),
    Row(
        37,
        "a time at a whole second; a clock that is frozen",
        "Six digits, always. ``renewTime`` moves with every write.",
    ),
    Row(
        38,
        "``stop()`` during a request that hangs",
        "It returns in the time of an attempt. After 100 rounds there is no thread and no socket"
        " left.",
        lock=False,
    ),
)

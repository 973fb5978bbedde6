"""Schedulers of a real APScheduler in this process, several of which contend for one Lease"""

from __future__ import annotations

import asyncio
import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from kube_leader_election import InvalidParamsError, LeaderElectorParams
from kube_leader_election.testing import ApiServer, FakeCoordinationV1Api
from tests.programs import EXAMPLES, PATIENCE, Program, prepare_environment, wait_until

pytestmark = pytest.mark.apscheduler

LEASE = "my-jobs"
PARAMS = LeaderElectorParams(lease_name=LEASE)
RAN: list[str] = []  # by whom; jobs in a database are named, and cannot be told where to write


def module(name: str) -> Any:
    """Return it; the default tests have no APScheduler, and are not to import one."""
    return importlib.import_module(name)


def ours(kind: str = "Background") -> Any:
    rooms = module("kube_leader_election.contrib.apscheduler")
    return getattr(rooms, f"Leader{kind}Scheduler")


def note(name: str) -> None:
    RAN.append(name)


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    RAN.clear()


@pytest.fixture
def api() -> Iterator[FakeCoordinationV1Api]:
    with FakeCoordinationV1Api() as api:
        yield api


Make = Callable[..., Any]


@pytest.fixture
def make(api: FakeCoordinationV1Api) -> Iterator[Make]:
    """Makes schedulers, which are shut down when the test ends."""
    made: list[Any] = []

    def make(**options: Any) -> Any:
        options.setdefault("timezone", timezone.utc)
        made.append(ours()(PARAMS, namespace="default", client=api, **options))
        return made[-1]

    yield make
    for scheduler in made:
        if scheduler.running:
            scheduler.shutdown()


def database(folder: Path) -> dict[str, Any]:
    stores = module("apscheduler.jobstores.sqlalchemy")
    return {"default": stores.SQLAlchemyJobStore(url=f"sqlite:///{folder / 'jobs.db'}")}


def events_of(scheduler: Any) -> list[Any]:
    """What becomes of its jobs: each as the name of the event, the job and the slot."""
    events = module("apscheduler.events")
    seen: list[Any] = []
    names = {
        events.EVENT_JOB_EXECUTED: "ran",
        events.EVENT_JOB_MISSED: "missed",
        events.EVENT_JOB_ERROR: "failed",
    }
    scheduler.add_listener(
        lambda event: seen.append((names[event.code], event.job_id, event.scheduled_run_time)),
        events.EVENT_JOB_EXECUTED | events.EVENT_JOB_MISSED | events.EVENT_JOB_ERROR,
    )
    return seen


def holder(api: FakeCoordinationV1Api) -> str | None:
    lease = api.stored_lease(LEASE)
    return None if lease is None else lease["spec"].get("holderIdentity") or None


def now() -> datetime:
    return datetime.now(timezone.utc)


def leads(scheduler: Any) -> Any:
    scheduler.start()
    wait_until(scheduler.is_leader)
    return scheduler


def test_jobs_begin_where_the_lease_is_and_elsewhere_when_it_is_released(make: Make) -> None:
    ran: list[str] = []
    schedulers = {name: make() for name in "ab"}
    for name, scheduler in schedulers.items():
        scheduler.add_job(ran.append, "interval", seconds=0.05, args=[name])
    leads(schedulers["a"])
    schedulers["b"].start()
    wait_until(lambda: ran.count("a") >= 3)
    schedulers["a"].shutdown()
    assert "b" not in ran
    wait_until(lambda: ran.count("b") >= 3)
    assert ran == sorted(ran)


def test_what_was_missed_in_a_shared_store_runs_once_at_take_over(
    make: Make, tmp_path: Path
) -> None:
    due = now() - timedelta(minutes=10)
    options = {"id": "job", "coalesce": False, "misfire_grace_time": None, "max_instances": 20}
    scheduler = make(jobstores=database(tmp_path))
    events = events_of(scheduler)
    scheduler.add_job(
        note, "interval", minutes=1, start_date=due, next_run_time=due, args=["a"], **options
    )
    leads(scheduler)
    wait_until(lambda: events)
    wait_until(lambda: scheduler.get_job("job").next_run_time > now())
    scheduler.shutdown()
    (event,) = events
    assert event[0] == "ran"
    assert now() - event[2] < timedelta(minutes=2)
    assert RAN == ["a"]


def test_what_was_missed_in_memory_was_for_another_to_run(
    make: Make, api: FakeCoordinationV1Api
) -> None:
    api.put_lease(LEASE, holder_identity="another")
    scheduler = make()
    events = events_of(scheduler)
    due = now() - timedelta(minutes=10)
    options = {"coalesce": False, "misfire_grace_time": None, "next_run_time": due}
    scheduler.add_job(note, "interval", minutes=1, id="often", args=["a"], **options)
    scheduler.add_job(note, "date", run_date=due, id="once", args=["b"], misfire_grace_time=None)
    scheduler.start()
    wait_until(lambda: [job.id for job in scheduler.get_jobs()] == ["often"])
    api.put_lease(LEASE, holder_identity=None)
    wait_until(scheduler.is_leader)
    scheduler.add_job(note, "interval", seconds=0.1, id="new", args=["c"])
    wait_until(lambda: "c" in RAN)
    assert scheduler.get_job("often").next_run_time > now()
    scheduler.shutdown()
    assert {job for _, job, _ in events} == {"new"}


def test_a_follower_delays_nothing_by_adding_what_is_there(make: Make, tmp_path: Path) -> None:
    leader, follower = (make(jobstores=database(tmp_path)) for _ in range(2))
    options = {"hours": 1, "id": "job", "replace_existing": True}
    leads(leader)
    soon = now() + timedelta(minutes=5)
    leader.add_job(note, "interval", next_run_time=soon, args=["old"], **options)
    follower.add_job(note, "interval", args=["new"], **options)
    follower.start()
    follower.add_job(note, "interval", args=["new"], **options)
    assert leader.get_job("job").next_run_time == soon
    assert leader.get_job("job").args == ("old",)
    leader.shutdown()
    wait_until(lambda: follower.get_job("job").args == ("new",))
    assert follower.get_job("job").next_run_time == soon


def test_a_leader_that_adds_what_is_there_delays_nothing_but_what_it_gives_a_time(
    make: Make, tmp_path: Path
) -> None:
    leader = leads(make(jobstores=database(tmp_path)))
    options = {"hours": 1, "id": "job", "replace_existing": True}
    soon, later = (now() + timedelta(minutes=minutes) for minutes in (5, 30))
    leader.add_job(note, "interval", next_run_time=soon, args=["a"], **options)
    leader.add_job(note, "interval", args=["a"], **options)
    assert leader.get_job("job").next_run_time == soon
    leader.add_job(note, "interval", next_run_time=later, args=["a"], **options)
    assert leader.get_job("job").next_run_time == later


def test_a_follower_does_not_bring_back_what_was_removed(make: Make, tmp_path: Path) -> None:
    leader, follower = (make(jobstores=database(tmp_path)) for _ in range(2))
    options = {"hours": 1, "id": "job", "replace_existing": True, "args": ["a"]}
    leads(leader).add_job(note, "interval", **options)
    follower.start()
    follower.add_job(note, "interval", **options)
    leader.remove_job("job")
    leader.shutdown()
    wait_until(follower.is_leader)
    follower.add_job(note, "interval", seconds=0.05, args=["b"])
    wait_until(lambda: "b" in RAN)
    assert follower.get_job("job") is None


def test_what_is_queued_behind_a_busy_worker_at_a_loss_does_not_begin(
    make: Make, api: FakeCoordinationV1Api
) -> None:
    pools = module("apscheduler.executors.pool")
    begun, enough = threading.Event(), threading.Event()
    ran: list[str] = []
    scheduler = make(executors={"default": pools.ThreadPoolExecutor(1)})
    events = events_of(scheduler)

    def work() -> None:
        begun.set()
        enough.wait(PATIENCE)

    leads(scheduler)
    scheduler.add_job(work, misfire_grace_time=None, id="long", next_run_time=now())
    assert begun.wait(PATIENCE)
    scheduler.add_job(
        ran.append, args=["a"], id="queued", misfire_grace_time=None, next_run_time=now()
    )
    executor = scheduler._executors["default"]
    wait_until(lambda: "queued" in executor._instances)
    api.put_lease(LEASE, holder_identity="another")
    wait_until(lambda: not scheduler.is_leader())
    enough.set()
    wait_until(lambda: len(events) == 2)
    assert [event[:2] for event in events] == [("ran", "long"), ("missed", "queued")]
    assert ran == []


def test_what_is_queued_at_shutdown_runs_while_the_lease_is_held(
    make: Make, api: FakeCoordinationV1Api
) -> None:
    pools = module("apscheduler.executors.pool")
    begun, enough = threading.Event(), threading.Event()
    held: list[bool] = []
    scheduler = make(executors={"default": pools.ThreadPoolExecutor(1)})

    def work() -> None:
        begun.set()
        enough.wait(PATIENCE)
        held.append(scheduler.is_leader() and holder(api) is not None)

    leads(scheduler)
    for name in ("first", "second"):
        scheduler.add_job(work, id=name, misfire_grace_time=None, next_run_time=now())
    executor = scheduler._executors["default"]
    wait_until(lambda: len(executor._instances) == 2)
    assert begun.wait(PATIENCE)
    ending = threading.Thread(target=scheduler.shutdown)
    ending.start()
    wait_until(lambda: not scheduler.running)
    enough.set()
    ending.join(PATIENCE)
    assert held == [True, True]
    assert holder(api) is None


def test_without_wait_the_lease_is_released_when_what_runs_has_ended(
    make: Make, api: FakeCoordinationV1Api
) -> None:
    begun, enough = threading.Event(), threading.Event()
    held: list[bool] = []
    scheduler = leads(make())

    def work() -> None:
        begun.set()
        enough.wait(PATIENCE)
        held.append(scheduler.is_leader() and holder(api) is not None)

    scheduler.add_job(work, misfire_grace_time=None, next_run_time=now())
    assert begun.wait(PATIENCE)
    scheduler.shutdown(wait=False)
    stopping = scheduler.leadership.stopping
    assert stopping.wait(PATIENCE)
    enough.set()
    wait_until(lambda: holder(api) is None)
    assert held == [True]


def test_who_lost_the_term_in_the_middle_writes_nothing_down(
    make: Make, api: FakeCoordinationV1Api, tmp_path: Path
) -> None:
    base = module("apscheduler.executors.base").BaseExecutor
    lost = threading.Event()

    class Losing(base):  # type: ignore[misc, valid-type]
        def _do_submit_job(self, job: Any, run_times: Any) -> None:
            api.put_lease(LEASE, holder_identity="another")
            wait_until(lambda: not scheduler.is_leader())
            lost.set()

    scheduler = leads(make(jobstores=database(tmp_path), executors={"default": Losing()}))
    due = now() - timedelta(seconds=0.1)
    job = scheduler.add_job(note, "interval", hours=1, next_run_time=due, args=["a"])
    assert lost.wait(PATIENCE)
    with scheduler._turn:
        assert scheduler.get_job(job.id).next_run_time == due


def test_a_store_that_fails_is_asked_again(make: Make, tmp_path: Path) -> None:
    stores = database(tmp_path)
    scheduler = make(jobstores=stores, jobstore_retry_interval=0.05)
    failures = [OSError("the database is down") for _ in range(3)]
    get_due_jobs = stores["default"].get_due_jobs

    def fail(at: datetime) -> Any:
        if failures:
            raise failures.pop()
        return get_due_jobs(at)

    stores["default"].get_due_jobs = fail
    scheduler.add_job(note, "interval", seconds=0.05, args=["a"])
    scheduler.start()
    wait_until(lambda: RAN)
    assert failures == []


def test_what_a_follower_adds_runs_where_the_leader_is(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = module("kube_leader_election.contrib.apscheduler._mixin")
    monkeypatch.setattr(room, "_LOOKS_AT_SHARED", 0.2)
    leader, follower = (make(jobstores=database(tmp_path)) for _ in range(2))
    events, others = events_of(leader), events_of(follower)
    leads(leader)
    follower.start()
    follower.add_job(note, next_run_time=now(), args=["a"], misfire_grace_time=None, id="job")
    wait_until(lambda: events)
    assert RAN == ["a"]
    assert others == []


def test_jobs_in_other_processes_are_refused(make: Make) -> None:
    rule = r"executors\['default'\].*cannot ask who leads"
    with pytest.raises(InvalidParamsError, match=rule):
        make(executors={"default": {"type": "processpool"}})


def test_params_are_checked_at_once(api: FakeCoordinationV1Api) -> None:
    with pytest.raises(InvalidParamsError, match=r"params.*LeaderElectorParams"):
        ours()({"lease_name": LEASE}, client=api)
    with pytest.raises(InvalidParamsError, match="namespace"):
        ours()(PARAMS, namespace="No_Name")


def test_a_start_that_fails_contends_no_more(make: Make, api: FakeCoordinationV1Api) -> None:
    stores = module("apscheduler.jobstores.memory")

    class Broken(stores.MemoryJobStore):  # type: ignore[misc, name-defined]
        def start(self, scheduler: Any, alias: str) -> None:
            raise OSError("no database")

    scheduler = make(jobstores={"default": Broken()})
    with pytest.raises(OSError, match="no database"):
        scheduler.start()
    list(scheduler._elector.changes())  # until its end
    assert holder(api) is None


def test_a_signal_ends_a_blocking_scheduler_and_the_next_goes_on(
    lease_server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepare_environment(
        monkeypatch, lease_server.kubeconfig, JOBS=f"sqlite:///{tmp_path / 'jobs.db'}"
    )
    command = [sys.executable, str(EXAMPLES / "apscheduler_jobs.py")]
    with (
        Program(command, folder=tmp_path / "a") as first,
        Program(command, folder=tmp_path / "b") as second,
    ):
        wait_until(lambda: first.output or second.output)
        old, new = (first, second) if first.output else (second, first)
        assert old.end(signal.SIGTERM) == 0
        wait_until(lambda: len(new.output.splitlines()) >= 2)
        assert new.end(signal.SIGTERM) == 0
    slots = [line.split()[1] for line in (old.output + new.output).splitlines()]
    assert slots == sorted(set(slots))
    lease = lease_server.stored_lease(LEASE)
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")


def test_coroutines_and_threads_of_an_event_loop_are_gated_and_waited_for(
    api: FakeCoordinationV1Api,
) -> None:
    begun, enough = threading.Event(), threading.Event()
    held: list[Any] = []

    async def tick() -> None:
        held.append(("coroutine", holder(api) is not None))

    def work() -> None:
        begun.set()
        enough.wait(PATIENCE)
        held.append(("thread", scheduler.is_leader() and holder(api) is not None))

    async def until(condition: Callable[[], object]) -> None:
        while not condition():
            await asyncio.sleep(0.01)

    async def main() -> None:
        scheduler.start()
        scheduler.add_job(tick, "interval", seconds=0.05)
        await until(lambda: len(held) >= 2)
        scheduler.add_job(work, next_run_time=now(), misfire_grace_time=None)
        await until(begun.is_set)
        scheduler.shutdown()
        await until(lambda: not scheduler.running)
        await until(scheduler.leadership.stopping.is_set)
        enough.set()
        await until(lambda: holder(api) is None)

    scheduler = ours("AsyncIO")(PARAMS, namespace="default", client=api, timezone=timezone.utc)
    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert held[-1] == ("thread", True)
    assert set(held[:-1]) == {("coroutine", True)}

"""LeaderScheduler in this process, with a broker in memory"""

from __future__ import annotations

import importlib
import signal
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kube_leader_election import Event, InvalidParamsError, Leadership
from kube_leader_election.testing import ApiServer
from tests.programs import wait_until

pytestmark = [
    pytest.mark.celery,
    # of what others bring: datetime.utcnow in Celery's dependencies, RedBeat's settings
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

SENT = "sent"


def module(name: str) -> Any:
    """Return it; the default tests have no Celery, and are not to import one."""
    return importlib.import_module(name)


@pytest.fixture
def app() -> Any:
    """An app with an entry that is due each tenth of a second."""
    celery = module("celery")
    app = celery.Celery(broker="memory://", set_as_current=False)
    app.conf.leader_lease = "my-beat"
    app.conf.leader_lease_ttl, app.conf.leader_renew_deadline = 3, 2.0
    app.conf.leader_retry_period = 0.5
    app.conf.result_expires = None
    app.conf.beat_schedule = {"pulse": {"task": SENT, "schedule": timedelta(seconds=0.1)}}
    return app


@pytest.fixture
def published(app: Any) -> Iterator[list[dict[str, Any]]]:
    """The headers of what has been published."""
    signals = module("celery.signals")
    seen: list[dict[str, Any]] = []

    def note(headers: dict[str, Any], **_: object) -> None:
        seen.append(headers)

    signals.after_task_publish.connect(note)
    yield seen
    signals.after_task_publish.disconnect(note)


@pytest.fixture(autouse=True)
def cluster(lease_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    monkeypatch.setattr(
        "kube_leader_election.contrib.celery._settings.make_client", lease_server.client
    )
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield lease_server
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def scheduler(app: Any) -> Iterator[Any]:
    scheduler = module("kube_leader_election.contrib.celery").LeaderScheduler(app)
    yield scheduler
    scheduler.close()


def run(scheduler: Any, until: Any) -> None:
    """Tick as Celery's service does, until something is so."""

    def tick() -> bool:
        interval = scheduler.tick()
        assert 0 <= interval <= 1
        if not until():
            time.sleep(interval)
        return bool(until())

    wait_until(tick)


def test_the_alias_leader_is_found_by_celery() -> None:
    imports = module("celery.utils.imports")
    aliases = dict(imports.load_extension_class_names("celery.beat_schedulers"))
    found = imports.symbol_by_name("leader", aliases=aliases)
    assert found is module("kube_leader_election.contrib.celery").LeaderScheduler


def test_a_lazy_scheduler_makes_no_request_and_handles_no_signal(
    app: Any, cluster: ApiServer
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    scheduler = module("kube_leader_election.contrib.celery").LeaderScheduler(app, lazy=True)
    assert scheduler.info.splitlines()[0] == "    . lease -> default/my-beat"
    assert scheduler.max_interval == 1.0
    scheduler.close()
    assert cluster.requests == []
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("given", ["no.such:Scheduler", "celery:Celery", "leader", "nonsense", 7])
def test_what_is_no_scheduler_that_could_send_is_refused(app: Any, given: object) -> None:
    app.conf.beat_leader_scheduler = given
    with pytest.raises(InvalidParamsError) as caught:
        module("kube_leader_election.contrib.celery").LeaderScheduler(app, lazy=True)
    assert caught.value.field == "beat_leader_scheduler"


def test_a_lease_must_be_named(app: Any) -> None:
    app.conf.leader_lease = None
    with pytest.raises(InvalidParamsError):
        module("kube_leader_election.contrib.celery").LeaderScheduler(app, lazy=True)


def test_settings_of_django_are_understood() -> None:
    class Settings:
        CELERY_BROKER_URL = "memory://"
        CELERY_LEADER_LEASE = "from-django"
        CELERY_BEAT_LEADER_SCHEDULER = "celery.beat:PersistentScheduler"

    app = module("celery").Celery(set_as_current=False)
    app.config_from_object(Settings, namespace="CELERY")
    info = module("kube_leader_election.contrib.celery").LeaderScheduler(app, lazy=True).info
    assert "from-django" in info
    assert "PersistentScheduler" in info


def test_a_message_says_for_which_slot_and_in_which_term_it_was_sent(
    scheduler: Any, published: list[dict[str, Any]]
) -> None:
    run(scheduler, lambda: len(published) >= 3)
    assert len({each["leader_slot"] for each in published}) == len(published)
    assert len({each["id"] for each in published}) == len(published)
    assert {each["leader_fencing_token"] for each in published} == {
        scheduler._elector.fencing_token
    }


def test_a_follower_builds_nothing_and_sends_nothing(
    scheduler: Any, cluster: ApiServer, published: list[dict[str, Any]]
) -> None:
    run(scheduler, lambda: scheduler._term is not None)
    cluster.put_lease("my-beat", holder_identity="another", lease_duration_seconds=600)
    wait_until(lambda: not scheduler._elector.is_leader())
    count = len(published)
    scheduler.tick()
    scheduler.tick()
    assert scheduler._term is None
    assert len(published) == count


def test_the_term_ends_between_the_tick_and_the_publish(
    scheduler: Any, cluster: ApiServer, published: list[dict[str, Any]]
) -> None:
    run(scheduler, lambda: published)
    inner = scheduler._term._scheduler
    reserve = inner.reserve

    def reserve_and_lose(entry: Any) -> Any:
        cluster.put_lease("my-beat", holder_identity="another", lease_duration_seconds=600)
        wait_until(lambda: not scheduler._elector.is_leader())
        return reserve(entry)

    inner.reserve = reserve_and_lose
    count = len(published)
    run(scheduler, lambda: not scheduler._elector.is_leader())
    scheduler.tick()
    assert len(published) == count
    assert scheduler._term is None


def test_what_a_scheduler_raises_is_survived_and_the_slot_sent_later(
    scheduler: Any, published: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    run(scheduler, lambda: published)
    first = scheduler._term._scheduler

    def fail() -> float:
        raise OSError("the database is gone")

    first.tick = fail
    run(scheduler, lambda: scheduler._term._scheduler not in (first, None))
    count = len(published)
    run(scheduler, lambda: len(published) > count)
    assert "beat could not send; it tries again: the database is gone" in caplog.text
    assert len({each["id"] for each in published}) == len(published)


def test_close_may_be_repeated_and_releases_the_lease(scheduler: Any, cluster: ApiServer) -> None:
    run(scheduler, lambda: scheduler._term is not None)
    scheduler.close()
    scheduler.close()
    lease = cluster.stored_lease("my-beat")
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")


# The schedulers of a term


class Leads:
    """Stands in for what a term asks."""

    def __init__(self) -> None:
        self.is_over = False
        self.leadership = Leadership(
            ordinal=1,
            fencing_token=7,
            stopping=Event(),
            lost=Event(),
            remaining=lambda _: 0.0 if self.is_over else 10.0,
            holder_identity=lambda: None,
        )


@pytest.fixture
def leads() -> Leads:
    return Leads()


def inner(app: Any, leads: Leads, scheduler_class: Any, **options: Any) -> Any:
    """Return a scheduler as a term builds it."""
    termed = module("kube_leader_election.contrib.celery._termed")
    right = termed.Right(leadership=leads.leadership, election="default/my-beat")
    producer = termed.termed_producer(app.amqp.Producer, right)
    made = module("kube_leader_election.contrib.celery._term").termed(scheduler_class, right)
    return made(app=app, Producer=producer, sync_every_tasks=1, **options)


def not_sent() -> type[BaseException]:
    error: type[BaseException] = module("kube_leader_election.contrib.celery._termed").NotSentError
    return error


def test_a_slot_is_sent_once_in_a_term_whatever_becomes_of_its_time(
    app: Any, leads: Leads, published: list[dict[str, Any]]
) -> None:
    scheduler = inner(app, leads, module("celery.beat").Scheduler)
    entry = scheduler.schedule["pulse"]
    scheduler.apply_async(entry, producer=scheduler.producer, advance=False)
    scheduler.apply_async(entry, producer=scheduler.producer, advance=False)
    assert len(published) == 1
    following = scheduler.reserve(entry)
    scheduler.apply_async(following, producer=scheduler.producer, advance=False)
    assert len(published) == 2


def test_options_of_an_entry_stay_as_they_were(
    app: Any, leads: Leads, published: list[dict[str, Any]]
) -> None:
    app.conf.beat_schedule["pulse"]["options"] = {"headers": {"of": "mine"}, "priority": 3}
    scheduler = inner(app, leads, module("celery.beat").Scheduler)
    entry = scheduler.schedule["pulse"]
    scheduler.apply_async(entry, producer=scheduler.producer, advance=False)
    assert entry.options == {"headers": {"of": "mine"}, "priority": 3}
    assert (published[0]["of"], published[0]["leader_fencing_token"]) == ("mine", 7)
    assert "task_id" not in entry.options


def test_what_was_reserved_and_not_sent_is_not_persisted(
    app: Any, leads: Leads, tmp_path: Path
) -> None:
    persistent = module("celery.beat").PersistentScheduler
    path = str(tmp_path / "schedule")
    first = inner(app, leads, persistent, schedule_filename=path)
    began_at = first.schedule["pulse"].last_run_at
    entry = first.schedule["pulse"]
    first.reserve(entry)
    app.conf.broker_url = "redis://127.0.0.1:1/0"
    with pytest.raises(not_sent()):
        first.apply_async(entry, advance=False)
    module("kube_leader_election.contrib.celery._term")._close(first, persist=False)
    again = inner(app, leads, persistent, schedule_filename=path)
    assert again.schedule["pulse"].last_run_at == began_at
    again.close()


def test_after_the_term_nothing_is_persisted(app: Any, leads: Leads, tmp_path: Path) -> None:
    persistent = module("celery.beat").PersistentScheduler
    path = str(tmp_path / "schedule")
    late = inner(app, leads, persistent, schedule_filename=path)
    began_at = late.schedule["pulse"].last_run_at
    late.reserve(late.schedule["pulse"])
    leads.is_over = True
    late._do_sync()
    module("kube_leader_election.contrib.celery._term")._close(late, persist=False)
    leads.is_over = False
    again = inner(app, leads, persistent, schedule_filename=path)
    assert again.schedule["pulse"].last_run_at == began_at
    again.close()


def test_a_try_to_publish_after_the_term_is_refused(app: Any, leads: Leads) -> None:
    scheduler = inner(app, leads, module("celery.beat").Scheduler)
    producer = scheduler.producer
    leads.is_over = True
    with pytest.raises(not_sent()):
        producer.publish("late", routing_key="celery", retry=True)


def test_what_cannot_be_written_is_not_tried_for_ever(
    app: Any, leads: Leads, published: list[dict[str, Any]]
) -> None:
    app.conf.beat_schedule = {
        "poison": {"task": SENT, "schedule": 0.1, "args": (object(),)},
        "pulse": {"task": SENT, "schedule": 0.1},
    }
    scheduler = inner(app, leads, module("celery.beat").Scheduler)
    run(scheduler, lambda: len(published) >= 2)
    assert scheduler.schedule["poison"].total_run_count >= 1
    assert "django_celery_beat" not in sys.modules


def test_what_the_broker_does_not_take_holds_up_the_others_for_a_while_only(
    app: Any, leads: Leads, published: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    termed = module("kube_leader_election.contrib.celery._termed")
    refusal = module("kombu.exceptions").OperationalError("too large")
    app.conf.beat_schedule = {
        "refused": {"task": "refused", "schedule": 60.0},
        "pulse": {"task": SENT, "schedule": 60.0},
    }
    scheduler = inner(app, leads, module("celery.beat").Scheduler)
    send_task = scheduler.send_task

    def send(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "refused":
            raise refusal
        return send_task(name, *args, **kwargs)

    scheduler.send_task = send
    refused, other = scheduler.schedule["refused"], scheduler.schedule["pulse"]
    for _ in range(2):
        with pytest.raises(not_sent()):
            scheduler.apply_async(refused, advance=False)
    scheduler.apply_async(other, advance=False)
    monkeypatch.setattr(termed, "REFUSED_LIMIT", 0.0)
    with pytest.raises(module("celery.beat").SchedulingError):
        scheduler.apply_async(refused, advance=False)
    assert len(published) == 1


def test_what_the_database_did_not_take_is_written_the_next_time(app: Any, leads: Leads) -> None:
    base: Any = module("celery.beat").Scheduler
    database = module("kube_leader_election.contrib.celery._database")
    saved: list[str] = []
    unsaved: set[str] = set()

    class Entry:
        name = "pulse"

        def save(self) -> None:
            if not saved:
                saved.append("failed")
                raise OSError("the database is gone")
            saved.append(self.name)

    class Forgetful(base):  # type: ignore[misc]
        """As django-celery-beat's: what was taken out, and not saved, is out"""

        def sync(self) -> None:
            try:
                while self._dirty:
                    self._dirty.pop()
                    self._entry.save()
            except OSError:
                pass

    right = module("kube_leader_election.contrib.celery._termed").Right(
        leadership=leads.leadership, election="default/my-beat"
    )
    body = {"_right": right, "_unsaved": unsaved, "_dirty": {"pulse"}}
    entry = database.noting_failures(Entry, unsaved)()
    made = type("Scheduler", (database.DatabaseTermed, Forgetful), {**body, "_entry": entry})
    scheduler = made(app=app, lazy=True)
    scheduler.sync()
    assert scheduler._dirty == {"pulse"}
    scheduler.sync()
    assert (saved, scheduler._dirty) == (["failed", "pulse"], set())

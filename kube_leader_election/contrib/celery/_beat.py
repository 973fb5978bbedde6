"""LeaderScheduler: the scheduler of `celery beat` in every replica, of which one sends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery.beat import Scheduler
from celery.utils.imports import load_extension_class_names, symbol_by_name

from kube_leader_election import InvalidParamsError, LeaderElector, Leadership
from kube_leader_election._core.timing import whole_seconds
from kube_leader_election._failure import LeaseName
from kube_leader_election._store import Store
from kube_leader_election._telling import logger

from . import _patience, _settings
from ._ending import Ending
from ._patience import Patience
from ._term import LeaseScheduler, Term
from ._termed import NotSentError, Right
from ._times import Times

WAKES_EVERY = 1.0  # in seconds: so late at most is a loss noticed, or a ping answered


class LeaderScheduler(Scheduler):
    """Contends for a Lease while beat runs, and lets another scheduler send while it leads.

    That one is built anew in each term, from what was persisted, so that it goes on where the
    last leader's has stopped. Which Lease and which scheduler it is say the app's settings, as
    in docs/celery.rst. Used by one thread, as any scheduler; no request is made if `lazy`.
    """

    lock_key = None  # RedBeat asks any scheduler for it when beat starts

    def __init__(
        self, app: Any, *, max_interval: float | None = None, lazy: bool = False, **options: Any
    ) -> None:
        """We contend, unless `lazy`. `options` are for the other scheduler.

        :raises InvalidParamsError: a setting breaks its rule.
        :raises kubernetes.config.ConfigException: no cluster is named.
        """
        super().__init__(app, max_interval=WAKES_EVERY, lazy=True)
        self._params = _settings.elector_params(app.conf)
        self._target = LeaseName(_settings.namespace(app.conf), self._params.lease_name)
        self._class = _inner_class(app.conf.get("beat_leader_scheduler"))
        self._options = {**options, "max_interval": max_interval}
        self._elector: LeaderElector | None = None
        self._term: Term | None = None
        self._contends_at = 0.0
        self._failing_since: float | None = None
        self._is_closed = lazy
        self._ending = Ending()
        self._patience = Patience(self._ending, self._let_go)
        if not lazy:
            self._client = _settings.make_client()
            self._contend()
            self._ending.heed()
            self._patience.start()

    @property
    def info(self) -> str:
        """What the banner of beat says."""
        inner = f"{self._class.__module__}:{self._class.__qualname__}"
        return f"    . lease -> {self._target}\n    . sends by -> {inner}"

    def tick(self) -> float:
        """What was due was sent, if we lead.

        Return after how many seconds, not more than one, there is to be another tick. Waits up to
        a second where we do not lead, and begins to send the moment that we do.
        """
        began_at = time.monotonic()
        leadership = self._leadership()
        if leadership is None:
            return max(0.0, began_at + WAKES_EVERY - time.monotonic())
        with self._ending.put_off(), self._patience.tick():
            if self._term is None:
                self._term = self._new_term(leadership)
            return min(self._attempt(self._term.tick), WAKES_EVERY)

    def should_sync(self) -> bool:
        """Whether the scheduler of this term wants to persist what it has sent."""
        return self._term is not None and self._term.should_sync()

    def _do_sync(self) -> None:
        if self._term is not None:
            with self._ending.put_off(), self._patience.tick():
                self._attempt(self._term.sync)

    def sync(self) -> None:
        """Do nothing: what was sent is persisted in `tick`."""

    def close(self) -> None:
        """What was sent is persisted, then the Lease released. May be repeated."""
        if self._is_closed:
            return
        self._is_closed = True
        with self._ending.put_off():
            self._patience.stop()
            try:
                self._end_term()
            finally:
                elector = self._elector
                if elector is not None:
                    elector.stop()

    def _leadership(self) -> Leadership | None:
        """Return the term that we lead in, after a second at most; another's is ended."""
        if self._term is not None:
            if self._term.leadership.is_valid():
                return self._term.leadership
            with self._ending.put_off():
                self._end_term()
        elector = self._elector
        if elector is None:
            self._contend()
            return None
        return elector.wait_until_leading(WAKES_EVERY)

    def _contend(self) -> None:
        if not self._is_closed and time.monotonic() >= self._contends_at:
            target = self._target
            elector = LeaderElector(self._client, target.namespace, self._params)
            self._elector = elector  # first: a signal may come while it starts
            elector.start()

    def _new_term(self, leadership: Leadership) -> Term:
        right = Right(leadership=leadership, election=str(self._target))
        return Term(right, self._class, self._times, app=self.app, **self._options)

    def _times(self) -> Times:
        elector = self._elector
        ttl = whole_seconds(self._params.lease_ttl)
        store = Store(self._client, self._target, lease_ttl=ttl)
        holder_id = elector.holder_id if elector is not None else ""
        return Times(store, holder_id, timeout=self._params.renew_deadline / 5)

    def _end_term(self) -> None:
        term, self._term = self._term, None
        self._failing_since = None
        if term is not None:
            term.finish()

    def _attempt(self, do: Callable[[], float | None]) -> float:
        """Return what it returns, or when to try again: another scheduler does so, then.

        Where that fails for as long as a tick may take, another replica leads.
        """
        try:
            result = do() or 0.0
        except NotSentError as error:
            why: BaseException = error
        except Exception as error:  # noqa: BLE001 (a database's, a broker's, anybody's schedule's)
            why = error
        except BaseException:
            self._drop()
            raise
        else:
            self._failing_since = None
            return result
        self._drop()
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
            trace = None if isinstance(why, NotSentError) else why
            logger.warning("beat could not send; it tries again: %s", why, exc_info=trace)
        elif now - self._failing_since > _patience.TICK_LIMIT:
            self._end_term()
            self._let_go(f"beat could not send for {_patience.TICK_LIMIT:.0f} s")
        return WAKES_EVERY

    def _drop(self) -> None:
        if self._term is not None:
            self._term.drop()

    def _let_go(self, why: str) -> None:
        """Another replica may lead now; this one contends again after `lease_ttl`."""
        elector, self._elector = self._elector, None
        self._contends_at = time.monotonic() + whole_seconds(self._params.lease_ttl)
        if elector is not None:
            logger.warning("Lease %s is let go: %s", self._target, why)
            elector.stop(wait=False)


def _inner_class(given: Any) -> type:
    """Return the class of the scheduler that sends: one of Celery's, an alias or a path.

    :raises InvalidParamsError: it is none.
    """
    if given is None:
        return LeaseScheduler
    rule = "must name a scheduler of beat, as beat_scheduler does"
    aliases = dict(load_extension_class_names("celery.beat_schedulers"))
    try:
        found = symbol_by_name(given, aliases=aliases)
    except (AttributeError, ImportError, ValueError) as error:
        rule = f"{rule}: {type(error).__name__}"
        raise InvalidParamsError("beat_leader_scheduler", given, rule) from error
    if not isinstance(found, type) or not issubclass(found, Scheduler):
        raise InvalidParamsError("beat_leader_scheduler", given, rule)
    if issubclass(found, LeaderScheduler):
        rule = "must be the scheduler that sends while this replica leads, not this one"
        raise InvalidParamsError("beat_leader_scheduler", given, rule)
    return found

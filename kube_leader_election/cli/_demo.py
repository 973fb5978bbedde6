"""``demo``: replicas that elect a leader, and what becomes of it when leaders stop and die."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from kube_leader_election._inbox import Inbox

from ._options import describe
from ._say import give_up, say
from .demonstration import _script
from .demonstration._story import Story
from .demonstration._summary import summary_of

# Short, so that a takeover can be waited for.
LEASE_TTL, RENEW_DEADLINE, RETRY_PERIOD = 3, 2.0, 0.5

INTRODUCTION = f"""\
Three replicas of a service, each a process: only one may lead at any time.
They agree through a Lease, on an API server that this command serves.
Who leads claims the Lease for {LEASE_TTL} s (lease_ttl), and stops {RENEW_DEADLINE:g} s after its\
 last
renewal (renew_deadline). Failures are retried every {RETRY_PERIOD:g} s (retry_period).
The defaults are 15, 10 and 2 s.
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """`parser` is that of this command."""
    describe(
        parser,
        "Show three replicas that elect a leader, each a process: one is told to stop, and one is"
        " killed. Takes about ten seconds, and needs no cluster and no network. On a terminal it"
        " is a live picture where rich is installed, with a key for each step; the first one that"
        " is used ends the script. Exit code 1 if ever two have led at once.",
        "demo",
        f'demo --script "{_script.EXAMPLE}" --svg demo.svg',
    )
    steps = [f"  {deed.value:8}{text}" for deed, text in _script.EXPLAINED.items()]
    parser.epilog = "\n".join(["steps:", *steps, "", str(parser.epilog)])
    parser.add_argument(
        "--script",
        type=_parsed,
        default=_script.DEFAULT,
        metavar="STEPS",
        help="what is done, separated by commas (default: %(default)s)",
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw what happened into it")
    parser.set_defaults(run=_run)


def _parsed(text: str) -> tuple[_script.Step, ...]:
    try:
        return _script.parsed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _run(options: argparse.Namespace) -> int:
    with ExitStack() as at_exit:
        drawn = None
        if options.svg is not None:
            try:
                drawn = at_exit.enter_context(options.svg.open("w", encoding="utf-8"))
            except OSError as error:
                give_up(f"cannot write {options.svg}: {error.strerror}")
        story = Story(time.monotonic())
        say(INTRODUCTION)
        code = _play(story, options.script)
        if drawn is not None:
            from .demonstration._timeline import svg

            drawn.write(svg(story, time.monotonic()))
    return code


def _play(story: Story, script: Sequence[_script.Step]) -> int:
    """The story was seen, to its end or until the user asked for that; return the exit code."""
    from kube_leader_election.testing import ApiServer

    from .demonstration._director import Director, EndedEarlyError, News
    from .demonstration._replicas import replicas
    from .demonstration._views import view

    # A handler that raised could do so anywhere, and leave a process: it only asks for the end.
    news: Inbox[News] = Inbox()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: news.put(number))
    with ExitStack() as at_exit:
        server = at_exit.enter_context(ApiServer())
        seen = at_exit.enter_context(
            view(news.put, lease_ttl=LEASE_TTL, renew_deadline=RENEW_DEADLINE)
        )
        arguments = [server.url, *map(str, (LEASE_TTL, RENEW_DEADLINE, RETRY_PERIOD))]
        try:
            with replicas(arguments, news.put) as started:
                Director(story, server, started, news, seen).play(script)
        except EndedEarlyError as error:
            story.say(str(error), time.monotonic())
            seen.show(story, is_last=True)
            return error.code
    summary = summary_of(story)
    say("\n" + "\n".join(summary.lines))
    return 0 if summary.is_well else 1

"""Begin a new epoch of the lists in Redis, and follow the workers that publish them again."""

import time
from contextlib import closing
from typing import Final

import typer

from stream_app.errors import UserError
from stream_app.publishing.publisher import PublisherUnavailableError
from stream_app.publishing.redis_sentinel import RepublicationRequest, RepublicationState
from stream_app.settings import load_settings
from stream_app.tools.cli.republish import RepublishOptions

_POLL_SECONDS: Final = 0.25


def run(options: RepublishOptions) -> None:
    """Request the republication; wait for it unless told otherwise.

    Raises
    ------
    UserError
        If Redis is unavailable or refuses writes, if no worker runs, or if another republication began.
    """
    server = load_settings().redis_server
    try:
        with closing(RepublicationRequest(server)) as request:
            state = request.begin()
            typer.echo("requested: the workers publish all lists again")
            if options.wait:
                _follow(request, state, options.timeout)
    except PublisherUnavailableError as error:
        raise UserError(
            f"Redis at {server} did not take the request ({error}). Check HEADRACE_REDIS, or run `headrace doctor`."
        ) from None
    except ValueError as error:
        raise UserError(f"HEADRACE_REDIS: {error}.") from None


def _follow(request: RepublicationRequest, state: RepublicationState, timeout: float) -> None:
    seen_at, last_line = time.monotonic(), ""
    checks = state.checks
    while not (state.partitions and state.partitions <= state.complete):
        if not state.is_current:
            raise UserError(
                "Another republication began meanwhile (Redis was emptied, or the command was run again), which "
                "includes this one. Run `headrace republish` again to follow it."
            )
        if state.checks > checks:
            checks, seen_at = state.checks, time.monotonic()
        elif time.monotonic() > seen_at + timeout:
            raise UserError(
                f"No worker has answered for {timeout:g} s. The request stays in Redis: a worker that starts with "
                "this HEADRACE_REDIS publishes all lists. See the workers' logs, or start one by `headrace worker`."
            )
        line = f"{len(state.complete)} of {len(state.partitions)} partitions done, {state.n_remaining:,} users left"
        if state.partitions and line != last_line:
            typer.echo(line)
            last_line = line
        time.sleep(_POLL_SECONDS)
        state = request.state()
    typer.echo(f"all lists of {len(state.partitions)} partitions were published")

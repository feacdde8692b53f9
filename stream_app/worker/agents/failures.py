"""What a failure of an agent ends."""

from typing import Any


async def end_worker(agent: Any, error: Exception) -> None:
    """End the worker after an agent failed: the event is not committed, and is read again after the start.

    Faust would start the agent again, which goes on with the next event.
    """
    await agent.app.crash(error)

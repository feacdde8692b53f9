"""From a user's row to a rank request."""

from bisect import bisect_left

from state.row import UserRow
from stream_app.ranking.request import RankRequest


def make_rank_request(user_id: str, row: UserRow, buy_again: float = 0.0) -> RankRequest:
    """Make the request for a user's list.

    Parameters
    ----------
    user_id, row
        Id and row of the user.
    buy_again
        Seconds after its last purchase until an item may be listed again; 0 for never.

    Examples
    --------
    >>> from state.row import EMPTY_ROW
    >>> make_rank_request("u", EMPTY_ROW).items
    ()
    """
    bought = [item for item, ts in row.bought.items() if not buy_again or row.last_ts - ts < buy_again]
    times = tuple([entry.ts for entry in row.recent])
    return RankRequest(
        user_id=user_id,
        items=tuple([entry.item_id for entry in row.recent]),
        times=times,
        session_start=bisect_left(times, row.session.start),
        segments=row.segments,
        now=row.last_ts,
        excluded=(*bought, *row.hidden),
        kinds=tuple([entry.kind for entry in row.recent]),
    )

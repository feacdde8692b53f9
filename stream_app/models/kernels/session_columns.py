"""Sums that a neighbor query adds up for each candidate."""

from enum import IntEnum


class SessionColumn(IntEnum):
    """Sums of each candidate over the sessions that share an item with the context.

    A session's similarity is the sum over the context items it holds of a weight that falls with their age in
    clicks: linearly (`KNN`, `MULTI_MATCH`) or exponentially (`STAN`). Co-occurrence means at another position of the
    session.
    """

    CO_OCCURRENCE = 0
    """Clicks in sessions of the newest context item; the next three columns: of the second to the fourth newest."""
    CO_OCCURRENCE_2 = 1
    CO_OCCURRENCE_3 = 2
    CO_OCCURRENCE_4 = 3
    CO_OCCURRENCE_OLDER = 4
    """Clicks in sessions of the fifth to the eighth newest context item."""
    AFTER = 5
    """Clicks after the newest context item, each by 1 / distance."""
    NEXT = 6
    """Clicks right after it."""
    BEFORE = 7
    """Clicks before it, each by 1 / distance."""
    KNN = 8
    """Similarity of the nearest sessions, divided by the position of the newest match in the context (VSKNN)."""
    STAN = 9
    """Similarity of all sessions, by session length, recency and distance from the match (STAN)."""
    MULTI_MATCH = 10
    """Similarity of the sessions with at least two context items."""
    CO_OCCURRENCE_BY_RANK = 11
    """Clicks in sessions of the newest context item, decayed by the rank of the session in its postings."""
    NEWEST = 12
    """Recency of the newest session."""
    AFTER_2 = 13
    """As `AFTER`, for the second newest context item."""
    BEFORE_2 = 14
    """As `BEFORE`, for the second newest context item."""
    COVISIT_SHARE = 15
    """Co-visit shares with every context item, decayed by the age of the item."""
    SUPPORT = 16
    """Clicks in all sessions with a context item."""
    SECOND_HOP = 17
    """Co-visit shares with the candidates that have the most `COVISIT_SHARE` (the bridges), times theirs."""
    SECOND_HOP_NEWEST = 18
    """As `SECOND_HOP`, over the bridges' `CO_OCCURRENCE`."""
    NEAREST_CLICKS = 19
    """Clicks in the nearest sessions."""
    COVISIT_SHARE_RECENT_ROOT = 20
    """As `COVISIT_SHARE`, each session by the root of its recency, 1 / (16 + sessions since)."""
    COVISIT_SHARE_RECENT = 21
    """As `COVISIT_SHARE`, each session by its recency."""
    AFTER_IN_ORDER = 22
    """As `AFTER`, in sessions with the newest context item after the second newest, as in the context."""

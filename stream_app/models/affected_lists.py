"""Lists that change with an interaction or with the availability of an item."""

import numpy as np

from stream_app.models.interaction_kinds import KIND_STREAMS
from stream_app.models.model_set import ModelSet
from stream_app.models.popularity import Popularity
from stream_app.models.segments import NEW_USERS
from stream_app.models.session_tracker import EventStream
from topics.records import Interaction


def affected_segments(models: ModelSet, interaction: Interaction) -> set[str]:
    """Segments whose lists a learned interaction changes: those of the user, and of the categories of its items.

    The list of new users changes with the first view of a user.
    """
    names = {
        name
        for line in interaction.lines
        for name in models.index.with_categories(interaction.segments, models.index.find(line.item_id))
    }
    is_view = KIND_STREAMS.get(interaction.kind) is EventStream.VIEWS
    is_first = is_view and 0 < models.tracker.n_views(interaction.user_id) <= len(interaction.lines)
    return names | {NEW_USERS} if is_first else names


def affected_lists(models: ModelSet, item: str, k: int) -> tuple[list[str], list[str]]:
    """Items and segments whose lists may hold an item.

    Parameters
    ----------
    models
        Models of the replica.
    item
        Id of the item.
    k
        Largest number of related items of each model.

    Returns
    -------
    items : list of str
        The item and its related items; the relation is symmetric as a rule, and an exact answer would need all lists.
    segments : list of str
        Segments, without ``all``, in which the item is popular enough for a list.
    """
    index = models.index.find(item)
    if index < 0:
        return [item], []
    proposed = [candidates.items for _, candidates in models.related(models.item_context(item), k)]
    neighbors = np.unique(np.concatenate([np.array([index], np.int32), *proposed]))
    return (
        [models.index.id_of(each) for each in neighbors.tolist()],
        [
            name
            for model in models.models
            if isinstance(model, Popularity)
            for name in model.segments_of(index)
        ],
    )

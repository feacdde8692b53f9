"""Trains the two-tower model of an evaluation along its log."""

from typing import Any

from stream_app.encoders.optional_packages import import_package
from stream_app.models.item_content import ItemContent
from stream_app.models.model_set import ModelSet
from stream_app.models.two_tower import TwoTower
from stream_app.settings import Settings


def train_along(
    models: ModelSet, content: ItemContent | None, settings: Settings, publish_interval: int | None = None
) -> None:
    """Let the two-tower model of `models` be trained from the interactions that they learn, as a trainer does.

    Parameters
    ----------
    content
        What is learned of the catalog; None for nothing.
    publish_interval
        Interactions between two versions of the weights; by default that of `InProcessTrainer`.

    Raises
    ------
    UserError
        If JAX is not installed, or an option of ``HEADRACE_NEURAL_OPTIONS`` is invalid.
    """
    [model] = [each for each in models.models if isinstance(each, TwoTower)]
    in_process: Any = import_package("stream_app.training.in_process", "neural", "The two-tower model")
    training: Any = import_package("stream_app.training.two_tower_training", "neural", "The two-tower model")
    options: Any = import_package("stream_app.training.options", "neural", "The two-tower model")
    shape, config = options.configure(
        settings.neural_options,
        max_items=settings.max_items,
        seed=settings.seed,
        n_segments=settings.segment_slots,
    )
    learned = training.TwoTowerTraining(shape, config, content=content)
    interval = {} if publish_interval is None else {"publish_interval": publish_interval}
    models.learners.append(in_process.InProcessTrainer(model, learned, **interval))

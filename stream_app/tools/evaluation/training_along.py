"""Trains the two-tower model of an evaluation along its log."""

from typing import Any, Final, Protocol

from stream_app.encoders.optional_packages import import_package
from stream_app.models.item_content import ItemContent
from stream_app.models.model_set import ModelSet
from stream_app.models.two_tower import TwoTower
from stream_app.settings import Settings

UNUSED: Final = (
    "The two-tower model was not used: before the last list it had no weights, which need some 500 interactions, and "
    "users with two of them."
)
"""What is said where no weights were published."""


class TrainerAlong(Protocol):
    """The part of `stream_app.training.in_process.InProcessTrainer` that evaluations use.

    Attributes
    ----------
    n_published
        Versions of the weights so far.
    """

    n_published: int

    def publish(self) -> None:
        """Replace the weights of the model."""


def train_along(
    models: ModelSet, content: ItemContent | None, settings: Settings, publish_interval: int | None = None
) -> TrainerAlong:
    """Let the two-tower model of `models` be trained from the interactions that they learn, as a trainer does.

    Parameters
    ----------
    content
        What is learned of the catalog; None for nothing.
    publish_interval
        Interactions between two versions of the weights; by default that of `InProcessTrainer`.

    Returns
    -------
    TrainerAlong
        The trainer; `models` has it among its learners.

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
        session_gap=settings.session_gap,
    )
    learned = training.TwoTowerTraining(shape, config, content=content)
    interval = {} if publish_interval is None else {"publish_interval": publish_interval}
    trainer: Any = in_process.InProcessTrainer(model, learned, **interval)
    models.learners.append(trainer)
    return trainer  # type: ignore[no-any-return]  # of a module that needs the extra

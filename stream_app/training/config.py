"""Settings of the training of the two-tower model."""

from typing import Literal

import msgspec


class TrainingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the training."""

    rows: int = 64
    """Rows of a batch; each has the context length."""
    negatives: int = 1024
    """Negatives of a batch."""
    new_interactions: int = 128
    """New interactions per step; the rest of a batch is replayed."""
    share_of_newest: float = 0.2
    """Share of the replayed sequences that are from the newest; the others are from all."""
    item_rate: float = 0.04
    """Step size of the item vectors in the first steps."""
    dense_rate: float = 0.003
    """Step size of the other parameters in the first steps."""
    content_rate: float = 0.01
    """Step size of the projection of contents in the first steps: it must have learned when items are still few."""
    rate_half_time: float = 1000.0
    """Steps until the step sizes are divided by the root of 2; see `stream_app.training.optimizer.rate_factor`."""
    last_rate: float = 0.25
    """Share of the first step sizes at which they stay."""
    average: float = 0.997
    """Decay of the moving average that is published; 0 publishes the newest weights."""
    dropout: float = 0.2
    """Share of values set to 0 while learning."""
    id_dropout: float = 0.1
    """Share of items in a step that are represented by their content alone, where they have one."""
    loss: Literal["softmax", "sigmoid"] = "softmax"
    """Sampled softmax, or binary cross-entropy."""
    in_batch: bool = False
    """Whether half of the negatives are targets of the same batch, instead of drawn by count^0.75."""
    augmentations: tuple[str, ...] = ()
    """Changes of replayed sequences, of `stream_app.training.augmentation.AUGMENTATIONS`."""
    augmented: float = 0.5
    """Share of the replayed sequences that are changed, if any are."""
    contrast: float = 0.0
    """Weight of the contrastive term: two changed copies of a sequence have near user vectors."""
    contrast_pairs: int = 64
    """Sequences of a step of which two copies are compared."""
    generated: float = 0.0
    """Share of the replayed sequences that the model generates itself, from items with few interactions on."""
    temperature: float = 1.0
    """Divides the logits that generated sessions are sampled from; larger ones vary them more."""
    max_items: int = 200_000
    """Item vectors; a full index evicts the longest unused."""
    seed: int = 7

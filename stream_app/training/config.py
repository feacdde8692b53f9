"""Settings of the training of the two-tower model, and of the dimensions of its network."""

from typing import Annotated, Literal

import msgspec

Whole = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
ShareBelowOne = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Rate = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0, le=1e9)]
Weight = Annotated[float, msgspec.Meta(ge=0.0, le=1e3)]


class TrainingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the training."""

    rows: Whole = 64
    """Rows of a batch; each has the context length."""
    negatives: Annotated[int, msgspec.Meta(ge=2, le=100_000)] = 1024
    """Negatives of a batch."""
    new_interactions: Whole = 128
    """New interactions per step; the rest of a batch is replayed."""
    young: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 2_500
    """Interactions up to which a training is young."""
    young_steps: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    """Further steps of a young training, of replayed sequences alone, after each one of new interactions."""
    share_of_newest: Share = 0.2
    """Share of the replayed sequences that are from the newest; the others are from all."""
    item_rate: Rate = 0.04
    """Step size of the item vectors in the first steps."""
    dense_rate: Rate = 0.003
    """Step size of the other parameters in the first steps."""
    content_rate: Rate = 0.01
    """Step size of the projection of contents in the first steps: it must have learned when items are still few."""
    rate_half_time: Positive = 1000.0
    """Steps until the step sizes are divided by the root of 2; see `stream_app.training.optimizer.rate_factor`."""
    last_rate: Rate = 0.25
    """Share of the first step sizes at which they stay."""
    average: ShareBelowOne = 0.997
    """Decay of the moving average that is published; 0 publishes the newest weights."""
    dropout: ShareBelowOne = 0.2
    """Share of values set to 0 while learning."""
    id_dropout: ShareBelowOne = 0.1
    """Share of items in a step that are represented by their content alone, where they have one."""
    loss: Literal["softmax", "sigmoid"] = "softmax"
    """Sampled softmax, or binary cross-entropy."""
    in_batch: bool = False
    """Whether half of the negatives are targets of the same batch, instead of drawn by count^0.75."""
    augmentations: tuple[Literal["crop", "mask", "reorder", "substitute"], ...] = ()
    """Changes of replayed sequences, of `stream_app.training.augmentation.AUGMENTATIONS`."""
    augmented: Share = 0.5
    """Share of the replayed sequences that are changed, if any are."""
    contrast: Weight = 0.0
    """Weight of the contrastive term: two changed copies of a sequence have near user vectors."""
    contrast_pairs: Whole = 64
    """Sequences of a step of which two copies are compared."""
    generated: ShareBelowOne = 0.0
    """Share of the replayed sequences that the model generates itself."""
    generated_for: Literal["items", "segments", "both"] = "items"
    """What the generated sequences are of: items with few interactions, or users of segments with few sequences."""
    temperature: Positive = 1.0
    """Divides the logits that generated sessions are sampled from; larger ones vary them more."""
    max_items: int = 200_000
    """Item vectors; a full index evicts the longest unused."""
    session_gap: float = 1_800.0
    """Seconds of inactivity that close a sequence."""
    seed: int = 7


class ShapeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The dimensions of the network that may be chosen, of `NetworkShape`."""

    encoder: Literal["attention", "gru"] = "attention"
    """What mixes the interactions: causal attention, or a gated recurrent unit."""
    n_factors: Annotated[int, msgspec.Meta(ge=2, le=512)] = 64
    """Length of the vectors of users and items."""
    context_length: Annotated[int, msgspec.Meta(ge=5, le=1_000)] = 20
    """Newest interactions of the user that the encoder reads."""
    hidden: Annotated[int, msgspec.Meta(ge=1, le=2_048)] = 128
    """Units of the hidden layer."""

"""Settings of the two-tower model and of its trainer."""

from pydantic import Field

from stream_app.settings.base import NonNegativeInt, Seconds, SettingsGroup


class NeuralSettings(SettingsGroup):
    """The trainer of the two-tower model."""

    checkpoint_interval: Seconds = Field(
        30.0,
        description="Seconds between two checkpoints of the two-tower model that `headrace trainer` publishes.",
    )
    trainer_snapshot_interval: Seconds = Field(
        120.0, description="Seconds between two snapshots of what the trainer needs to go on after a crash."
    )
    text_dimensions: NonNegativeInt = Field(
        0,
        description="Length of the catalog's `text_embedding` (`headrace embed` prints it), from which the trainer "
        "learns vectors of items; 0 for none.",
    )
    image_dimensions: NonNegativeInt = Field(0, description="The same of the catalog's `image_embedding`.")
    segment_slots: NonNegativeInt = Field(
        0,
        le=65_536,
        description="Slots of the vectors that the trainer learns of users' countries and channels, for users with "
        "little history; 0 for none (docs/neural.md).",
    )
    neural_options: dict[str, bool | int | float | str | list[str]] = Field(
        {},
        description="Options of the training and of the network, by name; `headrace trainer` and `headrace evaluate` "
        "say which there are when one is unknown (docs/neural-measurements.md).",
    )

"""The options of a training that an operator names, of ``HEADRACE_NEURAL_OPTIONS``."""

from collections.abc import Mapping
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from stream_app.errors import UserError
from stream_app.models.two_tower_network import NetworkShape
from stream_app.training.config import ShapeOptions, TrainingConfig

_VARIABLE: Final = "HEADRACE_NEURAL_OPTIONS"
_SETTINGS_OF_THEIR_OWN: Final = {
    "max_items": "HEADRACE_MAX_ITEMS",
    "seed": "HEADRACE_SEED",
    "session_gap": "HEADRACE_SESSION_GAP",
}

Options = Mapping[str, object]


def configure(
    options: Options, *, max_items: int, seed: int, n_segments: int, session_gap: float = 1_800.0
) -> tuple[NetworkShape, TrainingConfig]:
    """The dimensions and the configuration of a training.

    Parameters
    ----------
    options
        Fields of `ShapeOptions` and of `TrainingConfig`; the others have their defaults.

    Raises
    ------
    UserError
        If there is no such option, or it has no such value; the message is one sentence.

    Examples
    --------
    >>> shape, config = configure({"encoder": "gru", "dropout": 0.1}, max_items=1_000, seed=7, n_segments=0)
    >>> shape.encoder, shape.hidden, config.dropout, config.max_items
    ('gru', 128, 0.1, 1000)
    >>> configure({"encoder": "lstm"}, max_items=1_000, seed=7, n_segments=0)
    Traceback (most recent call last):
    stream_app.errors.UserError: HEADRACE_NEURAL_OPTIONS: encoder is not 'lstm' but one of attention, gru.
    """
    for name in options:
        _check_name(name)
    shape = _converted(options, ShapeOptions)
    config = _converted(options, TrainingConfig)
    if config.contrast > 0.0 and not config.augmentations:
        raise UserError(f"{_VARIABLE}: contrast compares changed sequences and needs augmentations.")
    if config.generated > 0.0 and config.generated_for != "items" and not n_segments:
        raise UserError(
            f"{_VARIABLE}: generated_for {config.generated_for!r} needs segments: set HEADRACE_SEGMENT_SLOTS."
        )
    return (
        NetworkShape(**msgspec.structs.asdict(shape), n_segments=n_segments),
        msgspec.structs.replace(config, max_items=max_items, seed=seed, session_gap=session_gap),
    )


def option_names() -> list[str]:
    """All options."""
    names = [*ShapeOptions.__struct_fields__, *TrainingConfig.__struct_fields__]
    return [name for name in names if name not in _SETTINGS_OF_THEIR_OWN]


def _check_name(name: str) -> None:
    if variable := _SETTINGS_OF_THEIR_OWN.get(name):
        raise UserError(f"{_VARIABLE}: {name} is the setting {variable}.")
    if name not in option_names():
        raise UserError(f"{_VARIABLE}: there is no option {name!r}; there are {', '.join(option_names())}.")


def _converted(options: Options, type_: Any) -> Any:
    hints = get_type_hints(type_, include_extras=True)
    values = {}
    for name, value in options.items():
        if name in hints:
            try:
                values[name] = msgspec.convert(value, hints[name])
            except msgspec.ValidationError as error:
                raise UserError(
                    f"{_VARIABLE}: {name} is not {value!r} {_expected(hints[name], error)}."
                ) from None
    return type_(**values)


def _expected(hint: Any, error: msgspec.ValidationError) -> str:
    """What a value is, after "is not 3"."""
    items = get_args(hint)[0] if get_origin(hint) is tuple else hint
    if choices := [str(each) for each in get_args(items) if isinstance(each, str)]:
        return f"but {'some' if items is not hint else 'one'} of {', '.join(choices)}"
    reason = str(error).split(" - at ", maxsplit=1)[0].replace("`", "")
    return f"(expected {reason.removeprefix('Expected ')})"

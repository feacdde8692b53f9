"""The settings of all commands, read from ``HEADRACE_*`` variables; the only reader of the environment.

`groups` collects the settings, which modules declare by subject; `loading` reads them, `secret_files` those in
files; `folders` has the folders that are not settings of a worker. The environment is flat: a variable is
``HEADRACE_`` and the field's name in capitals.
The worker and the tools read settings; they pass plain config structs to the packages below.
"""

from stream_app.settings.folders import cache_dir, scratch_dir, shared_data_dir
from stream_app.settings.groups import Settings
from stream_app.settings.loading import (
    child_environment,
    embedded_override,
    external_broker,
    load_settings,
    variable_of,
    without_password,
)
from stream_app.settings.secret_files import SettingsError

__all__ = [
    "Settings",
    "SettingsError",
    "cache_dir",
    "child_environment",
    "embedded_override",
    "external_broker",
    "load_settings",
    "scratch_dir",
    "shared_data_dir",
    "variable_of",
    "without_password",
]

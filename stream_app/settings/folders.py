"""Folders that the environment can name: event logs, caches, scratch space."""

import os
import tempfile
from pathlib import Path


def shared_data_dir() -> Path:
    """The folder of the public logs (docs/feeds.md): ``HEADRACE_DATA``, by default ``../shared/data``."""
    return Path(os.environ.get("HEADRACE_DATA", "../shared/data"))


def cache_dir() -> Path:
    """The folder of downloaded jars and compiled kernels: ``HEADRACE_CACHE``, by default in the home folder."""
    fallback = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace"
    return Path(os.environ.get("HEADRACE_CACHE") or fallback)


def scratch_dir(prefix: str) -> Path:
    """A new empty folder for a server or a run."""
    return Path(tempfile.mkdtemp(prefix=f"headrace-{prefix}-"))

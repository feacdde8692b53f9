"""Builders, fakes and harnesses that several test modules share."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The repository."""

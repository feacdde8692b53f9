"""Pictures of items in a folder, by item id."""

from pathlib import Path
from typing import Final
from urllib.parse import quote

from stream_app.errors import UserError

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff")
"""Endings of picture files, in the order in which they are looked for; in capital letters, too."""

MAX_PICTURE_BYTES: Final = 32 * 1024 * 1024
"""A larger file is not read."""

_MAX_NAME_BYTES: Final = 255


class PictureTooLargeError(Exception):
    """A picture file exceeds `MAX_PICTURE_BYTES`; the message names both sizes."""


class PictureFolder:
    """A folder with one picture file per item: `<item id>.jpg`, or another of `SUFFIXES`.

    Characters of an id that a file name cannot have, or that would lead out of the folder, are percent-encoded in the
    name, as in URLs: the picture of ``shoes/7`` is `shoes%2F7.jpg`. An id without such characters may also be written
    as it is.

    Raises
    ------
    UserError
        If there is no such folder.

    Examples
    --------
    >>> file_stem("shoes/7 b")
    'shoes%2F7%20b'
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}; --images names the folder of the pictures.")
        self._folder = folder

    def read(self, item: str) -> bytes | None:
        """The bytes of the item's picture file; None if there is none.

        Raises
        ------
        OSError
            If the file cannot be read.
        PictureTooLargeError
            If it is too large.
        """
        path = self._find(item)
        if path is None:
            return None
        with path.open("rb") as stream:
            data = stream.read(MAX_PICTURE_BYTES + 1)
        if len(data) > MAX_PICTURE_BYTES:
            raise PictureTooLargeError(f"more than {MAX_PICTURE_BYTES >> 20} MiB")
        return data

    def _find(self, item: str) -> Path | None:
        stems = dict.fromkeys(
            (file_stem(item), item) if "/" not in item and "\0" not in item else (file_stem(item),)
        )
        for stem in stems:
            if len(stem.encode()) > _MAX_NAME_BYTES - max(map(len, SUFFIXES)):
                continue
            for suffix in SUFFIXES:
                for name in (stem + suffix, stem + suffix.upper()):
                    path = self._folder / name
                    if path.is_file():
                        return path
        return None


def file_stem(item: str) -> str:
    """The name of an item's picture file, without its ending."""
    return quote(item, safe="")

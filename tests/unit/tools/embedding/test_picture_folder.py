"""Pictures of items by id."""

from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.tools.embedding import picture_folder
from stream_app.tools.embedding.picture_folder import PictureFolder, PictureTooLargeError, file_stem


@pytest.mark.parametrize("name", ["i42.jpg", "i42.JPG", "i42.png", "i42.webp", "i42.jpeg"])
def test_a_picture_is_named_by_its_item(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"picture")
    assert PictureFolder(tmp_path).read("i42") == b"picture"
    assert PictureFolder(tmp_path).read("i4") is None


@pytest.mark.parametrize("item", ["a/b", "../up", "a b", "ü", "50%", "..", "a\0b"])
def test_other_characters_are_encoded_as_in_urls(tmp_path: Path, item: str) -> None:
    (tmp_path / f"{file_stem(item)}.jpg").write_bytes(b"picture")
    assert PictureFolder(tmp_path).read(item) == b"picture"


def test_an_id_may_be_written_as_it_is_if_a_file_can_have_the_name(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").write_bytes(b"picture")
    assert PictureFolder(tmp_path).read("a b") == b"picture"


def test_no_id_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "pictures").mkdir()
    folder = PictureFolder(tmp_path / "pictures")
    for item in ("../secret", f"{tmp_path}/secret", "/secret", "x/../../secret"):
        assert folder.read(item) is None


def test_ids_longer_than_file_names_have_no_picture(tmp_path: Path) -> None:
    assert PictureFolder(tmp_path).read("ü" * 128) is None
    assert PictureFolder(tmp_path).read("x" * 256) is None


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_folder, "MAX_PICTURE_BYTES", 9)
    (tmp_path / "a.jpg").write_bytes(b"0123456789")
    with pytest.raises(PictureTooLargeError):
        PictureFolder(tmp_path).read("a")


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        PictureFolder(tmp_path / "absent")

"""The document that stands for a while where an erased user had a list."""

import pytest

from stream_app.client.redis_contract import is_erased


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"owner":"000000000007","items":[]}', True),
        (b'{"owner":"000000000007","list_id":"l","items":[]}', False),
        (b'{"owner":"000000000007","list_id":"l","items":[{"id":"a"}]}', False),
        (b'{"owner":"000000000007","items":[{"id":"a"}]}', False),
        (b'{"list_id":"l","items":[]}', False),
        (b'{"other":1,"items":[]}', False),
        (b"{}", False),
        (b"", False),
    ],
)
def test_it_has_an_owner_and_no_items_and_is_no_list(raw: bytes, expected: bool) -> None:
    assert is_erased(raw) == expected

"""From a ranked list to its document: its id, its length, and its form in memory."""

from datetime import UTC, datetime
from itertools import combinations

import pytest
from msgspec import structs

from state.published_list import PublishedList, pack_propensities
from stream_app.client.redis_contract import SearchList, decode_search_list, search_key, user_key
from stream_app.publishing.list_documents import (
    MAX_LIST_BYTES,
    build_document,
    build_list,
    shorten,
    to_published_list,
)
from stream_app.ranking.ranker import RankedList
from topics.catalog import MAX_MESSAGE_BYTES, MAX_RECORD_BYTES
from topics.events import MAX_ID_BYTES
from topics.log_keys import list_key
from topics.records import ListedItem, Reason

AT = "2026-01-01T00:00:00.250Z"


def ranked(*names: str, policy: str = "fixed", version: int = 7, features: bytes = b"") -> RankedList:
    items = tuple(ListedItem(name, 0.5, 0.25, Reason("popular")) for name in names or ("a", "b"))
    return RankedList(items, policy, version, features)


def list_id(key: str = "k", made: RankedList | None = None, **fields: object) -> str:
    return build_list(key, made or ranked(), AT, **fields).list_id  # type: ignore[arg-type]


def test_a_list_that_may_differ_has_another_id() -> None:
    ids = [
        list_id(),
        list_id("other key"),
        list_id(made=ranked(version=8)),
        list_id(events=1),
        list_id(degraded=True),
        list_id(made=ranked(features=b"xx")),
        list_id(made=ranked(features=b"xx", policy="thompson")),
        list_id(made=ranked("b", "a", features=b"xx")),
        list_id(made=ranked(features=b"xx"), degraded=True),
    ]
    assert all(one != other for one, other in combinations(ids, 2))
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in ids)


def test_a_list_of_another_two_tower_model_has_another_id() -> None:
    ids = [list_id(made=ranked()._replace(neural_version=version)) for version in ("", "v1", "v2")]
    assert len(set(ids)) == 3
    assert ids[0] == list_id()
    assert build_list("k", ranked()._replace(neural_version="v1"), AT).neural_version == "v1"


def test_the_same_list_has_the_same_id_whenever_it_is_ranked() -> None:
    again = build_list("k", ranked("b", "a", policy="other"), "2026-01-02T00:00:00.000Z")
    assert list_id() == again.list_id
    assert list_id(events=0, query="q") == list_id()


def test_a_document_of_a_query_holds_it_normalized() -> None:
    document = build_document("k", ranked(), AT, query=" Red  SHOES")
    assert document.partition is None
    assert decode_search_list(document.value).query == "red shoes"
    assert not isinstance(build_list("k", ranked(), AT), SearchList)


@pytest.mark.parametrize(("n_items", "n_kept"), [(1, 0), (2, 1), (3, 2), (5, 4), (6, 4), (7, 5), (300, 200)])
def test_a_list_is_shortened_by_a_third_with_its_features(n_items: int, n_kept: int) -> None:
    names = [f"i{number}" for number in range(n_items)]
    features = b"".join(bytes([number % 256]) * 4 for number in range(n_items))
    listed = build_list("k", ranked(*names, features=features), AT)
    shortened = shorten(structs.replace(listed, features=features))
    assert [item.id for item in shortened.items] == names[:n_kept]
    assert shortened.features == features[: 4 * n_kept]
    assert shorten(listed).features == b""


def test_a_list_with_the_longest_key_fits_into_a_record() -> None:
    # A quarter of the message is left for the frame of a batch; of the rest 256 bytes for the user id in the key, and
    # 128 for what follows it.
    assert MAX_LIST_BYTES == MAX_MESSAGE_BYTES * 3 // 4 - 384 == 3 * 1024 * 1024 - 384
    key = list_key(b"u" * MAX_ID_BYTES, "f" * 16, 99_999_999_999.0)
    assert len(key) + MAX_LIST_BYTES <= MAX_RECORD_BYTES


def test_a_list_in_memory_has_the_time_the_items_and_the_kind_of_its_document() -> None:
    at = datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC).timestamp()
    own = to_published_list(build_list(user_key("u"), ranked(), AT))
    propensities = pack_propensities([0.25, 0.25])
    assert own == PublishedList(own.list_id, "fixed", at, ("a", "b"), propensities, b"", search=False)
    search = to_published_list(build_list(search_key("u"), ranked(), AT, query="q"))
    assert search.search
    with pytest.raises(ValueError, match="yesterday"):
        to_published_list(build_list("k", ranked(), "yesterday"))

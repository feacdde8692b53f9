"""docs/redis.md matches the code."""

import re
from typing import Any

import pytest
from typer.main import get_command

from state.dedup import RecordId
from state.fold import interaction_of
from state.row import MAX_RESULTS
from stream_app.__main__ import build_cli
from stream_app.client.client import DEFAULT_TIMEOUT
from stream_app.client.fallback_chain import fallback_keys
from stream_app.client.redis_contract import (
    MAX_QUERY_LENGTH,
    SearchList,
    decode_list,
    decode_search_list,
    escape_id,
    item_key,
    normalize_query,
    popular_key,
    query_key,
    search_key,
    user_key,
)
from stream_app.models.model_set import ModelSet
from stream_app.ranking.search.search_ranker import SEARCH_POLICY
from stream_app.settings import Settings
from tests.support import ROOT
from topics.events import CatalogItem, Click
from topics.records import ListedItem, Source

PAGE = (ROOT / "docs" / "redis.md").read_text()
SHOW: Any = get_command(build_cli())
ID_HELP = next(each.help for each in SHOW.commands["show"].params if each.name == "identifier")
IN_REDIS = [name for name in SearchList.__struct_fields__ if name != "features"]
"""Fields of a document in Redis; features are on the ``lists`` topic only."""

EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_a_document_of_the_contract() -> None:
    example, _ = EXAMPLES
    document = decode_list(example.encode())
    assert document.key == user_key("user-17")
    assert [item.why.source for item in document.items] == ["also_viewed", "popular"]
    assert document.items[0].why.item_id == "i17"
    assert document.items[1].why.segment == "country:FR"
    assert [item.score for item in document.items] == sorted((i.score for i in document.items), reverse=True)


def test_the_search_example_is_a_document_of_the_contract() -> None:
    _, example = EXAMPLES
    document = decode_search_list(example.encode())
    assert document.key == search_key("user-17")
    assert document.query == normalize_query(document.query) == "red shoes"
    assert [item.why.source for item in document.items] == [
        "also_viewed",
        "chosen_after_search",
        "matches_search",
    ]
    assert document.policy == SEARCH_POLICY
    fields = re.findall(r'^  "(\w+)":', example, re.MULTILINE)
    assert fields == IN_REDIS


def test_documented_keys_match_the_code() -> None:
    named = set(re.findall(r"`(recs:[^`]+)`|'(recs:[^']+)'", PAGE))
    # without the pattern of an ACL
    assert {one or other for one, other in named} - {"recs:*"} == {
        user_key("U"),
        item_key("I"),
        popular_key(),
        popular_key("country:FR"),
        search_key("U"),
        "recs:query:{Q}",
        query_key(" Red  Shoes"),
        search_key("user-17"),
        user_key("a{b} c"),
        user_key("user-17"),
        item_key("i42"),
    }


def test_documented_segment_kinds_match_events_and_items() -> None:
    models = ModelSet(["popularity"], max_items=9, max_users=9)
    models.learn_catalog(CatalogItem(ts=1000, item_id="i", categories=["shoes"]))
    click = Click(event_id="e", user_id="u", ts=2000, item_id="i", channel="web", context={"country": "FR"})
    interaction = interaction_of(click, RecordId(Source.CLICK, 0, 0))
    assert interaction is not None
    models.learn(interaction)
    kinds = {name.partition(":")[0] for name in models.segments()}
    assert len(kinds) == 4
    [row] = re.findall(r"^\| `recs:popular:\{country:FR\}` \|(.*)$", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+):…`", row)) == kinds
    assert set(re.findall(r"(\w+):\w+", ID_HELP)) == kinds


def test_documented_fallback_chain_matches_the_client() -> None:
    [keys] = re.findall(r"redis-cli MGET (.*)", PAGE)
    assert re.findall(r"'([^']+)'", keys) == fallback_keys("user-17", ["i42"], ["country:FR"])


def test_every_field_is_documented() -> None:
    tables = "".join(re.findall(r"^\| field \| meaning \|\n(?:\|.*\n)+", PAGE, re.MULTILINE))
    described = set(re.findall(r"^\| `([a-z_\[\].]+)` \|", tables, re.MULTILINE))
    fields = {*IN_REDIS} - {"items"}
    assert described == fields | {f"items[].{name}" for name in ListedItem.__struct_fields__}


def test_documented_unescaped_characters_match_the_code() -> None:
    [plain] = re.findall(r"ASCII letters, digits and `([^`]+)`", PAGE)
    assert {
        chr(code) for code in range(33, 127) if escape_id(chr(code)) == chr(code) and not chr(code).isalnum()
    } == set(plain)


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        (r"give up after ([\d.]+) s", DEFAULT_TIMEOUT),
        (r"more than (\d+) characters have no list", MAX_QUERY_LENGTH),
        (r"the first (\d+) the event named", MAX_RESULTS),
        (r"Lists live (\d+) days", Settings.model_fields["list_ttl"].default / 86_400),
    ],
)
def test_documented_numbers_match_the_code(sentence: str, value: float) -> None:
    found = re.search(sentence, PAGE)
    assert found is not None
    assert float(found.group(1)) == value

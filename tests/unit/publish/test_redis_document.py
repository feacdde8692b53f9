"""docs/redis.md says what the code does."""

import re
from pathlib import Path

import pytest

from stream_app.client import DEFAULT_TIMEOUT, chain_of
from stream_app.publish.contract import decode_list, escape, item_key, popular_key, search_key, user_key
from stream_app.settings import Settings
from topics.records import ListedItem, RecommendationList

PAGE = (Path(__file__).parents[3] / "docs" / "redis.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_a_document_of_the_contract() -> None:
    [example] = EXAMPLES
    document = decode_list(example.encode())
    assert document.key == user_key("visitor-17")
    assert [item.why.source for item in document.items] == ["also_viewed", "popular"]
    assert document.items[0].why.item_id == "i17"
    assert document.items[1].why.segment == "country:FR"
    assert [item.score for item in document.items] == sorted((i.score for i in document.items), reverse=True)


def test_the_keys_it_names_are_those_the_code_makes() -> None:
    named = set(re.findall(r"`(recs:[^`]+)`|'(recs:[^']+)'", PAGE))
    assert {one or other for one, other in named} == {
        user_key("U"),
        item_key("I"),
        popular_key(),
        popular_key("country:FR"),
        search_key("U"),
        "recs:query:{Q}",
        user_key("a{b} c"),
        user_key("visitor-17"),
        item_key("i42"),
    }


def test_the_chain_it_shows_is_the_one_the_client_asks_for() -> None:
    [keys] = re.findall(r"redis-cli MGET (.*)", PAGE)
    assert re.findall(r"'([^']+)'", keys) == chain_of("visitor-17", ["i42"], ["country:FR"])


def test_it_describes_every_field() -> None:
    described = set(re.findall(r"^\| `([a-z_\[\].]+)` \|", PAGE, re.MULTILINE))
    fields = {*RecommendationList.__struct_fields__} - {"items"}
    assert described == fields | {f"items[].{name}" for name in ListedItem.__struct_fields__}


def test_the_characters_it_says_are_not_encoded_are_not() -> None:
    [plain] = re.findall(r"ASCII letters, digits and `([^`]+)`", PAGE)
    assert {
        chr(code) for code in range(33, 127) if escape(chr(code)) == chr(code) and not chr(code).isalnum()
    } == set(plain)


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        (r"give up after ([\d.]+) s", DEFAULT_TIMEOUT),
        (r"Lists live (\d+) days", Settings.model_fields["list_ttl"].default / 86_400),
    ],
)
def test_the_figures_it_names_are_the_codes(sentence: str, value: float) -> None:
    found = re.search(sentence, PAGE)
    assert found is not None
    assert float(found.group(1)) == value

"""docs/events.md agrees with the code."""

import json
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from state.dedup import CAPACITY
from stream_app.settings import Settings
from tests.support import ROOT
from topics.catalog import SHOP_TOPICS, USER_EVENTS, TopicSpec
from topics.codec import Limits, RejectReason, decode
from topics.events import (
    MAX_CONTEXT,
    MAX_CONTEXT_VALUE,
    MAX_ID_BYTES,
    MAX_LIST_ITEMS,
    MAX_TEXT,
    Click,
    Event,
    UserEvent,
)
from topics.schema_documents import json_schema

PAGE = (ROOT / "docs" / "events.md").read_text()
SPECS = {spec.name: spec for spec in SHOP_TOPICS}


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.*)\n", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


SECTIONS = sections()
EXAMPLES = [
    (SPECS[heading.strip("`")], block)
    for heading, text in SECTIONS.items()
    for block in re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]


def table(text: str) -> list[list[str]]:
    """The cells of all table rows, without headers."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [row for row in rows if row[0].startswith("`")]


def payload(spec: TopicSpec) -> type[Event]:
    assert spec.payload is not None
    return spec.payload  # type: ignore[return-value]


def code_block(language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def test_every_topic_of_the_shop_has_an_example() -> None:
    assert {spec.name for spec, _ in EXAMPLES} == set(SPECS)


def test_no_example_is_outside_its_topics_section() -> None:
    assert PAGE.count("```json") == len(EXAMPLES)


@pytest.mark.parametrize(("spec", "example"), EXAMPLES)
def test_examples_are_accepted(spec: TopicSpec, example: str) -> None:
    Draft202012Validator(json_schema(payload(spec))).validate(json.loads(example))
    event = decode(example.encode(), payload(spec), received=1_795_509_150.0, limits=Limits())
    assert set(json.loads(example)) <= set(event.__struct_fields__), "a misspelt optional field is ignored"


def test_topics_and_keys_match_the_catalog() -> None:
    listed = {row[0].strip("`"): row[1].strip("`") for row in table(PAGE.split("\n## ")[0])}
    assert listed == {name: spec.key for name, spec in SPECS.items()}


@pytest.mark.parametrize("spec", SHOP_TOPICS)
def test_every_field_is_explained(spec: TopicSpec) -> None:
    shared = {field.name for field in msgspec.structs.fields(UserEvent)} if spec in USER_EVENTS else set()
    fields = {
        field.name: "required" if field.required else ""
        for field in msgspec.structs.fields(payload(spec))
        if field.name not in shared
    }
    explained = {row[0].strip("`"): row[1] for row in table(SECTIONS[f"`{spec.name}`"])}
    assert explained == fields


def test_every_shared_field_is_explained() -> None:
    explained = {row[0].strip("`"): row[1] for row in table(SECTIONS["Fields of every user event"])}
    assert explained == {
        field.name: "required" if field.required else "" for field in msgspec.structs.fields(UserEvent)
    }


def test_the_reasons_are_those_of_the_codec() -> None:
    assert [row[0].strip("`") for row in table(SECTIONS["Rejected records"])] == [*map(str, RejectReason)]


def test_the_limits_are_those_of_the_code() -> None:
    shared = SECTIONS["Fields of every user event"]
    assert f"1 to {MAX_ID_BYTES} bytes" in shared
    assert f"at most {MAX_TEXT:,} characters" in shared
    assert f"at most {MAX_LIST_ITEMS:,} entries" in shared
    assert f"at most {MAX_CONTEXT} characters, texts there {MAX_CONTEXT_VALUE:,}" in shared
    assert f"at most {MAX_CONTEXT} entries" in shared
    assert f"last {CAPACITY} of its\nuser" in SECTIONS["Duplicates"]


def test_the_settings_have_their_names_and_values() -> None:
    defaults = {f"HEADRACE_{name.upper()}": field.default for name, field in Settings.model_fields.items()}
    named = set(re.findall(r"HEADRACE_[A-Z_]+", PAGE))
    assert named <= set(defaults)
    assert f"up to {defaults['HEADRACE_MAX_EVENT_FUTURE'] / 60:.0f}\nminutes ahead" in SECTIONS["Time"]
    assert f"up to {defaults['HEADRACE_MAX_EVENT_AGE'] / 86_400:.0f} days behind" in SECTIONS["Time"]
    assert f"after {defaults['HEADRACE_SESSION_GAP'] / 60:.0f} minutes" in SECTIONS["Order"]


def test_the_python_example_sends_a_valid_click(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, bytes, bytes]] = []

    class RecordingKafkaProducer:
        def __init__(self, **_: Any) -> None: ...

        def send(self, topic: str, *, key: bytes, value: bytes) -> None:
            sent.append((topic, key, value))

        def flush(self) -> None: ...

    kafka = ModuleType("kafka")
    vars(kafka)["KafkaProducer"] = RecordingKafkaProducer
    monkeypatch.setitem(sys.modules, "kafka", kafka)
    scope = SimpleNamespace()
    exec(code_block("python"), vars(scope))  # noqa: S102  # the page's own example
    ((topic, key, value),) = sent
    event = decode(value, Click, received=json.loads(value)["ts"] / 1000, limits=Limits())
    assert isinstance(event, Click)
    assert (topic, key) == ("events.click", event.user_id.encode())


def test_links_resolve() -> None:
    for target in re.findall(r"\]\((\.\./[^)]*)\)", PAGE):
        assert (ROOT / "docs" / target).exists()

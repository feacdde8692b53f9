"""The documents agree with the structs, and codec and schemas accept the same events."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from typer.testing import CliRunner

from stream_app.tools.cli import schemas
from topics import schema_documents as documents
from topics.catalog import SHOP_TOPICS, catalog
from topics.codec import Limits, RejectedError, RejectReason, decode
from topics.events import (
    EVENT_STRUCTS,
    MAX_CONTEXT,
    MAX_LIST_ITEMS,
    CatalogItem,
    Click,
    Erasure,
    Event,
    Feedback,
    Impression,
    Purchase,
    Search,
)
from topics.records import DeadLetter, Interaction, Kind, Line, ListedItem, Reason, RecommendationList, Source

RFC_3339 = FormatChecker()


@RFC_3339.checks("date-time")
def is_rfc_3339(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return False
    # A date-time without a zone is not RFC 3339.
    return value[-1] in "zZ" or "+" in value[10:] or "-" in value[10:]


VALIDATORS = {
    struct: Draft202012Validator(documents.json_schema(struct), format_checker=RFC_3339)
    for struct in (*EVENT_STRUCTS, *documents.RECORD_TYPES)
}
ANY_AGE = Limits(max_future=1e12, max_age=0)
USER_FIELDS = {"event_id": "e1", "user_id": "u1", "ts": 1_541_599_523_000}
COMPLETE_EVENTS: dict[type[Event], dict[str, Any]] = {
    Click: {
        **USER_FIELDS,
        "session_id": "s1",
        "channel": "web",
        "context": {"country": "FR", "logged_in": True, "height": 1.5, "age": 40, "tier": None},
        "item_id": "i1",
        "action": "cart",
        "list_id": "l1",
        "position": 3,
        "query": "red shoes",
    },
    Search: {
        **USER_FIELDS,
        "query": "",
        "results": ["i1", "i2"],
        "prices": [9.5, 0],
        "filters": {"size": 42},
    },
    Purchase: {
        **USER_FIELDS,
        "order_id": "o1",
        "items": [{"item_id": "i1", "quantity": 2, "price": 9.5}, {"item_id": "i2"}],
        "currency": "EUR",
        "list_id": None,
        "shown": ["i1", "i2"],
        "shown_prices": [9.5, 0],
    },
    Impression: {**USER_FIELDS, "surface": "home", "items": ["i1"]},
    Feedback: {**USER_FIELDS, "ts": "2018-11-07T14:05:23.25Z", "item_id": "i1", "kind": "like"},
    CatalogItem: {
        "ts": "2018-11-07T14:05:23+01:00",
        "item_id": "i1",
        "title": "Shoe",
        "categories": ["c1"],
        "price": 9.5,
        "image_embedding": [0.5, -1],
        "text_embedding": [0.25],
        "available": False,
        "created": 1_541_599_523_000,
    },
    Erasure: USER_FIELDS,
}


def codec_accepts(event_type: type[Event], event: object) -> bool:
    try:
        decode(json.dumps(event).encode(), event_type, received=0, limits=ANY_AGE)
    except RejectedError:
        return False
    return True


def schema_accepts(event_type: type[Event], event: object) -> bool:
    return bool(VALIDATORS[event_type].is_valid(event))


def test_the_written_documents_equal_those_of_the_structs() -> None:
    written = {
        file.relative_to(documents.FOLDER).as_posix(): file.read_text(encoding="utf-8")
        for file in (*documents.FOLDER.glob("schemas/*"), documents.FOLDER / "asyncapi.json")
    }
    assert written == documents.render_all(), (
        "The structs have changed and the documents have not: run `headrace topics schema --write`, "
        "look at the difference, and commit it."
    )


def test_rendering_is_deterministic() -> None:
    assert documents.render_all() == documents.render_all()


@pytest.mark.parametrize("struct", [*EVENT_STRUCTS, *documents.RECORD_TYPES])
def test_every_document_is_a_valid_schema_that_describes_each_field(struct: type[msgspec.Struct]) -> None:
    schema = documents.json_schema(struct)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:headrace:schema:{documents.document_name(struct)}"
    assert schema["title"] == struct.__name__
    assert schema["description"]
    assert "Attributes" not in json.dumps(schema)
    if struct in EVENT_STRUCTS:
        assert all(property_["description"] for property_ in schema["properties"].values())


def test_time_is_a_date_time_or_an_integer() -> None:
    assert documents.json_schema(Click)["properties"]["ts"]["anyOf"] == [
        {"type": "string", "format": "date-time"},
        {"type": "integer"},
    ]


@pytest.mark.parametrize("event_type", EVENT_STRUCTS)
def test_complete_examples_are_valid_for_codec_and_schema(event_type: type[Event]) -> None:
    VALIDATORS[event_type].validate(COMPLETE_EVENTS[event_type])
    assert codec_accepts(event_type, COMPLETE_EVENTS[event_type])


@pytest.mark.parametrize(
    "record",
    [
        DeadLetter(
            reason="wrong_type", detail="", topic="events.click", partition=0, offset=1, timestamp=1.5,
            key=None, value=b"\xff",
        ),
        RecommendationList(
            list_id="l1", key="recs:user:{u1}", generated_at="2018-11-07T14:05:23Z", policy="fixed",
            model_version=7, items=(ListedItem("i1", 0.5, 1.0, Reason("popular", segment="all")),),
        ),
        Interaction(Source.CLICK, 0, 1, 1.5, "u1", Kind.VIEW, (Line("i1", 1.0, 9.5),)),
    ],
)  # fmt: skip
def test_records_fit_their_schema(record: msgspec.Struct) -> None:
    VALIDATORS[type(record)].validate(json.loads(msgspec.json.encode(record)))


def test_array_items_are_named() -> None:
    schema = documents.json_schema(Interaction)
    assert [item_schema["title"] for item_schema in schema["prefixItems"]] == list(
        Interaction.__struct_fields__
    )
    assert "9 hide" in schema["$defs"]["Kind"]["description"]


# Values for any field: valid, invalid, and at the bounds that a schema can express. Omitted are values on which
# schema and codec differ by design: 1.0 is an integer in JSON Schema and a float for the codec, the length of an id
# is in characters or bytes, and event time is not in the schema.
ids = st.sampled_from(["", "x", "x" * 256, "x" * 257])
scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1, 7, 2**31 - 1, 2**31, 1_541_599_523_000])
    | st.sampled_from([-0.5, 0.5, 9.75])
    | ids
    | st.sampled_from(["view", "like", "teleport", "x" * 4_096, "x" * 4_097, "EUR", "EUROPEANS"])
    | st.sampled_from(
        ["2018-11-07T14:05:23Z", "2018-11-07T14:05:23.25+01:00", "2018-11-07T14:05:23", "2018-11-07"]
    )
)
lines = st.fixed_dictionaries({}, optional={"item_id": scalars, "quantity": scalars, "price": scalars})
maps = st.dictionaries(st.sampled_from(["a", "k" * 64, "k" * 65]), scalars, max_size=3)
many = st.sampled_from(
    [
        ["i"] * MAX_LIST_ITEMS,
        ["i"] * (MAX_LIST_ITEMS + 1),
        {str(number): 1 for number in range(MAX_CONTEXT + 1)},
    ]
)
values = scalars | maps | st.lists(scalars, max_size=3) | st.lists(lines, max_size=2) | many


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=400)
@given(st.sampled_from(EVENT_STRUCTS), st.data())
def test_codec_and_schema_agree(event_type: type[Event], data: st.DataObject) -> None:
    names = st.sampled_from([field.name for field in msgspec.structs.fields(event_type)])
    event = {**COMPLETE_EVENTS[event_type], **data.draw(st.dictionaries(names, values, max_size=2))}
    for name in data.draw(st.sets(names, max_size=1)):
        event.pop(name, None)
    assert codec_accepts(event_type, event) == schema_accepts(event_type, event)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(EVENT_STRUCTS), st.none() | scalars | st.lists(scalars, max_size=2) | maps)
def test_codec_and_schema_agree_on_documents_that_are_no_event(
    event_type: type[Event], document: object
) -> None:
    assert (codec_accepts(event_type, document), schema_accepts(event_type, document)) == (False, False)


def test_values_that_only_the_codec_checks_pass_the_schema() -> None:
    event = {**COMPLETE_EVENTS[Click], "item_id": "é" * 200}
    assert schema_accepts(Click, event)
    with pytest.raises(RejectedError) as caught:
        decode(json.dumps(event).encode(), Click, received=0, limits=ANY_AGE)
    assert caught.value.reason is RejectReason.ID_TOO_LONG


def test_asyncapi_describes_every_topic() -> None:
    document = documents.asyncapi()
    assert set(document["channels"]) == {spec.name for spec in catalog()}
    for spec in catalog():
        channel = document["channels"][spec.name]
        assert channel["address"] == spec.name
        assert spec.purpose in channel["description"]
        configuration = channel["bindings"]["kafka"]["topicConfiguration"]
        assert configuration["cleanup.policy"] == spec.cleanup.split(",")
        assert ("retention.ms" in configuration) == ("delete" in spec.cleanup)
        (message,) = channel["messages"].values()
        described = _resolve(document, message)
        assert described["bindings"]["kafka"]["key"]["description"].startswith(spec.key)
        assert described["contentType"] == f"application/{spec.encoding}"


def test_asyncapi_states_senders_and_receivers() -> None:
    operations = documents.asyncapi()["operations"]
    received = {
        operation["channel"]["$ref"].removeprefix("#/channels/")
        for operation in operations.values()
        if operation["action"] == "receive" and operation["summary"].startswith("The shop sends.")
    }
    assert received == {spec.name for spec in SHOP_TOPICS}
    assert operations["sendRecommendationList"]["channel"] == {"$ref": "#/channels/lists"}


def test_every_reference_in_asyncapi_resolves() -> None:
    document = documents.asyncapi()
    found = list(_references(document))
    assert found
    for reference in found:
        assert _resolve(document, {"$ref": reference})


def test_asyncapi_keeps_to_the_dialect_of_its_schemas() -> None:
    text = json.dumps(documents.asyncapi()["components"]["schemas"])
    assert "prefixItems" not in text
    for schema in _objects(documents.asyncapi()["components"]["schemas"]):
        assert "$ref" not in schema or len(schema) == 1


def _resolve(document: Any, reference: dict[str, str]) -> Any:
    node = document
    for part in reference["$ref"].removeprefix("#/").split("/"):
        node = node[part]
    return node


def _objects(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value)


def _references(node: Any) -> Any:
    return (found["$ref"] for found in _objects(node) if "$ref" in found)


def test_writing_updates_changed_documents_and_removes_stale_ones(tmp_path: Path) -> None:
    assert len(documents.write(tmp_path)) == len(documents.render_all())
    assert documents.write(tmp_path) == []
    stale = tmp_path / "schemas" / "view.schema.json"
    stale.write_text("{}")
    (tmp_path / "asyncapi.json").write_text("{}")
    assert documents.write(tmp_path) == [tmp_path / "asyncapi.json", stale]
    assert not stale.exists()


@pytest.fixture
def topics_cli() -> typer.Typer:
    cli = typer.Typer()
    schemas.register(cli)
    cli.command("another")(lambda: None)
    return cli


def test_the_command_prints_one_document(topics_cli: typer.Typer) -> None:
    result = CliRunner().invoke(topics_cli, ["schema", "purchase"])
    assert result.exit_code == 0
    assert json.loads(result.output) == documents.json_schema(Purchase)


def test_the_command_lists_the_documents(topics_cli: typer.Typer) -> None:
    result = CliRunner().invoke(topics_cli, ["schema"])
    assert "click.schema.json" in result.output
    assert "asyncapi.json" in result.output


def test_the_command_lists_the_documents_if_the_name_is_unknown(topics_cli: typer.Typer) -> None:
    result = CliRunner().invoke(topics_cli, ["schema", "klick"])
    assert "There is no document 'klick'; there are click, search" in str(result.exception)

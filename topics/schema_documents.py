"""Documents generated from the structs: JSON Schema per event and record, AsyncAPI for all topics.

`render_all` renders the documents deterministically. ``headrace topics schema --write`` writes them to this folder
(``schemas/<event>.schema.json`` and ``asyncapi.json``), and a test compares them with the structs.

Descriptions come from the docstrings: the summary of a class becomes the description of its schema, the numpydoc
``Attributes`` become those of the properties. Two checks of the codec cannot be expressed in a schema and are
described in text: the length of an id in bytes of UTF-8, and event time relative to the broker's timestamp.
"""

import json
import math
import re
from collections.abc import Iterable
from enum import IntEnum
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from topics.catalog import SHOP_TOPICS, TopicSpec, catalog
from topics.events import EVENT_STRUCTS
from topics.records import (
    DeadLetter,
    ErasureReceipt,
    Interaction,
    ModelAnnouncement,
    PolicyAssignment,
    RecommendationList,
    Reward,
)

Json = dict[str, Any]
"""A JSON document; its keys are defined by the standard."""

FOLDER: Final = Path(__file__).parent
"""The folder of the written documents."""

CONTRACT_VERSION: Final = "0.2.0"
"""Version of the contract, for AsyncAPI; increased with each change that a shop could notice."""

RECORD_TYPES: Final[tuple[type[msgspec.Struct], ...]] = (
    Interaction,
    Reward,
    RecommendationList,
    PolicyAssignment,
    ModelAnnouncement,
    DeadLetter,
    ErasureReceipt,
)
"""The records that Headrace writes to Kafka."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_KAFKA_BINDING: Final = "0.5.0"
_MEDIA_TYPES: Final = {"json": "application/json", "msgpack": "application/msgpack"}


def document_name(struct: type[msgspec.Struct]) -> str:
    """The name of a struct's document.

    Examples
    --------
    >>> from topics.events import CatalogItem
    >>> document_name(CatalogItem)
    'catalog-item'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "-", struct.__name__).lower()


def json_schema(struct: type[msgspec.Struct]) -> Json:
    """The JSON Schema (draft 2020-12) of an event or record.

    Parameters
    ----------
    struct
        Its type. The schema of an array-like struct describes the elements of the array in order.

    Returns
    -------
    dict
        A self-contained schema document.

    Examples
    --------
    >>> from topics.events import Erasure
    >>> schema = json_schema(Erasure)
    >>> schema["$id"], schema["required"]
    ('urn:headrace:schema:erasure', ['ts', 'event_id', 'user_id'])
    """
    definitions = _definitions([struct], "#/$defs/{name}")
    root = definitions.pop(struct.__name__)
    document = {"$schema": _DIALECT, "$id": f"urn:headrace:schema:{document_name(struct)}", **root}
    return {**document, "$defs": definitions} if definitions else document


def asyncapi() -> Json:
    """The AsyncAPI 3.0 document: all topics with payload, writers and readers.

    Operations are Headrace's own, as the standard requires: Headrace receives the events that the shop sends.

    Examples
    --------
    >>> document = asyncapi()
    >>> document["operations"]["receiveClick"]["channel"]
    {'$ref': '#/channels/events.click'}
    """
    topics = catalog()
    structs = [spec.payload for spec in topics if spec.payload is not None]
    schemas = _definitions(structs, "#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "id": "urn:headrace",
        "info": {
            "title": "Headrace",
            "version": CONTRACT_VERSION,
            "description": (
                "The contract on Kafka. A shop sends the events of its users and its catalog; Headrace cleans "
                "the events, learns from them, and publishes recommendation lists. docs/events.md has "
                "examples and the rules that a schema cannot express."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {spec.name: _channel(spec) for spec in topics},
        "operations": _operations(topics),
        "components": {
            "messages": {_message_name(spec): _message(spec) for spec in topics},
            "schemas": {name: _as_draft_07(schema) for name, schema in sorted(schemas.items())},
        },
    }


def documents() -> dict[str, Json]:
    """All documents by name: one per struct, and ``asyncapi``.

    Examples
    --------
    >>> list(documents())[:2], list(documents())[-1]
    (['click', 'search'], 'asyncapi')
    """
    schemas = {document_name(struct): json_schema(struct) for struct in (*EVENT_STRUCTS, *RECORD_TYPES)}
    return {**schemas, "asyncapi": asyncapi()}


def render(document: Json) -> str:
    """A document as text: indented JSON with a newline at the end.

    Raises
    ------
    ValueError
        If the document has a number that JSON cannot represent.
    """
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def render_all() -> dict[str, str]:
    """The text of each document, by its path in `FOLDER`."""
    return {_path(name): render(document) for name, document in documents().items()}


def write(folder: Path = FOLDER) -> list[Path]:
    """Write all documents, and remove those of structs that no longer exist.

    Parameters
    ----------
    folder
        The parent folder of ``schemas/`` and ``asyncapi.json``.

    Returns
    -------
    list of Path
        The files that changed, were added or were removed.
    """
    texts = render_all()
    schemas = folder / "schemas"
    schemas.mkdir(parents=True, exist_ok=True)
    stale = [file for file in sorted(schemas.glob("*.schema.json")) if f"schemas/{file.name}" not in texts]
    for file in stale:
        file.unlink()
    changed = []
    for path, text in texts.items():
        file = folder / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            changed.append(file)
    return changed + stale


def _path(name: str) -> str:
    return "asyncapi.json" if name == "asyncapi" else f"schemas/{name}.schema.json"


# ------------------------------------------------------------------------------------------------ JSON Schema


def _definitions(structs: Iterable[type[msgspec.Struct]], ref_template: str) -> dict[str, Json]:
    """The schemas of structs and of all types that they refer to, by class name."""
    pending = list(structs)
    _, schemas = msgspec.json.schema_components(pending, ref_template=ref_template)
    classes = _types_by_name(pending)
    return {name: _with_descriptions(schema, classes[name]) for name, schema in schemas.items()}


def _types_by_name(structs: Iterable[type[msgspec.Struct]]) -> dict[str, type]:
    """The structs and enumerations that the structs refer to, by class name."""
    classes_by_name: dict[str, type] = {}
    pending = [inspect.type_info(struct) for struct in structs]
    while pending:
        type_ = pending.pop()
        if isinstance(type_, inspect.StructType | inspect.EnumType):
            if type_.cls.__name__ in classes_by_name:
                continue
            classes_by_name[type_.cls.__name__] = type_.cls
        pending.extend(_parts(type_))
    return classes_by_name


def _parts(type_: inspect.Type) -> tuple[inspect.Type, ...]:
    match type_:
        case inspect.StructType(fields=fields):
            return tuple(field.type for field in fields)
        case inspect.UnionType(types=types):
            return types
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return (item,)
        case inspect.Metadata(type=inner):
            return (inner,)
        case _:
            return ()


def _with_descriptions(schema: Json, class_: type) -> Json:
    """`schema` with descriptions from the docstrings, and without defaults that JSON cannot represent."""
    schema = _without_nan(schema)
    if "description" in schema:
        schema["description"] = _summary(schema["description"])
    if issubclass(class_, IntEnum):
        members = ", ".join(f"{member.value} {member.name.lower()}" for member in class_)
        schema["description"] = f"{schema['description']} {members}."
    if not issubclass(class_, msgspec.Struct):
        return schema
    items_by_field = dict(zip(class_.__struct_fields__, schema.get("prefixItems", ()), strict=False))
    for name, item_schema in items_by_field.items():
        item_schema["title"] = name
    descriptions = _field_descriptions(class_)
    for name, property_ in {**schema.get("properties", {}), **items_by_field}.items():
        if name in descriptions:
            type_description = property_.get("description", "")
            property_["description"] = f"{descriptions[name]} {type_description}".strip()
    return schema


def _without_nan(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_nan(value) for key, value in node.items() if not _is_nan(value)}
    if isinstance(node, list):
        return [_without_nan(value) for value in node]
    return node


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


_ATTRIBUTES: Final = re.compile(r"\n*^Attributes\n-+\n(?P<body>.*)", re.MULTILINE | re.DOTALL)


def _summary(docstring: str) -> str:
    """A docstring without its ``Attributes``, one line per paragraph."""
    text = _ATTRIBUTES.sub("", cleandoc(docstring))
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n")).strip()


def _field_descriptions(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The description of each field, from the docstrings of a struct and its bases."""
    descriptions: dict[str, str] = {}
    for class_ in reversed(struct.__mro__):
        section = _ATTRIBUTES.search(cleandoc(class_.__dict__.get("__doc__") or ""))
        if section is None:
            continue
        names: list[str] = []
        for line in section["body"].splitlines():
            if line and not line.startswith(" "):
                names = [name.strip() for name in line.split(",")]
                descriptions.update(dict.fromkeys(names, ""))
            elif line:
                for name in names:
                    descriptions[name] = f"{descriptions[name]} {line.strip()}".strip()
    return descriptions


# --------------------------------------------------------------------------------------------------- AsyncAPI


def _as_draft_07(node: Any) -> Any:
    """A schema in AsyncAPI's dialect, a superset of JSON Schema draft 07.

    The dialect has no ``prefixItems``, and ignores the siblings of a ``$ref``.
    """
    if isinstance(node, list):
        return [_as_draft_07(value) for value in node]
    if not isinstance(node, dict):
        return node
    converted = {"items" if key == "prefixItems" else key: _as_draft_07(value) for key, value in node.items()}
    if "$ref" in converted and len(converted) > 1:
        return {"allOf": [{"$ref": converted.pop("$ref")}], **converted}
    return converted


def _message_name(spec: TopicSpec) -> str:
    return "UserRow" if spec.payload is None else spec.payload.__name__


def _message(spec: TopicSpec) -> Json:
    message: Json = {
        "name": _message_name(spec),
        "title": _message_name(spec),
        "summary": spec.purpose,
        "contentType": _MEDIA_TYPES[spec.encoding],
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"{spec.key}, UTF-8"},
                "bindingVersion": _KAFKA_BINDING,
            }
        },
    }
    if spec.payload is None:
        message["description"] = "Private to Headrace: its layout may change with any version."
    else:
        message["payload"] = {"$ref": f"#/components/schemas/{spec.payload.__name__}"}
    return message


def _channel(spec: TopicSpec) -> Json:
    kafka: Json = {"topic": spec.name}
    if spec.partitions is not None:
        kafka["partitions"] = spec.partitions
    kafka["topicConfiguration"] = {
        name: value.split(",")
        if name == "cleanup.policy"
        else int(value)
        if re.fullmatch(r"-?\d+", value)
        else value
        for name, value in spec.topic_config.items()
    }
    kafka["bindingVersion"] = _KAFKA_BINDING
    name = _message_name(spec)
    return {
        "address": spec.name,
        "description": f"{spec.purpose} Key: {spec.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": kafka},
    }


def _operations(topics: Iterable[TopicSpec]) -> Json:
    """The shop's topics are received; Headrace's own topics are sent and received."""
    operations: Json = {}
    for spec in topics:
        name = _message_name(spec)
        if spec in SHOP_TOPICS:
            operations[f"receive{name}"] = _operation(spec, "receive", f"The shop sends. {spec.purpose}")
            continue
        operations[f"send{name}"] = _operation(spec, "send", f"Headrace sends. {spec.purpose}")
        operations[f"receive{name}"] = _operation(spec, "receive", "Headrace reads its own records.")
    return operations


def _operation(spec: TopicSpec, action: str, summary: str) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{spec.name}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{spec.name}/messages/{_message_name(spec)}"}],
    }

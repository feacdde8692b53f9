"""The rights and the secrets that docs/security.md lists are those of the code."""

import re

from stream_app.settings import Settings, variable_of
from stream_app.settings.base import is_confidential
from tests.support import ROOT
from topics.access import Program, Resource, rights_of

PAGE = (ROOT / "docs" / "security.md").read_text()


def test_the_table_of_rights_has_those_of_each_program() -> None:
    listed: dict[str, set[tuple[str, str, str]]] = {}
    for program, resource, names, operations in re.findall(
        r"^\| (\w+) \| (topic|group|transactional-id) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE
    ):
        listed.setdefault(program, set()).update(
            (resource, name.strip("`"), operation)
            for name in names.split(", ")
            for operation in operations.split(", ")
        )
    assert listed == {
        str(program): {
            (
                str(right.resource),
                right.name + "*" * right.is_prefix,
                right.operation.title().replace("_", ""),
            )
            for right in rights_of(program, "headrace")
        }
        for program in Program
    }


def test_no_program_may_alter_or_delete_anything() -> None:
    operations = {right.operation for program in Program for right in rights_of(program, "headrace")}
    assert operations == {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS", "CREATE"}
    assert {right.resource for program in Program for right in rights_of(program, "headrace")} == set(
        Resource
    )


def test_every_secret_is_in_the_table_of_secrets() -> None:
    listed = set(re.findall(r"^\| `(HEADRACE_\w+)` \| `\1_FILE` \|", PAGE, re.MULTILINE))
    assert listed == {
        variable_of(name) for name, field in Settings.model_fields.items() if is_confidential(field)
    }

"""A secret has no printed form."""

import copy
import json
import logging
import pickle
import traceback

import msgspec
import pytest

from topics.secret import Secret

TEXT = "geh\"eim'\\1"


class Holder(msgspec.Struct, frozen=True):
    password: Secret


def test_no_printed_form_contains_the_text() -> None:
    secret = Secret(TEXT)
    forms = [str(secret), repr(secret), f"{secret}", f"{secret!r:>40}", str([secret]), repr(Holder(secret))]
    assert [form for form in forms if "eim" in form] == []


def test_a_traceback_and_a_log_line_have_a_mask(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(TEXT)
    logging.getLogger("test").error("connecting with %s", secret)
    trace = "".join(traceback.format_exception(ValueError(secret)))
    assert "eim" not in trace + caplog.text
    assert "ValueError: ***" in trace
    assert "connecting with ***" in caplog.text


def test_it_is_not_serialized() -> None:
    secret = Secret(TEXT)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps({"password": secret})
    with pytest.raises(TypeError):
        msgspec.json.encode(Holder(secret))
    with pytest.raises(TypeError):
        copy.copy(secret)


def test_equal_texts_are_equal_secrets_and_a_text_is_none() -> None:
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("\u00e4") != Secret("a")

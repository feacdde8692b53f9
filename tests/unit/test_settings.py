"""Settings from variables, and errors that name the variable."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from state.attribution import AttributionRules
from stream_app.settings import (
    Settings,
    SettingsError,
    child_environment,
    embedded_override,
    load_settings,
    loading,
)
from tests.support import ROOT
from topics.secret import Secret

NON_DEFAULT: dict[str, Any] = {
    "app_id": "shop",
    "broker": "kafka-1:9092,kafka-2:9092",
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
    "kafka_sasl_username": "shop",
    "kafka_sasl_password": Secret("geheim"),
    "kafka_ssl_ca_location": "ca.pem",
    "kafka_ssl_certificate_location": "shop.crt",
    "kafka_ssl_key_location": "shop.key",
    "kafka_ssl_key_password": Secret("geheim"),
    "kafka_sasl_oauthbearer_token_provider": "os:getcwd",
    "kafka_sasl_oauthbearer_token_endpoint_url": "https://login.shop/token",
    "kafka_sasl_oauthbearer_client_id": "shop",
    "kafka_sasl_oauthbearer_client_secret": Secret("geheim"),
    "kafka_sasl_oauthbearer_scope": "kafka",
    "redis": "rediss://cache:6379,cache-2:6380/3",
    "redis_mode": "sentinel",
    "redis_master": "shop",
    "redis_username": "headrace",
    "redis_password": Secret("geheim"),
    "redis_sentinel_username": "watcher",
    "redis_sentinel_password": Secret("auch geheim"),
    "redis_ca": __file__,
    "redis_certificate": __file__,
    "redis_key": __file__,
    "data_dir": Path("/var/lib/headrace"),
    "partitions": 24,
    "replication": 3,
    "metrics_host": "0.0.0.0",  # noqa: S104  # only a value that is read
    "metrics_port": 0,
    "log_level": "DEBUG",
    "log_format": "json",
    "max_event_age": 0.0,
    "max_event_future": 5.5,
    "session_gap": 60.0,
    "event_retention_days": 3,
    "erasure_retention_days": 30,
    "erasure_sweep_interval": 3_600.0,
    "erasure_sweep_rate": 500,
    "models": ["popularity"],
    "model_parameters": {"popularity": {"half_life": 60.5, "segments": 3}},
    "fusion": "rrf",
    "switch_sources": False,
    "max_items": 10,
    "max_users": 11,
    "half_life": 12.5,
    "outlier_z": 0.0,
    "seed": -1,
    "list_length": 5,
    "diversity": 0.25,
    "max_per_category": 4,
    "max_per_brand": 3,
    "max_per_seller": 2,
    "exposure_floor": "new:2,brand:acme:1",
    "buy_again": 86_400.0,
    "memory_budget": 4_096,
    "policies": {"thompson": 0.5, "fixed": 0.5},
    "policy_parameters": {"thompson": {"exploration": 0.5}},
    "control_policy": "thompson",
    "guardrail_margin": 0.25,
    "drift_significance": 0.01,
    "neural": True,
    "drift_decay_rate": 4.0,
    "drift_decay_seconds": 3_600.0,
    "candidates_per_source": 6,
    "list_ttl": 60.0,
    "flush_users": 1,
    "flush_linger": 0.0,
    "degraded_ranking": False,
    "shared_list_interval": 0.5,
    "log_lists": False,
    "max_pending": 100,
    "reward_weights": {
        "click": 0.5,
        "share": 0.0,
        "wishlist": 1.0,
        "cart": 1.5,
        "purchase": 20.0,
        "like": 1.0,
        "dislike": -1.0,
        "hide": 0.0,
    },
    "reward_windows": {
        "click": 60.0,
        "share": 60.0,
        "wishlist": 60.0,
        "cart": 60.0,
        "purchase": 60.0,
        "like": 60.0,
        "dislike": 60.0,
        "hide": 60.0,
        "impression": 60.0,
    },
    "reward_require_list_id": True,
    "reward_price_exponent": 0.5,
    "reward_price_unit": 20.0,
    "retained_lists": 1000,
    "retained_lists_per_user": 3,
    "checkpoint_interval": 3.5,
    "trainer_snapshot_interval": 4.5,
    "text_dimensions": 256,
    "segment_slots": 64,
    "neural_options": {
        "encoder": "gru",
        "in_batch": True,
        "augmentations": ["crop"],
        "rows": 32,
        "dropout": 0.5,
    },
    "image_dimensions": 512,
    "snapshot_interval": 1.5,
    "max_snapshots": 1,
    "model_store": "s3://bucket/models",
    "producer_linger": 0.0,
    "republish_window": 0.0,
    "republish_rate": 50,
    "session_timeout": 30.0,
}

COMPANIONS: dict[str, dict[str, str]] = {
    "redis": {"redis_mode": "sentinel"},
    "redis_ca": {"redis": "rediss://cache"},
    "redis_certificate": {"redis": "rediss://cache"},
    "redis_key": {"redis": "rediss://cache", "redis_certificate": __file__},
}
"""Settings without which a setting is refused."""


def as_variable(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def test_every_setting_has_a_non_default_value_here() -> None:
    assert set(NON_DEFAULT) == set(Settings.model_fields)
    defaults = Settings()
    assert [name for name, value in NON_DEFAULT.items() if getattr(defaults, name) == value] == []


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_read_from_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Those of Kafka are checked together (tests/unit/settings/test_kafka_settings.py).
    monkeypatch.setattr(loading, "check_together", lambda _: None)
    for other, value in COMPANIONS.get(name, {}).items():
        monkeypatch.setenv(f"HEADRACE_{other.upper()}", value)
    monkeypatch.setenv(f"HEADRACE_{name.upper()}", as_variable(NON_DEFAULT[name]))
    assert getattr(load_settings(), name) == NON_DEFAULT[name]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description is not None
    assert description.endswith(".")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("app_id", "a b"),
        ("app_id", ""),
        ("app_id", "caf\u00e9"),
        ("app_id", "shop\n"),
        ("app_id", "x" * 201),
        ("broker", ""),
        ("broker", "foo"),
        ("broker", "foo:"),
        ("broker", ":9092"),
        ("broker", "foo:kafka"),
        ("broker", "foo:0"),
        ("broker", "foo:65536"),
        ("broker", "kafka://foo:9092"),
        ("broker", "a:1,,b:2"),
        ("partitions", "0"),
        ("replication", "-1"),
        ("metrics_port", "65536"),
        ("metrics_port", "http"),
        ("max_event_age", "-1"),
        ("max_event_future", "soon"),
        ("session_gap", "0"),
        ("session_gap", "nan"),
        ("models", "[]"),
        ("list_length", "many"),
        ("list_length", ""),
        ("diversity", "1.1"),
        ("diversity", "-0.1"),
        ("diversity", "nan"),
        ("max_per_category", "-1"),
        ("max_per_brand", "few"),
        ("exposure_floor", "fresh:2"),
        ("exposure_floor", "new"),
        ("exposure_floor", "new:12,brand:acme:9"),
        ("list_ttl", "0"),
        ("flush_linger", "-0.1"),
        ("log_lists", "perhaps"),
        ("reward_price_exponent", "-1"),
        ("reward_price_unit", "0"),
        ("retained_lists_per_user", "1"),
        ("seed", "1.5"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_variable_and_the_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"HEADRACE_{name.upper()}", value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    message = str(raised.value)
    assert message.startswith(f"HEADRACE_{name.upper()}: ")
    assert f"(got {value if name == 'models' else repr(value)})" in message
    assert "`headrace settings`" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("a:1, b:65535", "a:1,b:65535"),
        ("127.0.0.1:9092", None),
        ("[::1]:9092", None),
        ("kafka_1.shop:9092", None),
    ],
)
def test_brokers_are_comma_separated_host_and_port(value: str, read: str | None) -> None:
    assert load_settings(broker=value).broker == (read or value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(
            "models",
            "popularity",
        ),
        pytest.param(
            "log_level",
            "LOUD",
        ),
        pytest.param(
            "list_ttl",
            "inf",
        ),
        pytest.param(
            "list_ttl",
            "0.0001",
        ),
    ],
)
def test_a_value_that_would_fail_later_is_rejected_now(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"HEADRACE_{name.upper()}", value)
    with pytest.raises(SettingsError, match=f"HEADRACE_{name.upper()}"):
        load_settings()


def test_overrides_win_over_the_environment_and_none_defers_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADRACE_LIST_LENGTH", "7")
    assert load_settings(list_length=9, partitions=None).list_length == 9
    assert load_settings(list_length=None).list_length == 7


def test_settings_are_immutable() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 1  # type: ignore[misc]  # the assignment under test


def test_an_unknown_setting_is_rejected() -> None:
    with pytest.raises(SettingsError, match="LIST_LENGHT"):
        load_settings(list_lenght=5)


def test_the_limits_of_events_are_those_of_the_settings() -> None:
    limits = load_settings(max_event_age=7.0, max_event_future=3.0).limits
    assert (limits.max_age, limits.max_future) == (7.0, 3.0)


def test_omitted_reaction_kinds_keep_their_weight_and_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADRACE_REWARD_WEIGHTS", '{"purchase": 20}')
    monkeypatch.setenv("HEADRACE_REWARD_WINDOWS", '{"click": 60}')
    rules = load_settings().attribution_rules
    assert rules.weights == AttributionRules().weights | {"purchase": 20.0}
    assert rules.windows == AttributionRules().windows | {"click": 60.0}


@pytest.mark.parametrize(
    ("name", "value", "expected_message"),
    [
        ("reward_weights", '{"hide": 1}', "The weight of hide must be 0 or less"),
        ("reward_weights", '{"click": -1}', "The weight of click must be 0 or more"),
        ("reward_weights", '{"impression": 1}', "An impression is not a reaction"),
        ("reward_weights", '{"clik": 1}', "click"),
        ("reward_weights", "click:1", "JSON object"),
        ("reward_weights", '{"erasure": 0}', "An erasure is not a reaction"),
        ("reward_windows", '{"erasure": 60}', "An erasure is not a reaction"),
        ("reward_windows", '{"click": 0}', "greater than or equal"),
    ],
)
def test_invalid_reward_settings_are_rejected(
    name: str, value: str, expected_message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"HEADRACE_{name.upper()}", value)
    with pytest.raises(SettingsError, match=expected_message) as raised:
        load_settings()
    assert f"HEADRACE_{name.upper()}" in str(raised.value)


@pytest.mark.parametrize(
    ("policies", "control"),
    [({"thompson": 0.5, "linucb": 0.5}, None), ({"thompson": 0.9, "fixed": 0.1}, "popularity")],
    ids=["the default", "another"],
)
def test_a_control_policy_that_is_not_run_is_rejected_with_a_remedy(
    policies: dict[str, float], control: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_POLICIES", json.dumps(policies))
    if control is not None:
        monkeypatch.setenv("HEADRACE_CONTROL_POLICY", control)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    message, name = str(raised.value), control or "fixed"
    assert message.startswith(
        f"HEADRACE_CONTROL_POLICY: The guardrail compares policies with {name}, which is not in HEADRACE_POLICIES: "
        f"set it to one of {', '.join(sorted(policies))}, "
    )
    # Each remedy in the message works.
    monkeypatch.setenv("HEADRACE_CONTROL_POLICY", "thompson")
    assert load_settings().control_policy == "thompson"
    monkeypatch.setenv("HEADRACE_CONTROL_POLICY", name)
    assert load_settings(guardrail_margin=1.0).control_policy == name
    assert load_settings(policies={**policies, name: 0.1}).control_policy == name


@pytest.mark.parametrize("policies", [{"fixed": 1.0}, {"thompson": 0.9, "fixed": 0.1}])
@pytest.mark.parametrize("margin", [0.1, 1.0])
def test_an_unknown_control_policy_is_rejected(
    policies: dict[str, float], margin: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_CONTROL_POLICY", "fxied")
    with pytest.raises(SettingsError) as raised:
        load_settings(policies=policies, guardrail_margin=margin)
    assert str(raised.value).startswith(
        "HEADRACE_CONTROL_POLICY: There is no policy 'fxied'; there are fixed, popularity, thompson,"
    )


@pytest.mark.parametrize("policies", [{"fixed": 1.0}, {"thompson": 1.0}, {"thompson": 0.9, "fixed": 0.0}])
def test_the_default_control_policy_is_valid_alone_and_with_others(policies: dict[str, float]) -> None:
    assert load_settings(policies=policies).control_policy == "fixed"


def test_a_child_process_gets_settings_as_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELSE", "kept")
    environment = child_environment(metrics_port=0, broker="b:1")
    assert environment["HEADRACE_METRICS_PORT"] == "0"
    assert environment["HEADRACE_BROKER"] == "b:1"
    assert environment["ELSE"] == "kept"


def test_only_the_settings_read_the_environment() -> None:
    root = ROOT
    readers = set()
    for package in ("topics", "state", "stream_app", "deploy"):
        for path in (root / package).rglob("*.py"):
            tree = ast.parse(path.read_bytes())
            # a variable may be set for a library
            set_for_others = {
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
            }
            for node in ast.walk(tree):
                if node in set_for_others:
                    continue
                names = {getattr(node, "attr", None), getattr(node, "id", None)}
                if isinstance(node, ast.ImportFrom) and node.module == "os":
                    names = {alias.name for alias in node.names}
                if names & {"environ", "environb", "getenv", "getenvb"}:
                    readers.add(str(path.relative_to(root)))
    assert readers == {"stream_app/settings/folders.py", "stream_app/settings/loading.py"}


def test_a_real_server_replaces_an_embedded_one_only_when_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADRACE_BROKER", "kafka:9092")
    monkeypatch.setenv("HEADRACE_REDIS", "")
    assert embedded_override("BROKER") == "kafka:9092"
    assert embedded_override("REDIS") is None


def test_the_two_tower_model_is_added_once_to_the_models() -> None:
    assert Settings(models=["popularity"]).ranking_config.models.names == ["popularity"]
    assert Settings(models=["popularity"], neural=True).ranking_config.models.names == [
        "popularity",
        "two_tower",
    ]
    named = Settings(models=["two_tower", "popularity"], neural=True)
    assert named.ranking_config.models.names == ["two_tower", "popularity"]

"""Settings of secured connections: what fits together, and one sentence for what does not."""

import ssl
import sys
from pathlib import Path
from types import ModuleType

import pytest

from stream_app.settings import Settings, SettingsError, external_broker, load_settings
from tests.support.certificates import Authority
from topics.kafka_connection import KafkaConnection, SaslMechanism, SecurityProtocol, ssl_context
from topics.secret import Secret

PASSWORD = "geheim-7"  # noqa: S105  # looked for in messages


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def load(monkeypatch: pytest.MonkeyPatch, **settings: object) -> Settings:
    for name, value in settings.items():
        monkeypatch.setenv(f"HEADRACE_{name.upper()}", str(value))
    return load_settings()


def refused(monkeypatch: pytest.MonkeyPatch, **settings: object) -> str:
    with pytest.raises(SettingsError) as raised:
        load(monkeypatch, **settings)
    message = str(raised.value)
    assert PASSWORD not in message
    assert "\n" not in message
    assert message.endswith(".")
    return message


SCRAM = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
    "kafka_sasl_username": "shop",
    "kafka_sasl_password": PASSWORD,
}


def test_without_settings_a_connection_has_no_security() -> None:
    connection = load_settings(broker="a:1,b:2").kafka
    assert connection == KafkaConnection(servers="a:1,b:2")
    assert connection.addresses == ["a:1", "b:2"]


def test_a_connection_has_the_security_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    security = load(monkeypatch, kafka_ssl_ca_location=authority.path, **SCRAM).kafka.security
    assert security.protocol is SecurityProtocol.SASL_SSL
    assert security.mechanism is SaslMechanism.SCRAM_SHA_512
    assert (security.username, security.password) == ("shop", Secret(PASSWORD))
    assert security.ca_location == str(authority.path)


def test_a_password_is_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    settings: dict[str, object] = dict(SCRAM)
    del settings["kafka_sasl_password"]
    loaded = load(monkeypatch, kafka_sasl_password_file=tmp_path / "password", **settings)
    assert loaded.kafka.security.password == Secret(PASSWORD)


@pytest.mark.parametrize("password", ["", PASSWORD])
def test_mutual_tls_loads_the_certificate_and_its_key(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, password: str
) -> None:
    certificate, key = authority.issue(f"shop{password}", password=password)
    settings = load(
        monkeypatch,
        kafka_security_protocol="SSL",
        kafka_ssl_ca_location=authority.path,
        kafka_ssl_certificate_location=certificate,
        kafka_ssl_key_location=key,
        kafka_ssl_key_password=password,
    )
    context = ssl_context(settings.kafka.security)
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kafka_sasl_password": PASSWORD},
            (
                "HEADRACE_KAFKA_SASL_PASSWORD has no effect with HEADRACE_KAFKA_SECURITY_PROTOCOL=PLAINTEXT: set "
                "the protocol to SASL_SSL or SASL_PLAINTEXT, or unset the variable."
            ),
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_sasl_mechanism": "PLAIN"},
            (
                "HEADRACE_KAFKA_SASL_MECHANISM has no effect with HEADRACE_KAFKA_SECURITY_PROTOCOL=SSL: set the "
                "protocol to SASL_SSL or SASL_PLAINTEXT, or unset the variable."
            ),
        ),
        (
            {"kafka_ssl_ca_location": "ca.pem"},
            (
                "HEADRACE_KAFKA_SSL_CA_LOCATION has no effect with HEADRACE_KAFKA_SECURITY_PROTOCOL=PLAINTEXT: set "
                "the protocol to SSL or SASL_SSL, or unset the variable."
            ),
        ),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_password": PASSWORD},
            (
                "HEADRACE_KAFKA_SECURITY_PROTOCOL=SASL_SSL needs HEADRACE_KAFKA_SASL_MECHANISM: one of PLAIN, "
                "SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER."
            ),
        ),
        (
            SCRAM | {"kafka_sasl_username": ""},
            "HEADRACE_KAFKA_SASL_MECHANISM=SCRAM-SHA-512 needs HEADRACE_KAFKA_SASL_USERNAME.",
        ),
        (
            SCRAM | {"kafka_sasl_password": ""},
            (
                "HEADRACE_KAFKA_SASL_MECHANISM=SCRAM-SHA-512 needs HEADRACE_KAFKA_SASL_PASSWORD (or "
                "HEADRACE_KAFKA_SASL_PASSWORD_FILE)."
            ),
        ),
        (
            SCRAM | {"kafka_sasl_oauthbearer_client_id": "shop"},
            "HEADRACE_KAFKA_SASL_OAUTHBEARER_CLIENT_ID has no effect with SCRAM-SHA-512: it is for OAUTHBEARER.",
        ),
        (
            SCRAM | {"kafka_sasl_mechanism": "OAUTHBEARER"},
            "HEADRACE_KAFKA_SASL_USERNAME has no effect with OAUTHBEARER, which takes tokens: unset it.",
        ),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "OAUTHBEARER"},
            (
                "OAUTHBEARER needs either HEADRACE_KAFKA_SASL_OAUTHBEARER_TOKEN_PROVIDER or "
                "HEADRACE_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: neither is set."
            ),
        ),
        (
            {
                "kafka_security_protocol": "SASL_SSL",
                "kafka_sasl_mechanism": "OAUTHBEARER",
                "kafka_sasl_oauthbearer_token_endpoint_url": "https://login.shop/token",
            },
            (
                "HEADRACE_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL needs HEADRACE_KAFKA_SASL_OAUTHBEARER_CLIENT_ID "
                "and HEADRACE_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET."
            ),
        ),
        (
            {
                "kafka_security_protocol": "SASL_SSL",
                "kafka_sasl_mechanism": "OAUTHBEARER",
                "kafka_sasl_oauthbearer_token_endpoint_url": f"https://shop:{PASSWORD}@login.shop/token",
                "kafka_sasl_oauthbearer_client_id": "shop",
                "kafka_sasl_oauthbearer_client_secret": PASSWORD,
            },
            (
                "HEADRACE_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL must begin with https:// or http://, and have no "
                "user or password: these are the client id and the client secret."
            ),
        ),
        (
            SCRAM | {"kafka_ssl_ca_location": "/none/ca.pem"},
            "HEADRACE_KAFKA_SSL_CA_LOCATION: there is no file /none/ca.pem.",
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_ssl_key_password": PASSWORD},
            "HEADRACE_KAFKA_SSL_KEY_PASSWORD is set without HEADRACE_KAFKA_SSL_KEY_LOCATION.",
        ),
    ],
)
def test_a_contradiction_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], message: str
) -> None:
    assert refused(monkeypatch, **settings) == message


def test_an_unknown_protocol_or_mechanism_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "'SASL_PLAINTEXT' or 'SASL_SSL'" in refused(monkeypatch, kafka_security_protocol="TLS")
    monkeypatch.delenv("HEADRACE_KAFKA_SECURITY_PROTOCOL")
    assert "'SCRAM-SHA-256'" in refused(monkeypatch, kafka_sasl_mechanism="SCRAM")


def test_a_certificate_and_its_key_belong_together(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, tmp_path: Path
) -> None:
    (first, first_key), (_, other_key) = authority.issue("first"), authority.issue("other")
    _, encrypted = authority.issue("encrypted", password=PASSWORD)
    (tmp_path / "text").write_text("no certificate")
    location, key = "kafka_ssl_certificate_location", "kafka_ssl_key_location"
    common: dict[str, object] = {"kafka_security_protocol": "SSL"}

    def message(**settings: object) -> str:
        with monkeypatch.context() as context:
            return refused(context, **common, **settings)

    assert "file has no key" in message(**{location: first})
    assert "a key belongs to a certificate" in message(**{key: first_key})
    assert "the key does not belong to the certificate" in message(**{location: first, key: other_key})
    assert "its password is missing or wrong" in message(**{location: first, key: encrypted})
    wrong = message(**{location: first, key: encrypted, "kafka_ssl_key_password": f"{PASSWORD}x"})
    assert "its password is missing or wrong" in wrong
    assert "PEM format" in message(**{location: tmp_path / "text", key: first_key})
    assert "file of certificate authorities" in message(kafka_ssl_ca_location=tmp_path / "text")


OAUTH: dict[str, object] = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "OAUTHBEARER"}


def test_a_token_provider_is_a_function_of_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shop_tokens")
    module.__dict__.update(token=lambda: "abc", text="abc")
    monkeypatch.setitem(sys.modules, "shop_tokens", module)
    name = "kafka_sasl_oauthbearer_token_provider"
    provider = load(monkeypatch, **OAUTH, **{name: "shop_tokens:token"}).kafka.security.token_provider
    assert provider is not None
    assert provider() == "abc"
    assert "is no function" in refused(monkeypatch, **{name: "shop_tokens:text"})
    assert "cannot be imported (AttributeError" in refused(monkeypatch, **{name: "shop_tokens:none"})
    assert "cannot be imported (ModuleNotFoundError" in refused(monkeypatch, **{name: "no_such_module:token"})
    assert "no installed package registers 'shop'" in refused(monkeypatch, **{name: "shop"})


def test_an_embedded_broker_has_no_security(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, **SCRAM)
    with pytest.raises(SettingsError, match="without HEADRACE_BROKER: an embedded broker has no security"):
        external_broker()
    monkeypatch.setenv("HEADRACE_BROKER", "kafka:9093")
    connection = external_broker()
    assert connection is not None
    assert connection.security.username == "shop"

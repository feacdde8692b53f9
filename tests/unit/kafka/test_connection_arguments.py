"""Every client gets its connection from one module, and no printed form of one has a secret."""

import ast
import logging
import traceback
from pathlib import Path

import faust
import pytest

from stream_app.kafka.secured import Tokens, aiokafka_arguments
from stream_app.worker.faust_credentials import credentials_of
from tests.support import ROOT
from topics.client_arguments import client_arguments
from topics.connection_fault import find_refusal
from topics.kafka_connection import (
    CredentialsError,
    KafkaConnection,
    KafkaSecurity,
    SaslMechanism,
    SecurityProtocol,
    valid_token,
)
from topics.secret import Secret

PASSWORD = "geheim-7"  # noqa: S105  # looked for in outputs
MAKERS = {"topics/client_arguments.py"}
SCRAM = KafkaSecurity(
    protocol=SecurityProtocol.SASL_SSL,
    mechanism=SaslMechanism.SCRAM_SHA_256,
    username="shop",
    password=Secret(PASSWORD),
)


def sources() -> list[tuple[str, ast.AST]]:
    return [
        (str(path.relative_to(ROOT)), ast.parse(path.read_bytes()))
        for package in ("topics", "state", "stream_app")
        for path in (ROOT / package).rglob("*.py")
    ]


def test_one_module_makes_the_arguments_of_all_clients() -> None:
    literal = {
        name
        for name, tree in sources()
        for node in ast.walk(tree)
        if (isinstance(node, ast.keyword) and node.arg == "bootstrap_servers")
        or (isinstance(node, ast.Constant) and node.value == "bootstrap_servers")
    }
    assert literal == MAKERS


def test_no_command_connects_by_the_servers_alone() -> None:
    # `settings.kafka` has the security, too.
    users = {
        f"{name}:{node.lineno}"
        for name, tree in sources()
        if not name.startswith("stream_app/settings")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "broker"
        and "settings" in ast.unparse(node.value).rpartition(".")[2]
    }
    assert users == set()


def test_without_security_the_clients_get_the_servers_alone() -> None:
    for make in (client_arguments, aiokafka_arguments):
        assert make("a:1, b:2") == {"bootstrap_servers": ["a:1", "b:2"]}
        assert make(KafkaConnection(servers="a:1,b:2")) == {"bootstrap_servers": ["a:1", "b:2"]}
    assert credentials_of(KafkaSecurity()) is None


def test_user_and_password_reach_both_clients_and_faust() -> None:
    connection = KafkaConnection(servers="a:1", security=SCRAM)
    for make in (client_arguments, aiokafka_arguments):
        arguments = make(connection)
        assert arguments["ssl_context"].check_hostname
        assert {name: value for name, value in arguments.items() if name != "ssl_context"} == {
            "bootstrap_servers": ["a:1"],
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": "shop",
            "sasl_plain_password": PASSWORD,
        }
    credentials = credentials_of(SCRAM)
    assert isinstance(credentials, faust.SASLCredentials)
    assert (credentials.username, credentials.password) == ("shop", PASSWORD)
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-256")


async def test_tokens_reach_both_clients_and_faust() -> None:
    security = KafkaSecurity(
        protocol=SecurityProtocol.SASL_PLAINTEXT,
        mechanism=SaslMechanism.OAUTHBEARER,
        token_provider=lambda: "abc",
    )
    connection = KafkaConnection(servers="a:1", security=security)
    assert client_arguments(connection)["sasl_oauth_token_provider"].token() == "abc"
    tokens = aiokafka_arguments(connection)["sasl_oauth_token_provider"]
    assert isinstance(tokens, Tokens)
    assert await tokens.token() == "abc"
    assert await credentials_of(security).oauth_cb.token() == "abc"


@pytest.mark.parametrize("token", ["", " ", "a\nb", "\u00e4", b"abc", None])
def test_what_is_no_token_is_refused_without_quoting_it(token: object) -> None:
    with pytest.raises(CredentialsError, match="returned no token") as raised:
        valid_token(lambda: token)  # type: ignore[arg-type, return-value]  # a shop's function
    assert "abc" not in str(raised.value)


def test_no_output_about_a_connection_has_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def failing() -> str:
        raise RuntimeError(PASSWORD)

    connection = KafkaConnection(servers="127.0.0.1:1", security=SCRAM)
    outputs = [repr(connection), str(connection), f"{connection}", repr(SCRAM), repr(credentials_of(SCRAM))]
    try:
        valid_token(failing)
    except CredentialsError:
        outputs.append(traceback.format_exc())
    # Each client logs its configuration at debug.
    client_arguments(connection)
    for name in ("kafka.admin.client", "kafka.net.connection", "aiokafka.conn"):
        logging.getLogger(name).debug("configuration: %s", PASSWORD)
    assert find_refusal(connection) is None  # nothing listens
    outputs.append(caplog.text)
    assert [output for output in outputs if PASSWORD in output] == []


def test_an_error_about_a_file_does_not_quote_its_content(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_text(PASSWORD)
    with pytest.raises(CredentialsError) as raised:
        client_arguments(
            KafkaConnection(
                servers="a:1",
                security=KafkaSecurity(protocol=SecurityProtocol.SSL, ca_location=str(certificate)),
            )
        )
    assert PASSWORD not in "".join(traceback.format_exception(raised.value))

"""Tokens from a token endpoint."""

import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from stream_app.kafka.client_credentials import ClientCredentials
from topics.kafka_connection import CredentialsError
from topics.secret import Secret

SECRET = "geheim/7+x"  # noqa: S105  # looked for in messages


class Endpoint(HTTPServer):
    """Answers each request with the next token, or with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, list[str]]]] = []
        self.status = 200
        self.answer: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/token"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        kind, _, credentials = self.headers["Authorization"].partition(" ")
        assert kind == "Basic"
        self.server.requests.append((b64decode(credentials).decode(), parse_qs(body)))
        number = len(self.server.requests)
        answer = self.server.answer or {"access_token": f"token-{number}", "expires_in": 100}
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_token_is_asked_for_once_and_again_before_it_ends(endpoint: Endpoint) -> None:
    now = [1_000.0]
    provider = ClientCredentials(endpoint.url, "shop", Secret(SECRET), "kafka", clock=lambda: now[0])
    assert [provider.token(), provider.token()] == ["token-1", "token-1"]
    now[0] += 81.0
    assert provider.token() == "token-2"
    assert endpoint.requests[0] == (
        "shop:geheim%2F7%2Bx",
        {"grant_type": ["client_credentials"], "scope": ["kafka"]},
    )
    assert len(endpoint.requests) == 2


def test_an_endpoint_that_refuses_or_has_no_token_is_one_sentence(endpoint: Endpoint) -> None:
    provider = ClientCredentials(endpoint.url, "shop", Secret(SECRET))
    endpoint.status, endpoint.answer = 401, {"error": SECRET}
    with pytest.raises(CredentialsError) as raised:
        provider.token()
    assert "refuses the client 'shop' (HTTP 401). Check client id, client secret and scope." in str(
        raised.value
    )
    assert SECRET not in str(raised.value)
    endpoint.status, endpoint.answer = 200, {"no_token": SECRET}
    with pytest.raises(CredentialsError, match="returned no access_token"):
        provider.token()
    endpoint.status, endpoint.answer = 200, None
    assert provider.token() == "token-3"


def test_an_endpoint_that_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(CredentialsError, match=r"http://127\.0\.0\.1:1/token gives no token \(URLError\)"):
        ClientCredentials("http://127.0.0.1:1/token", "shop", Secret(SECRET)).token()

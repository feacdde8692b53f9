"""Faust's credentials for a connection to Kafka."""

from typing import Any

import faust

from stream_app.kafka.secured import Tokens
from topics.client_arguments import keep_secrets_out_of_logs
from topics.kafka_connection import KafkaSecurity, SecurityProtocol, ssl_context


def credentials_of(security: KafkaSecurity) -> Any:
    """The credentials of a Faust application; None without security.

    Raises
    ------
    CredentialsError
        If certificates or keys cannot be used.
    """
    if security.protocol is SecurityProtocol.PLAINTEXT:
        return None
    keep_secrets_out_of_logs()
    context = ssl_context(security)
    if not security.protocol.uses_sasl:
        return faust.SSLCredentials(context)
    if security.token_provider is not None:
        return faust.auth.OAuthCredentials(oauth_cb=Tokens(security.token_provider), ssl_context=context)
    return faust.SASLCredentials(
        username=security.username,
        password=security.password.reveal(),
        ssl_context=context,
        mechanism=str(security.mechanism),
    )

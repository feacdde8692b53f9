"""Tokens of OAUTHBEARER by OAuth 2.0's grant for client credentials."""

import base64
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, Final

from topics.kafka_connection import CredentialsError
from topics.secret import Secret

_TIMEOUT_SECONDS: Final = 10.0
_MAX_BYTES: Final = 1_000_000
_FRESH_SHARE: Final = 0.8
"""A token is replaced after this share of its life."""

_DEFAULT_LIFE_SECONDS: Final = 300.0


class ClientCredentials:
    """A token provider; it may be called in several threads.

    Parameters
    ----------
    url
        The token endpoint.
    client_id, client_secret
        Sent by HTTP's basic authentication.
    scope
        Empty for the default of the endpoint.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: Secret,
        scope: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url: Final = url
        self._client_id: Final = client_id
        self._client_secret: Final = client_secret
        self._scope: Final = scope
        self._clock: Final = clock
        self._lock: Final = threading.Lock()
        self._token = ""
        self._until = 0.0

    def token(self) -> str:
        """The current token; a new one after four fifths of its life.

        Raises
        ------
        CredentialsError
            If the endpoint returns none.
        """
        with self._lock:
            now = self._clock()
            if not self._token or now >= self._until:
                answer = self._request()
                token, life = answer.get("access_token"), answer.get("expires_in")
                if not isinstance(token, str) or not token:
                    raise CredentialsError(f"The token endpoint {self._url} returned no access_token.")
                seconds = float(life) if isinstance(life, int | float) else _DEFAULT_LIFE_SECONDS
                self._token, self._until = token, now + _FRESH_SHARE * seconds
            return self._token

    def _request(self) -> dict[str, Any]:
        fields = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        quoted = (
            urllib.parse.quote(text, safe="") for text in (self._client_id, self._client_secret.reveal())
        )
        request = urllib.request.Request(  # noqa: S310  # the settings accept http and https alone
            self._url,
            data=urllib.parse.urlencode(fields).encode(),
            headers={
                "Authorization": "Basic " + base64.b64encode(":".join(quoted).encode()).decode(),
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310  # nosec B310  # see above
                answer = json.loads(response.read(_MAX_BYTES))
        except urllib.error.HTTPError as error:
            error.close()
            raise CredentialsError(
                f"The token endpoint {self._url} refuses the client {self._client_id!r} (HTTP {error.code}). Check "
                "client id, client secret and scope."
            ) from None
        except (OSError, ValueError) as error:
            raise CredentialsError(
                f"The token endpoint {self._url} gives no token ({type(error).__name__}). Check its URL, and that "
                "this machine reaches it."
            ) from None
        return answer if isinstance(answer, dict) else {}

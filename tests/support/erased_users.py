"""What is left of erased users in Redis."""

from collections.abc import Collection

from stream_app.client.redis_contract import search_key, user_key
from tests.support.integration_environment import IntegrationEnvironment


def keys_of_erased(environment: IntegrationEnvironment, erased: Collection[str]) -> list[str]:
    """The keys of erased users that hold a list."""
    return [
        key
        for user_id in sorted(erased)
        for key in (user_key(user_id), search_key(user_id))
        if environment.read_list(key) is not None
    ]

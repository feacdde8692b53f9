"""Settings of the connections to Redis: where it is, how to log in, and with which certificates."""

from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from stream_app.redis_server import RedisServer, parse_redis
from stream_app.settings.base import FromFile, SecretText, SettingsGroup
from topics.secret import Secret

DEFAULT_URL: Final = "redis://localhost:6379/0"


class RedisSettings(SettingsGroup):
    """Redis, a Redis Cluster, or the master that Sentinels name."""

    redis_mode: Literal["standalone", "cluster", "sentinel"] = Field(
        "standalone",
        description="What HEADRACE_REDIS leads to: `standalone`, one Redis; `cluster`, nodes of a Redis Cluster; "
        "`sentinel`, Sentinels, which name the master.",
    )
    redis_master: str = Field(
        "mymaster", description="Name that the Sentinels have for the master.", min_length=1
    )
    redis_username: str = Field(
        "", description="User of Redis's ACL; empty for the user of the URL, or `default`."
    )
    redis_password: SecretText = Field(
        Secret(""), description="Password of that user; empty for the one of the URL, or for none."
    )
    redis_sentinel_username: str = Field("", description="User of the Sentinels' ACL; empty for `default`.")
    redis_sentinel_password: SecretText = Field(
        Secret(""), description="Password of the Sentinels; empty for none. It is not that of Redis."
    )
    redis_ca: str = Field(
        "",
        description="File of the certificates (PEM) of the authorities that may sign Redis's; empty for those of "
        "this machine.",
    )
    redis_certificate: str = Field(
        "", description="File of this client's certificate (PEM), if Redis asks for one (mutual TLS)."
    )
    redis_key: str = Field("", description="File of its private key (PEM).")
    # The last: its check looks at the others.
    redis: Annotated[str, FromFile()] = Field(
        DEFAULT_URL,
        repr=False,  # it may have a password
        description="URL of Redis, `redis://host:port/database`; `rediss://` for TLS. Of a cluster or of Sentinels "
        "several addresses, comma-separated: `redis://host:port,host:port`.",
    )

    @field_validator("redis", mode="after")
    @classmethod
    def _check_redis(cls, url: str, info: ValidationInfo) -> str:
        """Reject what is no URL of Redis, and what does not suit the other settings."""
        url = url or DEFAULT_URL
        try:
            _server(url, info.data)
        except ValueError as error:
            raise PydanticCustomError("redis", "{message}", {"message": str(error)}) from None
        return url

    @property
    def redis_server(self) -> RedisServer:
        """Where Redis is and how to log in."""
        return _server(self.redis, {name: getattr(self, name) for name in RedisSettings.model_fields})


def _server(url: str, values: dict[str, object]) -> RedisServer:
    return parse_redis(
        url,
        mode=values.get("redis_mode"),
        master=values.get("redis_master"),
        username=values.get("redis_username"),
        password=values.get("redis_password"),
        sentinel_username=values.get("redis_sentinel_username"),
        sentinel_password=values.get("redis_sentinel_password"),
        ca_file=values.get("redis_ca"),
        certificate_file=values.get("redis_certificate"),
        key_file=values.get("redis_key"),
    )

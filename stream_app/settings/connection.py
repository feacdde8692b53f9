"""Settings of addresses, topics and the worker process."""

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from stream_app.settings.base import AppId, LogFormat, LogLevel, PositiveInt, SettingsGroup

_HOST_PORT: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):(\d{1,5})", re.ASCII)


class ConnectionSettings(SettingsGroup):
    """Addresses, topics, and the worker process."""

    app_id: AppId = Field(
        "headrace",
        description="Consumer group, and prefix of the changelog topic: letters, digits, `.`, `_`, `-`.",
    )
    broker: str = Field("localhost:9092", description="Kafka bootstrap servers, comma-separated host:port.")
    data_dir: Path = Field(
        Path("build/worker"), description="Folder of the worker's table and snapshots; one per worker."
    )
    partitions: PositiveInt = Field(8, description="Partition count of topics that `topics create` creates.")
    replication: PositiveInt = Field(1, description="Replication factor of these topics.")
    metrics_host: str = Field("127.0.0.1", description="Address that /metrics is served on.")
    metrics_port: Annotated[int, Field(ge=0, lt=65_536)] = Field(
        9108, description="Port of /metrics; 0 selects a free one."
    )
    log_level: LogLevel = Field("WARNING", description="Level of the worker's log.")
    log_format: LogFormat = Field("text", description="Lines of the worker's log: `text` or `json`.")

    @field_validator("broker")
    @classmethod
    def _check_broker(cls, text: str) -> str:
        """Reject an invalid address; strip white space around the commas."""
        servers = [server.strip() for server in text.split(",")]
        for server in servers:
            match = _HOST_PORT.fullmatch(server)
            if match is None or not 0 < int(match[1]) < 65_536:
                raise PydanticCustomError("broker", "{server} is not host:port", {"server": repr(server)})
        return ",".join(servers)

"""The log of a worker or a trainer: lines of text, or of JSON for a collector of logs."""

import json
import logging
from typing import Final

from stream_app.settings.base import LogFormat
from topics.events import rfc3339

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, and ``exception`` with a traceback.

    Examples
    --------
    >>> record = logging.LogRecord("state.row", logging.WARNING, "", 0, "row of %s", ("ann",), None)
    >>> record.created = 0.25
    >>> print(JsonFormatter().format(record))
    {"time": "1970-01-01T00:00:00.250Z", "level": "warning", "logger": "state.row", "message": "row of ann"}
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line."""
        line = {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logging(level: str, log_format: LogFormat, *always_logged: str) -> None:
    """Log to standard error.

    Parameters
    ----------
    level
        Name of the level.
    log_format
        Lines of text, or JSON.
    *always_logged
        Names of loggers whose lines at info are logged at a level up to ``WARNING``, too: an operator waits for them.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    root = logging.getLogger()
    if root.isEnabledFor(logging.WARNING):
        for name in always_logged:
            logging.getLogger(name).setLevel(min(logging.INFO, root.level))

"""The metrics endpoint of a worker: fetch and parse ``/metrics``."""

import http.client
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_TIMEOUT: Final = 2.0


def fetch_metrics(port: int, *names: str, timeout: float = _TIMEOUT) -> str | None:
    """Fetch ``/metrics`` of a worker on this machine; None if it does not respond within `timeout` seconds.

    Parameters
    ----------
    *names
        Names of samples; by default all, which costs the worker some milliseconds.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        query = "&".join(f"name[]={name}" for name in names)
        connection.request("GET", f"/metrics?{query}" if names else "/metrics")
        response = connection.getresponse()
        body = response.read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if response.status == http.client.OK else None


def parse_samples(text: str) -> list[Sample]:
    """Parse the text that a worker serves at ``/metrics``."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

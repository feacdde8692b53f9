"""The metrics endpoint of a worker: fetch and parse ``/metrics``."""

import http.client
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_TIMEOUT: Final = 2.0


def fetch_metrics(port: int) -> str | None:
    """What a worker on this machine serves at ``/metrics``; None if it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        body = response.read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if response.status == http.client.OK else None


def parse_samples(text: str) -> list[Sample]:
    """The samples in what a worker serves at ``/metrics``."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

"""Samples that a worker's metrics expose, without HTTP."""

from prometheus_client import generate_latest
from prometheus_client.samples import Sample

from stream_app.metrics import Metrics
from stream_app.tools.environment.metrics_endpoint import parse_samples


def exposition(metrics: Metrics) -> list[Sample]:
    return parse_samples(generate_latest(metrics.registry).decode())

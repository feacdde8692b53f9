"""The servers of the fault tests are those of the integration tests."""

from tests.integration.conftest import servers

__all__ = ["servers"]

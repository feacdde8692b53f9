"""A publisher that keeps the documents in a dict: for tests and for evaluation."""

from collections.abc import Sequence

from stream_app.publishing.publisher import Document, PublisherUnavailableError


class MemoryPublisher:
    """Documents in `documents`; `available` can be set to False to act as an absent store.

    Examples
    --------
    >>> import asyncio
    >>> publisher = MemoryPublisher()
    >>> asyncio.run(publisher.publish([Document("k", b"v")]))
    >>> publisher.documents
    {'k': b'v'}
    """

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.flushes: list[int] = []
        self.available = True

    async def publish(self, documents: Sequence[Document]) -> None:
        """Keep all documents."""
        self._check()
        self.documents.update(documents)
        self.flushes.append(len(documents))

    async def delete(self, keys: Sequence[str]) -> None:
        """Drop keys."""
        self._check()
        for key in keys:
            self.documents.pop(key, None)

    async def close(self) -> None:
        """Nothing is held."""

    def _check(self) -> None:
        if not self.available:
            raise PublisherUnavailableError("the memory publisher is set to be away")

"""The contract of publishers, as functions over a store; `test_publishers` runs them over each adapter."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import pytest

from stream_app.publishing.publisher import Document, OwnedKey, Publisher, PublisherUnavailableError


class PublisherUnderTest(Protocol):
    """A publisher, with access to its store."""

    @property
    def publisher(self) -> Publisher:
        """The publisher under test."""

    async def read(self, key: str) -> bytes | None:
        """The value of a key."""

    async def keys(self) -> set[str]:
        """All keys."""

    async def become_unavailable(self) -> None:
        """Stop to acknowledge."""

    async def become_available(self) -> None:
        """Acknowledge again; earlier documents may be lost."""


HOSTILE_KEYS: Final = ("recs:user:{a%7Bb%7D%20c}", "recs:user:{}", "recs:item:{" + "x" * 768 + "}")
HOSTILE_VALUES: Final = (b"", b"\x00\r\n\xff", "é🛒".encode() * 1000)


async def check_documents_are_published_whole(store: PublisherUnderTest) -> None:
    large = bytes(range(256)) * 1024
    await store.publisher.publish([Document("a", b"1"), Document("b", large)])
    assert await store.read("a") == b"1"
    assert await store.read("b") == large
    assert await store.keys() == {"a", "b"}


async def check_any_contract_key_accepts_any_bytes(store: PublisherUnderTest) -> None:
    documents = [Document(key, value) for key in HOSTILE_KEYS for value in HOSTILE_VALUES]
    for document in documents:
        await store.publisher.publish([document])
        assert await store.read(document.key) == document.value


async def check_a_document_replaces_the_previous_one(store: PublisherUnderTest) -> None:
    await store.publisher.publish([Document("a", b"a longer one"), Document("b", b"stays")])
    await store.publisher.publish([Document("a", b"new")])
    assert await store.read("a") == b"new"
    assert await store.read("b") == b"stays"


async def check_the_last_document_of_a_key_wins(store: PublisherUnderTest) -> None:
    await store.publisher.publish([Document("a", b"first"), Document("a", b"second")])
    assert await store.read("a") == b"second"


async def check_publishing_is_idempotent(store: PublisherUnderTest) -> None:
    for _ in range(2):
        await store.publisher.publish([Document("a", b"1")])
    assert await store.keys() == {"a"}


async def check_empty_calls_are_no_ops(store: PublisherUnderTest) -> None:
    await store.publisher.publish([])
    await store.publisher.delete([])
    assert await store.keys() == set()


async def check_deleted_keys_are_gone_and_missing_ones_are_ignored(store: PublisherUnderTest) -> None:
    await store.publisher.publish([Document("a", b"1"), Document("b", b"2")])
    await store.publisher.delete([OwnedKey("a"), OwnedKey("never there")])
    await store.publisher.delete([OwnedKey("a")])
    assert await store.read("a") is None
    assert await store.keys() == {"b"}


async def check_unavailable_store_raises_and_publishing_resumes_after_recovery(
    store: PublisherUnderTest,
) -> None:
    await store.publisher.publish([Document("a", b"1")])
    await store.become_unavailable()
    for _ in range(2):
        with pytest.raises(PublisherUnavailableError):
            await store.publisher.publish([Document("a", b"2")])
        with pytest.raises(PublisherUnavailableError):
            await store.publisher.delete([OwnedKey("a")])
    await store.become_available()
    await store.publisher.publish([Document("a", b"3"), Document("b", b"4")])
    assert await store.read("a") == b"3"
    await store.publisher.delete([OwnedKey("a")])
    assert await store.keys() == {"b"}


CHECKS: Final[tuple[Callable[[PublisherUnderTest], Awaitable[None]], ...]] = (
    check_documents_are_published_whole,
    check_any_contract_key_accepts_any_bytes,
    check_a_document_replaces_the_previous_one,
    check_the_last_document_of_a_key_wins,
    check_publishing_is_idempotent,
    check_empty_calls_are_no_ops,
    check_deleted_keys_are_gone_and_missing_ones_are_ignored,
    check_unavailable_store_raises_and_publishing_resumes_after_recovery,
)

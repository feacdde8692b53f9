"""The Redis publisher as the owner of partitions: former owners change nothing, and lost counters heal."""

from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import msgspec
import pytest

from stream_app.publishing.publisher import Document, OwnedKey, PublisherUnavailableError
from stream_app.publishing.redis_publisher import RedisPublisher, token_key
from stream_app.redis_server import RedisServer
from stream_app.tools.embedded import EmbeddedRedis

PARTITION = 3
KEY, OTHER_KEY = "recs:user:{ann}", "recs:user:{bob}"


class FakeOwnership:
    """An ownership that the test gives and takes."""

    def __init__(self, partitions: Collection[int] = (PARTITION,)) -> None:
        self.generation = 1
        self.partitions = set(partitions)
        self.has_lease = True
        self.confirmed: list[list[int]] = []
        self.refused = 0
        self.on_confirm: Callable[[], None] = lambda: None

    def owns(self, partition: int) -> bool:
        return partition in self.partitions

    def holds_lease(self) -> bool:
        return self.has_lease

    async def confirm(self, partitions: Collection[int]) -> None:
        self.on_confirm()
        self.confirmed.append(list(partitions))

    def on_refused(self, n_documents: int) -> None:
        self.refused += n_documents

    def refuse_confirmations(self) -> None:
        """Behave as a former owner whose records Kafka refuses."""

        def refuse() -> None:
            raise PublisherUnavailableError("fenced")

        self.on_confirm = refuse


class Owner:
    """A worker's publisher."""

    def __init__(self, address: str | RedisServer, ownership: FakeOwnership) -> None:
        self.ownership = ownership
        self.publisher = RedisPublisher(address, ttl=60.0)
        self.publisher.ownership = ownership

    async def write(self, text: str, *keys: str, partition: int | None = PARTITION) -> None:
        documents = [
            Document(key, msgspec.json.encode({"key": key, "text": text}), partition)
            for key in keys or (KEY,)
        ]
        await self.publisher.publish(documents)

    async def write_until_accepted(self, text: str, *keys: str) -> int:
        """Write as the flush loop does; return the number of failed attempts."""
        for failures in range(3):
            try:
                await self.write(text, *keys)
            except PublisherUnavailableError:
                continue
            return failures
        raise AssertionError("refused three times")


@pytest.fixture
async def make_owner(redis_server: EmbeddedRedis, redis: Any) -> AsyncIterator[Callable[..., Owner]]:
    assert redis.ping()
    owners: list[Owner] = []

    def make(*partitions: int) -> Owner:
        owners.append(Owner(redis_server.address, FakeOwnership(partitions or (PARTITION,))))
        return owners[-1]

    yield make
    for owner in owners:
        await owner.publisher.close()


def text_at(redis: Any, key: str = KEY) -> str | None:
    value = redis.get(key)
    return None if value is None else msgspec.json.decode(value)["text"]


async def test_a_former_owner_is_refused(make_owner: Callable[..., Owner], redis: Any) -> None:
    former, owner = make_owner(), make_owner()
    await former.write("first")
    await owner.write("newer")
    former.ownership.refuse_confirmations()
    for _ in range(3):
        with pytest.raises(PublisherUnavailableError):
            await former.write("older")
        with pytest.raises(PublisherUnavailableError):
            await former.publisher.delete([OwnedKey(KEY, PARTITION)])
        with pytest.raises(PublisherUnavailableError):
            await former.publisher.erase([OwnedKey(KEY, PARTITION)])
    assert text_at(redis) == "newer"
    assert former.ownership.refused == 1
    await owner.write("newest")
    assert text_at(redis) == "newest"
    assert owner.ownership.refused == 0


async def test_a_document_is_whole_json_with_its_owner(make_owner: Callable[..., Owner], redis: Any) -> None:
    await make_owner().write("café 🛒")
    value = redis.get(KEY)
    assert value is not None
    assert msgspec.json.decode(value) == {"owner": "000000000001", "key": KEY, "text": "café 🛒"}
    assert 50_000 < redis.pttl(KEY) <= 60_000


async def test_no_token_of_a_later_ownership_is_drawn_for_older_documents(
    make_owner: Callable[..., Owner], redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partition goes to another worker and returns, while the counters of tokens are restored."""
    owner, other = make_owner(PARTITION, PARTITION + 1), make_owner()
    await owner.write("first", OTHER_KEY, partition=PARTITION + 1)
    restore = owner.publisher.restore_counters

    async def restore_slowly() -> None:
        await restore()
        await other.publisher.erase([OwnedKey(KEY, PARTITION)])
        owner.ownership.generation += 1

    monkeypatch.setattr(owner.publisher, "restore_counters", restore_slowly)
    owner.publisher.report_reconnect()
    with pytest.raises(PublisherUnavailableError):
        await owner.write("from before the erasure")
    value = redis.get(KEY)
    assert value is not None
    assert msgspec.json.decode(value)["items"] == []
    await owner.write("after the erasure")
    assert text_at(redis) == "after the erasure"


async def test_keys_of_an_erased_user_refuse_a_former_owner(
    make_owner: Callable[..., Owner], redis: Any
) -> None:
    former, owner = make_owner(), make_owner()
    await former.write("list of ann")
    await owner.publisher.erase([OwnedKey(KEY, PARTITION), OwnedKey(OTHER_KEY, PARTITION)])
    former.ownership.refuse_confirmations()
    for key in (KEY, OTHER_KEY):
        with pytest.raises(PublisherUnavailableError):
            await former.write("back again", key)
        value = redis.get(key)
        assert value is not None
        assert msgspec.json.decode(value)["items"] == []
        assert 600 < redis.ttl(key) <= 900
    # The user returns to the owner.
    await owner.write("after the erasure")
    assert text_at(redis) == "after the erasure"


async def test_a_deletion_removes_own_and_older_documents(
    make_owner: Callable[..., Owner], redis: Any
) -> None:
    former, owner = make_owner(), make_owner()
    await former.write("old", KEY)
    await owner.write("own", OTHER_KEY)
    await owner.publisher.delete(
        [OwnedKey(each, PARTITION) for each in (KEY, OTHER_KEY, "recs:user:{nobody}")]
    )
    assert redis.keys("recs:user:*") == []


async def test_partitions_that_are_not_owned_are_left_alone(
    make_owner: Callable[..., Owner], redis: Any
) -> None:
    owner, stranger = make_owner(), make_owner(PARTITION + 1)
    await owner.write("kept")
    await stranger.write("not mine")
    await stranger.publisher.erase([OwnedKey(KEY, PARTITION)])
    await stranger.publisher.delete([OwnedKey(KEY, PARTITION)])
    assert text_at(redis) == "kept"
    assert stranger.ownership.confirmed == []
    # Shared lists belong to nobody.
    await stranger.write("popular", "recs:popular", partition=None)
    assert text_at(redis, "recs:popular") == "popular"


async def test_an_emptied_redis_heals(make_owner: Callable[..., Owner], redis: Any) -> None:
    for _ in range(5):
        await make_owner().write("former")
    redis.flushall()
    owner = make_owner()
    assert await owner.write_until_accepted("after") == 0
    assert text_at(redis) == "after"


async def test_a_lost_counter_heals(make_owner: Callable[..., Owner], redis: Any) -> None:
    """The counter begins anew, and the documents have larger tokens than the next owner draws."""
    for _ in range(5):
        await make_owner().write("former", KEY, OTHER_KEY)
    redis.delete(token_key(PARTITION))
    owner = make_owner()
    assert await owner.write_until_accepted("after", KEY, OTHER_KEY) == 1
    assert (text_at(redis), text_at(redis, OTHER_KEY)) == ("after", "after")
    assert owner.ownership.refused == 2
    assert redis.get(token_key(PARTITION)) == "6"
    # The next owner has a larger token again.
    assert await make_owner().write_until_accepted("next") == 0


async def test_a_redis_without_the_script_heals(make_owner: Callable[..., Owner], redis: Any) -> None:
    owner = make_owner()
    await owner.write("before")
    redis.script_flush()
    redis.flushall()
    assert await owner.write_until_accepted("after") == 1
    assert text_at(redis) == "after"


async def test_an_expired_lease_writes_nothing(make_owner: Callable[..., Owner], redis: Any) -> None:
    owner = make_owner()
    await owner.write("before")
    owner.ownership.has_lease = False
    keys = [OwnedKey(KEY, PARTITION)]
    for write in (owner.write("after"), owner.publisher.erase(keys), owner.publisher.delete(keys)):
        with pytest.raises(PublisherUnavailableError, match="lease"):
            await write
    with pytest.raises(PublisherUnavailableError, match="lease"):
        await owner.write("shared", "recs:popular", partition=None)
    assert set(redis.keys()) == {token_key(PARTITION), KEY}
    assert text_at(redis) == "before"


async def test_tokens_are_drawn_once_per_assignment(make_owner: Callable[..., Owner], redis: Any) -> None:
    owner = make_owner(1, 2)
    for text in ("a", "b"):
        await owner.write(text, "recs:user:{u1}", partition=1)
        await owner.write(text, "recs:user:{u2}", partition=2)
    assert owner.ownership.confirmed == [[1], [2]]
    owner.ownership.generation += 1
    for text in ("c", "d"):
        await owner.write(text, "recs:user:{u1}", partition=1)
    assert owner.ownership.confirmed == [[1], [2], [1]]
    assert (redis.get(token_key(1)), redis.get(token_key(2))) == ("2", "1")


async def test_a_refused_confirmation_writes_nothing(make_owner: Callable[..., Owner], redis: Any) -> None:
    owner = make_owner()
    owner.ownership.refuse_confirmations()
    with pytest.raises(PublisherUnavailableError, match="fenced"):
        await owner.write("never")
    assert text_at(redis) is None


async def test_partitions_that_move_while_tokens_are_drawn_are_not_written(
    make_owner: Callable[..., Owner], redis: Any
) -> None:
    owner = make_owner()

    def move() -> None:
        owner.ownership.generation += 1

    owner.ownership.on_confirm = move
    with pytest.raises(PublisherUnavailableError, match="moved"):
        await owner.write("never")
    assert text_at(redis) is None


async def test_the_counters_are_raised_before_the_first_write_after_a_reconnection(
    make_owner: Callable[..., Owner], redis: Any
) -> None:
    """A replica that lagged has an older counter: the next owner would draw a token that was drawn before."""
    for _ in range(3):
        owner = make_owner()
        await owner.write("drawn")
    redis.set(token_key(PARTITION), 1)
    owner.publisher.report_reconnect()
    await owner.write("after")
    assert redis.get(token_key(PARTITION)) == "3"

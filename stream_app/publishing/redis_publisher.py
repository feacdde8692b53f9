"""The publisher for Redis: one pipeline per flush, fenced by partition.

A worker that lost a partition may write after the new owner: it was stopped between two steps, or its bytes waited in
a socket. Redis refuses such a write:

1. The owner of a partition draws a token from a counter in Redis, before its first write, and then has Kafka
   acknowledge a record as the owner (`Ownership.confirm`). Kafka refuses that record once a later owner has fenced
   the partition (`stream_app.kafka.partition_fence`), and the later owner draws its token after that. So a later
   owner has a larger token.
2. Each document begins with the token of its writer. A script refuses a document whose token is smaller than that of
   the stored one.
3. The keys of an erased user hold a document without items and with a token for `_ERASED_SECONDS`. Beyond that time a
   write of a former owner can only come from a process that was stopped between the check of its lease and the write.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha1
from typing import Any, Final, TypeVar

from stream_app.publishing.publisher import (
    Document,
    OwnedKey,
    Ownership,
    OwnershipUnconfirmedError,
    PublisherUnavailableError,
    StoreRestartedError,
)
from stream_app.publishing.redis_connection import open_pipelines, slot_of
from stream_app.redis_server import RedisServer

_TOKEN_DIGITS: Final = 12
_ERASED_SECONDS: Final = 900
"""Longer than a connection retransmits bytes that wait in its socket."""

_UNLESS_OLDER: Final = """
local refused, largest = 0, ''
for at, key in ipairs(KEYS) do
    local head = redis.call('GETRANGE', key, 0, 21)
    local owner = string.sub(head, 11, 22)
    if string.sub(head, 1, 10) == '{"owner":"' and owner > ARGV[1] then
        refused = refused + 1
        if owner > largest then largest = owner end
    else
        %s
    end
end
if refused > 0 then return {refused, largest} end
return false
"""
"""Writes the keys whose document has no larger token than that of the writer, the first argument.

One call has all keys of a partition, in a cluster those of one slot: a call for each document would cost Redis and
its client more than the document. Returns the number of refused keys and the largest token in them; nothing if none
was refused.
"""

_SET_IF_NOT_OLDER: Final = _UNLESS_OLDER % (
    """redis.call('SET', key, '{"owner":"' .. ARGV[1] .. '",' .. ARGV[at + 2], 'PX', ARGV[2])"""
)
_DELETE_IF_NOT_OLDER: Final = _UNLESS_OLDER % "redis.call('UNLINK', key)"

_SCRIPTS: Final = (_SET_IF_NOT_OLDER, _DELETE_IF_NOT_OLDER)
_SET_SCRIPT, _DELETE_SCRIPT = (sha1(each.encode(), usedforsecurity=False).hexdigest() for each in _SCRIPTS)

_OTHER_SLOT: Final = "same slot"
"""In the error of a node of a cluster for a call with keys of several slots."""

_RAISE: Final = """
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], ARGV[1])
end
"""
"""Raises a counter to at least a token."""

_KeyT = TypeVar("_KeyT", Document, OwnedKey)

_ERASED: Final = b'"items":[]}'
_ERASED_MS: Final = str(_ERASED_SECONDS * 1000).encode()


def _do_nothing() -> None: ...


def _unlink(owned: OwnedKey) -> tuple[Any, ...]:
    return "UNLINK", owned.key


def _verify_generation(ownership: Ownership, generation: int) -> None:
    if ownership.generation != generation:
        raise OwnershipUnconfirmedError("the partitions moved while their tokens were drawn")


def token_key(partition: int) -> str:
    """Key of the counter that the owners of a partition draw their tokens from."""
    return f"headrace:owner:{partition}"


class RedisPublisher:
    """Writes documents to Redis.

    Parameters
    ----------
    server
        Where Redis is; or its URL, ``redis://host:port/db``.
    ttl
        Time to live of a document, seconds.
    timeout
        Seconds without a reply after which Redis counts as unavailable.

    Attributes
    ----------
    ownership
        The partitions that this worker owns; None to write without fencing.
    on_reconnect
        Called when Redis is reached again: it may have lost the newest writes that it acknowledged.
    """

    def __init__(self, server: str | RedisServer, ttl: float, timeout: float = 2.0) -> None:
        self._connection = open_pipelines(server, timeout, self.report_reconnect)
        self._ttl_ms = str(int(ttl * 1000)).encode()
        self.ownership: Ownership | None = None
        self.on_reconnect: Callable[[], None] = _do_nothing
        self._has_scripts = False
        self._has_counters = True
        self._tokens: dict[int, bytes] = {}
        self._tokens_generation = 0
        self._is_cluster = self._connection.is_cluster

    def report_reconnect(self) -> None:
        """Have `on_reconnect` called: a connection to Redis was made that is not the first."""
        # The server may be a replica that lacks the last tokens.
        self._has_counters = not self._tokens
        self.on_reconnect()

    async def publish(self, documents: Sequence[Document]) -> None:
        """Write all documents in one pipeline."""
        ttl = self._ttl_ms
        await self._write(
            documents,
            lambda each: ("SET", each.key, each.value, b"PX", ttl),
            lambda each: each.value[1:],
            ttl,
        )

    async def erase(self, keys: Sequence[OwnedKey]) -> None:
        """Replace the documents of erased users by one without items that ends after `_ERASED_SECONDS`."""
        await self._write(keys, _unlink, lambda _: _ERASED, _ERASED_MS)

    async def delete(self, keys: Sequence[OwnedKey]) -> None:
        """Remove keys, except those that a later owner has written."""
        await self._write(keys, _unlink)

    async def _write(
        self,
        entries: Sequence[_KeyT],
        unfenced: Callable[[_KeyT], tuple[Any, ...]],
        content: Callable[[_KeyT], bytes] | None = None,
        ttl: bytes = b"",
    ) -> None:
        """Write those entries that this worker may write, in one pipeline.

        Parameters
        ----------
        unfenced
            The command for an entry without a partition, and for all without fencing.
        content
            The document of an entry without its opening bracket; None to delete the keys.
        ttl
            Milliseconds.
        """
        ownership = self.ownership
        if ownership is not None:
            entries = [each for each in entries if each.partition is None or ownership.owns(each.partition)]
        if not entries:
            return
        await self._draw_tokens(each.partition for each in entries)
        try:
            await self._send(entries, unfenced, content, ttl)
        except PublisherUnavailableError as error:
            if self._is_cluster or _OTHER_SLOT not in str(error.__cause__):
                raise
            self._is_cluster = True
            await self._send(entries, unfenced, content, ttl)

    async def _send(
        self,
        entries: Sequence[_KeyT],
        unfenced: Callable[[_KeyT], tuple[Any, ...]],
        content: Callable[[_KeyT], bytes] | None,
        ttl: bytes,
    ) -> None:
        ownership = self.ownership
        pipeline = self._connection.pipeline()
        fenced: dict[tuple[int, int], list[_KeyT]] = {}
        for each in entries:
            if ownership is None or each.partition is None:
                pipeline.execute_command(*unfenced(each))
            else:
                slot = slot_of(each.key) if self._is_cluster else 0
                fenced.setdefault((each.partition, slot), []).append(each)
        for (partition, _), owned in fenced.items():
            keys, token = [each.key for each in owned], self._tokens[partition]
            if content is None:
                pipeline.execute_command("EVALSHA", _DELETE_SCRIPT, len(keys), *keys, token)
            else:
                contents = map(content, owned)
                pipeline.execute_command("EVALSHA", _SET_SCRIPT, len(keys), *keys, token, ttl, *contents)
        replies = await self._execute(pipeline)
        partitions = [partition for partition, _ in fenced]
        await self._verify(list(zip(partitions, replies[len(replies) - len(fenced) :], strict=True)))

    async def _verify(self, replies: Sequence[tuple[int, Any]]) -> None:
        """Draw new tokens if documents were refused: by a later owner, or because Redis lost its counters.

        A former owner does not get past `Ownership.confirm` when it draws the next token.

        Parameters
        ----------
        replies
            Of each call its partition, the number of refused documents and the largest token in them; None if
            there are none.
        """
        ownership = self.ownership
        refused = [(partition, *reply) for partition, reply in replies if reply]
        if ownership is None or not refused:
            return
        ownership.on_refused(sum(int(n) for _, n, _ in refused))
        pipeline = self._connection.pipeline()
        for partition, _, token in refused:
            pipeline.eval(_RAISE, 1, token_key(partition), int(token))
            self._tokens.pop(partition, None)
        await self._execute(pipeline)
        moved = sorted({partition for partition, _, _ in refused})
        raise OwnershipUnconfirmedError(f"a later owner wrote lists of the partitions {moved}")

    async def _draw_tokens(self, partitions: Iterable[int | None]) -> None:
        """Draw a token for each partition that has none in this assignment, and confirm the ownership."""
        ownership = self.ownership
        if ownership is None:
            return
        generation = ownership.generation
        if generation != self._tokens_generation:
            self._tokens = {}
        missing = sorted({each for each in partitions if each is not None} - self._tokens.keys())
        if not self._has_counters:
            await self.restore_counters()
        if not missing and self._has_scripts:
            return
        # The documents are those of this generation: a token that is drawn later would let them replace newer ones.
        _verify_generation(ownership, generation)
        pipeline = self._connection.pipeline()
        for partition in missing:
            pipeline.incr(token_key(partition))
        for node in await self._connection.nodes():
            for script in _SCRIPTS:
                self._connection.add(pipeline, node, "SCRIPT LOAD", script)
        tokens = (await self._execute(pipeline))[: len(missing)]
        self._has_scripts = True
        await ownership.confirm(missing)
        _verify_generation(ownership, generation)
        self._tokens_generation = generation
        for partition, token in zip(missing, tokens, strict=True):
            self._tokens[partition] = f"{token:0{_TOKEN_DIGITS}d}".encode()

    async def _execute(self, pipeline: Any) -> list[Any]:
        if self.ownership is not None and not self.ownership.holds_lease():
            raise OwnershipUnconfirmedError(
                "the lease on the partitions expired: no answer from the consumer group"
            )
        try:
            return await self._connection.execute(pipeline)
        except StoreRestartedError:
            # Its counters are gone, too (`restore_counters`).
            self._has_scripts = False
            raise

    async def restore_counters(self) -> None:
        """Raise the counters of the drawn tokens to these tokens, after Redis lost its data.

        Otherwise the next owner would draw a smaller token than that of a former owner.
        """
        if not self._tokens:
            return
        self._has_counters = True
        pipeline = self._connection.pipeline()
        for partition, token in self._tokens.items():
            pipeline.eval(_RAISE, 1, token_key(partition), int(token))
        try:
            await self._execute(pipeline)
        except PublisherUnavailableError:
            self._has_counters = False
            raise

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

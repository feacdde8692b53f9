"""Items that users choose after a search."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats
from stream_app.models.base import NO_ITEM, Context, Items, Observation, Times
from stream_app.models.columns import grow, item_mask
from stream_app.models.decay import ForwardDecay
from stream_app.models.id_index import IdIndex, stable_hash
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import search as search_kernels
from stream_app.models.kernels.jit import plain
from stream_app.models.known_users import KnownUsers
from stream_app.models.links import Links
from stream_app.models.model_state import MIGRATIONS, VERSIONS, State
from stream_app.models.sparse_scoring import SparseScoringModel
from stream_app.models.terms import MAX_QUERY_WORDS, query_words
from topics.queries import MAX_QUERY_LENGTH, normalize_query
from topics.records import Reason, search_reason


class SearchModel(SparseScoringModel):
    """Items chosen after a query and after its words.

    Each query (its words, without case and punctuation) and each word has decayed weights of the items chosen after
    it; a purchase weighs more than a click. The score of an item is its share of the query's weight and its mean
    share of the words' weights, each word weighted by its inverse document frequency among the known queries. The
    weight n of the query's choices counts against `prior`, so that an unknown query is answered by its words.

    Users type names, addresses and numbers into a search field. So the model stores which users chose an item after
    each text (a query as its key in Redis holds it), each query and each word, at most `min_users` of them
    (`stream_app.models.known_users.KnownUsers`). A text is public, and may be shown to others, from `min_users` users
    on. An erasure drops the texts, queries and words that are not public and had the user.

    Parameters
    ----------
    half_life
        Seconds in which a choice loses half its weight.
    queries
        Queries stored; a full index evicts about 1%, the least recently used first.
    query_words
        Words stored, likewise.
    query_items
        Items stored per query; a new one replaces the one with the smallest weight.
    word_items
        Items stored per word, likewise.
    prior
        Weight of choices at which the query and its words count the same.
    min_users
        Users who must have chosen an item after a text before it is public.

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> model = SearchModel(index)
    >>> for query, name in [("red shoes", "sneaker"), ("Red Shoes", "sneaker"), ("red sock", "sock")]:
    ...     item = index.index(name, 0.0)
    ...     model.learn(Observation("ann", item, 0.0, Kind.VIEW, query=query))
    >>> def found(query):
    ...     context = Context("bob", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0, query=query)
    ...     best = model.candidates(context, 10)
    ...     return index.id_of(best.items[0]), model.explain(context, best.items[0], best.evidence[0])
    >>> found("red SHOES")
    ('sneaker', Reason(source='chosen_after_search', item_id=None, segment=None, query='red SHOES'))
    >>> found("warm sock")
    ('sock', Reason(source='chosen_after_search', item_id=None, segment=None, query='sock'))

    Only one user chose an item after each of the texts:

    >>> model.is_public("red shoes")
    False
    """

    name: ClassVar[str] = "search"
    additive: ClassVar[bool] = True

    def __init__(
        self,
        index: ItemIndex | None = None,
        *,
        half_life: float = 86_400.0,
        queries: int = 20_000,
        query_words: int = 20_000,
        query_items: int = 64,
        word_items: int = 128,
        prior: float = 5.0,
        min_users: int = 2,
    ) -> None:
        super().__init__(index, query_items + MAX_QUERY_WORDS * word_items)
        self.half_life = half_life
        self.queries = queries
        self.query_words = query_words
        self.query_items = query_items
        self.word_items = word_items
        self.prior = prior
        self.min_users = min_users
        self._words: NDArray[np.int32] = np.zeros(MAX_QUERY_WORDS, np.int32)
        self._idf: Times = np.zeros(MAX_QUERY_WORDS)
        self._reset()

    def _reset(self) -> None:
        self._decay = ForwardDecay(self.half_life, self._index.decay_clock)
        self._queries = IdIndex(self.queries, self._drop_queries)
        self._vocabulary = IdIndex(self.query_words, self._drop_words)
        self._query_links = Links(self.query_items)
        self._word_links = Links(self.word_items)
        # number of known queries with each word
        self._frequencies: NDArray[np.int32] = np.zeros(64, np.int32)
        self._texts = IdIndex(self.queries, self._drop_texts)
        self._text_users = KnownUsers(self.min_users)
        self._query_users = KnownUsers(self.min_users)
        self._word_users = KnownUsers(self.min_users)
        # texts that erasures dropped, until `pop_withdrawn_texts`
        self._withdrawn_texts: dict[str, None] = {}

    def learn(self, observation: Observation) -> None:
        """Count a choice for the query that led to it, and for its words."""
        weight, ts, item = observation.weight, observation.ts, observation.item
        words = query_words(observation.query) if observation.query and weight > 0 else ()
        if not words:
            return
        factor = self._decay.advance(ts)
        if factor != 1.0:
            self._query_links.scale(factor)
            self._word_links.scale(factor)
        weight *= self._decay.weight(ts)
        ties = self._index.hashes
        for word in words:
            self._vocabulary.index(word, ts)
        # a full vocabulary evicts the oldest words, which may be those of a late event
        rows = [row for row in map(self._vocabulary.find, words) if row != NO_ITEM]
        if self._vocabulary.size > len(self._word_links.rows.sizes):
            self._word_links.reserve(self._vocabulary.size)
            self._word_users.reserve(self._vocabulary.size)
            self._frequencies = grow(self._frequencies, self._vocabulary.size)
        query = self._query_row(words, rows, ts)
        self._query_links.add(query, item, weight, ties)
        for row in rows:
            self._word_links.add(row, item, weight, ties)
        self._add_user(observation, query, rows)

    def _add_user(self, observation: Observation, query: int, words: list[int]) -> None:
        """Remember that the user chose an item after a text, a query and its words; all by their rows."""
        user = stable_hash(observation.user)
        self._query_users.add(np.array([query]), user, self._queries.hashes)
        self._word_users.add(np.array(words, np.int64), user, self._vocabulary.hashes)
        text = normalize_query(observation.query)
        # a longer text has no list
        if len(text) <= MAX_QUERY_LENGTH:
            row = self._texts.index(text, observation.ts)
            self._text_users.reserve(row + 1)
            self._text_users.add(np.array([row]), user, self._texts.hashes)

    def learn_query(self, user: str, query: str, ts: float) -> None:
        """Update the time of last use of a known query and of its words."""
        words = query_words(query)
        for index, name in ((self._queries, " ".join(words)), *((self._vocabulary, word) for word in words)):
            if index.find(name) != NO_ITEM:
                index.index(name, ts)
        if self._texts.find(text := normalize_query(query)) != NO_ITEM:
            self._texts.index(text, ts)

    def is_public(self, text: str) -> bool:
        """Whether at least `min_users` users chose an item after a text, so that others may see it.

        Parameters
        ----------
        text
            A query, which is normalized; its punctuation and all of its words count.
        """
        return self._text_users.is_public(self._texts.find(normalize_query(text)))

    def pop_withdrawn_texts(self) -> list[str]:
        """Remove and return the texts that erasures dropped: lists for them must be deleted."""
        texts, self._withdrawn_texts = list(self._withdrawn_texts), {}
        return texts

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Name the query, or the word with the largest part of the score if the item was never chosen after it.

        Both are the user's own words; in a list without a user, a word that is not public is not named.
        """
        words = query_words(context.query)
        word = -2 - evidence
        matched_query = words[word] if 0 <= word < len(words) else context.query
        if not context.user and not self._word_users.is_public(self._vocabulary.find(matched_query)):
            matched_query = context.query
        return search_reason("chosen_after_search", matched_query)

    def forget_user(self, user: str) -> None:
        """Drop the texts, queries and words that are not public and had the user, with their items."""
        super().forget_user(user)
        user_hash = stable_hash(user)
        self._forget_rows(
            self._text_users.forget(user_hash, self._texts.hashes),
            self._query_users.forget(user_hash, self._queries.hashes),
            self._word_users.forget(user_hash, self._vocabulary.hashes),
        )

    def forget_private_texts(self) -> None:
        """Drop all texts, queries and words that are not public, with their items."""
        self._forget_rows(
            self._text_users.private_rows(self._texts.used),
            self._query_users.private_rows(self._queries.used),
            self._word_users.private_rows(self._vocabulary.used),
        )

    def _forget_rows(
        self, texts: NDArray[np.int64], queries: NDArray[np.int64], words: NDArray[np.int64]
    ) -> None:
        self._withdrawn_texts |= dict.fromkeys(self._texts.ids_of(texts.tolist()))
        while len(self._withdrawn_texts) > self.queries:
            del self._withdrawn_texts[next(iter(self._withdrawn_texts))]
        self._texts.forget_numbers(texts)
        self._queries.forget_numbers(queries)
        self._vocabulary.forget_numbers(words)
        # it holds the last queries of all users
        query_words.cache_clear()

    def forget_items(self, items: Items) -> None:
        """Remove the items from every query and word."""
        removed_mask = item_mask(items, self._index.size)
        self._query_links.forget_items(removed_mask)
        self._word_links.forget_items(removed_mask)

    def statistics(self, ts: float) -> list[tuple[str, Items, Items, Floats]]:
        """Choices by query decayed to `ts`: a label, two equal columns of items, and the values, per query."""
        if math.isnan(self._decay.landmark):
            return []
        factor, (rows, items, weights) = self._decay.at(ts), self._query_links.pairs()
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        return [
            (f"search/{self._queries.id_of(int(rows[start]))}", chosen, chosen, of_query * factor)
            for start, chosen, of_query in zip(
                starts, np.split(items, starts)[1:], np.split(weights, starts)[1:], strict=True
            )
        ]

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        indices = (self._queries, self._vocabulary, self._texts)
        users = (self._query_users, self._word_users, self._text_users)
        links = (self._query_links, self._word_links)
        return super().memory() + sum(each.memory() for each in (*indices, *users, *links))

    def _query_row(self, words: tuple[str, ...], rows: list[int], ts: float) -> int:
        """Row of a query, added if needed."""
        name = " ".join(words)
        row = self._queries.find(name)
        if row != NO_ITEM:
            return self._queries.index(name, ts)
        row = self._queries.index(name, ts)
        self._query_links.reserve(row + 1)
        self._query_users.reserve(row + 1)
        self._frequencies[rows] += 1
        return row

    def _drop_texts(self, rows: Items) -> None:
        self._text_users.drop(rows)

    def _drop_queries(self, rows: Items) -> None:
        self._query_links.drop(rows)
        self._query_users.drop(rows)
        for row in rows.tolist():
            for word in self._queries.id_of(row).split(" "):
                known = self._vocabulary.find(word)
                if known != NO_ITEM:
                    self._frequencies[known] = max(0, self._frequencies[known] - 1)

    def _drop_words(self, rows: Items) -> None:
        self._word_links.drop(rows)
        self._word_users.drop(rows)
        self._frequencies[rows] = 0

    def _accumulate_scores(self, context: Context) -> int:
        words = query_words(context.query) if context.query else ()
        if not words or math.isnan(self._decay.landmark):
            return 0
        n_queries = len(self._queries)
        n = 0
        for word in words:
            row = self._vocabulary.find(word)
            self._words[n] = row
            known = int(self._frequencies[row]) if row != NO_ITEM else 0
            self._idf[n] = 1.0 + math.log((1 + n_queries) / (1 + known))
            n += 1
        n_touched: int = search_kernels.accumulate_choices(
            self._queries.find(" ".join(words)),
            # the time of a context may be long before the events learned
            self._decay.at_most_one(context.now),
            self.prior,
            plain(self._query_links.rows),
            self._words[:n],
            self._idf[:n],
            plain(self._word_links.rows),
            plain(self._scratch),
        )
        return n_touched

    def _get_state(self) -> State:
        return {
            "landmark": self._decay.landmark,
            "queries": self._queries.state(),
            "words": self._vocabulary.state(),
            "frequencies": self._frequencies.copy(),
            "query_links": self._query_links.state(),
            "word_links": self._word_links.state(),
            "texts": self._texts.state(),
            "text_users": self._text_users.state(self._texts.size),
            "query_users": self._query_users.state(self._queries.size),
            "word_users": self._word_users.state(self._vocabulary.size),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._decay.landmark = float(state["landmark"])
        self._queries.restore(state["queries"])
        self._vocabulary.restore(state["words"])
        self._frequencies = state["frequencies"].copy()
        self._query_links.restore(state["query_links"])
        self._word_links.restore(state["word_links"])
        if state["texts"] is not None:
            self._texts.restore(state["texts"])
        self._text_users.restore(state["text_users"], self._texts.used)
        self._query_users.restore(state["query_users"], self._queries.used)
        self._word_users.restore(state["word_users"], self._vocabulary.used)


def _without_users(state: State) -> State:
    """Migrate a state from before users were stored; whether a text was public then is not known."""
    parameters = {**state["parameters"], "min_users": SearchModel.hyper_parameters()["min_users"]}
    return {**state, "parameters": parameters} | dict.fromkeys(
        ("texts", "text_users", "query_users", "word_users")
    )


VERSIONS[SearchModel.name] = 3
MIGRATIONS[SearchModel.name, 2] = _without_users

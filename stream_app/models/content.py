"""Items with similar catalog entries."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Mask, Rows
from stream_app.models.base import EMPTY_CANDIDATES, Candidates, Context, Items, Model, Observation, Scores
from stream_app.models.columns import MIN_ROWS, grow, pack_rows, unpack_rows
from stream_app.models.item_index import MAX_CATEGORIES, ItemIndex
from stream_app.models.kernels import content as kernels
from stream_app.models.kernels.content import Documents, Query
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.topk import top_k
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes
from stream_app.models.terms import MAX_QUERY_WORDS, query_words, words
from topics.events import CatalogItem
from topics.records import Reason

MAX_TEXT_WORDS: Final = 512
"""Words used of the texts of an item."""

BANDS_PER_DOUBLING: Final = 2
"""Price bands per doubling of the price."""


def price_band(price: float) -> int:
    """Number of the price band: band 0 starts at 1, each next one at 1.41 times the price; -1 below 1.

    Examples
    --------
    >>> [price_band(price) for price in (0.0, 0.9, 1.0, 1.3, 1.5, 2.1, 100.0)]
    [-1, -1, 0, 0, 1, 2, 13]
    """
    return math.floor(BANDS_PER_DOUBLING * math.log2(price)) if price >= 1.0 else -1


class Content(Model):
    """TF-IDF of titles, descriptions and attributes, with an inverted index; covers items without interactions.

    The words of an item's title, brand, tags and description, and its categories, brand and price band as whole
    terms, form one sparse vector: the count of a term times its inverse document frequency ``1 + log((1 + items) /
    (1 + df))``, as in scikit-learn and in River's `TFIDF`. The query is the sum of the unit vectors of the
    context's newest distinct items, each decayed, and of the search words. Items score their cosine with the query.
    Candidates are the newest items of the query's terms with the largest weights. Items of the context are not
    proposed.

    Only counts are stored; document frequencies are those at the time of the query. Nothing is learned from
    interactions.

    Terms are hashed to a fixed number of slots (the hashing trick) and not assigned by a bounded vocabulary: memory
    is fixed, no term is evicted while items use it, and replicas agree in any order of the catalog. With 100,000
    terms in 2**18 slots about a third share a slot; two items would have to share several such pairs to seem
    similar.

    Parameters
    ----------
    slots
        Number of slots, a power of 2.
    terms
        Terms stored per item: those with the largest TF-IDF at the time of the entry, in a tie the earlier in the
        text. Document frequencies count stored terms only.
    postings
        Newest items stored per term.
    query_terms_used
        Terms of the query whose items are candidates.
    attribute_weight
        Count of a category, brand or price band, relative to a word of the text.
    depth
        Distinct context items used.
    context_decay
        Factor from a context item to the next older one.

    References
    ----------
    Salton, Buckley: Term-weighting approaches in automatic text retrieval, IPM 24 (5), 1988.
    Weinberger, Dasgupta, Langford, Smola, Attenberg: Feature hashing for large scale multitask learning, ICML 2009.

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES
    >>> index = ItemIndex(100)
    >>> model = Content(index)
    >>> for name, title in [("a", "red tent"), ("b", "light red tent"), ("c", "blue sock")]:
    ...     model.learn_catalog(index.index(name, 0.0), CatalogItem(ts=0, item_id=name, title=title))
    >>> context = Context("ann", np.array([index.find("a")], np.int32), np.zeros(1), 0, (), 0.0)
    >>> found = model.candidates(context, 10)
    >>> [index.id_of(item) for item in found.items], round(float(found.scores[0]), 2)
    (['b'], 0.73)
    >>> model.explain(context, found.items[0], found.evidence[0])
    Reason(source='similar_content', item_id='a', segment=None, query=None)

    A search finds items without clicks:

    >>> search = Context("ann", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0, query="a SOCK, or two")
    >>> [index.id_of(item) for item in model.candidates(search, 10).items]
    ['c']
    """

    name: ClassVar[str] = "content"
    additive: ClassVar[bool] = False

    def __init__(
        self,
        index: ItemIndex | None = None,
        *,
        slots: int = 1 << 18,
        terms: int = 32,
        postings: int = 32,
        query_terms_used: int = 8,
        attribute_weight: float = 2.0,
        depth: int = 8,
        context_decay: float = 0.8,
    ) -> None:
        if slots < 1 or slots & (slots - 1):
            raise ValueError(f"slots must be a power of 2, not {slots}")
        self._index = self._shared_or_own(index)
        self.slots = slots
        self.terms = terms
        self.postings = postings
        self.query_terms_used = query_terms_used
        self.attribute_weight = attribute_weight
        self.depth = depth
        self.context_decay = context_decay
        self._reset()
        max_terms = depth * terms + MAX_QUERY_WORDS
        self._query = Query(
            np.zeros(slots, np.int32),
            np.zeros(max_terms, np.int32),
            np.zeros(max_terms),
            np.zeros((max_terms, depth + 1)),
            np.zeros(depth, np.int32),
        )
        self._query_terms: Rows = np.zeros(MAX_QUERY_WORDS, np.int32)
        self._seen: Mask = np.zeros(MIN_ROWS, np.bool_)
        self._touched_items: Items = np.zeros(query_terms_used * postings, np.int32)
        self._pool: Scores = np.zeros(query_terms_used * postings, np.float32)

    def _reset(self) -> None:
        self._documents = Documents(
            np.zeros((MIN_ROWS, self.terms), np.int32),
            np.zeros((MIN_ROWS, self.terms), np.float32),
            np.zeros(MIN_ROWS, np.int32),
            np.zeros(self.slots, np.float32),
        )
        self._n_documents = 0
        self._frequencies: NDArray[np.int32] = np.zeros(self.slots, np.int32)
        # zeroed by the operating system page by page, so unused slots cost nothing
        self._posting_rings: Items = np.zeros((self.slots, self.postings), np.int32)
        self._posting_counts: NDArray[np.int32] = np.zeros(self.slots, np.int32)

    def slot(self, term: str) -> int:
        """Slot of a term."""
        return crc32(term.encode()) & (self.slots - 1)

    def vector(self, item: int) -> dict[int, float]:
        """TF-IDF of an item by slot, of length 1; empty for an item without a description.

        Examples
        --------
        >>> index = ItemIndex(10)
        >>> model = Content(index)
        >>> model.learn_catalog(index.index("a", 0.0), CatalogItem(ts=0, item_id="a", title="tent, red tent"))
        >>> vector = model.vector(index.find("a"))
        >>> round(vector[model.slot("tent")], 3), round(vector[model.slot("red")], 3)
        (0.894, 0.447)
        """
        documents = self._documents
        if not 0 <= item < len(documents.sizes):
            return {}
        size = documents.sizes[item]
        slots, counts = documents.slots[item, :size], documents.counts[item, :size]
        values = counts * (self._log_documents() - documents.log_frequencies[slots])
        return dict(zip(slots.tolist(), (values / np.linalg.norm(values)).tolist(), strict=True))

    def learn(self, observation: Observation) -> None:
        """Do nothing: the model learns from the catalog only."""

    def learn_catalog(self, item: int, entry: CatalogItem) -> None:
        """Learn the catalog entry of an item, which replaces an earlier one."""
        # attributes first: of terms of equal TF-IDF the earlier ones are kept
        term_counts = Counter(
            {self.slot(attribute_weight): self.attribute_weight for attribute_weight in _attributes(entry)}
        )
        term_counts.update(Counter(map(self.slot, words(_text(entry), MAX_TEXT_WORDS))))
        self._reserve(item + 1)
        self._remove_document(item)
        slots, values = np.array([*term_counts], np.int32), np.array([*term_counts.values()], np.float32)
        if len(slots) > self.terms:
            strength = values * (self._log_documents() - self._documents.log_frequencies[slots])
            kept = np.sort(np.argsort(-strength, kind="stable")[: self.terms])
            slots, values = slots[kept], values[kept]
        size = len(slots)
        if size == 0:
            return
        self._documents.slots[item, :size] = slots
        self._documents.counts[item, :size] = values
        self._documents.sizes[item] = size
        self._n_documents += 1
        self._change_frequencies(slots, 1)
        # an item that is already in a ring keeps its position
        filled = np.arange(self.postings) < self._posting_counts[slots, None]
        new = slots[~((self._posting_rings[slots] == item) & filled).any(axis=1)]
        self._posting_rings[new, self._posting_counts[new] % self.postings] = item
        self._posting_counts[new] += 1

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items with the largest cosine with the context's items and the search words."""
        if not self._n_documents:
            return EMPTY_CANDIDATES
        log_documents = self._log_documents()
        n, used, length = self._build_query(context, log_documents)
        if n == 0:
            return EMPTY_CANDIDATES
        if len(self._seen) < self._index.size:
            self._seen = grow(self._seen, self._index.size)
        documents, query = plain(self._documents), plain(self._query)
        n_touched = kernels.collect_candidates(
            n,
            self.query_terms_used,
            query,
            self._posting_rings,
            self._posting_counts,
            self._seen,
            self._touched_items,
        )
        touched_items = self._touched_items[:n_touched]
        kernels.cosines(touched_items, used, length, log_documents, documents, query, self._pool)
        items, scores, evidence = np.empty(k, np.int32), np.empty(k, np.float32), np.empty(k, np.int32)
        found = top_k(touched_items, self._pool, n_touched, self._index.hashes, k, items, scores)
        items = items[:found]
        kernels.find_evidence(items, used, log_documents, documents, query, evidence)
        kernels.clear_query(n, self._query.terms, self._query.slot_rows)
        return Candidates(items, scores[:found], evidence[:found])

    def score(self, context: Context, items: Items) -> Scores:
        """Cosine of each item with the context's items and the search words."""
        out = np.zeros(len(items), np.float32)
        log_documents = self._log_documents()
        n, used, length = self._build_query(context, log_documents)
        if n:
            kernels.cosines(
                items, used, length, log_documents, plain(self._documents), plain(self._query), out
            )
            kernels.clear_query(n, self._query.terms, self._query.slot_rows)
        return out

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Name the context item that contributes most, or the search."""
        if evidence < 0:
            return Reason("matches_search", query=context.query)
        return Reason("similar_content", item_id=self._index.id_of(evidence))

    def forget_items(self, items: Items) -> None:
        """Drop the items' descriptions and postings."""
        # entries in the rings stay: an item without the term has a cosine of 0, and if the index goes to an item with
        # the term, the entry is valid again
        for item in items[items < len(self._documents.sizes)].tolist():
            self._remove_document(item)

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + resident_bytes((*self._documents, *self._query))

    def _log_documents(self) -> float:
        """``1 + log(1 + items)``; minus the log frequency of a slot it is the inverse document frequency."""
        return 1.0 + math.log1p(self._n_documents)

    def _remove_document(self, item: int) -> None:
        documents = self._documents
        size = documents.sizes[item]
        if size:
            self._n_documents -= 1
            self._change_frequencies(documents.slots[item, :size], -1)
            documents.sizes[item] = 0

    def _change_frequencies(self, slots: NDArray[np.int32], by: int) -> None:
        """Change the document frequency of distinct slots."""
        self._frequencies[slots] += by
        self._documents.log_frequencies[slots] = np.log1p(self._frequencies[slots])

    def _reserve(self, items: int) -> None:
        documents = self._documents
        if items > len(documents.sizes):
            self._documents = documents._replace(
                slots=grow(documents.slots, items),
                counts=grow(documents.counts, items),
                sizes=grow(documents.sizes, items),
            )

    def _get_state(self) -> State:
        # document frequencies are recomputed from the items
        slots, counts, sizes, _ = self._documents
        used = np.flatnonzero(self._posting_counts)
        posted = self._posting_counts[used]
        return {
            "sizes": sizes.copy(),
            "slots": pack_rows(slots, sizes),
            "counts": pack_rows(counts, sizes),
            "posted_slots": used,
            "posted": posted,
            "postings": pack_rows(self._posting_rings[used], posted),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        sizes = state["sizes"]
        self._reserve(len(sizes))
        slots, counts, documents_sizes, log_frequencies = self._documents
        documents_sizes[: len(sizes)] = sizes
        unpack_rows(state["slots"], sizes, slots)
        unpack_rows(state["counts"], sizes, counts)
        self._n_documents = int(np.count_nonzero(sizes))
        self._frequencies = np.bincount(state["slots"], minlength=self.slots).astype(np.int32)
        log_frequencies[:] = np.log1p(self._frequencies)
        used, posted = state["posted_slots"], state["posted"]
        self._posting_counts[used] = posted
        rings = np.zeros((len(used), self.postings), np.int32)
        unpack_rows(state["postings"], posted, rings)
        self._posting_rings[used] = rings

    def _build_query(self, context: Context, log_documents: float) -> tuple[int, int, float]:
        query_terms = query_words(context.query) if context.query else ()
        for at, word in enumerate(query_terms):
            self._query_terms[at] = self.slot(word)
        found: tuple[int, int, float] = kernels.build_query(
            context.items,
            self.context_decay,
            log_documents,
            plain(self._documents),
            self._query_terms[: len(query_terms)],
            plain(self._query),
        )
        return found


def _text(entry: CatalogItem) -> str:
    return " ".join((entry.title, entry.brand or "", *entry.tags, entry.description))


def _attributes(entry: CatalogItem) -> list[str]:
    """Terms that no text contains, since words have no equals sign."""
    attributes = [f"category={name}" for name in entry.categories[:MAX_CATEGORIES]]
    if entry.brand:
        attributes.append(f"brand={entry.brand.casefold()}")
    if entry.price is not None:
        attributes.append(f"price={price_band(entry.price)}")
    return attributes

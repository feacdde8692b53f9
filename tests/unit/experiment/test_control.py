"""What holds of the control topic, read whole and read after Kafka dropped what newer words replace."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.experiment.control import OPERATOR_KEY, Control, key_of, parse_word
from topics.records import GUARD, PolicyShares

ALIKE = {"a": 1.0, "b": 1.0, "c": 1.0}


class Record(NamedTuple):
    key: bytes
    word: PolicyShares
    at: float


def read(log: Iterable[Record]) -> Control:
    said = Control()
    for record in log:
        said = said.heard(*record)
    return said


def compacted(log: list[Record], upto: int) -> list[Record]:
    """The log once Kafka has compacted what was written before a place."""
    newest = {record.key: record for record in log[:upto]}
    return [*(record for record in log[:upto] if newest[record.key] is record), *log[upto:]]


class Topic:
    """A log, and speakers who know it up to some word."""

    def __init__(self) -> None:
        self.log: list[Record] = []

    def say(self, word: PolicyShares, *, late: int = 0) -> None:
        """Append a word of who has not heard the last so many yet."""
        known = read(self.log[: len(self.log) - late])
        said = known.dated(word)
        self.log.append(Record(key_of(said), said, 10.0 * (1 + len(self.log))))

    def operator(self, late: int = 0, **changes: object) -> None:
        known = read(self.log[: len(self.log) - late]).operator
        self.say(msgspec.structs.replace(known, note="", **changes), late=late)

    def guard(self, policy: str, late: int = 0) -> None:
        self.say(PolicyShares(weights={}, resting=(policy,), by=GUARD), late=late)


WEIGHTS = st.sampled_from([ALIKE, {"a": 2.0, "b": 2.0, "c": 2.0}, {"a": 1.0, "b": 3.0, "c": 0.0}])
SOME = st.sets(st.sampled_from("abc")).map(lambda names: tuple(sorted(names)))
ACTS = st.one_of(
    st.tuples(st.just("weights"), WEIGHTS, st.booleans()),
    st.tuples(st.just("resting"), SOME, st.booleans()),
    st.tuples(st.just("trusted"), SOME, st.booleans()),
    st.tuples(st.just(GUARD), st.sampled_from("abc"), st.booleans()),
)


@given(st.lists(ACTS, max_size=12), st.data())
def test_what_compaction_leaves_says_the_same(
    acts: list[tuple[str, object, bool]], data: st.DataObject
) -> None:
    topic = Topic()
    for what, value, at_once in acts:
        last_by_operator = bool(topic.log) and topic.log[-1].word.by != GUARD
        if what == GUARD:
            topic.guard(str(value), late=int(at_once and bool(topic.log)))
        else:
            late = int(at_once and bool(topic.log) and not last_by_operator)
            topic.operator(late=late, **{what: value})
    upto = data.draw(st.integers(0, len(topic.log)))
    assert read(compacted(topic.log, upto)) == read(topic.log)


def test_a_period_begins_where_the_split_changes_and_nowhere_else() -> None:
    topic = Topic()
    since = []
    for changes in (
        {"trusted": ("c",)},  # nobody knows weights, and nothing rested
        {"resting": ("a",)},
        {"weights": ALIKE},
        {"weights": {"a": 7.0, "b": 2.0, "c": 2.0}},  # a rests
        {"resting": ()},
        {"weights": {"a": 1e-9, "b": 2.0, "c": 2.0}},
    ):
        topic.operator(**changes)
        since.append(read(topic.log).since)
    assert since == [0.0, 20.0, 30.0, 30.0, 50.0, 60.0]


def test_a_period_begins_where_all_rested_and_some_no_longer_do() -> None:
    topic = Topic()
    topic.operator(weights={"a": 1.0, "b": 1.0}, resting=("a",))
    topic.guard("b")
    topic.operator(resting=(), trusted=("b",))
    assert read(topic.log).since == 30.0


def test_a_word_says_itself_when_it_begins() -> None:
    topic = Topic()
    topic.operator(weights=ALIKE)
    topic.operator(trusted=("a",))
    topic.guard("b")
    assert [record.word.since for record in topic.log] == [None, 10.0, None]


def test_what_two_guards_find_at_once_rests_until_an_operator_trusts_it() -> None:
    topic = Topic()
    topic.operator(weights=ALIKE)
    topic.guard("a")
    topic.guard("b", late=1)
    kept = compacted(topic.log, len(topic.log))
    assert read(kept).resting == {"a", "b"}
    topic.operator(trusted=("a",))
    assert read(topic.log).resting == read(topic.log).by_guard == {"b"}


OLD = [
    (b"shares", {"weights": ALIKE, "ts": 3.0, "by": "operator"}, 10.0),
    (b"guard", {"weights": {}, "resting": ["a"], "ts": 4.0, "by": "guard", "note": "harm"}, 20.0),
    (b"guard", {"weights": {}, "resting": ["a", "b"], "ts": 5.0, "by": "guard"}, 30.0),
]


def test_words_of_older_versions_hold_and_the_newest_begins_the_period() -> None:
    log = [Record(key, parse_word(msgspec.json.encode(word)), at) for key, word, at in OLD]
    for kept in (log, compacted(log, 3)):
        assert read(kept).resting == {"a", "b"}
        assert read(kept).since == 30.0
    topic = Topic()
    topic.log = log
    topic.guard("c")
    assert read(compacted(topic.log, 4)).resting == {"a", "b", "c"}


@pytest.mark.parametrize("value", [b"{", b"{}", b'{"weights": {"a": -1}}', b'{"weights": {"a": 0}}'])
def test_what_says_nothing_that_holds_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_word(value)


def test_nobody_knows_the_split_before_weights_are_said() -> None:
    said = Control().heard(OPERATOR_KEY, PolicyShares(weights={}, resting=("a",)), 1.0)
    assert said.split("b") is None
    split = said.heard(OPERATOR_KEY, PolicyShares(weights=ALIKE, resting=("a",)), 2.0).split("b")
    assert split is not None
    assert [split.fraction(name) for name in "abc"] == [0.0, 0.5, 0.5]

"""The bounded memory of sequences, and their packing into batches."""

import numpy as np

from stream_app.training.batches import Packer
from stream_app.training.sequences import NO_ROW, Sequence, SequenceBuffer
from stream_app.training.stored_sequences import pack_buffer, unpack_buffer

HOUR = 3_600.0


def make_sequence(n: int, user: int = 1, first_target: int = 1) -> Sequence:
    return Sequence(
        user,
        np.arange(1, n + 1, dtype=np.int32),
        np.zeros(n, np.int32),
        40.0 * np.arange(n, dtype=np.float64),
        first_target,
    )


def test_sequences_are_closed_by_inactivity_and_by_their_length() -> None:
    buffer = SequenceBuffer(length=5, overlap=2, gap=1_800.0)
    for at in range(7):
        buffer.add(1, at, 0, 60.0 * at)
    buffer.add(2, 9, 0, 60.0 * 7)
    assert [each.items.tolist() for each in buffer._reservoir] == [[0, 1, 2, 3, 4]]
    buffer.add(3, 9, 0, 2 * HOUR)
    closed = sorted(each.items.tolist() for each in buffer._reservoir)
    # a single interaction is no sequence
    assert closed == [[0, 1, 2, 3, 4], [3, 4, 5, 6]]


def test_each_interaction_is_new_once() -> None:
    buffer = SequenceBuffer(length=10)
    for at in range(3):
        buffer.add(1, at, 0, 60.0 * at)
    [first] = buffer.pop_new()
    assert (first.items.tolist(), first.first_target) == ([0, 1, 2], 1)
    assert list(buffer.pop_new()) == []
    buffer.add(1, 3, 0, 240.0)
    [second] = buffer.pop_new()
    assert (second.items.tolist(), second.first_target) == ([0, 1, 2, 3], 3)


def test_memory_is_bounded() -> None:
    buffer = SequenceBuffer(length=4, max_open=10, newest=5, reservoir=20)
    for n in range(1_000):
        buffer.add(n // 2, n, 0, 60.0 * n)
    buffer.add(0, 0, 0, 100 * HOUR)  # all others are closed
    assert len(buffer) == 20
    sampled = list(buffer.sample(200, share_of_newest=0.5))
    assert len({each.user_hash for each in sampled[:100]}) <= 5
    assert min(each.user_hash for each in sampled[:100]) > 480
    # the reservoir is a sample of all, not the newest
    assert min(each.user_hash for each in sampled[100:]) < 300


def test_open_sequences_are_replayed_while_none_is_closed() -> None:
    buffer = SequenceBuffer(length=4, gap=HOUR)
    assert list(buffer.sample(5)) == []
    for user in range(20):
        for at in range(1 + user % 2):
            buffer.add(user, user + at, 0, 10.0 * user)
    assert len(buffer) == 0
    sampled = list(buffer.sample(100))
    assert len(sampled) == 100
    # of one interaction nothing can be predicted
    assert {each.user_hash for each in sampled} == set(range(1, 20, 2))
    assert {(len(each.items), each.first_target) for each in sampled} == {(2, 1)}
    restored = SequenceBuffer(length=4, gap=HOUR)
    restored.restore(buffer.state())
    restored.forget_user(3)
    assert {each.user_hash for each in restored.sample(100)} == set(range(1, 20, 2)) - {3}


def test_each_sequence_is_replayed_as_often_open_or_closed() -> None:
    buffer = SequenceBuffer(length=4, gap=HOUR)
    for user in range(40):
        for at in range(2):
            buffer.add(user, at, 0, 2 * HOUR if user >= 20 else 0.0)
    sampled = [each.user_hash for each in buffer.sample(8_000, share_of_newest=0.2)]
    counts = np.bincount(sampled, minlength=40)
    assert counts.min() > 130
    assert counts.max() < 280


def test_after_an_erasure_the_oldest_sequences_are_replaced_first() -> None:
    buffer = SequenceBuffer(length=4, newest=5, reservoir=20)

    def add_sessions(numbers: range) -> None:
        for number in numbers:
            for step in range(2):
                buffer.add(number, number, 0, 4 * HOUR * number + step)

    add_sessions(range(8))
    buffer.forget_user(5)
    add_sessions(range(8, 11))
    users = [each.user_hash for each in buffer.state().newest]
    # the last session is open, and in no part of the newest
    assert users == [4, 6, 7, 8, 9]


def test_an_evicted_item_is_neither_read_nor_predicted() -> None:
    buffer = SequenceBuffer(length=4)
    for at in range(4):
        buffer.add(1, at, 0, 60.0 * at)
    buffer.add(2, 9, 0, 3 * HOUR)
    buffer.forget_items([2])
    [sequence] = buffer._reservoir
    assert sequence.items.tolist() == [0, 1, NO_ROW, 3]
    packer = Packer(rows=1, length=8, n_gaps=12)
    assert packer.add(sequence)
    assert packer.tokens.weights[0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_a_row_holds_as_many_sequences_as_fit() -> None:
    packer = Packer(rows=2, length=6, n_gaps=12)
    added = [packer.add(make_sequence(n, user)) for user, n in enumerate((4, 4, 4, 4, 2))]
    assert added == [True, True, True, True, False]
    assert packer.tokens.sequences.tolist() == [[0, 0, 0, 3, 3, 3]] * 2
    assert packer.tokens.positions.tolist() == [[0, 1, 2, 0, 1, 2]] * 2
    assert packer.n_predictions == 12


def test_interactions_learned_before_are_context_alone() -> None:
    packer = Packer(rows=1, length=6, n_gaps=12)
    packer.add(make_sequence(5, first_target=3))
    assert packer.tokens.weights[0].tolist() == [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]


def test_an_erasure_that_empties_the_newest_leaves_the_reservoir_to_be_replayed() -> None:
    buffer = SequenceBuffer(length=4, overlap=1, gap=600.0, newest=5, reservoir=200)
    for n in range(100):
        # A program that clicks without end fills the ring of the newest.
        buffer.add(n // 4 if n < 12 else 99, n, 0, 60.0 * n)
    buffer.add(99, 0, 0, 100 * HOUR)
    buffer.forget_user(99)
    assert buffer._newest == []
    sampled = {each.user_hash for each in buffer.sample(50)}
    assert sampled
    assert sampled <= {0, 1, 2}
    for user_hash in sampled:
        buffer.forget_user(user_hash)
    assert list(buffer.sample(50)) == []


def test_a_user_who_returns_has_a_context_from_earlier_sessions() -> None:
    buffer = SequenceBuffer(length=10, overlap=3, gap=1_800.0)
    for at in range(5):
        buffer.add(1, at, 0, 60.0 * at)
    list(buffer.pop_new())
    buffer.add(2, 9, 0, 24 * HOUR)  # the sequence of the first user is closed
    buffer.add(1, 5, 0, 25 * HOUR)
    [returned] = [each for each in buffer.pop_new() if each.user_hash == 1]
    assert (returned.items.tolist(), returned.first_target) == ([2, 3, 4, 5], 3)
    assert returned.times[3] - returned.times[2] > 24 * HOUR
    # It is replayed for what is new in it.
    replayed = {(tuple(each.items.tolist()), each.first_target) for each in buffer.sample(100)}
    assert replayed == {((0, 1, 2, 3, 4), 1), ((2, 3, 4, 5), 3)}


def test_who_has_a_single_interaction_a_day_is_learned() -> None:
    buffer = SequenceBuffer(gap=1_800.0)
    for day in range(3):
        buffer.add(1, day, 0, 24 * HOUR * day)
    assert [each.items.tolist() for each in buffer.pop_new()] == [[0, 1, 2]]


def test_the_contexts_of_returning_users_are_bounded_and_forget() -> None:
    buffer = SequenceBuffer(gap=1_800.0, max_open=10)
    for user in range(50):
        for at in range(2):
            buffer.add(user, 10 + at, 0, 24 * HOUR * user + at)
    assert len(buffer._returning) == 10
    buffer.forget_items([10])
    buffer.forget_user(47)
    for user in (47, 48):
        buffer.add(user, 12, 0, 24 * HOUR * 60)
    [returned] = [each for each in buffer.pop_new() if each.user_hash == 48]
    assert returned.items.tolist() == [NO_ROW, 11, 12]
    assert 47 not in {each.user_hash for each in buffer.sample(200)}


def test_a_restored_buffer_knows_the_sessions_before() -> None:
    buffer = SequenceBuffer(length=10, overlap=3, gap=1_800.0)
    for user in range(1, 4):
        for at in range(5):
            buffer.add(user, 10 * user + at, 0, 60.0 * at)
    buffer.add(3, 35, 0, 24 * HOUR)  # the others wait for their return
    list(buffer.pop_new())
    restored = SequenceBuffer(length=10, overlap=3, gap=1_800.0)
    restored.restore(unpack_buffer(pack_buffer(buffer.state())))
    for each in (buffer, restored):
        each.add(1, 15, 0, 24 * HOUR + 60.0)
        [returned] = each.pop_new()
        assert (returned.items.tolist(), returned.first_target) == ([12, 13, 14, 15], 3)
        # An open sequence is replayed for what is new in it, after the start as before.
        replayed = {(each.items.tolist()[0], each.first_target) for each in each.sample(200)}
        assert replayed == {(10, 1), (20, 1), (30, 1), (12, 3), (32, 3)}
    smaller = SequenceBuffer(gap=1_800.0, max_open=1)
    smaller.restore(buffer.state())
    assert len(smaller._returning) == len(smaller._open) == 1


def test_a_state_of_a_version_without_contexts_is_restored() -> None:
    buffer = SequenceBuffer(gap=1_800.0)
    for at in range(3):
        buffer.add(1, at, 0, 60.0 * at)
    stored = pack_buffer(buffer.state())
    del stored["returning"], stored["replayed_from"]
    restored = SequenceBuffer(gap=1_800.0)
    restored.restore(unpack_buffer(stored))
    assert [each.first_target for each in restored.sample(5)] == [1] * 5

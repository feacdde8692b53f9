from hashlib import blake2b

import pytest

from stream_app.experiment import assignment as assignment_module
from stream_app.experiment.assignment import Assignment

USERS = [f"user {n}" for n in range(20_000)]


def test_each_policy_gets_its_share_of_users() -> None:
    policies = [Assignment({"a": 5, "b": 3, "c": 2}).policy_of(user_id) for user_id in USERS]
    assert [policies.count(name) / len(policies) for name in "abc"] == pytest.approx(
        [0.5, 0.3, 0.2], abs=0.012
    )


def test_assignment_does_not_depend_on_the_order_of_weights() -> None:
    one, other = Assignment({"a": 1, "b": 1}), Assignment({"b": 1, "a": 1})
    assert [one.policy_of(user_id) for user_id in USERS] == [other.policy_of(user_id) for user_id in USERS]


def test_increasing_a_weight_moves_users_only_to_that_policy() -> None:
    before, after = Assignment({"a": 1, "b": 1, "c": 1}), Assignment({"a": 2, "b": 1, "c": 1})
    moved = {(before.policy_of(user_id), after.policy_of(user_id)) for user_id in USERS}
    assert moved == {("a", "a"), ("b", "b"), ("c", "c"), ("b", "a"), ("c", "a")}


def test_paused_policy_gets_no_users_and_the_others_keep_theirs() -> None:
    before, after = Assignment({"a": 1, "b": 1, "c": 1}), Assignment({"a": 1, "b": 1, "c": 1}, paused=["b"])
    for user_id in USERS[:2_000]:
        policy = before.policy_of(user_id)
        assert after.policy_of(user_id) == policy if policy != "b" else after.policy_of(user_id) != "b"
    assert after.fraction("b") == 0.0
    assert after.fraction("a") == 0.5


def test_control_gets_all_users_when_all_policies_are_paused() -> None:
    assignment = Assignment({"a": 1, "b": 1, "c": 1}, paused=["a", "b", "c"], control="b")
    assert {assignment.policy_of(user_id) for user_id in USERS[:200]} == {"b"}
    assert [assignment.fraction(name) for name in "abc"] == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("control", ["", "d", "elsewhere"])
def test_no_policy_is_paused_when_all_are_and_the_control_has_no_weight(control: str) -> None:
    assignment = Assignment({"a": 1, "b": 1, "d": 0}, paused=["a", "b"], control=control)
    assert [assignment.fraction(name) for name in "abd"] == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": -1, "b": 2}, {"a": float("nan")}])
def test_invalid_weights_are_rejected(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        Assignment(weights)


def test_tiny_weights_keep_their_ratio() -> None:
    tiny, plain = Assignment({"a": 1e-320, "b": 3e-320}), Assignment({"a": 1.0, "b": 3.0})
    user_id = [f"user {number}" for number in range(200)]
    assert [tiny.policy_of(each) for each in user_id] == [plain.policy_of(each) for each in user_id]


def test_users_keep_their_policy_over_versions_of_headrace() -> None:
    assignment = Assignment({"a": 5, "b": 3, "c": 2})
    policies = "".join(map(assignment.policy_of, [*USERS[:2_000], "ünï", "漢字", ""]))
    assert policies[:40] == "abccbbaabcbbaaacabbcaacbcbabcaaaaaaacaaa"
    assert blake2b(policies.encode(), digest_size=8).hexdigest() == "061fb7813a8d5e9e"


def test_a_weight_of_zero_is_allowed_and_gets_no_users() -> None:
    assignment = Assignment({"a": 0, "b": 1e-300})
    assert (assignment.fraction("a"), assignment.fraction("b"), assignment.fraction("c")) == (0.0, 1.0, 0.0)
    assert {assignment.policy_of(user_id) for user_id in USERS[:100]} == {"b"}


@pytest.mark.parametrize("mixed", [0, 1, 2**63, 2**64 - 1])
def test_a_user_of_any_hash_has_a_policy(monkeypatch: pytest.MonkeyPatch, mixed: int) -> None:
    monkeypatch.setattr(assignment_module, "_mix64", lambda _word: mixed)
    assert Assignment({"a": 1, "b": 2}).policy_of("ann") in {"a", "b"}

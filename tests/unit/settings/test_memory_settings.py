"""The memory budget: what is reduced, and when a start is refused."""

import pytest

from stream_app.settings import Settings, SettingsError, load_settings


def test_without_a_budget_all_bounds_are_as_they_are_set() -> None:
    capacities = Settings(max_users=5_000_000, max_items=9).capacities
    assert (capacities.max_users, capacities.max_items) == (5_000_000, 9)
    assert capacities.retained_lists == Settings().retained_lists


def test_a_budget_that_is_large_enough_changes_nothing() -> None:
    assert Settings(memory_budget=8_192).capacities[:4] == Settings().capacities[:4]


def test_a_small_budget_reduces_all_bounds_alike() -> None:
    settings = Settings(memory_budget=1_500)
    reduced, whole = settings.capacities, Settings().capacities
    shares = [part / of for part, of in zip(reduced[:4], whole[:4], strict=True)]
    assert 0.05 < min(shares) <= max(shares) < 0.9
    assert max(shares) - min(shares) < 0.001
    models = settings.ranking_config.models
    assert (models.max_users, models.max_items) == (reduced.max_users, reduced.max_items)


def test_more_memory_keeps_more() -> None:
    kept = [Settings(memory_budget=budget).capacities.max_users for budget in (1_200, 1_500, 2_000, 2_500)]
    assert kept == sorted(kept)
    assert len(set(kept)) == len(kept)


def test_further_models_leave_less_for_each() -> None:
    few = Settings(memory_budget=1_500, models=["popularity"], fusion="rrf").capacities
    many = Settings(
        memory_budget=1_500, models=["popularity", "item_to_item", "user_knn"], fusion="rrf"
    ).capacities
    assert many.max_items < few.max_items


def test_a_budget_for_next_to_nothing_is_refused_with_what_a_worker_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADRACE_MEMORY_BUDGET", "400")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    message = str(raised.value)
    assert message.startswith("HEADRACE_MEMORY_BUDGET: a worker with these models takes ")
    assert "(got 400 MiB)" in message
    assert "\n" not in message

"""Stores a snapshot of the current format for `tests/unit/models/test_model_parts.py`.

Run it when a format changes, under the new number; never again for an earlier one:
``python -m tests.support.stored_snapshot``. All hyperparameters are stored, since their defaults may change.
"""

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np

from state.snapshots.encoding import FORMAT, encode_snapshot
from stream_app.bandit.policy_registry import POLICIES
from stream_app.experiment.feature_rows import pack_rows
from stream_app.experiment.policy_features import FEATURES, FEATURES_VERSION
from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS
from stream_app.ranking.assembly import make_models
from stream_app.ranking.config import ModelsConfig, RankingConfig
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Reward, RewardKind, Source

FOLDER: Final = Path(__file__).parent / "snapshots"
START: Final = 1_700_000_000.0

_STORE: Final = {"sessions": 64, "length": 8, "postings": 8, "bridge_postings": 4}
PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    **{name: dict(_STORE) for name in ("session_knn", "sequential_rules", "two_hop")},
    "item_vectors": {**_STORE, "n_factors": 8, "recent_clicks": 64, "negatives": 8},
    "content": {"slots": 1024},
    "fusion": {"hidden": 1},
    "bpr": {"n_factors": 4},
    "biased_mf": {"n_factors": 4},
}
"""Hyperparameters that make the file small."""


def configuration(expected: dict[str, Any]) -> RankingConfig:
    """The configuration of the models of a stored snapshot."""
    return RankingConfig(
        models=ModelsConfig(
            names=expected["models"],
            parameters=expected["model_parameters"],
            max_items=40,
            max_users=40,
            half_life=86_400.0,
            session_gap=1_800.0,
            outlier_z=6.0,
            seed=7,
        ),
        policies=dict.fromkeys(expected["policies"], 1.0),
    )


def candidates_of(models: ModelSet) -> dict[str, list[str]]:
    """The candidates of each model for a user with two recent items and a query."""
    now = models.newest
    items, times = ["item-1", "item-2"], [now - 60, now]
    context = models.context("user-3", items, times, 0, ("country:FR",), now, "word1")
    return {
        model.name: [models.index.id_of(int(item)) for item in proposed.items]
        for model, proposed in models.candidates(context, 5)
    }


def learn_a_log(models: ModelSet) -> None:
    """Catalog, clicks, purchases, searches and rewards from a seed."""
    rng, counts = random.Random(3), Counter[Source]()

    def learn(
        source: Source, ts: float, user: str, kind: Kind, lines: tuple[Line, ...], **fields: Any
    ) -> None:
        at = counts[source]
        counts[source] += 1
        models.learn(Interaction(source, at % 2, at // 2, ts, user, kind, lines, ("country:FR",), **fields))

    for number in range(20):
        models.learn_catalog(
            CatalogItem(
                item_id=f"item-{number}",
                ts=0,
                title=f"word{number % 5} thing{number}",
                price=5.0 + number,
                categories=[f"c{number % 3}"],
                brand=f"b{number % 2}",
                seller=f"s{number % 4}",
            )
        )
    for number in range(400):
        ts = START + number * 60
        user, item = f"user-{rng.randrange(12)}", f"item-{min(19, int(rng.expovariate(0.2)))}"
        learn(Source.CLICK, ts, user, Kind.VIEW, (Line(item),))
        if number % 7 == 0:
            learn(Source.PURCHASE, ts, user, Kind.PURCHASE, (Line(item, price=5.0),))
        if number % 9 == 0:
            results = ("item-1", "item-2", "item-3")
            learn(Source.SEARCH, ts, user, Kind.SEARCH, (), query="word1 thing", shown=results)
    for number in range(60):
        models.learn_reward(_reward(number))


def _reward(number: int) -> Reward:
    rows = np.abs(np.random.default_rng(number).normal(size=(3, len(FEATURES)))).astype(np.float32)
    return Reward(
        source=Source.CLICK,
        partition=number % 2,
        offset=number // 2,
        line=0,
        ts=START + number * 60,
        user_id=f"user-{number % 12}",
        list_id=f"l{number}",
        policy="thompson",
        kind=RewardKind.CLICK,
        item_id=f"item-{number % 5}",
        position=1,
        value=1.0,
        features=pack_rows(rows[:1], FEATURES_VERSION),
        seen=("item-1", "item-2"),
        seen_positions=(0, 1),
        seen_features=pack_rows(rows[1:], FEATURES_VERSION),
        first_exposure=True,
        first_positive=True,
    )


def store() -> None:
    """Write the snapshot and what its models answer."""
    expected: dict[str, Any] = {
        "models": list(MODELS),
        "policies": list(POLICIES),
        "model_parameters": PARAMETERS,
    }
    models = make_models(configuration(expected))
    learn_a_log(models)
    state = {
        "models": models.state(),
        "positions": [["interactions", at, 300] for at in (0, 1)],
        "topic_ids": {},
    }
    path = FOLDER / f"format-{FORMAT}.snapshot.gz"
    path.write_bytes(gzip.compress(encode_snapshot(state), mtime=0))
    expected |= {
        "model_parameters": PARAMETERS | {model.name: model.parameters() for model in models.models},
        "version": models.version,
        "digest": models.digest(),
        "candidates": candidates_of(models),
    }
    path.with_name(f"format-{FORMAT}.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    store()

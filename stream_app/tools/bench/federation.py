"""What shops gain by learning together: ``python -m stream_app.tools.bench.federation``.

Five shops learn the two-tower model alone, together with and without noise, and as one. All are measured on the
newest sessions of each shop, whose items are ranked among the items of that shop.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from stream_app.encoders.optional_packages import import_package
from stream_app.federation.terms import Release
from stream_app.federation.updates import Parameters, Privacy, add_mean_update, norm_of, shop_update
from stream_app.models.two_tower_network import Head, TrainedWeights
from stream_app.tools.bench.session_privacy import SessionPrivacy, learn_privately, sequences_of
from stream_app.tools.bench.shop_cuts import ShopCut, cut_generated_shop, cut_sessions
from stream_app.tools.console import print_table, run_script
from stream_app.tools.evaluation.bootstrap import ClusterBootstrap, ConfidenceInterval
from stream_app.training.hit_rate import Choice, hits
from stream_app.training.two_tower_training import TrainingConfig, TwoTowerTraining
from topics.records import Kind

NO_LIMIT: Final = Privacy(clip=float("inf"), noise=0.0)


class Arm(NamedTuple):
    """A way of learning and whether each choice was among the 20 nearest items."""

    name: str
    epsilon: float | None
    hits: NDArray[np.float64]
    seconds: float


class Measured(NamedTuple):
    """The choices of all shops, in the order of the hits."""

    choices: list[list[Choice]]  # by shop
    sessions: NDArray[np.int64]
    is_cold: NDArray[np.bool_]  # items without an interaction in the shop's train sessions


class Comparison:
    """Learns in each of the ways on the same shops.

    Parameters
    ----------
    rounds, steps
        Each shop takes `rounds` times `steps` training steps in every way; learning as one, all steps of all shops.
    """

    def __init__(self, shops: Sequence[ShopCut], rounds: int, steps: int, seed: int = 7) -> None:
        self.shops: Final = shops
        self.rounds, self.steps = rounds, steps
        # a quarter of the usual batch: shops are small, and steps cost in proportion
        self._config = TrainingConfig(rows=16, negatives=512, seed=seed)
        self._measured = _measured(shops)
        self._accounting = import_package(
            "stream_app.federation.accounting", "federated", "the benchmark of federations"
        )
        self.norms: list[float] = []

    def alone(self) -> tuple[Arm, Arm]:
        """Each shop learns from its own sessions; measured after half of the steps, too, to see if it still gains."""
        started = perf_counter()
        trainings = [self._training([shop]) for shop in self.shops]
        arms = []
        half = self.rounds // 2
        for name, rounds in (("isolated, half of the steps", half), ("isolated", self.rounds - half)):
            for training in trainings:
                for _ in range(rounds * self.steps):
                    training.step()
            arms.append(self._arm(name, None, [each.weights() for each in trainings], started))
        return arms[1], arms[0]

    def as_one(self) -> Arm:
        """One model learns from all sessions."""
        started = perf_counter()
        training = self._training(self.shops)
        for _ in range(self.rounds * self.steps * len(self.shops)):
            training.step()
        return self._arm("pooled", None, [training.weights()] * len(self.shops), started)

    def together(self, privacy: Privacy, *, is_mixed: bool = True) -> Arm:
        """The shops give updates after each round but the last, whose steps fit the item vectors at home.

        Parameters
        ----------
        is_mixed
            Whether each shop goes on with the mean of all updates; otherwise with its own one, to see what the clip
            does alone.
        """
        started = perf_counter()
        trainings = [self._training([shop]) for shop in self.shops]
        shared: list[Parameters] = [training.dense_parameters() for training in trainings]
        rng = np.random.default_rng(self._config.seed)
        for number in range(self.rounds):
            for training, parameters in zip(trainings, shared, strict=True):
                training.replace_dense(parameters)
                for _ in range(self.steps):
                    training.step()
            if number < self.rounds - 1:
                updates = []
                for training, before in zip(trainings, shared, strict=True):
                    after = training.dense_parameters()
                    self.norms.append(norm_of({name: after[name] - before[name] for name in before}))
                    updates.append(shop_update(before, after, privacy, rng))
                given = [updates if is_mixed else [each] for each in updates]
                shared = [add_mean_update(*each) for each in zip(shared, given, strict=True)]
        epsilon = (
            self._accounting.shop_epsilon([Release(privacy.noise, self.rounds - 1)]) if is_mixed else None
        )
        name = "federated" if is_mixed else "isolated"
        if privacy != NO_LIMIT:
            name += f", clip {privacy.clip:g}"
        if privacy.noise > 0.0:
            name += f", noise {privacy.noise:g}"
        return self._arm(name, epsilon, [each.weights() for each in trainings], started)

    def by_session(self, privacy: SessionPrivacy) -> Iterator[Arm]:
        """Federated DP-SGD on contents alone; then each shop goes on alone, with ids, as isolated ones do."""
        started = perf_counter()
        trainings = [self._training([shop]) for shop in self.shops]
        shared = learn_privately(trainings, privacy, np.random.default_rng(self._config.seed))
        share = max(privacy.sessions / len(sequences_of(each)) for each in trainings)
        epsilon = self._accounting.session_epsilon(privacy.noise, share, privacy.rounds)
        for training in trainings:
            training.replace_dense(shared)
        name = f"contents alone, DP-SGD, noise {privacy.noise:g}"
        yield self._arm(name, epsilon, [each.weights() for each in trainings], started)
        for training in trainings:
            for _ in range(self.rounds * self.steps):
                training.step()
        yield self._arm(f"{name}, then alone", epsilon, [each.weights() for each in trainings], started)

    def _training(self, shops: Sequence[ShopCut]) -> TwoTowerTraining:
        training = TwoTowerTraining(config=self._config, content=shops[0].content)
        for shop in shops:
            for entry in shop.entries:
                training.add_catalog(entry)
        sessions = sorted((each for shop in shops for each in shop.train), key=lambda each: each.times[0])
        for session in sessions:
            for item, ts in zip(session.items, session.times, strict=True):
                training.add(session.user, item, Kind.VIEW, ts)
        return training

    def _arm(
        self, name: str, epsilon: float | None, weights: Sequence[TrainedWeights], started: float
    ) -> Arm:
        found = [
            hits(_of_items(each, shop.items), choices)
            for each, shop, choices in zip(weights, self.shops, self._measured.choices, strict=True)
        ]
        return Arm(name, epsilon, np.concatenate(found).astype(np.float64), perf_counter() - started)

    def table(self, title: str, arms: Sequence[Arm]) -> Table:
        """The hit rates of the ways with 95 % intervals, and their differences to the first one."""
        table = Table(title=title)
        for column in ("way", "epsilon", "HR@20", "minus isolated", "HR@20 of new items", "s"):
            table.add_column(column)
        bootstrap = ClusterBootstrap(self._measured.sessions)
        for arm in arms:
            values = np.stack((arm.hits, arm.hits - arms[0].hits), axis=1)
            rate, difference = bootstrap.intervals(values)
            cold = "-"
            if self._measured.is_cold.any():
                cold = _format(bootstrap.intervals(values, self._measured.is_cold)[0])
            table.add_row(
                arm.name,
                "-" if arm.epsilon is None else f"{arm.epsilon:.3g}",
                _format(rate),
                "-" if arm is arms[0] else _format(difference),
                cold,
                f"{arm.seconds:.0f}",
            )
        return table


def _measured(shops: Sequence[ShopCut]) -> Measured:
    choices, sessions, cold = [], [], []
    n_sessions = 0
    for shop in shops:
        known = {item for session in shop.train for item in session.items}
        of_shop = []
        for session in shop.test:
            n_sessions += 1
            for n in range(1, len(session.items)):
                heads = [int(Head.VIEW)] * n
                of_shop.append(
                    Choice(session.items[:n], heads, session.times[:n], session.items[n], Head.VIEW)
                )
                sessions.append(n_sessions)
                cold.append(session.items[n] not in known)
        choices.append(of_shop)
    return Measured(choices, np.array(sessions, np.int64), np.array(cold, np.bool_))


def _of_items(weights: TrainedWeights, items: frozenset[str]) -> TrainedWeights:
    """The weights with the items of one shop alone."""
    kept = [row for row, item in enumerate(weights.item_ids) if item in items]
    return weights._replace(item_ids=[weights.item_ids[row] for row in kept], vectors=weights.vectors[kept])


def _format(interval: ConfidenceInterval) -> str:
    return f"{interval.mean:.4f} ({interval.low:.4f} to {interval.high:.4f})"


def _arms(
    comparison: Comparison, clip: float, noises: Sequence[float], sessions: Sequence[SessionPrivacy]
) -> Iterator[Arm]:
    yield from comparison.alone()
    yield comparison.together(Privacy(clip=clip, noise=0.0), is_mixed=False)
    yield comparison.together(NO_LIMIT)
    for noise in noises:
        yield comparison.together(Privacy(clip=clip, noise=noise))
    for each in sessions:
        yield from comparison.by_session(each)
    yield comparison.as_one()


def main(
    sessions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Train file of sessions; without it, a generated shop."),
    ] = None,
    limit: Annotated[int, typer.Option(min=100, help="Newest sessions that are learned.")] = 20_000,
    validation_tail: Annotated[int, typer.Option(min=10, help="Newest sessions that are predicted.")] = 3_000,
    shops: Annotated[int, typer.Option(min=2, max=5, help="Number of shops.")] = 5,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a shop in a round.")] = 50,
    clip: Annotated[float, typer.Option(min=0.0, help="Clip of the updates.")] = 1.0,
    noise: Annotated[list[float] | None, typer.Option(help="Noise of the updates; may be repeated.")] = None,
    session_noise: Annotated[
        list[float] | None, typer.Option(help="Noise of DP-SGD, in the generated shop; may be repeated.")
    ] = None,
    session_sample: Annotated[
        int, typer.Option(min=1, help="Sessions of a shop in a round of DP-SGD.")
    ] = 256,
    session_rounds: Annotated[int, typer.Option(min=1, help="Rounds of DP-SGD.")] = 60,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 7,
) -> None:
    """Compare shops that learn alone, together, and as one."""
    if sessions is None:
        cuts = cut_generated_shop(limit, validation_tail, shops, seed)
        title = "generated shop"
    else:
        cuts = cut_sessions(sessions, limit, validation_tail, shops)
        title = sessions.parent.name
    comparison = Comparison(cuts, rounds, steps, seed)
    arms: list[Arm] = []
    sampled = [
        SessionPrivacy(clip=0.5, noise=each, sessions=session_sample, rounds=session_rounds)
        for each in session_noise or []
    ]
    for arm in _arms(comparison, clip, noise if noise is not None else [0.0, 8.0], sampled):
        arms.append(arm)
        typer.echo(f"{arm.name}: HR@20 {arm.hits.mean():.4f}, {arm.seconds:.0f} s", err=True)
    sizes: Any = ", ".join(f"{len(cut.train):,}" for cut in cuts)
    print_table(comparison.table(f"{title}: shops of {sizes} sessions, {rounds} x {steps} steps each", arms))
    quartiles = np.quantile(comparison.norms, (0.25, 0.5, 0.75))
    typer.echo(f"{len(arms[0].hits):,} choices; norm of updates before the clip: {np.round(quartiles, 3)}")


if __name__ == "__main__":
    run_script(main, "federation")

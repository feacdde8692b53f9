"""The trainer in the process of an evaluation publishes as one beside workers does."""

import msgspec

from stream_app.models.item_index import ItemIndex
from stream_app.models.two_tower import TwoTower
from stream_app.training.in_process import InProcessTrainer
from stream_app.training.two_tower_training import TrainingConfig, TwoTowerTraining
from tests.support.trained_shop import CONFIG, SHAPE, ring_items
from topics.records import Interaction, Kind, Line, Source


def interaction(offset: int) -> Interaction:
    line = (Line(ring_items(offset, 1)[0]),)
    return Interaction(Source.CLICK, 0, offset, 60.0 * offset, f"u{offset // 6}", Kind.VIEW, line)


def published_at(n_interactions: int, publish_interval: int) -> list[int]:
    """The numbers of interactions after which the model had new weights."""
    model = TwoTower(ItemIndex(1_000))
    trainer = InProcessTrainer(model, TwoTowerTraining(SHAPE, CONFIG), publish_interval)
    versions = [model.version]
    found = []
    for offset in range(n_interactions):
        trainer.on_interaction(interaction(offset))
        if model.version != versions[-1]:
            versions.append(model.version)
            found.append(offset + 1)
    return found


def test_a_short_log_has_weights_early_and_then_at_the_interval() -> None:
    found = published_at(6_000, publish_interval=800)
    assert found[:3] == [500, 1_000, 1_500]
    assert [later - earlier for earlier, later in zip(found[-3:], found[-2:], strict=False)] == [800, 800]


def test_a_shorter_interval_is_kept() -> None:
    assert published_at(300, publish_interval=100) == [100, 200, 300]


def test_at_the_end_of_a_log_the_first_step_is_taken() -> None:
    model = TwoTower(ItemIndex(1_000))
    trainer = InProcessTrainer(model, TwoTowerTraining(SHAPE, CONFIG))
    trainer.publish()
    assert (model.version, trainer.n_published) == ("", 0), "nothing was learned"
    for offset in range(30):
        trainer.on_interaction(interaction(offset))
    trainer.publish()
    assert (trainer.training.n_steps, model.version) == (1, "1")


def steps_after(n_interactions: int, config: TrainingConfig) -> int:
    trainer = InProcessTrainer(TwoTower(ItemIndex(1_000)), TwoTowerTraining(SHAPE, config))
    for offset in range(n_interactions):
        trainer.on_interaction(interaction(offset))
    return trainer.training.n_steps


def test_a_young_training_takes_further_steps_if_it_is_told_to() -> None:
    config = msgspec.structs.replace(CONFIG, young=320, young_steps=2)
    assert steps_after(640, CONFIG) == 10
    assert steps_after(320, config) == 15
    assert steps_after(640, config) == 20

"""River objects by name: what a text may describe, and what it may not."""

from typing import Any

import pytest
from river import base, compose, optim, reco

from stream_app.models.river_paths import parameter_names, river_object


def test_a_path_is_a_class_and_parameters_are_its_arguments() -> None:
    made = river_object("reco.BiasedMF", {"n_factors": 3, "latent_optimizer": "optim.Adam(lr=0.02)"})
    assert isinstance(made, reco.BiasedMF)
    assert made.n_factors == 3
    assert isinstance(made.latent_optimizer, optim.Adam)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("reco.FunkMF()", reco.FunkMF),
        (" reco.FunkMF ( n_factors = 4 ) ", reco.FunkMF),
        ("preprocessing.StandardScaler | linear_model.LogisticRegression", base.Classifier),
        ("preprocessing.StandardScaler() | linear_model.LinearRegression(optim.SGD(0.1))", compose.Pipeline),
        (
            "preprocessing.StandardScaler() + preprocessing.Binarizer() | linear_model.PARegressor()",
            base.Regressor,
        ),
        ("ensemble.BaggingRegressor(linear_model.LinearRegression(), n_models=2)", base.Regressor),
        ("multiclass.OneVsRestClassifier(linear_model.LogisticRegression())", base.Classifier),
    ],
)
def test_expressions_of_river(text: str, kind: type[Any]) -> None:
    assert isinstance(river_object(text), kind)


def test_seeds_that_are_not_given_are_those_of_the_caller() -> None:
    assert river_object("reco.BiasedMF", seed=5).seed == 5
    assert river_object("reco.BiasedMF(seed=1)", seed=5).seed == 1
    assert river_object("reco.BiasedMF", {"seed": 2}, seed=5).seed == 2
    bagging = river_object("ensemble.BaggingRegressor(linear_model.LinearRegression())", seed=5)
    assert bagging.seed == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "reco",
        "BiasedMF",
        "reco.",
        "reco.BiasedMF(",
        "reco.BiasedMF; import os",
        "__import__('os').system('true')",
        "os.system('true')",
        "reco.BiasedMF.__init__.__globals__",
        "reco.base.random.Random()",
        "reco.biased_mf.copy.deepcopy([])",
        "base.base.gc.collect()",
        "utils.pretty.print_table",
        "reco.BiasedMF(*[1])",
        "reco.BiasedMF(**{'n_factors': 1})",
        "reco.BiasedMF(lambda: 1)",
        "reco.BiasedMF(open('/etc/passwd'))",
        "reco.BiasedMF(n_factors=[x for x in [1]])",
        "reco.BiasedMF() if True else reco.FunkMF()",
        "reco.BiasedMF() - reco.FunkMF()",
        "reco.BiasedMF()[0]",
        "(reco.BiasedMF)(1)(2)",
        "...",
        "1",
        "'reco.BiasedMF'",
        "reco.BiasedMF(n_factor=1)",
        "reco.Nothing",
        "nothing.BiasedMF",
        "(" * 300 + "reco.BiasedMF" + ")" * 300,
        "reco.BiasedMF(" + "1," * 600 + ")",
        "reco.BiasedMF\0",
    ],
)
def test_other_texts_are_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        river_object(text)
    assert type(error.value) is ValueError
    assert "\n" not in str(error.value).rstrip()


def test_names_of_parameters() -> None:
    assert "n_factors" in parameter_names("reco.BiasedMF")
    assert parameter_names("reco.BiasedMF()") == parameter_names("reco.BiasedMF")
    assert parameter_names("preprocessing.StandardScaler() | linear_model.LinearRegression()") == ()


def test_parameters_of_a_pipeline_belong_into_its_steps() -> None:
    with pytest.raises(ValueError, match="l2: write the parameters of a pipeline into its steps"):
        river_object("preprocessing.StandardScaler() | linear_model.LinearRegression()", {"l2": 0.1})


def test_a_text_parameter_with_a_dot_stays_a_text_unless_it_is_a_river_object() -> None:
    made = river_object("linear_model.LogisticRegression", {"loss": "optim.losses.Hinge()"})
    assert isinstance(made.loss, optim.losses.Hinge)
    with pytest.raises(ValueError, match=r"River has no optim\.SDG"):
        river_object("linear_model.LogisticRegression", {"optimizer": "optim.SDG(0.1)"})

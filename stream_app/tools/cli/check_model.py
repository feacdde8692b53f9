"""``headrace check-model``: check a model, a policy or a fusion before a worker runs it."""

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "Check that a model, a policy or a fusion does what workers rely on, and print what to do where it does not.\n\n"
    "NAME is what HEADRACE_MODELS takes: a built-in model, `river:` and a class or a pipeline of River, or a "
    "name that an installed package registers as an entry point `headrace.models`. The checks learn a short "
    "random stream: the same interactions give the same state, memory has a bound, a saved state is restored "
    "to the last bit, forgotten users and items leave nothing, unknown items score 0, ties go by hash, clones "
    "have learned nothing. HEADRACE_MODEL_PARAMETERS applies; `two_tower` is checked with weights that "
    "stand for those of a trainer.\n\n"
    "`policy:NAME` is a policy, as HEADRACE_POLICIES takes it: slates repeat with the seed, propensities are those "
    "of the draws, feedback and saved states do what they should. `fusion:NAME` is a learned fusion, as "
    "HEADRACE_FUSION takes it, over four models. HEADRACE_POLICY_PARAMETERS and `fusion` in "
    "HEADRACE_MODEL_PARAMETERS apply.\n\n"
    "A model that fails a check can still be run, "
    "but workers may differ, grow, or keep what was erased; docs/extending.md says how to write one that "
    "passes.\n\n"
    "\b\nExamples:\n"
    "  headrace check-model session_knn\n"
    "  headrace check-model river:reco.BiasedMF\n"
    "  headrace check-model policy:thompson\n"
    "  headrace check-model 'policy:river:bandit.UCB(delta=1.0)'\n"
    "  headrace check-model fusion:weighted\n"
    "  headrace check-model 'river:preprocessing.StandardScaler() | linear_model.LogisticRegression()'\n"
    '  HEADRACE_MODEL_PARAMETERS=\'{"river:reco.FunkMF": {"n_factors": 20}}\' \\\n'
    "      headrace check-model river:reco.FunkMF\n\n"
    "The exit status is 1 if a check failed."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckModelOptions:
    """Options of ``headrace check-model``."""

    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The model, as HEADRACE_MODELS names it; or `policy:` or `fusion:` and a name.",
        ),
    ]
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="CHECK,…", help="Run these checks alone; the table has their names."),
    ] = None


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "check-model", "check_model:run", CheckModelOptions, help=HELP)

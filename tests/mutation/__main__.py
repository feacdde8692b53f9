"""``python -m tests.mutation``: tests a sample of mutants; see `tests.mutation`."""

import argparse
import json
import sys
from typing import Final

from rich.console import Console

from stream_app.tools.progress import progress_bars
from tests.mutation.campaign import (
    Report,
    Result,
    check_unchanged,
    run_sample,
    sample_candidates,
    summarize,
)
from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.modules import PACKAGES, modules
from tests.mutation.runner import prepare
from tests.support import ROOT

REPORT: Final = ROOT / "build" / "mutation.json"
REQUIRED_SHARE: Final = 0.9
_REPORTED_EVERY: Final = 25


def main() -> int:
    """Test mutants; the exit code is 1 if fewer than nine of ten die."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description="Mutation testing by a sample."
    )
    parser.add_argument(
        "--packages", nargs="+", choices=PACKAGES, default=list(PACKAGES), help="all by default"
    )
    parser.add_argument("--sample", type=int, default=None, help="number of mutants; all by default")
    parser.add_argument("--seed", type=int, default=0, help="another seed samples others")
    parser.add_argument("--minutes", type=float, default=None, help="time bound; none by default")
    parser.add_argument("--processes", type=int, default=2, help="mutants that are tested at once")
    parser.add_argument(
        "--require-named", action="store_true", help="fail for each survivor that is not listed"
    )
    parser.add_argument(
        "--skip-check", action="store_true", help="do not run the tests on the unchanged code first"
    )
    options = parser.parse_args()
    console = Console(stderr=True)
    prepare(path for package in options.packages for path in modules(package))
    if not options.skip_check:
        check_unchanged(options.packages)
    candidates, n_candidates = sample_candidates(options.packages, options.sample, options.seed)
    results: list[Result] = []
    with progress_bars(console)("mutants", len(candidates)) as advance:

        def on_result(result: Result) -> None:
            results.append(result)
            advance(len(results))
            if not console.is_terminal and len(results) % _REPORTED_EVERY == 0:
                _print(f"{len(results)} of {len(candidates)} mutants")
            if result.outcome == "survived" and not result.reason:
                mutant = result.mutant
                _print(f"survived: {mutant.path}: {mutant.operator}\n  - {mutant.before}\n  + {mutant.after}")

        seconds = None if options.minutes is None else 60 * options.minutes
        report = run_sample(
            candidates, n_candidates, processes=options.processes, seconds=seconds, on_result=on_result
        )
    _write(report, options.seed)
    _print(json.dumps({"seed": options.seed, **summarize(report)}))
    if report.share_killed < REQUIRED_SHARE or (options.require_named and report.survivors):
        _print(f"{len(report.survivors)} survivors: write a test for each, or name it in {EQUIVALENT.name}")
        return 1
    return 0


def _print(text: str) -> None:
    Console(highlight=False).print(text, markup=False, soft_wrap=True)


def _write(report: Report, seed: int) -> None:
    REPORT.parent.mkdir(exist_ok=True)
    content = {
        "seed": seed,
        **summarize(report),
        "results": [
            {
                "path": each.mutant.path,
                "operator": each.mutant.operator,
                "before": each.mutant.before,
                "after": each.mutant.after,
                "outcome": each.outcome,
                "reason": each.reason,
            }
            for each in report.results
        ],
    }
    REPORT.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tests.fuzz``: fuzzes with a number of records and a seed; see `tests.fuzz`."""

import argparse
import logging
import subprocess
import sys
from importlib.util import find_spec
from typing import Final

from rich.console import Console

from stream_app.tools.progress import progress_bars
from tests.fuzz.campaigns import FAILURES, fuzz_decoders, fuzz_pipeline, fuzz_with_hypothesis
from tests.fuzz.coverage_guided import write_examples
from tests.fuzz.pipeline import FuzzingError

_SHARES: Final = {"pipeline": 0.5, "hypothesis": 0.05, "decoders": 0.2, "coverage": 0.25}
"""Shares of the records; without Atheris, the last goes to the decoders too."""


def main() -> int:
    """Fuzz; the exit code is 1 if a record failed."""
    parser = argparse.ArgumentParser(
        prog="make fuzz ARGS=", description="Fuzz everything that reads records."
    )
    parser.add_argument(
        "--records", type=int, default=1_000_000, help="number of records (default 1,000,000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same records")
    options = parser.parse_args()
    console = Console()
    logging.disable(logging.WARNING)  # lines about damaged records; failures are errors
    n_records = {name: round(share * options.records) for name, share in _SHARES.items()}
    if find_spec("atheris") is None:
        n_records["decoders"] += n_records.pop("coverage")
        console.print("atheris is not installed: damaged records alone, without the guidance of coverage")
    campaigns = {"pipeline": fuzz_pipeline, "hypothesis": fuzz_with_hypothesis, "decoders": fuzz_decoders}
    open_progress = progress_bars(console)
    for name, run in campaigns.items():
        try:
            with open_progress(name, n_records[name]) as advance:
                run(n_records[name], options.seed, advance)
        except FuzzingError as error:
            console.print(f"{name}: {error}", style="red", markup=False)
            return 1
        console.print(f"{name}: {n_records[name]:,} records, no unhandled exception (seed {options.seed})")
    if "coverage" in n_records and not _fuzz_with_coverage(n_records["coverage"], options.seed):
        console.print(f"coverage: failed; the bytes are in {FAILURES}", style="red")
        return 1
    return 0


def _fuzz_with_coverage(n_records: int, seed: int) -> bool:
    """Run Atheris in a process of its own, which it ends."""
    examples = FAILURES / "examples"
    write_examples(examples)
    (FAILURES / "found").mkdir(exist_ok=True)
    arguments = [f"-runs={n_records}", f"-seed={seed + 1}", "-max_len=2000", f"-artifact_prefix={FAILURES}/"]
    command = [sys.executable, "-m", "tests.fuzz.coverage_guided", *arguments]
    return subprocess.run([*command, str(FAILURES / "found"), str(examples)], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())

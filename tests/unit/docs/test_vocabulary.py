"""One vocabulary: no identifier, comment or document uses a word that this code base used in a private sense."""

import re
import subprocess

from tests.support import ROOT

REPLACED = {
    r"hurr(?:y|ied|ies)|leisure|rush(?:ed|es)?|crowds?": "degraded ranking, overload",
    r"remnants?": "truncated list",
    r"befalls?|fates?|what became of": "outcomes",
    r"read(?:ing|s)? back": "recover, recovery",
    r"(?:put to|at) rest|awake": "paused, active",
    r"guards?|guarded": "guardrail",
    r"suits": "user-item affinity",
    r"pass(?:ed|ing) over": "ignored impressions, skip",
    r"look(?:s|ed|ing)? around|surroundings": "query neighbors",
    r"voices|speakers|loudest": "sources",
    r"wander(?:s|ed|ing)?": "epsilon-greedy order",
    r"nobody's|lists? of (?:now|before)": "unattributed, current, previous",
    r"figures": "metrics, results, values",
    r"unlikeness": "dissimilarity",
    r"undisturbed|yardsticks?": "baseline, reference run",
    r"lodgers?|move(?:s|d)? (?:in|out)|doomed|hushed": "temporary app id, clean up, to delete, quiet logger",
    r"outbox(?:es)?": "batch producer, event sender",
    r"shoppers?|visitors?": "user",
    r"catalogues?": "catalog",
    r"whoever|whomever|nobody (?=[a-z])": "the user who, every worker that, no user",
    r"falls? back on": "falls back to",
    r"chances": "probabilities",
    r"fused chance": "fused probability",
    r"heard": "received",
    r"audiences?": "segments",
}
"""Words of the past, as patterns over the words of a line, and their replacements."""

ABOUT_THE_WORDS = {
    "CHANGELOG.md",  # its table of renamed settings and metrics
    "docs/decisions/0064-identifiers-settings-and-metrics-are-renamed-without-aliases.md",
    "tests/unit/docs/test_vocabulary.py",
}

DEFINITION = "a user is a shopper of the shop"
"""README defines the term once."""

IDENTIFIER_BOUNDARY = re.compile(r"_|(?<=[a-z0-9])(?=[A-Z])")
"""Where snake_case and CamelCase join two words."""

SUFFIXES = (".py", ".md", ".toml", ".json", ".yml", ".yaml", ".svg", "Makefile", "Dockerfile", ".ci/run")


def words_of(line: str) -> str:
    """The line with the words of its identifiers separated by spaces."""
    return IDENTIFIER_BOUNDARY.sub(" ", line)


def test_replaced_words_are_in_no_file_of_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pattern = re.compile(rf"\b(?:{'|'.join(REPLACED)})\b", re.IGNORECASE)
    found = []
    for name in listed.splitlines():
        if name in ABOUT_THE_WORDS or not name.endswith(SUFFIXES) or not (ROOT / name).is_file():
            continue
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1):
            if DEFINITION in line:
                continue
            found += [f"{name}:{number}: {match.group()}" for match in pattern.finditer(words_of(line))]
    assert not found, "\n".join(found)

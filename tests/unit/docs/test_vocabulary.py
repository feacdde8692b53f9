"""One vocabulary: no identifier, comment or document uses a word that this code base used in a private sense."""

import ast
import re
import subprocess
from collections.abc import Iterator

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
    r"look-ups?": "lookup",
    r"rankers? of results": "results ranker",
    r"fusions? that learns?": "learned fusion",
    r"(?:per|last|with an?) lists? seen": "displayed list",
    r"beside that": "independently of it",
    r"goes with": "related items",
    r"fad(?:e|es|ed|ing)": "decay",
    r"(?:ports?|slots?) (?:is |are |be )?taken": "port in use, reserved slots",
    r"takes? the place of": "replaces",
    r"taken for an?": "interpreted as",
    r"(?:is|are|was|were|be|been) away": "unavailable",
    r"places? (?:on|of) (?:an? |the |its )?lists?": "rank",
    r"(?:records?|rows?) (?:says?|said)": "names, has",
    r"what becomes? of": "outcomes",
}
"""Words of the past, as patterns over the words of a line, and their replacements."""

REPLACED_IN_NAMES = {
    r"shown": "displayed, results; only the field of events and interactions is `shown`",
    r"places?": "rank, offset, record id, slot",
    r"taken|takes": "accepted, reserved, processed",
    r"keeps": "owns",
    r"own parameters": "overrides, parameters of the model",
    r"news|touches": "stale lists",
    r"listeners?": "learner",
    r"beside|asks": "related items, candidates of",
    r"away": "unavailable",
    r"said|says|hears?": "received, current assignment",
    r"worth": "value",
    r"admits?|admitted": "add candidates",
    r"lifted": "shifted logits",
    r"guests?|manners?|endings?": "environment, signal mode, stop condition",
    r"speaks?": "attributed to",
}
"""Words that are good English in a sentence, but were names for something else; as patterns over a name's words."""

REPLACED_CLASSES = {"Gate", "Listener", "Recall"}
"""Replaced by names such as `CatchUpBarrier`, `Learner` and `ListRecovery`; recall is a metric, a gate a weight."""

CONTRACT = "topics/"
"""The event contract keeps its field names."""

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


def tracked_files() -> list[str]:
    """Paths that git tracks."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return listed.splitlines()


def names_of(source: str) -> Iterator[tuple[int, str]]:
    """The names that a module defines, without those of tests, with their lines."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name[:5] != "test_":
                yield node.lineno, name


def test_replaced_words_are_in_no_file_of_the_repository() -> None:
    pattern = re.compile(rf"\b(?:{'|'.join(REPLACED)})\b", re.IGNORECASE)
    found = []
    for name in tracked_files():
        if name in ABOUT_THE_WORDS or not name.endswith(SUFFIXES) or not (ROOT / name).is_file():
            continue
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1):
            if DEFINITION in line:
                continue
            found += [f"{name}:{number}: {match.group()}" for match in pattern.finditer(words_of(line))]
    assert not found, "\n".join(found)


def test_replaced_words_are_no_names_of_classes_functions_and_variables() -> None:
    pattern = re.compile(rf"\b(?:{'|'.join(REPLACED_IN_NAMES)})\b", re.IGNORECASE)
    found = [
        f"{file}:{line}: {name}"
        for file in tracked_files()
        if file.endswith(".py") and not file.startswith(CONTRACT) and (ROOT / file).is_file()
        for line, name in names_of((ROOT / file).read_text())
        if name in REPLACED_CLASSES or pattern.search(words_of(name))
    ]
    assert not found, "\n".join(found)

"""Which mutants are equivalent: each entry is about code that is there, and a rule about its kind alone."""

import re

import pytest

from tests.mutation.equivalent import Rule, reason_of, rules, single_mutants
from tests.mutation.modules import PACKAGES, modules
from tests.mutation.mutants import Mutant, list_candidates, make_mutant
from tests.support import ROOT

MODULES = [path for package in PACKAGES for path in modules(package)]


def text_of(path: str) -> str:
    return re.sub(r"\s+", " ", (ROOT / path).read_text())


@pytest.mark.parametrize("entry", single_mutants(), ids=lambda entry: f"{entry[0]} {entry[2]}"[:100])
def test_an_entry_is_a_mutant_of_the_code_as_it_is(entry: tuple[str, str, str]) -> None:
    path, before, after = entry
    assert path in MODULES
    assert before in text_of(path)
    assert before != after
    assert single_mutants()[entry]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.pattern)
def test_a_rule_is_about_code_that_is_there(rule: Rule) -> None:
    assert rule.reason
    for path in rule.modules:
        assert path in MODULES
        assert re.search(rule.pattern, text_of(path))
    assert any(re.search(rule.pattern, text_of(path)) for path in rule.modules or MODULES)


def test_the_flag_of_the_garbage_collector_is_no_defect_and_another_of_the_same_struct_is() -> None:
    path = "state/published_list.py"
    made = [make_mutant(each) for each in list_candidates(path) if each.operator == "ReplaceFalseWithTrue"]
    reasons = {mutant.before: reason_of(mutant) for mutant in made if mutant is not None}
    assert reasons.pop("class PublishedList(msgspec.Struct, gc=False):")
    assert set(reasons.values()) == {""}


def test_a_rule_holds_for_one_replacement_of_its_operator() -> None:
    rule = Rule("NumberReplacer", r"\b1\b", "2", ("a.py",), "why")
    mutant = Mutant("a.py", "NumberReplacer", "", "x = 1 + 1", "x = 1 + 2")
    assert rule.applies(mutant)
    assert not rule.applies(mutant._replace(after="x = 2 + 2"))
    assert not rule.applies(mutant._replace(after="x = 1 - 2"))
    assert not rule.applies(mutant._replace(operator="AddNot"))
    assert not rule.applies(mutant._replace(path="b.py"))


def test_a_rule_without_a_replacement_holds_for_any_change_within_its_match() -> None:
    rule = Rule("NumberReplacer", r"@cache\(size=\d+\)", None, (), "why")
    mutant = Mutant("a.py", "NumberReplacer", "", "@cache(size=1) def f(x=1):", "@cache(size= 2) def f(x=1):")
    assert rule.applies(mutant)
    assert not rule.applies(mutant._replace(after="@cache(size=1) def f(x= 2):"))
    assert not rule.applies(mutant._replace(after="@cache(size= 2) def f(x= 2):"))

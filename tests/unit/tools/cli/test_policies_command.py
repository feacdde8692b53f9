"""``headrace policies`` as somebody at a terminal meets it; two lists of records stand where Kafka would be."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import kafka
import msgspec
import pytest
from kafka.errors import KafkaTimeoutError, NotLeaderForPartitionError

from stream_app.__main__ import main
from stream_app.bandit.policy_registry import POLICIES
from stream_app.experiment.confidence_sequence import half_width
from stream_app.tools import policy_control
from topics.catalog import CONTROL, REWARDS, TopicSpec
from topics.records import GUARD, PolicyShares, Reward, RewardKind, Source

DAY = 86_400.0


class Done(NamedTuple):
    """What a command came to."""

    status: int
    said: str
    error: str


class Record(NamedTuple):
    """A record as Kafka's client gives it, as far as the command looks at it."""

    key: bytes
    value: bytes
    timestamp: int


class Terminal:
    """Runs commands on a broker whose topics are lists."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.words: list[Record] = []
        self.rewards: list[bytes] = []
        self.now = 1.0
        self.refusal: Exception | None = None
        self.closed = 0
        monkeypatch.setattr(policy_control, "topic_records", self._records)
        monkeypatch.setattr(policy_control, "raw_records", self._raw_records)
        monkeypatch.setattr(kafka, "KafkaProducer", self._producer)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setenv("HEADRACE_POLICIES", '{"fixed": 0.5, "thompson": 0.5}')

    def _records(self, _broker: str, topic: TopicSpec) -> Iterator[Record]:
        assert topic is CONTROL
        return iter(self.words.copy())

    def _raw_records(self, _broker: str, topic: TopicSpec) -> Iterator[tuple[str, bytes]]:
        assert topic is REWARDS
        return iter([(f"rewards[0]@{at}", value) for at, value in enumerate(self.rewards)])

    def _producer(self, **_: object) -> "Terminal":
        return self

    def send(self, topic: str, *, key: bytes, value: bytes, partition: int) -> "Terminal":
        assert (topic, key, partition) == (CONTROL.name, b"shares", 0)
        self.record(key, value, self.now)
        return self

    def record(self, key: bytes, value: bytes, at: float) -> None:
        """The broker takes a record at a time of its own."""
        self.words.append(Record(key, value, round(at * 1000)))

    def compact(self) -> None:
        """Kafka drops all but the newest record of each key."""
        newest = {word.key: word for word in self.words}
        self.words = [word for word in self.words if newest[word.key] is word]

    def get(self, timeout: float) -> None:
        assert timeout > 0
        if self.refusal is not None:
            raise self.refusal

    def close(self) -> None:
        self.closed += 1

    def headrace(self, *words: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["headrace", "policies", *words])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = self._capsys.readouterr()
        return Done(status, said.out, said.err)

    def document(self, *words: str) -> Any:
        done = self.headrace("--json", *words)
        assert done.status == 0, done.error
        return json.loads(done.said)

    def newest(self) -> PolicyShares:
        """The last word on the control topic."""
        return msgspec.json.decode(self.words[-1].value, type=PolicyShares)

    def guard_rests(self, policy: str, at: float = 0.0, since: float | None = None) -> None:
        word = PolicyShares(weights={}, resting=(policy,), by=GUARD, note="it does harm", since=since)
        self.record(f"guard:{policy}".encode(), msgspec.json.encode(word), at)

    def operator_said(self, at: float, **weights: float) -> None:
        self.record(b"shares", msgspec.json.encode(PolicyShares(weights=weights)), at)

    def shoppers_see(self, policy: str, *, clicks: float, shoppers: int = 100, ts: float = 100.0) -> None:
        """Shoppers of a policy see a list each; a share of them click."""
        rewards = self.rewards
        for n in range(shoppers):
            common: dict[str, Any] = {
                "partition": 0, "line": 0, "ts": ts, "user_id": f"{policy} {n}", "list_id": f"l{n}", "policy": policy,
            }  # fmt: skip
            offset = len(rewards)
            shown = Reward(
                source=Source.IMPRESSION, offset=offset, kind=RewardKind.IMPRESSION, opens=True, **common
            )
            rewards.append(msgspec.msgpack.encode(shown))
            if n < clicks * shoppers:
                click = Reward(
                    source=Source.CLICK,
                    offset=offset,
                    kind=RewardKind.CLICK,
                    value=1.0,
                    item_id="a",
                    **common,
                )
                # as after a crash: it counts once
                rewards += [msgspec.msgpack.encode(click)] * 2


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)


def rows_of(said: str) -> Mapping[str, list[str]]:
    """The cells of the table by the policy in the first."""
    return {cells[0]: cells[1:] for line in said.splitlines() if (cells := line.split())}


# What it shows


def test_the_table_has_figures_with_intervals_and_what_each_policy_is_against_the_control(
    terminal: Terminal,
) -> None:
    terminal.shoppers_see("fixed", clicks=0.4)
    terminal.shoppers_see("thompson", clicks=0.5)
    done = terminal.headrace()
    assert (done.status, done.error) == (0, "")
    header = done.said.splitlines()[1]
    assert "clicks / list" in header
    assert "against fixed" in header
    fixed, thompson = rows_of(done.said)["fixed"], rows_of(done.said)["thompson"]
    # squares about the mean: 40 · 0.6² + 60 · 0.4² = 24, one click more than there were: 25 over 100 shoppers
    assert fixed[:5] == ["settings", "100", "100", "0.4000", f"±{half_width(100) * (25 / 100) ** 0.5:.4f}"]
    assert thompson[:4] == ["settings", "100", "100", "0.5000"]
    assert thompson[-2:] == ["+25.0%", "clicks"]


def test_a_policy_nobody_saw_and_one_with_too_few_shoppers_have_no_interval(terminal: Terminal) -> None:
    terminal.operator_said(1.0, fixed=1, thompson=1)
    terminal.shoppers_see("fixed", clicks=0.5, shoppers=10)
    said = terminal.headrace().said
    assert rows_of(said)["fixed"] == ["50%", "10", "10", "0.5000", "0.0000", "0.0000", "0.5000"]
    assert rows_of(said)["thompson"] == ["50%", "0", "0"]


def test_without_impressions_it_says_that_figures_say_little(terminal: Terminal) -> None:
    assert "No impressions are known" in terminal.headrace().said
    terminal.shoppers_see("fixed", clicks=0.5)
    assert "No impressions are known" not in terminal.headrace().said


def test_the_document_has_the_same_figures_and_null_for_bounds_that_are_not_known(terminal: Terminal) -> None:
    terminal.operator_said(1.0, fixed=1, thompson=1)
    terminal.shoppers_see("fixed", clicks=0.4)
    terminal.shoppers_see("thompson", clicks=0.5, shoppers=10)
    policies = terminal.document()["policies"]
    fixed, thompson = policies["fixed"], policies["thompson"]
    assert (fixed["share"], fixed["shoppers"], fixed["lists_seen"]) == (0.5, 100, 100)
    clicks = fixed["clicks_per_list"]
    assert clicks["low"] < clicks["mean"] == 0.4 < clicks["high"]
    assert thompson["clicks_per_list"] == {"mean": 0.5, "low": None, "high": None}


def test_figures_can_be_of_the_last_days(terminal: Terminal) -> None:
    terminal.operator_said(1.0, fixed=1)
    terminal.shoppers_see("fixed", clicks=0.5)
    assert terminal.document("--days", "1")["policies"]["fixed"]["shoppers"] == 0
    assert terminal.document("--days", "0")["policies"]["fixed"]["shoppers"] == 100


AT = 1_795_543_200.0
"""2026-11-24 18:00 in UTC."""


@pytest.fixture
def of_two_periods(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A bad time, mostly thompson's, and then a good one; the policies are alike in each."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    terminal.operator_said(AT - 3 * DAY, fixed=1, thompson=9)
    terminal.shoppers_see("fixed", clicks=0.1, ts=AT - 2 * DAY)
    terminal.shoppers_see("thompson", clicks=0.1, shoppers=900, ts=AT - 2 * DAY)
    terminal.operator_said(AT, fixed=9, thompson=1)
    terminal.shoppers_see("fixed", clicks=0.5, shoppers=900, ts=AT + 60)
    terminal.shoppers_see("thompson", clicks=0.5, ts=AT + 60)
    yield terminal
    monkeypatch.undo()
    time.tzset()


def test_figures_are_since_the_split_last_changed_and_it_says_so(of_two_periods: Terminal) -> None:
    said = of_two_periods.headrace().said
    assert said.splitlines()[0] == (
        "Since 2026-11-24 18:00 UTC, when the split last changed; `--all` takes all that Kafka keeps."
    )
    assert rows_of(said)["fixed"][1:4] == ["900", "900", "0.5000"]
    assert rows_of(said)["thompson"][1:4] == ["100", "100", "0.5000"]
    assert rows_of(said)["thompson"][-2:] == ["+0.0%", "clicks"]
    told = of_two_periods.document()
    assert told["since"] == AT
    assert told["policies"]["fixed"]["lists_seen"] == 900


@pytest.mark.parametrize("option", [("--all",), ("--days", "0")])
def test_all_that_kafka_keeps_is_shown_with_a_warning(
    option: tuple[str, ...], of_two_periods: Terminal
) -> None:
    said = of_two_periods.headrace(*option).said
    assert said.splitlines()[0] == (
        "Of all that Kafka keeps. The split changed on 2026-11-24 18:00 UTC: "
        "policies had their lists at different times."
    )
    assert rows_of(said)["fixed"][2] == "1,000"
    told = of_two_periods.document(*option)
    assert told["since"] is None
    assert told["policies"]["fixed"]["lists_seen"] == 1_000


def test_days_that_reach_beyond_a_change_of_the_split_are_warned_of_too(
    of_two_periods: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: AT + DAY)
    said = of_two_periods.headrace("--days", "2.5").said
    assert said.splitlines()[0].startswith(
        "Since 2026-11-23 06:00 UTC. The split changed on 2026-11-24 18:00"
    )
    assert of_two_periods.headrace("--days", "0.5").said.splitlines()[0] == "Since 2026-11-25 06:00 UTC."


def test_all_and_days_exclude_each_other(terminal: Terminal) -> None:
    done = terminal.headrace("--all", "--days", "1")
    assert (done.status, done.said) == (2, "")
    assert "--all and --days exclude each other" in done.error


def test_what_the_guard_says_changes_the_split_too_and_what_changes_nothing_does_not(
    of_two_periods: Terminal,
) -> None:
    of_two_periods.now = AT + 600
    of_two_periods.headrace("share", "fixed=0.9", "thompson=0.1")
    assert of_two_periods.document()["since"] == AT
    of_two_periods.guard_rests("thompson", at=AT + 900)
    assert of_two_periods.document()["since"] == AT + 900
    of_two_periods.now = AT + 901
    of_two_periods.headrace("rest", "thompson")
    assert of_two_periods.document()["since"] == AT + 900


def test_the_period_goes_by_the_brokers_time_whatever_the_clock_here(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: AT - DAY)
    terminal.now = AT
    terminal.headrace("share", "fixed=1", "thompson=9")
    assert terminal.document()["since"] == AT


def test_the_period_is_the_same_after_compaction(terminal: Terminal) -> None:
    for at, words in enumerate(
        (
            ("share", "fixed=1", "thompson=1", "linucb=1"),
            ("rest", "linucb"),
            ("resume", "linucb"),
            ("share", "fixed=2", "thompson=2", "linucb=2", "--note", "the same"),
            ("resume", "fixed"),
        )
    ):
        terminal.now = 10.0 + at
        assert terminal.headrace(*words).status == 0
        before = terminal.document()
        terminal.compact()
        assert terminal.document() == before
    assert before["since"] == 12.0
    assert len(terminal.words) == 1


def test_it_says_what_counts_as_a_click(terminal: Terminal) -> None:
    for said in (terminal.headrace().said, terminal.headrace("--help").said):
        words = " ".join(said.split())
        assert "first good reaction" in words
        assert "a click, a cart, a wishlist or a share" in words


# In a narrow terminal


@pytest.fixture
def narrow(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    shares = {"session_value": 0.5, "item_thompson": 0.3, "epsilon_greedy": 0.1, "fixed": 0.1}
    terminal.operator_said(1.0, **shares)
    for name in shares:
        terminal.shoppers_see(name, clicks=0.5, shoppers=1_500)
    return terminal


def test_policies_are_named_in_full_at_80_columns_and_what_is_left_out_is_told(narrow: Terminal) -> None:
    said = narrow.headrace().said
    table = said.splitlines()[1:6]
    assert max(map(len, table)) <= 80
    assert not any("…" in line for line in table)
    assert " ".join(table[0].split()) == "policy share shoppers lists seen clicks / list reward / list"
    assert {*rows_of(said)} >= {"session_value", "item_thompson", "epsilon_greedy", "fixed"}
    assert rows_of(said)["session_value"][:4] == ["50%", "1,500", "1,500", "0.5000"]
    left_out = "revenue / list, purchases / list, against fixed"
    assert f"Too narrow for {left_out}: widen the terminal, or see --json." in said


@pytest.mark.parametrize("columns", [40, 60])
def test_names_stay_whole_however_narrow_it_is(
    columns: int, narrow: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = narrow.headrace().said.splitlines()
    assert {"session_value", "item_thompson"} <= {line.split()[0] for line in lines if line}


def test_policies_without_a_weight_that_nobody_saw_have_no_row(terminal: Terminal) -> None:
    terminal.operator_said(1.0, fixed=1, thompson=0, linucb=0, popularity=0)
    terminal.shoppers_see("thompson", clicks=0.5)
    rows = rows_of(terminal.headrace().said)
    assert {"fixed", "thompson"} == {*rows} & {"fixed", "thompson", "linucb", "popularity"}


# What it says


def test_a_split_is_said_and_shown(terminal: Terminal) -> None:
    done = terminal.headrace("share", "fixed=1", "thompson=3", "--note", "the test is over")
    assert (done.status, done.error) == (0, "")
    assert "workers follow within a second" in done.said
    word = terminal.newest()
    assert (word.weights, word.by, word.note) == (
        {"fixed": 1.0, "thompson": 3.0},
        "operator",
        "the test is over",
    )
    assert terminal.closed == 1
    assert rows_of(terminal.headrace().said)["thompson"][0] == "75%"


def test_a_policy_that_these_settings_do_not_run_is_named(terminal: Terminal) -> None:
    done = terminal.headrace("share", "fixed=1", "linucb=1")
    assert done.status == 0
    assert "HEADRACE_POLICIES here has no linucb" in done.said


def test_a_policy_rests_and_is_resumed(terminal: Terminal) -> None:
    terminal.headrace("share", "fixed=1", "thompson=1")
    assert terminal.headrace("rest", "thompson").said == "thompson: at rest.\n"
    assert rows_of(terminal.headrace().said)["thompson"][0] == "rests"
    assert terminal.document()["policies"]["fixed"]["share"] == 1.0
    assert terminal.headrace("resume", "thompson").said == "thompson: resumed.\n"
    assert rows_of(terminal.headrace().said)["thompson"][0] == "50%"


@pytest.mark.parametrize("local", ['{"fixed": 1}', '{"fixed": 0, "thompson": 1, "linucb": 3}'])
def test_a_shell_with_other_settings_than_the_workers_leaves_their_split_as_it_is(
    local: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_POLICIES", local)
    for words in (("rest", "thompson"), ("resume", "thompson"), ("resume", "popularity")):
        assert terminal.headrace(*words).status == 0
        assert terminal.newest().weights == {}
    terminal.headrace("share", "fixed=1", "thompson=3")
    terminal.headrace("rest", "thompson")
    assert terminal.newest().weights == {"fixed": 1.0, "thompson": 3.0}


def test_before_a_split_is_said_it_shows_that_the_workers_settings_hold(terminal: Terminal) -> None:
    terminal.shoppers_see("linucb", clicks=0.5)
    terminal.headrace("rest", "thompson")
    said = terminal.headrace().said
    assert (
        "No `share` was said yet: workers split shoppers by their own HEADRACE_POLICIES "
        "(in this shell: fixed=0.5, thompson=0.5)."
    ) in said
    rows = rows_of(said)
    assert (rows["linucb"][0], rows["thompson"][0]) == ("settings", "rests")
    assert {name: each["share"] for name, each in terminal.document()["policies"].items()} == {
        "linucb": None,
        "thompson": None,
    }
    terminal.headrace("share", "fixed=1", "linucb=1")
    assert "No `share` was said" not in terminal.headrace().said


def test_the_control_is_shown_to_have_everybody_where_all_rest(terminal: Terminal) -> None:
    terminal.headrace("share", "fixed=1", "thompson=1")
    terminal.headrace("rest", "fixed")
    terminal.guard_rests("thompson")
    rows = rows_of(terminal.headrace().said)
    assert (rows["fixed"][0], rows["thompson"][0]) == ("100%", "rests")


def test_what_the_guard_rests_is_shown_as_the_guards(terminal: Terminal) -> None:
    terminal.guard_rests("thompson")
    said = terminal.headrace().said
    assert rows_of(said)["thompson"][0] == "rests"
    assert "At rest by the guard: thompson (`headrace policies resume` undoes it)." in said
    told = terminal.document()
    assert told["said"]["resting"] == []
    assert told["guard"]["resting"] == ["thompson"]
    assert told["policies"]["thompson"]["resting"] is True


def test_the_last_policy_that_the_guard_has_left_awake_is_not_put_to_rest(terminal: Terminal) -> None:
    terminal.operator_said(1.0, fixed=1, thompson=1)
    terminal.guard_rests("thompson")
    done = terminal.headrace("rest", "fixed")
    assert done.status != 0
    assert "Nobody would get a shopper" in done.error
    assert terminal.document()["policies"]["fixed"]["share"] == 1.0


@pytest.mark.parametrize("words", [("share", "fixed=1", "thompson=9"), ("resume", "fixed")])
def test_what_the_guard_rests_does_not_become_the_operators_word(
    words: tuple[str, ...], terminal: Terminal
) -> None:
    terminal.guard_rests("thompson")
    assert terminal.headrace(*words).status == 0
    assert "thompson" not in terminal.newest().resting
    assert terminal.document()["policies"]["thompson"]["resting"] is True


def test_what_the_guard_rests_comes_back_when_it_is_resumed_and_stays_through_another_split(
    terminal: Terminal,
) -> None:
    terminal.guard_rests("thompson")
    terminal.headrace("resume", "thompson")
    terminal.headrace("share", "fixed=1", "thompson=3")
    assert terminal.newest().trusted == ("thompson",)
    assert rows_of(terminal.headrace().said)["thompson"][0] == "75%"
    assert "At rest by the guard" not in terminal.headrace().said


def test_a_policy_that_an_operator_alone_put_to_rest_is_the_guards_again_when_it_is_resumed(
    terminal: Terminal,
) -> None:
    terminal.headrace("share", "fixed=1", "thompson=1")
    terminal.headrace("rest", "thompson")
    terminal.headrace("resume", "thompson")
    assert terminal.newest().trusted == ()
    terminal.guard_rests("thompson")
    assert rows_of(terminal.headrace().said)["thompson"][0] == "rests"


def test_a_policy_that_the_guard_has_put_to_rest_is_left_alone_once_it_is_resumed_and_stays_so(
    terminal: Terminal,
) -> None:
    terminal.headrace("share", "fixed=1", "thompson=1", "linucb=1")
    terminal.guard_rests("thompson")
    terminal.headrace("rest", "linucb")
    terminal.headrace("resume", "thompson", "linucb")
    assert terminal.newest().trusted == ("thompson",)
    for words in (("resume", "thompson"), ("rest", "linucb"), ("rest", "thompson"), ("resume", "thompson")):
        terminal.headrace(*words)
    assert terminal.newest().trusted == ("thompson",)
    assert rows_of(terminal.headrace().said)["thompson"][0] == "50%"


def test_the_help_says_of_which_policies_the_guard_lets_go(terminal: Terminal) -> None:
    said = " ".join(terminal.headrace("resume", "--help").said.split())
    assert "that the guard has put to rest it leaves alone from now on" in said
    assert "it may put to rest again" in said


# What goes wrong


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("share", "fixd=1"), "There is no policy 'fixd'; there are fixed, popularity, thompson,"),
        (("share", "fixed"), "'fixed' is no POLICY=WEIGHT, such as thompson=0.9."),
        (("share", "fixed=much"), "'fixed=much' is no POLICY=WEIGHT"),
        (("share", "fixed=1", "thompson=-1"), "the weight of policy 'thompson' must be 0 or more, not -1.0."),
        (("share", "fixed=nan"), "the weight of policy 'fixed' must be 0 or more, not nan."),
        (("share", "fixed=0"), "one policy at least needs a weight above 0."),
        (("share", "fixed=1", "fixed=2"), "fixed is given two weights."),
        (("rest", "linucbb"), "There is no policy 'linucbb'; there are fixed, popularity, thompson,"),
        (("rest", *POLICIES), "Nobody would get a shopper"),
        (("resume", "thomson"), "There is no policy 'thomson'; there are fixed, popularity, thompson,"),
    ],
)
def test_what_cannot_be_said_is_one_sentence_and_is_not_said(
    words: tuple[str, ...], wanted: str, terminal: Terminal
) -> None:
    done = terminal.headrace(*words)
    assert (done.status, done.said) == (1, "")
    assert done.error.startswith("headrace: ")
    assert wanted in done.error
    assert done.error.count("\n") == 1
    assert terminal.words == []


@pytest.mark.parametrize(
    ("refusal", "wanted"),
    [
        (KafkaTimeoutError("60 s"), "No Kafka broker answers at localhost:9092."),
        (NotLeaderForPartitionError("at 3"), "The Kafka broker at localhost:9092 refused: "),
    ],
)
def test_a_broker_that_does_not_take_it_is_one_sentence(
    refusal: Exception, wanted: str, terminal: Terminal
) -> None:
    terminal.refusal = refusal
    done = terminal.headrace("rest", "thompson")
    assert (done.status, done.said) == (1, "")
    assert done.error.startswith(f"headrace: {wanted}")
    assert done.error.count("\n") == 1
    assert terminal.closed == 1


@pytest.mark.parametrize("words", [(), ("share", "fixed=1")], ids=["show", "share"])
def test_an_absent_broker_is_one_sentence(words: tuple[str, ...]) -> None:
    # in a process of its own: the Kafka client leaves sockets behind when nobody answers
    code = (
        "from stream_app.kafka import broker_errors\n"
        "broker_errors.BOOTSTRAP_MS = 300\n"
        "from stream_app.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "policies", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "HEADRACE_BROKER": "127.0.0.1:1"},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "headrace: No Kafka broker answers at 127.0.0.1:1. Start one, or set HEADRACE_BROKER.\n"
    )


def test_records_that_say_nothing_are_passed_over(terminal: Terminal) -> None:
    terminal.headrace("share", "fixed=1", "thompson=3")
    for value in (b"{", b'{"weights": {"fixed": -1}}', b'{"weights": {"fixed": 0}}', b"{}"):
        terminal.record(b"shares", value, 2.0)
    terminal.rewards += [b"\xc1"]
    assert terminal.document()["policies"]["thompson"]["share"] == 0.75

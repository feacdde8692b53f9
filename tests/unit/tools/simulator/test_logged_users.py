"""Logs as users, and the split of a log."""

import gzip
import json
from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.settings import shared_data_dir
from stream_app.tools.simulator.log_split import Tenth, merge_by_time, split_log
from stream_app.tools.simulator.logged_users import group_by_user, read_log
from stream_app.tools.simulator.simulation_options import SimulationOptions, parse_days, parse_warm_up
from stream_app.tools.simulator.user_sources import LoggedUserSource
from topics.events import Click, Purchase, Search, UserEvent

NOW = 2_000_000_000.0


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.jsonl.gz"
    with gzip.open(path, "wt") as file:
        for number in range(200):
            file.write(json.dumps([number, number + 1, number + 2]) + "\n")
    return path


def test_tenths_are_disjoint_and_cover_all_but_the_warm_up(sessions: Path) -> None:
    log = read_log(sessions, "diginetica")
    tenths = [{each.user_id for each in split_log(log, 0.25, Tenth(n)).measured} for n in range(1, 11)]
    warm_up_users = {each.user_id for each in split_log(log, 0.25).warm_up}

    assert len(warm_up_users) == 50
    assert sum(map(len, tenths)) == len(set().union(*tenths)) == 150
    assert set().union(*tenths, warm_up_users) == {each.user_id for each in log}
    assert max(each.start_time for each in log if each.user_id in warm_up_users) < min(
        each.start_time for each in log if each.user_id not in warm_up_users
    )


def test_a_limit_keeps_the_first_users_of_a_tenth(sessions: Path) -> None:
    log = read_log(sessions, "diginetica")

    assert split_log(log, 0.0, Tenth(3), 4).measured == split_log(log, 0.0, Tenth(3)).measured[:4]
    with pytest.raises(UserError, match="No user is left"):
        split_log(log[:3], 0.0, Tenth(9))


def test_the_log_ends_now_and_the_warm_up_precedes_the_measured_users(sessions: Path) -> None:
    source = LoggedUserSource(SimulationOptions(sessions=sessions, warm_up=0.5), "r-", NOW)
    events_before = list(source.warm_up())
    next_times = [user.next_time or 0.0 for user in source.users()]

    assert len(events_before) == source.warm_up_events == 300
    assert all(isinstance(event, UserEvent) and event.user_id.startswith("r-") for event in events_before)
    assert source.oldest == pytest.approx(events_before[0].time, abs=0.01)
    assert (
        max(event.time for event in events_before) < min(next_times) == pytest.approx(source.begin, abs=0.01)
    )
    assert source.end == pytest.approx(NOW, abs=0.01)
    assert [event.time for event in events_before] == sorted(event.time for event in events_before)


def test_a_separate_warm_up_log_ends_where_the_log_begins_and_has_other_users(
    sessions: Path,
) -> None:
    source = LoggedUserSource(SimulationOptions(sessions=sessions, warm_up=sessions), "", NOW)
    events_before = list(source.warm_up())
    users = source.users()

    assert events_before[-1].time == pytest.approx(source.begin, abs=0.01)
    warm_up_user_ids = {event.user_id for event in events_before if isinstance(event, UserEvent)}
    assert len(warm_up_user_ids) == len(users) == 200
    assert warm_up_user_ids.isdisjoint(user.user_id for user in users)


def test_yoochoose_sessions_keep_their_times(tmp_path: Path) -> None:
    path = tmp_path / "clicks.tsv"
    path.write_text("SessionId\tItemId\tTime\n3\ta\t1000.5\n3\tb\t1010.0\n4\ta\t1005.0\n")
    log = read_log(path, "yoochoose")

    assert [(each.user_id, each.n_events, each.start_time, each.end_time) for each in log] == [
        ("session-3", 2, 1000.5, 1010.0), ("session-4", 1, 1005.0, 1005.0),
    ]  # fmt: skip
    assert [event.item_id for event in merge_by_time(log) if isinstance(event, Click)] == ["a", "a", "b"]
    path.write_text("SessionId\tItemId\tTime\n3\ta\tnoon\n")
    with pytest.raises(UserError, match="'noon' is not a time"):
        read_log(path, "yoochoose")


def test_an_event_log_becomes_users_with_sessions_ordered_by_time(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [
        {"type": "click", "event_id": "1", "user_id": "u", "session_id": "b", "ts": 50_000, "item_id": "x"},
        {"type": "click", "event_id": "2", "user_id": "u", "session_id": "a", "ts": 20_000, "item_id": "y"},
        {"type": "search", "event_id": "3", "user_id": "u", "session_id": "a", "ts": 10_000, "query": "q"},
        {
            "type": "impression",
            "event_id": "4",
            "user_id": "u",
            "session_id": "a",
            "ts": 10_000,
            "list_id": "l",
        },
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    [user] = read_log(path, "jsonl")

    assert [[event.event_id for event in session] for session in user.sessions()] == [["3", "2"], ["1"]]


@pytest.mark.parametrize(
    ("format_name", "file", "users", "events"),
    [
        ("trivago", "trivago/events.csv.gz", 6_593, 91_752),
        ("yoochoose", "yoochoose/train.tsv.gz", None, 70_278),
    ],
)
def test_the_real_logs_are_read_whole(format_name: str, file: str, users: int | None, events: int) -> None:
    path = shared_data_dir() / file
    if not path.exists():
        pytest.skip(f"{path} is not here; HEADRACE_DATA names the folder of the logs")
    log = read_log(path, format_name)

    assert users is None or len(log) == users
    assert sum(each.n_events for each in log) == events
    if format_name == "trivago":
        kinds = [type(event) for each in log for event in each.events()]
        assert kinds.count(Purchase) == 13_597
        assert kinds.count(Search) == 5_184


def test_invalid_options_are_one_error_sentence(sessions: Path) -> None:
    for text in ("0/10", "11/10", "3", "3/9", "x/10"):
        with pytest.raises(UserError, match="--tenth"):
            Tenth.parse(text)
    with pytest.raises(UserError, match="no format 'parquet'"):
        read_log(sessions, "parquet")
    with pytest.raises(UserError, match="share of the log"):
        parse_warm_up("1.5")
    with pytest.raises(UserError, match="--shifts"):
        parse_days("7,4")
    with pytest.raises(UserError, match="give --sessions"):
        SimulationOptions(tenth=Tenth(1)).validate()
    with pytest.raises(UserError, match="There is no file"):
        SimulationOptions(sessions=sessions, warm_up=Path("/nowhere")).validate()


def test_users_are_numbered_by_their_first_event() -> None:
    log = group_by_user(
        Click(event_id=u, user_id=u, ts=ts, item_id="i") for u, ts in (("b", 5), ("a", 9), ("c", 1))
    )

    assert [(each.number, each.user_id) for each in log] == [(0, "c"), (1, "b"), (2, "a")]

"""Bytes that are stored in topics and tables: another version of Headrace must read and write the same."""

import msgspec

from state.dedup import RecordId
from state.fold import fold
from state.row import EMPTY_ROW, decode_row
from topics.events import Click, Feedback, FeedbackKind, OrderLine, Purchase, Search, UserEvent
from topics.records import (
    Interaction,
    Kind,
    Line,
    ListedItem,
    PolicyAssignment,
    Reason,
    RecommendationList,
    Reward,
    RewardKind,
    Source,
)

EVENTS: list[tuple[UserEvent, RecordId]] = [
    (
        Click(
            event_id="c", user_id="ann", ts=1_000, item_id="shoe", channel="web", context={"country": "FR"}
        ),
        RecordId(Source.CLICK, 3, 7),
    ),
    (
        Search(event_id="s", user_id="ann", ts=2_000, query="red", results=["shoe", "hat"], prices=[9.5, 3]),
        RecordId(Source.SEARCH, 3, 2),
    ),
    (
        Purchase(event_id="p", user_id="ann", ts=3_000, order_id="o", items=[OrderLine(item_id="hat")]),
        RecordId(Source.PURCHASE, 3, 1),
    ),
    (
        Feedback(event_id="f", user_id="ann", ts=4_000, item_id="sock", kind=FeedbackKind.LIKE),
        RecordId(Source.FEEDBACK, 3, 0),
    ),
]


def test_a_row_of_format_1_can_be_decoded() -> None:
    row = EMPTY_ROW
    for event, record_id in EVENTS:
        row = fold(row, event, record_id, 1_800.0).row
    # A row may get more fields at its end; those that are stored stay where they are.
    assert decode_row(bytes.fromhex(ROW)) == row


def test_an_interaction_has_the_same_bytes_as_ever() -> None:
    interaction = Interaction(
        Source.PURCHASE,
        3,
        1,
        3.5,
        "ann",
        Kind.PURCHASE,
        (Line("hat", 2.0, 9.5),),
        ("country:FR",),
        "red",
        ("hat",),
        (9.5,),
        "l",
    )
    assert msgspec.msgpack.encode(interaction).hex() == INTERACTION
    assert msgspec.msgpack.decode(bytes.fromhex(INTERACTION), type=Interaction) == interaction


def test_fields_of_lists_rewards_and_assignments_have_the_same_names_as_ever() -> None:
    item = ListedItem("hat", 0.5, 0.25, Reason("also_viewed", item_id="shoe"))
    listed = RecommendationList(
        list_id="l", key="k", generated_at="t", policy="fixed", model_version=1, items=(item,), features=b"\0"
    )
    assert msgspec.json.encode(listed) == (
        b'{"list_id":"l","key":"k","generated_at":"t","policy":"fixed","model_version":1,"items":[{"id":"hat",'
        b'"score":0.5,"propensity":0.25,"why":{"source":"also_viewed","item_id":"shoe"}}],"features":"AA=="}'
    )
    reward = Reward(
        source=Source.CLICK,
        partition=0,
        offset=7,
        line=0,
        ts=1.5,
        user_id="ann",
        list_id="l",
        policy="fixed",
        kind=RewardKind.CLICK,
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(reward)) == {
        "source": 0,
        "partition": 0,
        "offset": 7,
        "line": 0,
        "ts": 1.5,
        "user_id": "ann",
        "list_id": "l",
        "policy": "fixed",
        "kind": "click",
    }
    assert msgspec.json.encode(PolicyAssignment(weights={"fixed": 1.0})) == (
        b'{"weights":{"fixed":1.0},"paused":[],"guardrail_exempt":[],"effective_time":null,"ts":0.0,'
        b'"author":"operator","note":""}'
    )


def test_a_reward_of_defaults_alone_is_the_first_positive_one_of_a_list_that_was_not_named() -> None:
    raw = msgspec.msgpack.encode(
        dict.fromkeys(("source", "partition", "offset", "line"), 0)
        | dict.fromkeys(("user_id", "list_id", "policy"), "x")
        | {"ts": 1.0, "kind": "click"}
    )
    reward = msgspec.msgpack.decode(raw, type=Reward)
    assert (reward.position, reward.propensity, reward.value, reward.revenue, reward.delay) == (
        -1,
        1.0,
        0.0,
        0.0,
        0.0,
    )
    assert (reward.first_positive, reward.first_exposure, reward.search, reward.explicit) == (
        True,
        False,
        False,
        False,
    )


ROW = (
    "dc00100196070201ff00ffc430ff08fffb19470000000000074f04e0dc27ba0100000000021baf02a0ffe30200000000"
    "01e32d2ad46ecb0400000000009293cb3ff0000000000000a473686f650093cb4008000000000000a36861740594cb3f"
    "f0000000000000cb4000000000000000cb4008000000000000cb401000000000000092cb3ff0000000000000cb401000"
    "0000000000950101010001cb3ff0000000000000cb401000000000000081a3686174cb40080000000000008081a4736f"
    "636bcb40100000000000009194cb4000000000000000a372656492a473686f65a368617492cb40230000000000000392"
    "aa636f756e7472793a4652ab6368616e6e656c3a776562cb3ff000000000000003"
)
INTERACTION = (
    "9c020301cb400c000000000000a3616e6e059193a3686174cb4000000000000000cb402300000000000091aa636f756e"
    "7472793a4652a372656491a368617491cb4023000000000000a16c"
)

"""``python -m stream_app.tools.bench.shop_files DIR``: the worded shop as files, for `headrace embed` and `evaluate`.

Writes `catalog.jsonl`, `pictures/` and `clicks.jsonl`: sessions of users over which a quarter of the items appear in
the catalog, so that many choices are the first interaction with their item.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from stream_app.errors import UserError
from stream_app.tools.bench.worded_shop import WordedShop
from stream_app.tools.console import run_script
from stream_app.tools.embedding.catalog_embedder import catalog_line, event_line
from topics.events import Click

START_MS: Final = 1_790_000_000_000
"""Time of the first session."""

_SESSION_MS: Final = 60_000
_CLICK_MS: Final = 5_000


def appearance_times(items: int, sessions: int, *, new: float = 0.25) -> list[int]:
    """When each item appears, milliseconds since the epoch: the first ones at the start, the others one by one.

    Parameters
    ----------
    new
        Share of the items that appear after the start.

    Examples
    --------
    >>> [(time - START_MS) // 60_000 for time in appearance_times(4, 10, new=0.5)]
    [0, 0, 3, 6]
    """
    first_new = items - round(new * items)
    count = items - first_new + 1
    return [
        START_MS + max(0, number - first_new + 1) * sessions // count * _SESSION_MS for number in range(items)
    ]


def clicks(shop: WordedShop, sessions: int, users: int) -> Iterator[Click]:
    """The clicks of the sessions, one session per minute, on items that have appeared."""
    times = appearance_times(len(shop.entries), sessions)
    available = 0
    for session in range(sessions):
        started = START_MS + session * _SESSION_MS
        while available < len(times) and times[available] <= started:
            available += 1
        for step, item in enumerate(shop.session(available)):
            yield Click(
                event_id=f"{session}-{step}",
                user_id=f"user-{session % users}",
                ts=started + step * _CLICK_MS,
                item_id=shop.entries[item].item_id,
            )


def main(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write to; made if it does not exist.")
    ],
    items: Annotated[int, typer.Option(min=100, help="Items of the shop.")] = 2_000,
    sessions: Annotated[int, typer.Option(min=1, help="Sessions, one per minute.")] = 5_000,
    users: Annotated[int, typer.Option(min=1, help="Users, who take turns.")] = 1_000,
    usual_names: Annotated[float, typer.Option(min=0, max=1, help="Share of usual words.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 7,
) -> None:
    """Write the worded shop as files: catalog, pictures and clicks."""
    shop = WordedShop(items, usual_names=usual_names, seed=seed)
    try:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        with (folder / "catalog.jsonl").open("wb") as catalog:
            for entry, time in zip(shop.entries, appearance_times(items, sessions), strict=True):
                catalog.write(catalog_line(msgspec.structs.replace(entry, ts=time, created=time)))
        for entry, picture in zip(shop.entries, shop.pictures(), strict=True):
            (folder / "pictures" / f"{entry.item_id}.png").write_bytes(picture)
        with (folder / "clicks.jsonl").open("wb") as log:
            for click in clicks(shop, sessions, users):
                log.write(event_line("click", click))
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}; name another one.") from None


if __name__ == "__main__":
    run_script(main, "shop files")

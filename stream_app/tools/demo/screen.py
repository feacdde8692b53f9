"""What the demo shows while it runs: figures, one shopper's list, the latest search, the policies."""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.table import Table

from stream_app.tools.demo.featured_user import Spotlight
from stream_app.tools.demo.panels import (
    BORDERS,
    FIGURES,
    SEARCH_LINES,
    SHOPPER_LINES,
    figures_panel,
    head,
    policies_panel,
    search_panel,
    shopper_panel,
)
from stream_app.tools.demo.screen_state import View
from stream_app.tools.demo.search_comparison import ShownSearch

LIST_SHOWN: Final = 20
"""Most places of the list on the screen."""

SEARCH_SHOWN: Final = 5
"""Most places of the search on the screen."""

BESIDE: Final = 112
"""Columns from which the figures stand beside the list and not above it."""

_FIGURES_WIDE: Final = 46
_TWO_COLUMNS: Final = 84  # columns from which figures above the list stand in two columns
_SCORES: Final = 84  # columns of the list from which it tells scores
_LEAST_PLACES: Final = 3


class Size(NamedTuple):
    """Columns and lines of a terminal."""

    width: int
    height: int


PICTURE: Final = Size(118, 40)
"""Of the screen as a picture."""


class Layout(NamedTuple):
    """What of the screen has room.

    Attributes
    ----------
    beside
        Whether the figures stand beside the list.
    columns, figures
        Columns of figures, and rows of each.
    places
        Places of the list.
    search
        Places of the search; 0 leaves it out.
    policies
        Whether the policies are shown.
    """

    beside: bool
    columns: int
    figures: int
    places: int
    search: int
    policies: bool

    @classmethod
    def of(cls, size: Size, policies: int, found: int) -> "Layout":
        """Fit the parts into a terminal.

        First everything is as small as it is of use. What does not fit is left out, the policies last; then the
        search, the figures and the list are given what is left, in this order.

        Parameters
        ----------
        size
            The terminal's.
        policies
            How many there are to show; one alone is not shown, since there is nothing to compare it with.
        found
            Places that the search has; 0 where there is none.

        Examples
        --------
        >>> Layout.of(Size(118, 40), policies=3, found=20)
        Layout(beside=True, columns=1, figures=18, places=20, search=5, policies=True)
        >>> Layout.of(Size(80, 24), policies=3, found=20)
        Layout(beside=False, columns=1, figures=6, places=4, search=0, policies=True)
        """
        beside = size.width >= BESIDE
        columns = 2 if not beside and size.width >= _TWO_COLUMNS else 1
        least = 6 if columns == 1 else 4
        body = max(BORDERS + least, SHOPPER_LINES + _LEAST_PLACES)
        if not beside:
            body = BORDERS + least + SHOPPER_LINES + _LEAST_PLACES
        # One line is the head's, and one the cursor's.
        left = size.height - 2 - body
        lines = policies + 1 + BORDERS if policies > 1 else 0
        shown = 0 < lines <= left
        left -= lines if shown else 0
        search = 0
        if found and left > SEARCH_LINES:
            left -= SEARCH_LINES
            # A search is news where one sees some places of it; the list has the rest.
            search = min(found, SEARCH_SHOWN, max(1, left // 2))
            left -= search
        if beside:
            rows = max(0, left) + body
            return cls(
                beside,
                columns,
                min(FIGURES, rows - BORDERS),
                min(LIST_SHOWN, rows - SHOPPER_LINES),
                search,
                shown,
            )
        more = min(max(0, left) // 2, -(-FIGURES // columns) - least)
        places = max(1, _LEAST_PLACES + left - more)
        return cls(beside, columns, least + more, min(LIST_SHOWN, places), search, shown)


def draw(
    view: View, spotlight: Spotlight, search: ShownSearch | None, titles: Mapping[str, str], size: Size
) -> RenderableType:
    """The whole screen.

    Parameters
    ----------
    view
        The moment.
    spotlight
        The shopper.
    search
        The latest search, where there is one.
    titles
        Titles of items by id, as far as there are any.
    size
        Of the terminal: what has no room in it is left out.
    """
    found = 0 if search is None else max(len(search.found), len(search.published))
    fit = Layout.of(size, len(view.policies), found)
    figures = figures_panel(view, fit.figures, fit.columns)
    room = size.width - _FIGURES_WIDE if fit.beside else size.width
    # Where it is narrow, the reasons have the room of the scores: they name the evidence in their last words.
    shopper = shopper_panel(spotlight, titles, fit.places, scores=room >= _SCORES)
    parts: list[RenderableType] = [head(view)]
    if fit.beside:
        body = Table.grid(padding=(0, 1), expand=True)
        body.add_column(width=_FIGURES_WIDE)
        body.add_column(ratio=1)
        body.add_row(figures, shopper)
        parts.append(body)
    else:
        parts += figures, shopper
    if search is not None and fit.search:
        parts.append(search_panel(search, titles, fit.search))
    if fit.policies:
        parts.append(policies_panel(view.policies, size.width))
    return Group(*parts)


def save_picture(drawn: RenderableType, path: Path) -> None:
    """Write a screen drawn for `PICTURE` as an SVG picture."""
    console = Console(
        record=True,
        width=PICTURE.width,
        height=PICTURE.height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The default template loads its font from the net; a plain monospace needs none.
    svg = console.export_svg(title="headrace demo", unique_id="headrace")
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))

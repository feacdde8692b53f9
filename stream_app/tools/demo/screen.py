"""What the demo shows while it runs: figures, one shopper's list, the latest search, the policies."""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.table import Table

from stream_app.tools.demo.featured_user import FeaturedUser
from stream_app.tools.demo.panels import (
    BORDER_LINES,
    MAX_METRIC_ROWS,
    SEARCH_PANEL_LINES,
    USER_PANEL_LINES,
    header,
    metrics_panel,
    policies_panel,
    search_panel,
    user_panel,
)
from stream_app.tools.demo.screen_state import ScreenState
from stream_app.tools.demo.search_comparison import SearchComparison

MAX_LIST_RANKS: Final = 20
"""Most places of the list on the screen."""

MAX_SEARCH_RANKS: Final = 5
"""Most places of the search on the screen."""

SIDE_BY_SIDE_WIDTH: Final = 112
"""Columns from which the figures stand beside the list and not above it."""

_METRICS_WIDTH: Final = 46
_TWO_COLUMN_WIDTH: Final = 84  # columns from which figures above the list stand in two columns
_SCORE_WIDTH: Final = 84  # columns of the list from which it tells scores
_MIN_LIST_RANKS: Final = 3


class Size(NamedTuple):
    """Columns and lines of a terminal."""

    width: int
    height: int


SCREENSHOT_SIZE: Final = Size(118, 40)
"""Of the screen as a picture."""


class Layout(NamedTuple):
    """What of the screen has room.

    Attributes
    ----------
    side_by_side
        Whether the figures stand beside the list.
    columns, metric_rows
        Columns of figures, and rows of each.
    list_ranks
        Places of the list.
    search
        Places of the search; 0 leaves it out.
    policies
        Whether the policies are shown.
    """

    side_by_side: bool
    columns: int
    metric_rows: int
    list_ranks: int
    search: int
    policies: bool

    @classmethod
    def of(cls, size: Size, policies: int, results: int) -> "Layout":
        """Fit the parts into a terminal.

        First everything is as small as it is of use. What does not fit is left out, the policies last; then the
        search, the figures and the list are given what is left, in this order.

        Parameters
        ----------
        size
            The terminal's.
        policies
            How many there are to show; one alone is not shown, since there is nothing to compare it with.
        results
            Places that the search has; 0 where there is none.

        Examples
        --------
        >>> Layout.of(Size(118, 40), policies=3, results=20)
        Layout(side_by_side=True, columns=1, metric_rows=18, list_ranks=20, search=5, policies=True)
        >>> Layout.of(Size(80, 24), policies=3, results=20)
        Layout(side_by_side=False, columns=1, metric_rows=6, list_ranks=4, search=0, policies=True)
        """
        side_by_side = size.width >= SIDE_BY_SIDE_WIDTH
        columns = 2 if not side_by_side and size.width >= _TWO_COLUMN_WIDTH else 1
        min_rows = 6 if columns == 1 else 4
        body = max(BORDER_LINES + min_rows, USER_PANEL_LINES + _MIN_LIST_RANKS)
        if not side_by_side:
            body = BORDER_LINES + min_rows + USER_PANEL_LINES + _MIN_LIST_RANKS
        # One line is the head's, and one the cursor's.
        remaining = size.height - 2 - body
        policy_lines = policies + 1 + BORDER_LINES if policies > 1 else 0
        show_policies = 0 < policy_lines <= remaining
        remaining -= policy_lines if show_policies else 0
        search = 0
        if results and remaining > SEARCH_PANEL_LINES:
            remaining -= SEARCH_PANEL_LINES
            # A search is news where one sees some places of it; the list has the rest.
            search = min(results, MAX_SEARCH_RANKS, max(1, remaining // 2))
            remaining -= search
        if side_by_side:
            rows = max(0, remaining) + body
            return cls(
                side_by_side,
                columns,
                min(MAX_METRIC_ROWS, rows - BORDER_LINES),
                min(MAX_LIST_RANKS, rows - USER_PANEL_LINES),
                search,
                show_policies,
            )
        extra = min(max(0, remaining) // 2, -(-MAX_METRIC_ROWS // columns) - min_rows)
        list_ranks = max(1, _MIN_LIST_RANKS + remaining - extra)
        return cls(
            side_by_side, columns, min_rows + extra, min(MAX_LIST_RANKS, list_ranks), search, show_policies
        )


def draw(
    state: ScreenState,
    featured_user: FeaturedUser,
    search: SearchComparison | None,
    titles: Mapping[str, str],
    size: Size,
) -> RenderableType:
    """The whole screen.

    Parameters
    ----------
    state
        The moment.
    featured_user
        The shopper.
    search
        The latest search, where there is one.
    titles
        Titles of items by id, as far as there are any.
    size
        Of the terminal: what has no room in it is left out.
    """
    results = 0 if search is None else max(len(search.results), len(search.published))
    layout = Layout.of(size, len(state.policies), results)
    metric_rows = metrics_panel(state, layout.metric_rows, layout.columns)
    available_width = size.width - _METRICS_WIDTH if layout.side_by_side else size.width
    # Where it is narrow, the reasons have the room of the scores: they name the evidence in their last words.
    user_renderable = user_panel(
        featured_user, titles, layout.list_ranks, scores=available_width >= _SCORE_WIDTH
    )
    parts: list[RenderableType] = [header(state)]
    if layout.side_by_side:
        body = Table.grid(padding=(0, 1), expand=True)
        body.add_column(width=_METRICS_WIDTH)
        body.add_column(ratio=1)
        body.add_row(metric_rows, user_renderable)
        parts.append(body)
    else:
        parts += metric_rows, user_renderable
    if search is not None and layout.search:
        parts.append(search_panel(search, titles, layout.search))
    if layout.policies:
        parts.append(policies_panel(state.policies, size.width))
    return Group(*parts)


def save_screenshot(renderable: RenderableType, path: Path) -> None:
    """Write a screen drawn for `SCREENSHOT_SIZE` as an SVG picture."""
    console = Console(
        record=True,
        width=SCREENSHOT_SIZE.width,
        height=SCREENSHOT_SIZE.height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(renderable)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The default template loads its font from the net; a plain monospace needs none.
    svg = console.export_svg(title="headrace demo", unique_id="headrace")
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))

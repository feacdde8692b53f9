"""The demo's screen: metrics, the featured user's list, the latest search and the policies."""

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
"""Most list items on the screen."""

MAX_SEARCH_RANKS: Final = 5
"""Most search results on the screen."""

SIDE_BY_SIDE_WIDTH: Final = 112
"""Terminal width from which the metrics are left of the list, not above it."""

_METRICS_WIDTH: Final = 46
_TWO_COLUMN_WIDTH: Final = 84  # terminal width from which metrics above the list have two columns
_SCORE_WIDTH: Final = 84  # width of the list from which it shows scores
_MIN_LIST_RANKS: Final = 3


class Size(NamedTuple):
    """Columns and lines of a terminal."""

    width: int
    height: int


SCREENSHOT_SIZE: Final = Size(118, 40)
"""Terminal size of the SVG image."""


class Layout(NamedTuple):
    """The parts of the screen that fit into a terminal.

    Attributes
    ----------
    side_by_side
        Whether the metrics are left of the list.
    columns, metric_rows
        Columns of the metrics panel, and rows of each.
    list_ranks
        Items of the list.
    search
        Results of the search; 0 omits the panel.
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

        Each part starts at its smallest useful size. The policies are fitted first, then the search; the remaining
        lines go to the metrics and the list.

        Parameters
        ----------
        policies
            Number of policies; a single policy is not shown.
        results
            Results of the latest search; 0 without a search.

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
        # One line for the header, one for the cursor.
        remaining = size.height - 2 - body
        policy_lines = policies + 1 + BORDER_LINES if policies > 1 else 0
        show_policies = 0 < policy_lines <= remaining
        remaining -= policy_lines if show_policies else 0
        search = 0
        if results and remaining > SEARCH_PANEL_LINES:
            remaining -= SEARCH_PANEL_LINES
            # The search gets at most half of the remaining lines; the list gets the rest.
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
    """Draw the screen.

    Parameters
    ----------
    titles
        Item titles by item id; an item without a title is shown by its id.
    size
        Size of the terminal; panels that do not fit are omitted.
    """
    results = 0 if search is None else max(len(search.results), len(search.published))
    layout = Layout.of(size, len(state.policies), results)
    metric_rows = metrics_panel(state, layout.metric_rows, layout.columns)
    available_width = size.width - _METRICS_WIDTH if layout.side_by_side else size.width
    # A narrow terminal shows no scores: the reasons need the width, because they name the evidence at the end.
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
    """Write a screen drawn for `SCREENSHOT_SIZE` as an SVG image."""
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
    # The default template loads a web font; the generic monospace font needs no download.
    svg = console.export_svg(title="headrace demo", unique_id="headrace")
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))

"""What a page is made of: sections, plots and tables as plain data, without HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """Figures in rows.

    => The first `names` columns name what a row is about; the others are numbers, and stand to the right. A row of
       one cell is a heading for those under it.
    => `wide`: has so much text that its cells may break over lines.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot and the tables under it.

    => `says`: what the plot shows, in numbers; the caption, and what a reader hears who does not see it.
    => `height`: in pixels, with a legend of one row; script.js adds what more rows need.
    => `traces`, `layout`: as plotly has them, with colours as `var(--name)` (style.css). Without traces there is
       nothing to draw, and `says` why.
    """

    title: str
    says: str
    traces: Sequence[dict[str, Any]]
    layout: dict[str, Any]
    height: int
    tables: Sequence[Table]


@dataclass(frozen=True, slots=True)
class Group:
    """Plots that belong together: side by side where there is room, and folded away under `summary` if it has one."""

    plots: Sequence[Plot]
    summary: str = ""
    unfolded: bool = True
    tables: Sequence[Table] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page; `commands` are lines to type, shown after the words."""

    name: str
    title: str
    words: Sequence[str]
    groups: Sequence[Group] = ()
    commands: Sequence[str] = ()

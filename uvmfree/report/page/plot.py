"""Plots as plotly has them: axes, colours, and the one place where plotly is imported.

=> Colours are written `var(--name)`: script.js looks them up in style.css, for light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from uvmfree.measure.extras import needs
from uvmfree.report.page.content import Plot
from uvmfree.report.page.numbers import duration

Trace = dict[str, Any]
Layout = dict[str, Any]

COLOURS: Final = 10
"""Colours for designs in style.css."""

SYMBOLS: Final = (
    *("circle", "diamond", "square", "triangle-up", "triangle-down"),
    *("cross", "star", "hexagon", "bowtie", "pentagon"),
)
"""A design has a symbol too: colours are lost on paper, and on some eyes."""

FONT_PX: Final = 13


def colour(designs: Sequence[str], design: str) -> str:
    """Return the colour of a design."""
    return f"var(--design-{designs.index(design) % COLOURS})"


def symbol(designs: Sequence[str], design: str) -> str:
    """Return the symbol of a design."""
    return SYMBOLS[designs.index(design) % len(SYMBOLS)]


def plain(text: str) -> str:
    """Escape a text: plotly takes some of HTML in labels for HTML."""
    return escape(text, quote=False).replace("%{", "%&#123;")


def axis(title: str = "", **more: Any) -> Layout:
    """Return an axis."""
    return {
        "title": {"text": plain(title), "standoff": 8, "font": {"size": FONT_PX}},
        "automargin": True,
        "gridcolor": "var(--grid)",
        "linecolor": "var(--axis)",
        "tickcolor": "var(--axis)",
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        **more,
    }


def pages_axis(title: str, shown: Sequence[int]) -> Layout:
    """Return an axis for numbers of pages, from 0 up: whole ones, however few."""
    most = max(shown, default=0)
    return axis(title, range=[0, 1.05 * max(most, 1)], tickformat=",d", **({"dtick": 1} if most < 5 else {}))


def layout(**more: Any) -> Layout:
    """Return what all plots have in common, and more."""
    return {
        "font": {"family": "system-ui, sans-serif", "size": FONT_PX, "color": "var(--text)"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 16, "t": 8, "b": 8},
        "hoverlabel": {"bgcolor": "var(--raised)", "bordercolor": "var(--axis)", "font": {"color": "var(--text)"}},
        "legend": {
            "orientation": "h",
            "traceorder": "normal",
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yanchor": "bottom",
        },
        **more,
    }


def legend_only(name: str, **marker: Any) -> Trace:
    """Return a trace that is nothing but an entry in the legend."""
    return {"type": "scatter", "x": [None], "y": [None], "mode": "markers", "name": plain(name), "marker": marker}


def note(text: str, **more: Any) -> Layout:
    """Return a text that stands in a plot; already escaped."""
    return {"text": text, "showarrow": False, "font": {"color": "var(--muted)"}, **more}


def decades(low_ns: float, high_ns: float) -> Layout:
    """Return a logarithmic axis for times from low to high."""
    first, last = math.floor(math.log10(max(low_ns, 1))), math.ceil(math.log10(max(high_ns, 10)))
    return {
        "type": "log",
        "range": [first - 0.1, max(last, first + 1) + 0.1],
        "tickvals": [10**power for power in range(first, last + 1)],
        "ticktext": [duration(10**power) for power in range(first, last + 1)],
    }


def as_json(plot: Plot) -> str:
    """Return a plot as JSON that may stand in a script element; ValueError if plotly does not know a part of it."""
    go: Any = needs("plotly.graph_objects", "report", "a report")
    # An empty template: the default one is not wanted, and takes a second to load.
    figure = go.Figure(
        data=list(plot.traces), layout=plot.layout | {"height": plot.height, "template": go.layout.Template()}
    )
    figure.layout.template = None
    return str(figure.to_json(validate=False)).replace("<", "\\u003c").replace("&", "\\u0026")


def library() -> str:
    """Return plotly.js."""
    return str(needs("plotly.offline", "report", "a report").get_plotlyjs()).replace("</script", "<\\/script")

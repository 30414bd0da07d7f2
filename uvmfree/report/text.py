"""Text for a terminal or a pipe: paragraphs and tables that fit a width, without colours, in ASCII.

=> No line ends with blanks. A table that is too wide puts the ranges of its cells below their values; if it is too
   wide still, it goes on below with the columns that are left.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple


class Cell(NamedTuple):
    """What stands in a table: a value, and the range that it has, or ""."""

    value: str
    range: str = ""


class Row(NamedTuple):
    """A label, and a cell for each column."""

    label: str
    cells: Sequence[Cell]


LEAST: Final = 0.0000005
"""The least rate that per_op() prints as more than nothing."""

_GAP = 2  # blanks between columns


def per_op(*rates: float) -> tuple[str, ...]:
    """Return rates for each operation; the first decides how fine all are, so that rare ones have digits, too."""
    decimals = 6 if 0 < rates[0] < 0.001 else 4
    return tuple(f"{rate:.{decimals}f}" for rate in rates)


def number(value: float) -> str:
    """Return a number of four significant digits, or of all that stand before the point; without an exponent."""
    if not value or abs(value) >= 1000:
        return f"{value:,.0f}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def paragraph(text: str, width: int, indent: str = "") -> Iterator[str]:
    """Yield the lines of a text, all but the first behind `indent`."""
    yield from textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def table(heads: Sequence[str], rows: Sequence[Row], width: int) -> Iterator[str]:
    """Yield the lines of a table: labels to the left, each column to the right under its head."""
    label_width = max((len(row.label) for row in rows), default=0)
    columns = [[row.cells[at] for row in rows] for at in range(len(heads))]
    flat = [[Cell(" ".join(filter(None, cell))) for cell in column] for column in columns]
    if label_width + sum(_width(head, column) for head, column in zip(heads, flat, strict=True)) <= width:
        columns = flat
    widths = [_width(head, column) for head, column in zip(heads, columns, strict=True)]
    begin = 0
    while begin < len(heads):
        end, left = begin + 1, width - label_width - widths[begin]
        while end < len(heads) and widths[end] <= left:
            left -= widths[end]
            end += 1
        if begin:
            yield ""
        part = range(begin, end)
        yield _line("", label_width, [heads[at] for at in part], [widths[at] for at in part])
        yield "-" * (label_width + sum(widths[begin:end]))
        for number, row in enumerate(rows):
            cells = [columns[at][number] for at in part]
            yield _line(row.label, label_width, [cell.value for cell in cells], widths[begin:end])
            if any(cell.range for cell in cells):
                yield _line("", label_width, [cell.range for cell in cells], widths[begin:end])
        begin = end


def _width(head: str, column: Sequence[Cell]) -> int:
    """How wide a column is, with the gap before it."""
    return _GAP + max(len(text) for text in (head, *(each for cell in column for each in cell)))


def _line(label: str, label_width: int, texts: Sequence[str], widths: Sequence[int]) -> str:
    cells = (f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))
    return f"{label:<{label_width}}{''.join(cells)}".rstrip()

"""The tables of docs/results/designs.md: designs down, loads across, one table for each figure.

=> A figure that a cell has not got is a dash: the load has no such thing, or it was not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.grid.cell import GridCell
from bench.grid.kept import source
from bench.grid.loads import EXIT_CPUS, LOOKS_S, PROCESS_PAGES
from bench.grid.picture import Dot

Values = Mapping[str, Any]
Cells = Mapping[str, Values]

DASH: Final = "-"


@dataclass(frozen=True, slots=True)
class Figure:
    """A table's figure: its title, what to say under it, how it is read from a cell."""

    title: str
    says: str
    text: Callable[[Values], str]


def number(name: str, digits: int) -> Callable[[Values], str]:
    """Read a figure of a run (measure/run.py) and print it."""

    def text(cell: Values) -> str:
        value = cell.get("figures", {}).get(name)
        return DASH if value is None else f"{value:,.{digits}f}"

    return text


def several(*names: str) -> Callable[[Values], str]:
    """Read several figures of a run, and print them with slashes between."""

    def text(cell: Values) -> str:
        found = [cell.get("figures", {}).get(name) for name in names]
        return DASH if None in found else " / ".join(f"{value:,.0f}" for value in found)

    return text


def met(cell: Values) -> str:
    """Print how many requests of order > 0 were met, of those asked for."""
    found = cell.get("figures", {})
    return f"{found['runs_met']:,} of {found['runs_asked']:,}" if found.get("runs_asked") else DASH


def waits(cell: Values) -> str:
    """Print how often a CPU waited for pages, and how long at most."""
    found = cell.get("figures", {})
    longest_ms = found.get("wait_longest_ms")
    return DASH if longest_ms is None else f"{found['waits']:,} / {1000 * longest_ms:,.0f}"


LOADS: Final = (
    Figure(
        "Shared locks per page operation",
        "Acquisitions of locks that CPUs share, by page operations asked for; without those of `uvm_pglistalloc`, "
        "which are one for each run of pages.",
        number("page_locks_per_op", 5),
    ),
    Figure(
        "Atomic updates per page operation",
        "Read-modify-writes of words that CPUs share.",
        number("atomics_per_op", 4),
    ),
    Figure(
        "Items in a hold of a shared lock",
        "p50 / p99 / most. An item is a page that is touched, or a run of pages that moves by pointer.",
        several("held_items_p50", "held_items_p99", "held_items_max"),
    ),
    Figure(
        "Pages moved per page operation",
        "Pages put on the store or taken off it, by pointer too.",
        number("moved_per_op", 4),
    ),
    Figure(
        "Pages parked",
        "Free pages in caches that one CPU alone allocates from: the most at the end of any operation / the mean.",
        several("parked_pages_max", "parked_pages_mean"),
    ),
    Figure(
        "Warmth",
        "Allocations that got a page which the same CPU freed last, and not long ago, percent.",
        number("warm_percent", 1),
    ),
    Figure("Colour", "Allocations that got the colour that was due, percent.", number("color_right_percent", 1)),
    Figure("Order > 0", "Requests of runs of pages that were met.", met),
    Figure(
        "Failed allocations",
        "Allocations of one page that found none, with pages in another CPU's cache.",
        number("failed_while_free_elsewhere", 0),
    ),
    Figure("Waits", "Sleeps in uvm_wait / the longest of them, in us of virtual time.", waits),
)
"""What is told of each load."""

SYNTHETIC: Final = ("handoff", "forkexit", "pressure")


def markdown(kept: Mapping[str, Any], cells: Sequence[GridCell], left_out: Sequence[str]) -> str:
    """Return the whole page."""
    return "\n".join(_lines(kept, cells, left_out)) + "\n"


def _lines(kept: Mapping[str, Any], cells: Sequence[GridCell], left_out: Sequence[str]) -> Iterator[str]:
    measured = kept["cells"]
    designs = list(dict.fromkeys(cell.label for cell in cells if cell.load != "limit"))
    traces = list(dict.fromkeys(cell.load_name for cell in cells if cell.trace and cell.passes == 1))
    yield "# The designs side by side: figures"
    yield ""
    yield "Each design plays the same loads on a machine in virtual time: 2 CPUs for a trace, which is played with"
    yield "its recorded gaps from empty caches. What is counted holds on any machine. handoff, forkexit, pressure"
    yield "are made up: one CPU frees what another allocates, bursts on four CPUs are freed on one, memory is short."
    yield ""
    yield source(kept)
    if left_out:
        yield ""
        yield f"Left out, since the files were not there: {', '.join(left_out)}."
    yield ""
    yield "![Shared locks per page operation against pages parked](designs.svg)"
    for figure in LOADS:
        yield from _of_loads(figure, designs, (*traces, *SYNTHETIC), measured)
    yield from _blocks(designs, traces, measured)
    yield from _exits(designs, measured)


def _section(title: str, says: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Return a table with its heading; nothing if nothing that was measured has it."""
    if all(set(text) <= set(f"{DASH} /") for texts in rows.values() for text in texts):
        return
    yield from ("", f"## {title}", "", says, "")
    yield f"| {' | '.join(['design', *columns])} |"
    yield "|---|" + "---:|" * len(columns)
    for design, texts in rows.items():
        yield f"| {' | '.join([design, *texts])} |"


def _of_loads(figure: Figure, designs: Sequence[str], loads: Sequence[str], measured: Cells) -> Iterator[str]:
    rows = {design: [figure.text(measured.get(f"{design}: {load}", {})) for load in loads] for design in designs}
    yield from _section(figure.title, figure.says, loads, rows)


def _blocks(designs: Sequence[str], traces: Sequence[str], measured: Cells) -> Iterator[str]:
    says = (
        "Aligned blocks of 512 pages with none in use: at the end / after four passes of a trace. What handoff and "
        "forkexit allocate they free."
    )

    def left(design: str, load: str) -> str:
        found = [measured.get(f"{design}: {load}{more}", {}) for more in ("", ", 4 passes")]
        return " / ".join(number("free_512_blocks", 0)(cell) for cell in (found if load in traces else found[:1]))

    loads = (*traces, *SYNTHETIC)
    yield from _section("Free blocks left", says, loads, {of: [left(of, load) for load in loads] for of in designs})


def _exits(designs: Sequence[str], measured: Cells) -> Iterator[str]:
    says = (
        f"A process of {PROCESS_PAGES:,} pages ends on CPU 0 of {EXIT_CPUS}, which is idle from then on; the others "
        "go on slowly. Free pages outside of the store / those of them in the cache of the idle CPU, so many seconds "
        "later:"
    )

    def pages(found: Mapping[str, int], after: int) -> str:
        names = (f"after_{after}_s", f"idle_after_{after}_s")
        return " / ".join(f"{found[name]:,}" for name in names if name in found) or DASH

    rows = {
        design: [pages(measured.get(f"{design}: exit", {}).get("exit", {}), after) for after in LOOKS_S]
        for design in designs
    }
    yield from _section("Stranded by an exit", says, [f"{after} s" for after in LOOKS_S], rows)


def dots(kept: Mapping[str, Any], cells: Sequence[GridCell]) -> list[Dot]:
    """Return the points of the picture: each design on each trace."""
    found = []
    for cell in cells:
        values = kept["cells"].get(str(cell), {})
        if cell.trace is not None and cell.passes == 1 and "figures" in values:
            figures = values["figures"]
            at = figures["parked_pages_max"], figures["page_locks_per_op"]
            found.append(Dot(cell.label, cell.load_name, *at))
    return found


def limits(kept: Mapping[str, Any], cells: Sequence[GridCell]) -> dict[str, list[tuple[int, float]]]:
    """Return the limit of each trace."""
    return {
        cell.load_name: [(int(pages), float(locks)) for pages, locks in kept["cells"][str(cell)]["limit"]]
        for cell in cells
        if cell.load == "limit" and str(cell) in kept["cells"]
    }

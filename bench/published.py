"""What others published, played on the designs here: predictions, and illustrations, kept apart.

    predicted    the same traffic, costs as documented, nothing fitted to the answer: what auto-tuning moves (Huang
                 Ying, 2023), what Linux 6.18 moved on cc-j4, bulk allocation of Linux and LLFree (USENIX ATC 2023),
                 frees in chunks (Hahn, 2025)
    illustrated  what depends on a page rate and a hold that nobody published, never judged: waiting on 224 CPUs
                 (Huang Ying), OpenBSD's kernel build (2024). Both are builds, so copies of a recorded one play them,
                 over a range of holds
    causes       what was supposed to be the cause where a figure is not met, varied (bench/grid/causes.py)

How: in virtual time (docs/virtual.md): runs go to all processors, and come out the same. A figure that needs a design
which is not registered is left out, with a word.

What could fool it: a ratio of two figures that are both off. So the figures are printed beside their ratio.
`--section NAME` runs one of them, `--full FILE` keeps everything as JSON, beside what FILE has of the other; `--keep`
is `--full docs/results/published.json`. `--traces DIR` is as of bench/designs.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.designs import found_traces
from bench.grid.bulk import Bulk, bulk
from bench.grid.causes import PAPER_TREE, causes
from bench.grid.cell import GridCell, measure
from bench.grid.kept import RESULTS, Kept, Where, fill
from bench.grid.recorded import BEFORE_SETTINGS, NPAGES
from bench.grid.spread import spread
from bench.harness import TRACES as SHIPPED
from bench.harness import Claim, Record, main, write_json
from bench.steps import work
from tests.designs.patterns import burst, counted, producer_consumer
from tests.designs.played import Played
from uvmfree.measure.host import host as host_facts
from uvmfree.measure.scale import Case, Point, Traffic, measured_here
from uvmfree.uvm.designs import REGISTRY
from uvmfree.workload.trace import read_trace

TUNED = Claim(
    "published-autotune-on-over-off",
    "pages under the zone lock with auto-tuning, of 100 without, warm cc-j4; 20 published",
    "of 100",
    35.0,
)
TUNED_LEAST = Claim(TUNED.id, "the same, from below", "of 100", 15.0, True)
COLD = Claim(
    "published-cc-j4-moved-off-percent",
    "pages that linux_pcp moves per operation on cc-j4 from cold, against the recorded kernel",
    "percent",
    20.0,
)
BULK = Claim(
    "published-bulk-ratios-off-percent",
    "bulk allocation, Linux before auto-tuning: 16 and 26 cores over 8, against 2.01 and 3.30",
    "percent",
    5.0,
)
FLAT = Claim("published-llfree-26-over-8", "bulk allocation, LLFree: 26 cores over 8; 1.37 published", "ratio", 1.5)
CHUNKED = Claim(
    "published-chunked-acquisitions",
    "frees in chunks of a batch: acquisitions over those of one hold each; 12.9 and 16.1 by the rules",
    "ratio",
    16.5,
)
CHUNKED_LEAST = Claim(CHUNKED.id, "the same, from below", "ratio", 12.5, True)
GROWS = Claim("published-one-lock-grows", "bulk allocation under one lock: 4 CPUs over 1", "ratio", None)

BULK_CPUS: Final = (1, 8, 16, 26)
BULK_LINUX: Final[Mapping[str, tuple[int, ...]]] = {"alloc": (94, 298, 599, 984), "free": (90, 354, 731, 1241)}
BULK_LLFREE: Final[Mapping[str, tuple[int, ...]]] = {"alloc": (83, 86, 95, 118), "free": (92, 94, 93, 95)}
"""LLFree's evaluation, ns an operation on 1, 8, 16, 26 cores of one socket."""

BEFORE: Final[Mapping[str, Any]] = {"autotune": False, "spill_chunk": 0}
"""Linux before 6.7."""

CHUNKED_FREES: Final[Mapping[str, Any]] = {}
"""Linux 6.19, and 6.18 from early 2026 on: the default."""

UNCHUNKED: Final[Mapping[str, Any]] = {"spill_chunk": 0}
"""Linux before 6.19: what is freed at once goes in one hold."""

WARM_UP: Final = 2
"""Passes before the one that counts as warm."""

Full = dict[str, Any]


def there(what: str, *designs: str) -> bool:
    """Say what comes next, and whether it can: all these designs have to be registered."""
    missing = [name for name in designs if name not in REGISTRY]
    verb = "is" if len(missing) == 1 else "are"
    print(f"\n{what}" + (f": left out, {' and '.join(missing)} {verb} not registered" if missing else ""))
    return not missing


def predicted(smoke: bool, full: Full, folders: Sequence[Path] = ()) -> list[Record]:
    """Run what has no parameter to fit."""
    if smoke:
        one, four = bulk("fpageqlock", 1, pages=600), bulk("fpageqlock", 4, pages=600)
        return [GROWS.record([four.alloc_ns / one.alloc_ns], judged=False)]
    found: Full = {}
    full["predicted"] = found
    records: list[Record] = []
    for part in (_tuning, _bulk, _chunks):
        records += part(found, folders)
    return records


def moved(kept: Kept, cell: GridCell) -> float:
    """Return how many pages were moved in all."""
    found = kept.cells[str(cell)]["figures"]
    return float(found["moved_per_op"] * found["page_operations"])


def _tuning(found: Full, folders: Sequence[Path]) -> list[Record]:
    """Play cc-j4 on Linux' sets, tuned and not."""
    if not there("auto-tuning, cc-j4", "linux_pcp"):
        return []
    (trace, *_), _ = found_traces([SHIPPED, *folders], ("cc-j4",))
    counts = read_trace(trace).counts
    kept, tuned, before = Kept(None, ""), (), BEFORE_SETTINGS
    cells = {
        (settings, passes): GridCell("linux_pcp", "trace", trace, passes, settings, NPAGES)
        for settings in (tuned, before)
        for passes in (1, WARM_UP, WARM_UP + 1)
    }
    if not fill(kept, list(cells.values()), measure, Where()):
        raise KeyboardInterrupt
    pages = {key: moved(kept, cell) for key, cell in cells.items()}
    on, off = (pages[settings, WARM_UP + 1] - pages[settings, WARM_UP] for settings in (tuned, before))
    cold, recorded = pages[tuned, 1] / (counts.allocs + counts.frees), counts.linux_moved_per_op or 0.0
    print(f"  warm: {on:,.0f} pages moved with auto-tuning, {off:,.0f} without: {100 * on / off:.1f} of 100")
    print(f"  cold: {cold:.3f} pages moved per operation, recorded {recorded:.3f}")
    found["auto-tuning"] = {"on": on, "off": off, "cold_per_op": cold, "recorded_per_op": recorded}
    return [
        TUNED.record([100 * on / off], judged=True),
        TUNED_LEAST.record([100 * on / off], judged=True),
        COLD.record([100 * abs(cold / recorded - 1)], judged=True),
    ]


def _bulk(found: Full, folders: Sequence[Path]) -> list[Record]:
    """Allocate and free in bulk, as LLFree's evaluation does."""
    if not there("bulk allocation, 1 to 26 cores of one socket, MCS", "linux_pcp", "llfree"):
        return []
    designs: Mapping[str, Mapping[str, Any]] = {"linux_pcp": BEFORE, "llfree": {"tree_pages": PAPER_TREE}}
    seen = spread(
        {
            (design, ncpus): partial(bulk, design, ncpus, **how)
            for ncpus in BULK_CPUS
            for design, how in designs.items()
        }
    )
    linux, llfree = ({ncpus: seen[design, ncpus] for ncpus in BULK_CPUS} for design in designs)
    _print_bulk("Linux before auto-tuning", linux, BULK_LINUX)
    _print_bulk("LLFree", llfree, BULK_LLFREE)
    found["bulk_ns"] = {
        name: {ncpus: [one.alloc_ns, one.free_ns] for ncpus, one in each.items()}
        for name, each in (("linux", linux), ("llfree", llfree))
    }
    off = [
        100 * abs(linux[ncpus].alloc_ns / linux[8].alloc_ns / (said / BULK_LINUX["alloc"][1]) - 1)
        for ncpus, said in zip(BULK_CPUS[2:], BULK_LINUX["alloc"][2:], strict=True)
    ]
    return [
        BULK.record([max(off)], judged=True),
        FLAT.record([llfree[26].alloc_ns / llfree[8].alloc_ns], judged=True),
    ]


def _print_bulk(name: str, seen: dict[int, Bulk], said: Mapping[str, tuple[int, ...]]) -> None:
    for kind in ("alloc", "free"):
        ns = [getattr(seen[ncpus], f"{kind}_ns") for ncpus in BULK_CPUS]
        print(f"  {name}, {kind}: " + ", ".join(f"{one:.0f}" for one in ns) + f" ns; published {said[kind]}")


def longest_free(played: Played) -> int:
    """Return the most pages that were freed in one hold of a shared lock."""
    return played.longest_hold("uvm_pagefree")


def _chunks(found: Full, folders: Sequence[Path]) -> list[Record]:
    """Count holds with frees in chunks, and in one hold each, and the pages of the longest; the models' patterns."""
    if not there("frees in chunks of a batch", "linux_pcp"):
        return []
    ratios, longest = {}, {}
    for name, pattern in (
        ("bursts of 8192", lambda player: burst(player, 8192, 4)),
        ("producer and consumer", lambda player: producer_consumer(player, 20_000, look_every=512)),
    ):
        counts, pages = [], []
        for tunables in (CHUNKED_FREES, UNCHUNKED):
            with Played("linux_pcp", **tunables) as played:
                counts.append(counted(played, pattern))
                pages.append(longest_free(played))
        chunked, whole = counts
        longest[name] = pages
        ratios[name] = chunked.store / whole.store
        print(f"  {name}: {chunked.store:,} holds of {chunked.moved / chunked.store:.1f} pages on average,")
        print(f"    or {whole.store:,} of {whole.moved / whole.store:.1f}: {ratios[name]:.1f} times")
        print(f"    the longest hold of a free: {pages[0]:,} pages, or {pages[1]:,}")
    found["chunks"], found["longest_frees"] = ratios, longest
    return [
        CHUNKED.record([max(ratios.values())], judged=True),
        CHUNKED_LEAST.record([min(ratios.values())], judged=True),
    ]


HOLDS_NS: Final = (20, 80, 320)
"""A page under the lock: its struct in a cache, in another's, in memory."""

MACHINES: Final = {
    "waiting": ("one zone, each pair of CPUs as fast as the recorded machine", 224, 1),
    "waiting_slower": ("one zone, each pair of CPUs at a quarter of that", 224, 4),
    "waiting_node": ("a zone for each of two nodes, as fast: one node", 112, 1),
}
"""What is not known of the published machine, as it is here: CPUs of a zone, how many times slower they work."""


def illustrated(smoke: bool, full: Full, folders: Sequence[Path] = ()) -> list[Record]:
    """Show ranges over the hold, for builds; nothing is judged.

    => The page rate of those builds was not published; that of cc-j4, a build too, was recorded. Its copies play it.
    """
    if not smoke:
        found: Full = {}
        full["illustrated"] = found
        (trace, *_), _ = found_traces([SHIPPED, *folders], ("cc-j4",))
        _waiting(found, Traffic("trace", trace))
        _builds(found, Traffic("trace", trace))
    return []


Load = tuple[str, int, float, tuple[str, ...], int]
"""Design, CPUs, hold, settings, how many times slower the traffic is."""


def _points(traffic: Traffic, loads: Sequence[Load]) -> dict[Load, Point]:
    """Measure under each load."""
    cases = {
        load: Case(
            load[0], load[1], replace(traffic, slower=load[4]), changed={"page_moved": load[2]}, settings=load[3]
        )
        for load in loads
    }
    found = spread({load: partial(measured_here, case) for load, case in cases.items()})
    return {load: point for load, point in found.items() if point is not None}


def _waiting(found: Full, traffic: Traffic) -> None:
    """Show what 224 CPUs wait for that build."""
    if there(
        "waiting on 224 CPUs, published 14.0 % without auto-tuning, 1.0 % with (43.6 on one socket)", "linux_pcp"
    ):
        how = BEFORE_SETTINGS, ()
        points = _points(
            traffic,
            [
                ("linux_pcp", ncpus, hold_ns, each, slower)
                for _, ncpus, slower in MACHINES.values()
                for hold_ns in HOLDS_NS
                for each in how
            ],
        )
        for name, (title, ncpus, slower) in MACHINES.items():
            print(f"  {title}:")
            for hold_ns in HOLDS_NS:
                off, on = (points["linux_pcp", ncpus, hold_ns, each, slower].wait_share_percent for each in how)
                print(f"    {hold_ns} ns a page: {off:.2f} % without, {on:.2f} % with")
                found.setdefault(name, []).append([hold_ns, off, on])


def _builds(found: Full, traffic: Traffic) -> None:
    """Show how much sooner as much is done with two magazines of eight pages over the same lock."""
    said = {16: 1.20, 32: 1.47, 64: 1.46}
    if there(f"OpenBSD's kernel build, published {said}", "openbsd_magazine"):
        designs = "openbsd_magazine", "fpageqlock"
        loads: list[Load] = [
            (design, ncpus, hold_ns, (), 1) for ncpus in said for hold_ns in HOLDS_NS for design in designs
        ]
        points = _points(traffic, loads)
        for hold_ns in HOLDS_NS:
            done = {
                (design, ncpus): work(points[design, ncpus, hold_ns, (), 1]) for design in designs for ncpus in said
            }
            sooner = {ncpus: done[designs[0], ncpus] / done[designs[1], ncpus] for ncpus in said}
            print(
                f"  {hold_ns} ns a page: " + ", ".join(f"{ratio:.2f} on {ncpus}" for ncpus, ratio in sooner.items())
            )
            found.setdefault("builds", []).append([hold_ns, sooner])


SECTIONS: Final[dict[str, Callable[..., list[Record]]]] = {
    "predicted": predicted,
    "illustrated": illustrated,
    "causes": causes,
}


def bench(args: argparse.Namespace, smoke: bool) -> list[Record]:
    """Run sections: those that were asked for, or both."""
    file: Path | None = RESULTS / "published.json" if args.keep else args.full
    full: Full = json.loads(file.read_text()) if file is not None and file.exists() else {}
    records: list[Record] = []
    for name in args.section or SECTIONS:
        records += SECTIONS[name](smoke, full, args.traces)
        if file is not None:
            write_json(file, {**full, "host": asdict(host_facts())})
    return records


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--section", choices=SECTIONS, action="append")
    parser.add_argument("--full", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--traces", action="append", type=Path, default=[])
    mine, others = parser.parse_known_args()
    sys.argv[1:] = others
    sys.exit(main(__doc__ or "", partial(bench, mine)))

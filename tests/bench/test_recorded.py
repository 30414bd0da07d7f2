"""What a trace tells of the recorded kernel's sets, on a trace of few lines, and a run on sets like those."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.grid.recorded import ALLOC, FREE, FREE_STRANGER, HIGH_MIN, MOVABLE, RecordedCell, measure, recorded

NPAGES = 4096


def line(cpu: int, us: int, event: str, pfn: int, order: int = 0, migrate_type: int | None = None) -> str:
    """A line as perf script prints it."""
    kind = "" if migrate_type is None else f" migratetype={migrate_type}"
    flags = " gfp_flags=GFP_KERNEL" if event == "alloc" else ""
    name = f"kmem:mm_page_{event}: page={pfn:#x} pfn={pfn:#x} order={order}"
    return f"  cc {100 + cpu} [{cpu:03d}] 7.{us:06d}: {name}{kind}{flags}"


LINES = [
    line(1, 0, "alloc", 0x10, 0, 1),  # stood on CPU 1's set
    line(0, 10, "alloc_zone_locked", 0x20, 0, 1),
    line(0, 11, "alloc_zone_locked", 0x21, 0, 1),
    line(0, 12, "alloc", 0x20, 0, 1),  # was fetched
    line(0, 13, "free", 0x10),  # and stands on CPU 0's set from now on
    line(0, 14, "alloc", 0x10, 0, 1),
    line(0, 20, "free", 0x30),  # from before the trace
    line(0, 21, "alloc", 0x30, 0, 1),
    line(1, 30, "alloc", 0x40, 2, 0),  # four unmovable pages that stood on CPU 1's set
    line(1, 31, "alloc", 0x80, 9, 1),  # too large for a set
    line(0, 40, "pcpu_drain", 0x21, 0, 1),
]


@pytest.fixture
def trace(tmp_path: Path) -> str:
    file = tmp_path / "few.perf"
    file.write_text("\n".join(LINES) + "\n")
    return str(file)


def test_what_was_neither_fetched_nor_freed_before_stood_on_the_set(trace: str) -> None:
    found = recorded(trace)
    assert found.stock == {(1, 1, 0): 1, (1, 0, 2): 4}
    assert (found.strangers, found.moved, found.operations) == (1, 3, 7)


def test_each_cpu_has_its_events_at_their_times_since_the_first_of_all(trace: str) -> None:
    """A free names the allocation that it ends, with its type and order; one of a page from before, the stranger."""
    us = 1000
    assert recorded(trace).programs == (
        (
            [
                (12 * us, ALLOC, 1, MOVABLE, 0),
                (13 * us, FREE, 0, MOVABLE, 0),
                (14 * us, ALLOC, 2, MOVABLE, 0),
                (20 * us, FREE_STRANGER, 0, MOVABLE, 0),
                (21 * us, ALLOC, 3, MOVABLE, 0),
            ],
            [(0, ALLOC, 0, MOVABLE, 0), (30 * us, ALLOC, 4, 0, 2), (31 * us, ALLOC, 5, MOVABLE, 9)],
        )
    )
    assert recorded(trace).allocs == 6
    assert recorded(trace).moved_per_op == 3 / 7


def test_a_cell_is_named_by_what_it_has_that_others_have_not() -> None:
    assert str(RecordedCell("traces/cc-j4.perf.xz")) == "recorded: cc-j4"
    cell = RecordedCell("cc-j4.perf", stock=True, idle_s=3, settings=("decay=false",))
    assert str(cell) == "recorded: cc-j4, stock=True, idle_s=3, settings=('decay=false',)"


def test_in_idle_seconds_before_the_pass_a_set_that_grew_decays(tmp_path: Path) -> None:
    """What is given back in them is not counted: it was before the pass, which has less to find then."""
    file = tmp_path / "stocked.perf"
    number = 300
    events = [line(0, at, "alloc", 0x100 + at, 0, 1) for at in range(number)]
    file.write_text("\n".join(events) + "\n")
    busy, idle = (moved(str(file), stock=True, idle_s=seconds) for seconds in (0, 3))
    assert busy[0] < idle[0]


def moved(trace: str, **how: Any) -> tuple[int, int]:
    found = measure(asdict(RecordedCell(trace, **{"npages": NPAGES, **how})))
    assert found is not None
    return found["fetched"], found["spilled"]


def test_sets_with_the_pages_that_they_had_fetch_less(trace: str) -> None:
    """Batches begin with one page where RAM is so little: CPU 0 lacks two, CPU 1 one of order 0, and four more, for
    which it fetches two and four."""
    assert moved(trace) == (3, 0)
    assert moved(trace, stock=True) == (2, 0)
    assert moved(trace, orders=True) == (9, 0)
    assert moved(trace, orders=True, stock=True) == (2, 0)
    assert moved(trace, strangers=True) == (2, 0)


def test_a_page_of_one_migrate_type_serves_no_other(tmp_path: Path) -> None:
    file = tmp_path / "types.perf"
    events = [line(0, 0, "alloc", 0x10, 0, 1), line(0, 1, "free", 0x10), line(0, 2, "alloc", 0x11, 0, 0)]
    file.write_text("\n".join(events) + "\n")
    assert moved(str(file))[0] == 1
    assert moved(str(file), types=True)[0] == 2


def test_the_last_pass_counts_and_begins_with_what_the_one_before_left(tmp_path: Path) -> None:
    file = tmp_path / "kept.perf"
    file.write_text(line(0, 0, "alloc", 0x10, 0, 1) + "\n")
    assert (moved(str(file)), moved(str(file), passes=2)) == ((1, 0), (0, 0))


def test_a_set_with_the_watermarks_of_the_recorded_kernel_keeps_what_is_freed(tmp_path: Path) -> None:
    number = 200
    file = tmp_path / "burst.perf"
    events = [line(0, at, "alloc", 0x100 + at, 0, 1) for at in range(number)]
    events += [line(0, number + at, "free", 0x100 + at) for at in range(number)]
    file.write_text("\n".join(events) + "\n")
    before = ("autotune=false", "spill_chunk=0")
    assert moved(str(file), settings=before)[1] > 0
    assert moved(str(file), settings=before, marks="Marked") == (number, 0)
    assert number < HIGH_MIN

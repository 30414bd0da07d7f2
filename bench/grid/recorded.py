"""What a recorded kernel had in its sets when recording began, and a trace played on sets like those.

A trace that has what went between sets and zone (mm_page_alloc_zone_locked, mm_page_pcpu_drain) tells where each
page came from. A page that is allocated, and was neither fetched nor freed in the trace before, stood on the CPU's
set when it began. That is a lower bound: what stood there and was not used is not seen.

=> Played in virtual time, each event on its recorded CPU, and not before its recorded time.
=> What differs between linux_pcp and the recorded kernel is put in one by one (RecordedCell); without any of it a
   run has the pages of order 0 alone, from empty sets.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from bench.grid.cell import tunables_of
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.cell import Worker
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs.linux_pcp import LinuxPcp
from uvmfree.uvm.designs.linux_zone import Zone
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import Body, Lane, drive
from uvmfree.workload.tracefile import TraceFile
from uvmfree.workload.traceline import PAGE_EVENT, Whos

NPAGES: Final = 1 << 20
"""4 GiB: an eighth of it, for two CPUs, is more than the 53,350 pages that the recorded kernel was seen to have."""

HIGH_MIN: Final = 10_081
"""The smallest size of a set in zone Normal by /proc/zoneinfo of a machine with the recorded kernel, 2 CPUs, 24 GB:
half of its low watermark. Transparent huge pages make min_free_kbytes 67,584 there, whatever the RAM, so it would be
7,300 with 10 GB; the traces have pages up to 9.4 GB."""

SERVER_HIGH_MIN: Final = 367
"""As Huang Ying gives it (2023), who measured auto-tuning there."""

MIGRATE_TYPES: Final = 3
"""Unmovable, movable, reclaimable: a set has lists for each, with one count and one `high` for all."""

MOVABLE: Final = 1

PCP_ORDER_MAX: Final = 3
"""PAGE_ALLOC_COSTLY_ORDER: larger blocks do not go through sets, but for huge pages, which are left out."""

BEFORE_SETTINGS: Final = ("autotune=false", "spill_chunk=0")
"""Linux before 6.7."""

MIGRATE_TYPE: Final = re.compile(r"migratetype=(\d)")

ALLOC, FREE, FREE_STRANGER = range(3)

Step = tuple[int, int, int, int, int]
"""When, since the trace began (ns); what; which allocation; its migrate type; its order."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A trace by CPU, and what it tells of the sets.

    => `stock`: pages on sets when the trace begins, by CPU, migrate type and order. `strangers`: pages of order 0
       that are freed in it, and were allocated before. `operations`: allocations, and frees of what they allocated;
       `moved`: blocks that went between sets and zone.
    """

    programs: tuple[list[Step], ...]
    stock: Counter[tuple[int, int, int]]
    allocs: int
    strangers: int
    operations: int
    moved: int

    @property
    def moved_per_op(self) -> float:
        """What the recorded kernel itself moved, by operation."""
        return self.moved / self.operations


@lru_cache(maxsize=2)
def recorded(file: str) -> Recorded:
    """Read a trace that has all four events; TraceError."""
    whos, known, live = Whos(), set[str](), dict[str, tuple[int, int, int]]()
    programs: dict[int, list[Step]] = {}
    stock: Counter[tuple[int, int, int]] = Counter()
    allocs = strangers = operations = moved = 0
    began_ns = -1
    with TraceFile(file) as lines:
        for match, line in ((PAGE_EVENT.fullmatch(line), line) for _, block in lines.blocks() for line in block):
            if match is None:
                continue
            who, seconds, fraction, event, pfn, order_text, _ = match.groups()
            cpu, order = whos[who][1], int(order_text)
            now_ns = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
            began_ns = now_ns if began_ns < 0 else began_ns
            steps = programs.setdefault(cpu, [])
            if event == "alloc":
                found = MIGRATE_TYPE.search(line)
                row = int(found[1]) if found is not None else MOVABLE
                if pfn not in known and order <= PCP_ORDER_MAX:
                    stock[cpu, row, order] += 1 << order
                live[pfn] = allocs, row, order
                steps.append((now_ns - began_ns, ALLOC, allocs, row, order))
                allocs += 1
                operations += 1
            elif event != "free":
                moved += 1
            elif made := live.pop(pfn, None):
                steps.append((now_ns - began_ns, FREE, *made))
                operations += 1
            elif pfn not in known and not order:
                steps.append((now_ns - began_ns, FREE_STRANGER, strangers, MOVABLE, 0))
                strangers += 1
            known.add(pfn)
    return Recorded(tuple(programs[cpu] for cpu in sorted(programs)), stock, allocs, strangers, operations, moved)


class Marked(LinuxPcp):
    """The page sets with the smallest size that the watermarks of the recorded kernel give them."""

    name = "linux_pcp_marked"
    summary = "Linux with the watermarks of a machine with transparent huge pages"
    high_min = HIGH_MIN

    def make_store(self) -> Zone:
        """Make the zone, and change the sizes before CPUs are made."""
        zone = super().make_store()
        high_max = max(self.sizes.high_max, self.high_min) if self.tunables.autotune else self.high_min
        self.sizes = replace(self.sizes, high_min=self.high_min, high_max=high_max)
        return zone


class Server(Marked):
    """The page sets with the smallest size that is published of a machine with 224 CPUs and 256 GiB."""

    name = "linux_pcp_server"
    high_min = SERVER_HIGH_MIN


@dataclass(frozen=True, slots=True)
class RecordedCell:
    """A trace on linux_pcp, with what is told here as the recorded kernel had it.

    => `stock`: sets begin with the pages that the trace shows. `marks`: a class of this file that has other sizes.
       `types`: a list for each migrate type, a freelist standing for it. `orders`: blocks of order 1 to 3 go through
       the sets, page by page. `strangers`: pages from before are freed.
    => `idle_s`: for so long nothing happens before. `left_pages`: all RAM but this is taken. `passes`: of the trace,
       of which the last counts. `settings`, `npages`: as of GridCell.
    """

    trace: str
    stock: bool = False
    marks: str = ""
    types: bool = False
    orders: bool = False
    strangers: bool = False
    idle_s: int = 0
    left_pages: int = 0
    passes: int = 1
    settings: tuple[str, ...] = ()
    npages: int = NPAGES
    design: str = field(default="linux_pcp", init=False)

    @property
    def trace_name(self) -> str:
        """The trace, as it is called in tables."""
        return Path(self.trace).name.removesuffix(".xz").removesuffix(".perf")

    def __str__(self) -> str:
        """Its name in the file of results: what it has that a cell has not by default."""
        varied = (each.name for each in fields(self) if each.default not in (MISSING, getattr(self, each.name)))
        return ", ".join([f"recorded: {self.trace_name}", *(f"{name}={getattr(self, name)}" for name in varied)])


def measure(plain: dict[str, Any]) -> dict[str, Any] | None:
    """Count the pages that sets fetched and gave back, in all and by operation, in a cell given as plain values.

    => None if it was told to give up.
    """
    given = {name: value for name, value in plain.items() if name != "design"}
    cell = RecordedCell(**{**given, "settings": tuple(given["settings"])})
    trace = recorded(cell.trace)
    moved = Playing(cell, trace).play()
    if moved is None:
        return None
    fetched, spilled = moved
    return {"fetched": fetched, "spilled": spilled, "moved_per_op": (fetched + spilled) / trace.operations}


class Playing:
    """One run of a cell; its strands take turns, so that nothing of it needs a lock."""

    def __init__(self, cell: RecordedCell, trace: Recorded) -> None:
        self._cell, self._trace = cell, trace
        self._ncpus, self._rows = len(trace.programs), MIGRATE_TYPES if cell.types else 1
        self._machine = VirtualMachine(ncpus=self._ncpus, seed=1)
        self._uvm: Uvm = boot(
            self._machine,
            npages=cell.npages,
            ncpus=self._ncpus,
            nfreelists=self._rows,
            design=f"bench.grid.recorded:{cell.marks}" if cell.marks else cell.design,
            **tunables_of(cell.settings),
        )
        self._held: list[list[VmPage] | None] = [None] * trace.allocs
        self._freed = {number for steps in trace.programs for _, what, number, *_ in steps if what == FREE}
        self._strangers: list[VmPage] = []
        self._arrived, self._began_ns = 0, 0
        self._before = (0, 0)

    def play(self) -> tuple[int, int] | None:
        """Return how many pages were fetched and given back in the last pass; None if it was told to give up."""
        with self._uvm:
            if wanted := self._trace.strangers if self._cell.strangers else 0:
                low, high = (
                    part * self._cell.npages // self._rows for part in (self._rows // 2, self._rows // 2 + 1)
                )
                self._strangers = self._uvm.pglistalloc(wanted, low, high, nsegs=wanted)  # movable: the second third
            if self._cell.left_pages:
                wanted = self._uvm.uvmexp.free - self._cell.left_pages
                self._uvm.pglistalloc(wanted, nsegs=wanted)
            if drive(self._uvm, [self._body(at) for at in range(self._ncpus)], Worker.stop).interrupted:
                return None
            fetched, spilled = self._counts()
            return fetched - self._before[0], spilled - self._before[1]

    def _counts(self) -> tuple[int, int]:
        stats = self._uvm.cpu_stats()
        return sum(cpu.filled for cpu in stats), sum(cpu.drained for cpu in stats)

    def _body(self, at: int) -> Body:
        steps = [step for step in self._trace.programs[at] if self._is_played(step)]
        left = [step for step in steps if step[1] == ALLOC and step[2] not in self._freed]

        def body(cpu: Cpu, lane: Lane) -> None:
            if self._cell.stock:
                self._fill(cpu, at)
            if self._cell.idle_s:
                self._meet(lane)
                self._machine.sleep(self._cell.idle_s)
            for _ in range(self._cell.passes):
                self._meet(lane)
                self._pass(cpu, lane, steps)
                for step in left if self._cell.passes > 1 else ():
                    self._free(cpu, step[2])

        return body

    def _is_played(self, step: Step) -> bool:
        _, what, _, _, order = step
        return order <= (PCP_ORDER_MAX if self._cell.orders else 0) and (
            what != FREE_STRANGER or self._cell.strangers
        )

    def _fill(self, cpu: Cpu, at: int) -> None:
        """Have a set as it was: its `high` rises with the misses, and what was taken is freed onto it."""
        pages = [
            self._take(cpu, row)
            for (index, row, order), number in sorted(self._trace.stock.items())
            if index == at and (self._cell.orders or not order)
            for _ in range(number)
        ]
        for pg in pages:
            cpu.pagefree(pg)

    def _meet(self, lane: Lane) -> None:
        """Wait until all CPUs have come here; the last to come says when the pass begins, and what counts."""
        self._arrived += 1
        meeting = -(-self._arrived // self._ncpus) * self._ncpus
        if self._arrived == meeting:
            self._before, self._began_ns = self._counts(), self._machine.clock_ns()
            lane.notify()
        else:
            lane.wait_until(lambda: self._arrived >= meeting)

    def _take(self, cpu: Cpu, row: int) -> VmPage:
        pg = cpu.pagealloc(strat="only", free_list=row if self._cell.types else 0)
        assert pg is not None, f"{self._cell.npages} pages were not enough"
        return pg

    def _free(self, cpu: Cpu, number: int) -> None:
        pages, self._held[number] = self._held[number], None
        for pg in pages or ():
            cpu.pagefree(pg)

    def _pass(self, cpu: Cpu, lane: Lane, steps: list[Step]) -> None:
        clock_ns, charge, held = self._machine.clock_ns, self._machine.charge, self._held
        for at_ns, what, number, row, order in steps:
            early_ns = self._began_ns + at_ns - clock_ns()
            if early_ns > 0:
                charge(early_ns)
            if what == ALLOC:
                held[number] = [self._take(cpu, row) for _ in range(1 << order)]
                lane.notify()
            elif what == FREE:
                if held[number] is None:
                    lane.wait_until(_is_there(held, number))
                self._free(cpu, number)
            elif self._strangers:
                cpu.pagefree(self._strangers.pop())


def _is_there(held: list[list[VmPage] | None], number: int) -> Callable[[], bool]:
    return lambda: held[number] is not None

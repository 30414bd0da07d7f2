"""Reads what a kernel's page allocator did, as `perf script` prints it, and gives it as arrays of allocs and frees.

Record with

    perf record -a -e kmem:mm_page_alloc -e kmem:mm_page_free -- COMMAND
    perf script > FILE

and, to see what Linux's own per-CPU lists did, `-e kmem:mm_page_alloc_zone_locked -e kmem:mm_page_pcpu_drain`
with it. ftrace's and trace-cmd's text is read as well: traceline.py tells the forms of a line.

What is kept: every allocation, and every free of a page whose allocation is in the trace. What is only counted:
frees of pages allocated before the trace began, failed allocations, the two events of Linux's own lists, events
that were lost while it was recorded, and every other event (`mm_page_free_batched` too: it repeats frees that
`mm_page_free` reports). What is passed over: blank lines, comments, and call chains.

A page that is allocated again with no free between (some kernel paths free a page without the event) begins
a new allocation; the old one stays, and is never freed.

Time may not go back, on any CPU: perf script prints in time order, and in any other order a free could come
before its allocation. Two traces put together, or one printed CPU by CPU, are refused.
"""

import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from uvmfree.errors import TraceError
from uvmfree.workload.tracefile import TraceFile
from uvmfree.workload.traceline import FREED_ORDER_MAX, PAGE_EVENT, IsZero, LineError, OtherLines, Whos, order_of

ALLOC: Final = 0
FREE: Final = 1

_NS_PER_S = 10**9
_NS_PER_DIGITS = tuple(10 ** (9 - digits) for digits in range(10))  # by the number of digits in the fraction
_NO_PAGE = frozenset({"0", "0x0", str(2**64 - 1), hex(2**64 - 1)})  # the pfn of a failed allocation
_TIME_GOES_BACK = "time goes back (perf script and ftrace's file trace print in time order)"


@dataclass(frozen=True, slots=True)
class TraceCounts:
    """What was in a trace, counted.

    => allocs = kept allocations of any order; allocs_high_order, allocs_zero are parts of it.
    => frees = kept frees; frees_other_cpu (than its allocation's), frees_high_order are parts of it.
    => live_peak, live_end count pages' starts: an allocation whose page was allocated again is no longer live.
       So allocs == frees + live_end + allocs_again.
    => linux_moved is the number of mm_page_alloc_zone_locked and mm_page_pcpu_drain events, one for each block
       that Linux took from or gave to a zone's free lists under the zone lock; None where the trace has neither.
    => duration_s is from the first page event to the last.
    => lost_events, of any kind, never got into the trace, as far as it says so.
    """

    allocs: int
    allocs_high_order: int
    allocs_zero: int
    frees: int
    frees_other_cpu: int
    frees_unknown: int
    frees_high_order: int
    live_peak: int
    live_end: int
    duration_s: float
    linux_moved: int | None
    ignored_events: int
    allocs_again: int = 0
    allocs_failed: int = 0
    lost_events: int = 0

    @property
    def linux_moved_per_op(self) -> float | None:
        """Linux's own figure: moved under the zone lock, per page operation that was kept."""
        if self.linux_moved is None:
            return None
        return self.linux_moved / (self.allocs + self.frees)


@dataclass(frozen=True, slots=True)
class Trace:
    """The kept events of a trace, one array per column, in time order, and the trace's counts.

    => All arrays have one entry per kept event; there is at least one, and the first is an allocation.
    => alloc is the serial number, 0 to counts.allocs - 1 in order of time, of the allocation made or freed.
    => A free comes after its allocation, at most one for each.
    => order of a free is its allocation's, whatever the free said: skipping by order skips both or neither.
    => zero is 1 on an allocation with __GFP_ZERO, else 0.
    => time_ns is the trace's own clock.
    => CPUs are numbered anew, from 0 without gaps, in the order of their recorded numbers: `cpu[i]` is what was
       recorded as `recorded_cpus[cpu[i]]`, and ncpus of them have a kept event. () where numbers were never recorded.
    => tasks are "comm/pid", of kept events; where perf printed PID/TID, the pid is the TID, as it is where perf
       prints one number.
    """

    name: str
    ncpus: int
    tasks: tuple[str, ...]
    kind: "array[int]"
    cpu: "array[int]"
    task: "array[int]"
    time_ns: "array[int]"
    alloc: "array[int]"
    order: "array[int]"
    zero: "array[int]"
    counts: TraceCounts
    recorded_cpus: tuple[int, ...] = ()


def bundled_trace() -> Path:
    """Return the path of the trace that ships in the package; data/README.md there tells its origin."""
    return Path(str(resources.files("uvmfree.workload").joinpath("data", "cc-j4-cut.perf.xz")))


def read_trace(
    source: str | os.PathLike[str],
    *,
    unpacked_max_bytes: int | None = None,
    tick: Callable[[int], None] | None = None,
) -> Trace:
    """Read a trace of perf script's, ftrace's or trace-cmd's text, plain, gzipped or xz.

    => source is a path, or "-" for stdin.
    => `unpacked_max_bytes`, `tick`: tracefile.py.
    => TraceError, one line, with the file and, where there is one, the line's number and the line: not there, not
       readable, empty, truncated, damaged, binary, unpacking to more than it may, a line of another kind, a CPU or an
       order that cannot be, time going back, or no allocation in it.
    """
    with TraceFile(source, unpacked_max_bytes, tick) as file:
        return _read(file)


def _read(file: TraceFile) -> Trace:
    kind, order, zero = array("B"), array("B"), array("B")
    cpu, task, time_ns, alloc = array("H"), array("I"), array("q"), array("I")
    whos, is_zero, others = Whos(), IsZero(), OtherLines()
    tasks: dict[str, int] = {}
    live: dict[str, int] = {}  # pfn, as printed -> index of the event that allocated it
    allocs = allocs_again = allocs_failed = allocs_high_order = 0
    frees_other_cpu = frees_unknown = frees_high_order = 0
    live_peak = linux_moved = 0
    first_ns = last_ns = -1
    line_number = 0
    line = ""
    try:
        # One loop over local names: a call per line would cost as much as the line.
        for first_number, lines in file.blocks():
            for line_number, line in enumerate(lines, first_number):
                match = PAGE_EVENT.fullmatch(line)
                if match is None:
                    others.add(line_number, line)
                    continue
                who, seconds, fraction, event, pfn, order_text, flags = match.groups()
                now_ns = int(seconds) * _NS_PER_S + int(fraction) * _NS_PER_DIGITS[len(fraction)]
                if now_ns < last_ns:
                    raise file.error(line_number, _TIME_GOES_BACK, line)
                if last_ns < 0:
                    first_ns = now_ns
                last_ns = now_ns
                task_name, on_cpu = whos[who]

                if event == "alloc":
                    if flags is None:
                        raise file.error(line_number, "malformed: no gfp_flags", line)
                    if pfn in _NO_PAGE:
                        allocs_failed += 1
                        continue
                    if pfn in live:
                        allocs_again += 1
                    live[pfn] = len(kind)
                    if len(live) > live_peak:
                        live_peak = len(live)
                    kind.append(ALLOC)
                    alloc.append(allocs)
                    allocs += 1
                    zero.append(is_zero[flags])
                    if order_text == "0":
                        order.append(0)
                    else:
                        order.append(order_of(order_text))
                        allocs_high_order += order[-1] > 0
                elif event == "free":
                    if order_text != "0":
                        order_of(order_text, FREED_ORDER_MAX)
                    made = live.pop(pfn, None)
                    if made is None:
                        frees_unknown += 1
                        continue
                    kind.append(FREE)
                    alloc.append(alloc[made])
                    zero.append(0)
                    order.append(order[made])
                    if order[made]:
                        frees_high_order += 1
                    if cpu[made] != on_cpu:
                        frees_other_cpu += 1
                else:
                    linux_moved += 1
                    continue
                cpu.append(on_cpu)
                task.append(tasks.setdefault(task_name, len(tasks)))
                time_ns.append(now_ns)
        others.end(file.lines)
    except LineError as error:
        raise file.error(error.line_number or line_number, str(error), error.line or line) from None
    if not allocs:
        raise TraceError(
            f"{file.label}: no allocation in {file.lines} lines; "
            "record with -e kmem:mm_page_alloc -e kmem:mm_page_free"
        )
    counts = TraceCounts(
        allocs=allocs,
        allocs_high_order=allocs_high_order,
        allocs_zero=zero.count(1),
        frees=len(kind) - allocs,
        frees_other_cpu=frees_other_cpu,
        frees_unknown=frees_unknown,
        frees_high_order=frees_high_order,
        live_peak=live_peak,
        live_end=len(live),
        duration_s=(last_ns - first_ns) / _NS_PER_S,
        linux_moved=linux_moved or None,
        ignored_events=others.ignored_events,
        allocs_again=allocs_again,
        allocs_failed=allocs_failed,
        lost_events=others.lost_events,
    )
    recorded_cpus = tuple(sorted(set(cpu)))
    if recorded_cpus != tuple(range(len(recorded_cpus))):
        number = {recorded: index for index, recorded in enumerate(recorded_cpus)}
        cpu = array("H", map(number.__getitem__, cpu))
    columns = (kind, cpu, task, time_ns, alloc, order, zero)
    return Trace(file.name, len(recorded_cpus), tuple(tasks), *columns, counts, recorded_cpus)

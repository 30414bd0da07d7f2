"""Reads what `perf script` prints of a kernel's page allocator, and gives it as arrays of allocs and frees.

Record with

    perf record -a -e kmem:mm_page_alloc -e kmem:mm_page_free -- COMMAND
    perf script > FILE

and, to see what Linux's own per-CPU lists did, `-e kmem:mm_page_alloc_zone_locked -e kmem:mm_page_pcpu_drain`
with it. A line is `COMM PID [CPU] TIME: EVENT: FIELDS`. COMM is whatever a task called itself, up to 15 bytes with
spaces, colons and brackets in it, so a line is recognised by what follows COMM.

What is kept: every allocation, and every free of a page whose allocation is in the trace. What is only counted:
frees of pages allocated before the trace began, failed allocations, the two events of Linux's own lists, and
every other event (`mm_page_free_batched` too: it repeats frees that `mm_page_free` reports). What is passed over:
blank lines, perf's `#` comments, and the stacks of `perf record -g`.

A page that is allocated again with no free between (some kernel paths free a page without the event) begins
a new allocation; the old one stays, and is never freed.

Time may not go back, on any CPU: perf script prints in time order, and in any other order a free could come
before its allocation. Two traces put together, or one printed CPU by CPU, are refused.
"""

import os
import re
from array import array
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from uvmfree.errors import TraceError
from uvmfree.workload.tracefile import TraceFile

ALLOC: Final = 0
FREE: Final = 1

CPU_MAX = 4095  # above any machine that is traced whole; a number beyond it is a damaged line
ORDER_MAX = 63  # an order is a shift of a 64-bit number; kernels stop between 10 and 13

_NS_PER_S = 10**9
_NS_PER_DIGITS = tuple(10 ** (9 - digits) for digits in range(10))  # by the number of digits in the fraction

# Seconds stop short of 9e9, so that nanoseconds fit an int64. Fields that later kernels may add are let pass.
_PAGE_EVENT = re.compile(
    r"((?:[^[]*\[)+?\d{1,9}\]) +([0-8]?\d{1,9})\.(\d{1,9}): +"
    r"kmem:mm_page_(alloc|free|alloc_zone_locked|pcpu_drain): +"
    r"page=(?:(?:0x)?[0-9a-f]+|\(nil\)|\(null\)) +pfn=(0x[0-9a-f]{1,16}|\d{1,20}) +order=(\d{1,3})"
    r"(?: +migratetype=-?\d+ +gfp_flags=(\S+))?(?: +[a-z_]+=\S+)* *",
    re.ASCII | re.DOTALL,
)
_PAGE_EVENT_NAME = re.compile(r" kmem:mm_page_(?:alloc|free|alloc_zone_locked|pcpu_drain):")
# Any other event, `NAME:` or (hardware) `PERIOD NAME:`, or perf's own record, which has no colon.
_OTHER_EVENT = re.compile(
    r".*?\d{1,10} +\[\d{1,9}\] +\d{1,10}\.\d{1,9}: +(?:\d{1,20} +)?(?:PERF_RECORD_[A-Z_]+|[a-zA-Z_][^ ]*:)(?: .*)?",
    re.ASCII | re.DOTALL,
)
_STACK_FRAME = re.compile(r"\t *[0-9a-f]+ .+", re.DOTALL)
_PID = re.compile(r"(?:-?\d{1,10}/)?(-?\d{1,10})", re.ASCII)
_NO_PAGE = frozenset({"0", "0x0", str(2**64 - 1), hex(2**64 - 1)})  # the pfn of a failed allocation


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
    => ncpus is the highest CPU number of a kept event, plus 1. tasks are "comm/pid", of kept events; where perf
       printed PID/TID, the pid is the TID, as it is where perf prints one number.
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


def bundled_trace() -> Path:
    """Return the path of the trace that ships in the package; data/README.md there tells its origin."""
    return Path(str(resources.files("uvmfree.workload").joinpath("data", "cc-j4-cut.perf.xz")))


def read_trace(source: str | os.PathLike[str]) -> Trace:
    """Read a trace of perf script's text, plain, gzipped or xz.

    => source is a path, or "-" for stdin.
    => TraceError, one line, with the file and, where there is one, the line's number and the line: not there, not
       readable, empty, truncated, damaged, binary, not UTF-8, a line that is not perf script's, a CPU or an order
       that cannot be, time going back, or no allocation in it.
    """
    with TraceFile(source) as file:
        return _read(file)


class _LineError(Exception):
    """What is wrong with the line at hand; _read adds which line of which file."""


class _Whos(dict[str, tuple[str, int]]):
    """`COMM PID [CPU]`, as printed -> ("comm/pid", CPU number). A trace has few, each is taken apart once."""

    def __missing__(self, who: str) -> tuple[str, int]:
        head, _, cpu_text = who[:-1].rpartition("[")
        comm, _, pid_text = head.rstrip(" ").rpartition(" ")
        pid = _PID.fullmatch(pid_text)
        if _PAGE_EVENT_NAME.search(head):
            raise _LineError("malformed: two events in one line")
        if pid is None or not head.endswith(" "):
            raise _LineError("malformed: no PID before [CPU]")
        if int(cpu_text) > CPU_MAX:
            raise _LineError(f"CPU {int(cpu_text)} is beyond {CPU_MAX}")
        found = self[who] = (f"{comm.strip(' ')}/{pid[1]}", int(cpu_text))
        return found


class _IsZero(dict[str, int]):
    """gfp_flags, as printed -> 1 if the page is to be zeroed. Kernels before 4.6 print the flag without `__`."""

    def __missing__(self, flags: str) -> int:
        found = self[flags] = int(not {"__GFP_ZERO", "GFP_ZERO"}.isdisjoint(flags.split("|")))
        return found


def _read(file: TraceFile) -> Trace:
    kind, order, zero = array("B"), array("B"), array("B")
    cpu, task, time_ns, alloc = array("H"), array("I"), array("q"), array("I")
    whos, is_zero = _Whos(), _IsZero()
    tasks: dict[str, int] = {}
    live: dict[str, int] = {}  # pfn, as printed -> index of the event that allocated it
    allocs = allocs_again = allocs_failed = allocs_high_order = 0
    frees_other_cpu = frees_unknown = frees_high_order = 0
    live_peak = linux_moved = ignored_events = 0
    first_ns = last_ns = -1
    lines_seen = line_number = 0
    line = ""
    try:
        # One loop over local names: a call per line would cost as much as the line.
        for lines in file.blocks():
            for line_number, line in enumerate(lines, lines_seen + 1):
                match = _PAGE_EVENT.fullmatch(line)
                if match is None:
                    ignored_events += _is_other_event(line)
                    continue
                who, seconds, fraction, event, pfn, order_text, flags = match.groups()
                now_ns = int(seconds) * _NS_PER_S + int(fraction) * _NS_PER_DIGITS[len(fraction)]
                if now_ns < last_ns:
                    raise file.error(line_number, "time goes back (perf script prints in time order)", line)
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
                        order.append(_order(order_text))
                        allocs_high_order += order[-1] > 0
                elif event == "free":
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
            lines_seen += len(lines)
    except _LineError as error:
        raise file.error(line_number, str(error), line) from None
    if not allocs:
        raise TraceError(
            f"{file.label}: no allocation in {lines_seen} lines; "
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
        ignored_events=ignored_events,
        allocs_again=allocs_again,
        allocs_failed=allocs_failed,
    )
    ncpus = max(cpu) + 1
    return Trace(file.name, ncpus, tuple(tasks), kind, cpu, task, time_ns, alloc, order, zero, counts)


def _order(text: str) -> int:
    order = int(text)
    if order > ORDER_MAX:
        raise _LineError(f"order {order} is beyond {ORDER_MAX}")
    return order


def _is_other_event(line: str) -> bool:
    """Tell whether a line that is no page event is another event.

    => False for what is no event: a blank line, perf's comment, a frame of a stack.
    => _LineError for anything else, and for a page event that is not as it should be.
    """
    if not line.strip() or line.startswith("#"):
        return False
    if _PAGE_EVENT_NAME.search(line):
        raise _LineError("malformed page event")
    if _STACK_FRAME.fullmatch(line):
        return False
    if not _OTHER_EVENT.fullmatch(line):
        raise _LineError("malformed (not a line of perf script)")
    return True

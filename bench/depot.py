"""Claims: how often `depot` takes shared locks, how much it parks, how often a hit is local and a colour right.

    ./run python bench/depot.py            all of it
    ./run python bench/depot.py --full     and what copies of cc-j4 park on 64 and 256 CPUs

How: each trace in bench/traces, on its own two CPUs and dealt out by task over 8 and 32, from empty caches: on real
threads, and in virtual time with the recorded gaps. Counted: acquisitions of uvm_fpageqlock, and of other CPUs' locks
to borrow credits, without those of pglistalloc, for each page operation; the most pages in all caches, at every
exchange; local hits and right colours. Beside it, in virtual time, and not judged but for the copies:

    once more      the same again, by caches that the first time has filled: what the first fill is worth
    slower clock   CPUs count as idle by the time that the trace took when it was recorded (below)
    copies         each two CPUs play the trace for themselves, so that all are busy
    no lists       without colour lists: one list a CPU, pages counted as right whose colour is the next one

On 64 and 256 CPUs that play copies only what is parked is looked at; the rest is in bench/curve.py. What the other
parts of the design are worth: bench/depot_counts.py.

What could fool it: a trace keeps as many CPUs busy as it was recorded on, however many it is dealt out over; copies
keep all of them busy. Dealt out, its CPUs wait for each other's pages, and it lasts up to ten times as long as it was
recorded. The clock by which CPUs are idle does not slow down with it, so credits are pulled from CPUs that only seem
idle. On real threads of a host with fewer processors a thread that waits for its turn is a CPU that is idle, too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.harness import TRACES, Claim, Record, driven, main
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.measure.mark import Mark
from uvmfree.measure.scale import Case, Traffic, measured
from uvmfree.measure.workloads import PAGES_PER_CPU
from uvmfree.uvm.boot import boot
from uvmfree.uvm.designs.depot import Depot, DepotCpu, DepotTunables
from uvmfree.uvm.system import Uvm
from uvmfree.workload.copies import copies
from uvmfree.workload.driver import drive
from uvmfree.workload.replay import bodies
from uvmfree.workload.replay_plan import plan
from uvmfree.workload.trace import Trace, bundled_trace, read_trace

LIMITS: Final = {
    "cc-j4": (0.0025, 0.0035, 0.0050),
    "fork-exec": (0.0003, 0.0020, 0.0070),
    "untar-scan": (0.0020, 0.0026, 0.0030),
    "java-build": (0.0025, 0.0040, 0.0050),
    "chromium-page": (0.0025, 0.0040, 0.0050),
}
"""Shared locks an operation, on 2, 8 and 32 CPUs."""

COLORS: Final = 8
"""Of a system by default."""

CPUS: Final = (2, 8, 32)
PARKED: Final = (2048, 4096, 4096)

BUSY: Final = ("fork-exec", "java-build")
BUSY_CPUS: Final = (4, 64, 256)
"""Those of a smoke run first."""

BUSY_LARGE: Final = ("cc-j4",)
"""With `--full` only: copies take five million pages of RAM on 256 CPUs, and minutes."""

COPIES_S: Final = 0.2
"""How long copies are played: each begins at a place of its own, so 16 of them see most of a trace."""

SHOWN: Final = {
    "threads": "real threads",
    "virtual": "virtual time",
    "again": "virtual time, once more",
    "slower": "virtual time, slower clock",
    "copies": "copies, all CPUs busy",
    "no lists": "no colour lists",
}
"""How a trace is played, as it is printed in a line, and in the tables."""

CLAIMS: Final = {
    "locks": Claim("depot-locks", "locks an operation of the limit, the worst trace, 2 and 8 CPUs", "ratio", 1.0),
    "locks, 32": Claim(
        "depot-locks-32", "locks an operation of the limit, the worst trace, 32 CPUs, virtual time", "ratio", 1.0
    ),
    "locks, 32 threads": Claim(
        "depot-locks-32-threads", "locks an operation of the limit, the worst trace, 32 threads", "ratio", 1.0
    ),
    "locks, copies": Claim(
        "depot-locks-copies", "locks an operation of the limit, the worst trace, CPUs all busy", "ratio", 1.0
    ),
    "parked": Claim("depot-parked", "pages in all caches, of the limit, at every exchange", "ratio", 1.0),
    "parked, copies": Claim(
        "depot-parked-copies", "pages in all caches, of max(4096, 128 x CPUs), at every exchange", "ratio", 1.0
    ),
    "hits": Claim(
        "depot-local-hits", "local hits, the least on 2 and 8 CPUs", "% of allocations", 99.7, at_least=True
    ),
    "hits, 32": Claim(
        "depot-local-hits-32", "local hits, the least on 32 CPUs", "% of allocations", 99.7, at_least=True
    ),
    "colors": Claim("depot-colours", "right colours, the least on 2 and 8 CPUs", "%", 97.0, at_least=True),
    "colors, 32": Claim("depot-colours-32", "right colours, the least on 32 CPUs", "%", 97.0, at_least=True),
    "plain": Claim("depot-colours-without-lists", "right colours without colour lists, the most", "%", None),
}


class WatchedCpu(DepotCpu):
    """A CPU that looks how much is cached whenever a cache grows by an exchange, or is full."""

    __slots__ = ()

    def _fetch(self, *how: Any) -> Any:
        found = super()._fetch(*how)
        self._watch()
        return found

    def _overflow(self) -> int:
        self._watch()
        return super()._overflow()

    def _watch(self) -> None:
        design: Any = self._design
        design.parked_max = max(design.parked_max, sum(map(design.cached, range(len(design.cpus)))))


class Watched(Depot):
    """The design as it is, watched. `parked_max`: stored without a lock; what is lost is one look."""

    cpu_class = WatchedCpu
    parked_max = 0

    def stop(self, refuse: Callable[[], object]) -> None:
        """Keep what was seen for who did not make the system."""
        peaks.append(self.parked_max)
        super().stop(refuse)


class PlainCpu(WatchedCpu):
    """A CPU of a system of one colour, whose cache is one list, that counts pages of the colour whose turn it is."""

    __slots__ = ("right", "turn")

    def setup(self) -> None:
        """Begin with the first colour."""
        super().setup()
        self.turn = self.right = 0

    def pagealloc(self, *how: Any, **more: Any) -> Any:
        """Allocate, and look which colour it is."""
        pg = super().pagealloc(*how, **more)
        if pg is not None:
            self.right += pg.pfn % COLORS == self.turn
            self.turn = (self.turn + 1) % COLORS
        return pg


class Plain(Watched):
    """The design without colour lists."""

    cpu_class = PlainCpu


peaks: list[int] = []
"""What was seen of each system, as it was closed: by the one thread that closes it."""


class Seen(NamedTuple):
    """Locks an operation, the most pages parked, % of local hits and of right colours, and how long it lasted."""

    locks: float
    parked: int
    hits: float
    colors: float
    lasted_s: float = 0.0


def counted(
    trace: Trace, ncpus: int, *, virtual: bool, plain: bool = False, times: int = 1, slower: float = 1.0
) -> list[Seen]:
    """Replay a trace so many times, and return what was seen of each.

    => `plain`: without colour lists. `slower`: how many times as long a CPU has to do nothing to be idle.
    """
    planned = plan(trace) if ncpus == 2 else plan(trace, ncpus=ncpus, by="task")
    machine = (VirtualMachine(ncpus=ncpus, lockstat=True),) if virtual else ()
    idle: dict[str, Any] = {"redistribute_interval_s": slower, "spare_s": slower * DepotTunables().spare_s}
    with boot(
        *machine,
        ncpus=ncpus,
        npages=65_536 * times,  # what is live at a replay's end stays so
        design=f"{__name__}:{'Plain' if plain else 'Watched'}",
        lockstat=True,
        ncolors=1 if plain else COLORS,
        **idle,
    ) as uvm:
        found = []
        for _ in range(times):
            mark = _begun(uvm)
            driven(uvm, bodies(planned, uvm, gaps=virtual))
            found.append(_seen(uvm, mark))
        return found


def busy(trace: Trace, ncpus: int) -> Seen:
    """Keep all CPUs busy with copies of a trace of two, by caches that are filled, in virtual time."""
    planned = plan(trace, loop=True)
    machine = VirtualMachine(ncpus=ncpus, lockstat=True)
    npages = planned.live_peak * ncpus // 2 + PAGES_PER_CPU * ncpus
    uvm = boot(machine, ncpus=ncpus, npages=npages, design=f"{__name__}:Watched", lockstat=True)
    load = copies(uvm, planned, ncpus // 2, 1, machine.acts_as)
    with uvm:
        mark = _begun(uvm)
        if drive(uvm, load.bodies, seconds=COPIES_S).interrupted:
            raise KeyboardInterrupt
        return _seen(uvm, mark)


def _begun(uvm: Uvm) -> Mark:
    watched: Any = uvm.design
    watched.parked_max = 0
    return Mark(uvm)


def _seen(uvm: Uvm, mark: Mark) -> Seen:
    """Return what was seen since a mark."""
    watched: Any = uvm.design
    stats = mark.cpus()
    allocs = sum(cpu.allocs for cpu in stats)
    taken = sum(
        record.acquired
        for record in uvm.lockstat(by_caller=True)
        if record.caller in ("uvm_pull", "uvm_rescue")
        or (record.name == "uvm_fpageqlock" and record.caller in ("uvm_pagealloc", "uvm_redistribute"))
    )
    cpus: Sequence[Any] = watched.cpus
    right = sum(cpu.right for cpu in cpus) if isinstance(watched, Plain) else sum(cpu.colorhit for cpu in stats)
    return Seen(
        taken / (allocs + sum(cpu.frees for cpu in stats)),
        watched.parked_max,
        100 * sum(cpu.cpuhit for cpu in stats) / allocs,
        100 * right / allocs,
        (uvm.machine.clock_ns() - mark.began_ns) / 1e9,
    )


def copied(file: Path, ncpus: int) -> int:
    """Keep so many CPUs busy with copies of a trace, as `uvmfree scale` does; return the most parked."""
    peaks.clear()
    measured(Case(f"{__name__}:Watched", ncpus, Traffic("trace", str(file))))
    return max(peaks)


def played(trace: Trace, ncpus: int) -> Iterator[tuple[str, Seen]]:
    """Play a trace in each of the ways SHOWN; where strands pass a baton only what takes no minutes."""
    cheap = greenlets_work()
    yield "threads", counted(trace, ncpus, virtual=False)[0]
    if not cheap:
        if ncpus == CPUS[0]:
            yield "virtual", counted(trace, ncpus, virtual=True)[0]
            yield "no lists", counted(trace, ncpus, virtual=False, plain=True)[0]
        return
    first, again = counted(trace, ncpus, virtual=True, times=2)
    yield "virtual", first
    yield "again", again
    longer = max(1.0, first.lasted_s / trace.counts.duration_s)
    yield "slower", counted(trace, ncpus, virtual=True, slower=longer)[0]
    yield "copies", busy(trace, ncpus)
    yield "no lists", counted(trace, ncpus, virtual=True, plain=True)[0]


def judge(found: dict[str, list[float]], name: str, at: int, how: str, seen: Seen) -> None:
    """Put what was seen of a trace, on CPUS[at], to the claims that speak of it."""
    of_limit = seen.locks / LIMITS.get(name, (0.0050,) * len(CPUS))[at]
    if how in ("threads", "virtual"):
        many = ", 32" if CPUS[at] == 32 else ""
        found[f"locks{many}{' threads' if many and how == 'threads' else ''}"].append(of_limit)
        found[f"hits{many}"].append(seen.hits)
        found[f"colors{many}"].append(seen.colors)
    elif how == "copies":
        found["locks, copies"].append(of_limit)
    if how == "no lists":
        found["plain"].append(seen.colors)
    else:
        found["parked"].append(seen.parked / PARKED[at])


def tables(rows: dict[tuple[str, int], dict[str, Seen]], names: Sequence[str]) -> Iterator[str]:
    """Yield the tables for the pages: a row for each way to play and each number of CPUs."""
    titles: dict[str, Callable[[Seen], str]] = {
        "locks for 1,000 operations / most parked": lambda seen: f"{1000 * seen.locks:.2f} / {seen.parked}",
        "local hits, % / right colours, %": lambda seen: f"{seen.hits:.2f} / {seen.colors:.1f}",
    }
    for title, said in titles.items():
        yield from ("", title, " " * 48 + "".join(f"{name:>18}" for name in names))
        for (how, ncpus), row in sorted(rows.items(), key=lambda each: list(SHOWN).index(each[0][0])):
            cells = "".join(f"{said(row[name]):>18}" for name in names)
            yield f"    {f'{SHOWN[how]}, {ncpus} CPUs':<44}{cells}"
    yield ""


def bench(smoke: bool, full: bool = False) -> list[Record]:
    """Count on every trace; a smoke run takes the short one of the package, on 2 CPUs."""
    files = [Path(bundled_trace())] if smoke else sorted(TRACES.glob("*.perf.xz"))
    found: dict[str, list[float]] = {name: [] for name in CLAIMS}
    rows: dict[tuple[str, int], dict[str, Seen]] = {}
    print(f"  {'trace':<20} {'CPUs':>4} {'on':<8} {'locks/op':>9} {'parked':>7} {'hits %':>7} {'colours %':>9}")
    traces = {file.name.partition(".")[0]: read_trace(file) for file in files}
    for name, trace in traces.items():
        for at, ncpus in enumerate(CPUS[:1] if smoke else CPUS):
            for how, seen in played(trace, ncpus):
                counts = f"{seen.locks:>9.5f} {seen.parked:>7} {seen.hits:>7.2f} {seen.colors:>9.2f}"
                print(f"  {name:<20} {ncpus:>4} {how:<8} {counts}", flush=True)
                judge(found, name, at, how, seen)
                rows.setdefault((how, ncpus), {})[name] = seen
    many = files if smoke else [TRACES / f"{name}.perf.xz" for name in BUSY + (BUSY_LARGE if full else ())]
    for file in many if greenlets_work() else []:  # hours where strands are threads that pass a baton
        for ncpus in BUSY_CPUS[:1] if smoke else BUSY_CPUS[1:]:
            parked = copied(file, ncpus)
            print(f"  copies of {file.name.partition('.')[0]:<10} {ncpus:>4} virtual  {'':>9} {parked:>7}")
            found["parked, copies"].append(parked / max(4096, 128 * ncpus))
    if greenlets_work():  # the pages are made of one build's
        print("\n".join(tables(rows, list(traces))))
    worst = {name: (min if CLAIMS[name].at_least else max)(values) for name, values in found.items() if values}
    return [
        claim.record([worst[name]], judged=not smoke) if name in worst else claim.unmeasured()
        for name, claim in CLAIMS.items()
    ]


if __name__ == "__main__":
    mine = argparse.ArgumentParser(add_help=False)
    mine.add_argument("--full", action="store_true")
    asked, sys.argv[1:] = mine.parse_known_args()
    sys.exit(main(__doc__ or "", partial(bench, full=asked.full)))

"""Claims: how often `depot` takes shared locks, how much it parks, and what each of its parts is worth.

How: each trace in bench/traces, on its own two CPUs and dealt out by task over 8 and 32, on real threads and, on its
own CPUs, in virtual time with the recorded gaps. Counted: acquisitions of uvm_fpageqlock, and of other CPUs' locks
to borrow credits, without those of pglistalloc, for each page operation; the most pages in all caches, at every
exchange, also of copies that keep 64 and 256 CPUs busy in virtual time; the least local hits and right colours. "no
lists" is the design without its colour lists: one list a CPU, pages counted as right whose colour is the next one.
What the other parts are worth: bench/depot_counts.py.

What could fool it: a trace keeps as many CPUs busy as it was recorded on, however many it is dealt out over (`uvmfree
scale` plays copies instead); on real threads of a host that has fewer processors, a thread that waits for its turn is
a CPU that is idle, so that 32 CPUs are shown and not judged, with more credits pulled from CPUs that only seem idle
than on the trace's own clock (bench/depot_counts.py); recorded gaps, played on CPUs that wait for each other's
pages, last ten times as long as they were recorded, so that only a trace on its own CPUs has them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.harness import TRACES, Claim, Record, driven, main
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.measure.scale import Case, Traffic, measured
from uvmfree.uvm.boot import boot
from uvmfree.uvm.designs.depot import Depot, DepotCpu
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
"""Those of a smoke run first. Copies of cc-j4 take five million pages of RAM on 256 CPUs."""

CLAIMS: Final = {
    "locks": Claim("depot-locks", "locks an operation of the limit, the worst trace, 2 and 8 CPUs", "ratio", 1.0),
    "parked": Claim("depot-parked", "pages in all caches, of the limit, at every exchange", "ratio", 1.0),
    "copies": Claim(
        "depot-parked-copies", "pages in all caches, of max(4096, 128 x CPUs), at every exchange", "ratio", 1.0
    ),
    "hits": Claim(
        "depot-local-hits", "local hits, the least on 2 and 8 CPUs", "% of allocations", 99.0, at_least=True
    ),
    "colors": Claim("depot-colours", "right colours, the least on 2 and 8 CPUs", "%", 97.0, at_least=True),
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


def counted(trace: Trace, ncpus: int, *, virtual: bool, plain: bool = False) -> tuple[float, ...]:
    """Replay a trace; return locks an operation, the most parked, % of local hits and of right colours.

    => `plain`: without colour lists.
    """
    planned = plan(trace) if ncpus == 2 else plan(trace, ncpus=ncpus, by="task")
    machine = (VirtualMachine(ncpus=ncpus, lockstat=True),) if virtual else ()
    design = f"{__name__}:{'Plain' if plain else 'Watched'}"
    with boot(*machine, ncpus=ncpus, design=design, lockstat=True, ncolors=1 if plain else COLORS) as uvm:
        driven(uvm, bodies(planned, uvm, gaps=virtual))
        stats = uvm.cpu_stats()
        allocs = sum(cpu.allocs for cpu in stats)
        taken = sum(
            record.acquired
            for record in uvm.lockstat(by_caller=True)
            if record.caller in ("uvm_pull", "uvm_rescue")
            or (record.name == "uvm_fpageqlock" and record.caller in ("uvm_pagealloc", "uvm_redistribute"))
        )
        watched: Any = uvm.design
        right = sum(cpu.right for cpu in watched.cpus) if plain else sum(cpu.colorhit for cpu in stats)
        return (
            taken / (allocs + sum(cpu.frees for cpu in stats)),
            watched.parked_max,
            100 * sum(cpu.cpuhit for cpu in stats) / allocs,
            100 * right / allocs,
        )


def copied(file: Path, ncpus: int) -> int:
    """Keep so many CPUs busy with copies of a trace, as `uvmfree scale` does; return the most parked."""
    peaks.clear()
    measured(Case(f"{__name__}:Watched", ncpus, Traffic("trace", str(file))))
    return max(peaks)


def bench(smoke: bool) -> list[Record]:
    """Count on every trace; a smoke run takes the short one of the package, on 2 CPUs."""
    files = [Path(bundled_trace())] if smoke else sorted(TRACES.glob("*.perf.xz"))
    found: dict[str, list[float]] = {name: [] for name in CLAIMS}
    print(f"  {'trace':<20} {'CPUs':>4} {'on':<8} {'locks/op':>9} {'parked':>7} {'hits %':>7} {'colours %':>9}")
    traces = [(file.name.partition(".")[0], read_trace(file)) for file in files]
    for name, trace in traces:
        locks, parked, hits, colors = counted(trace, 2, virtual=False, plain=True)
        print(f"  {name:<20} {2:>4} {'no lists':<8} {locks:>9.5f} {parked:>7} {hits:>7.2f} {colors:>9.2f}")
        found["plain"].append(colors)
        for at, ncpus in enumerate(CPUS[:1] if smoke else CPUS):
            for virtual in (False, True) if ncpus == 2 else (False,):
                locks, parked, hits, colors = counted(trace, ncpus, virtual=virtual)
                on = "virtual" if virtual else "threads"
                print(f"  {name:<20} {ncpus:>4} {on:<8} {locks:>9.5f} {parked:>7} {hits:>7.2f} {colors:>9.2f}")
                if ncpus < 32:
                    found["locks"].append(locks / LIMITS.get(name, (0.0050,))[at])
                    found["hits"].append(hits)
                    found["colors"].append(colors)
                found["parked"].append(parked / PARKED[at])
    busy = files if smoke else [TRACES / f"{name}.perf.xz" for name in BUSY]
    for file in busy if greenlets_work() else []:  # hours where strands are threads that pass a baton
        for ncpus in BUSY_CPUS[:1] if smoke else BUSY_CPUS[1:]:
            parked = copied(file, ncpus)
            print(f"  copies of {file.name.partition('.')[0]:<10} {ncpus:>4} virtual  {'':>9} {parked:>7}")
            found["copies"].append(parked / max(4096, 128 * ncpus))
    worst = {name: (min if CLAIMS[name].at_least else max)(values) for name, values in found.items() if values}
    return [
        claim.record([worst[name]], judged=not smoke) if name in worst else claim.unmeasured()
        for name, claim in CLAIMS.items()
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))

"""Claims: a local hit of percpu takes no shared lock, and does no atomic operation.

How: counted, not argued. The system is booted with lockstat=True, so that every mutex counts its acquisitions; each
CPU counts its own updates of shared counters. One thread fills its cache, then allocates and frees in every way that
the public face has: plain, zeroed, with a colour, with a strategy. What the counters moved by is divided by the local
hits. Shared is every lock but the CPU's own: uvm_fpageqlock, the locks of the other CPUs, that of the cross-calls.

What could fool it: a counter that never moves reads 0 too, so the misses that fill the cache are counted first and
must show one acquisition of uvm_fpageqlock and one atomic operation each; and hits that were none, so the hits are
counted and must be as many as the calls.
"""

import sys
from collections.abc import Callable

from bench.harness import Claim, Record, main
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm

LOCKS = Claim(
    "local-hit-shared-locks", "shared-lock acquisitions by a local hit of percpu and its free", "per local hit", 0
)
ATOMICS = Claim("local-hit-atomics", "atomic operations by a local hit of percpu and its free", "per local hit", 0)

CACHED_PAGES = 64
PAIRS, PAIRS_SMOKE = 200_000, 2_000

WAYS: dict[str, Callable[[Cpu], VmPage | None]] = {
    "pagealloc()": lambda cpu: cpu.pagealloc(),
    "pagealloc(zero=True)": lambda cpu: cpu.pagealloc(zero=True),
    "pagealloc(color=3)": lambda cpu: cpu.pagealloc(color=3),
    "pagealloc(strat='only')": lambda cpu: cpu.pagealloc(strat="only"),
}


def shared(uvm: Uvm, own: str) -> int:
    """Return how often locks other than the CPU's own were taken."""
    return sum(record.acquired for record in uvm.lockstat() if record.name != own)


def bench(smoke: bool) -> list[Record]:
    """Count over many local hits of each kind."""
    pairs = PAIRS_SMOKE if smoke else PAIRS
    uvm = boot(npages=1024, ncpus=2, design="percpu", lockstat=True)
    hits = locks = atomics = 0
    try:
        with uvm.run_on(0) as cpu:
            own = "uvm_cpu[0]"
            if own not in {record.name for record in uvm.lockstat()}:
                raise RuntimeError(f"no lock is called {own}")
            locks_before, before = shared(uvm, own), uvm.cpu_stats()[0]
            held = [cpu.pagealloc() for _ in range(CACHED_PAGES)]
            after = uvm.cpu_stats()[0]
            misses = after.cpumiss - before.cpumiss
            miss_locks, miss_atomics = shared(uvm, own) - locks_before, after.atomics - before.atomics
            print(f"  {misses} misses: {miss_locks} shared-lock acquisitions, {miss_atomics} atomic operations")
            if not misses == miss_locks == miss_atomics == CACHED_PAGES:
                raise RuntimeError("a miss must take one shared lock and do one atomic operation")
            for pg in held:
                assert pg is not None
                cpu.pagefree(pg)
            for name, alloc in WAYS.items():
                locks_before, before = shared(uvm, own), uvm.cpu_stats()[0]
                for _ in range(pairs):
                    pg = alloc(cpu)
                    assert pg is not None
                    cpu.pagefree(pg)
                after = uvm.cpu_stats()[0]
                way_hits, way_locks = after.cpuhit - before.cpuhit, shared(uvm, own) - locks_before
                way_atomics = after.atomics - before.atomics
                print(f"  {name:<24} {way_hits} local hits: {way_locks} and {way_atomics}")
                if way_hits != pairs or after.frees - before.frees != pairs:
                    raise RuntimeError(f"{way_hits} local hits in {pairs} pairs")
                hits, locks, atomics = hits + way_hits, locks + way_locks, atomics + way_atomics
    finally:
        uvm.close()
    # A count: as true of a short run as of a long one.
    return [LOCKS.record([locks / hits], judged=True), ATOMICS.record([atomics / hits], judged=True)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))

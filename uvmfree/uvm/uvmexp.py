"""The counters of a system and its watermarks: what `struct uvmexp` is to a kernel.

`free`, `zeropages`, `paging` and `pdpending` live on the counter page (machine/words.py) and are read without any
lock (P1). What one CPU counts, it counts for itself in plain integers; a snapshot adds them up.

Source: struct uvmexp and struct uvmexp_sysctl in sys/uvm/uvm_extern.h; uvmpd_tune in sys/uvm/uvm_pdaemon.c.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Final, Protocol

from uvmfree.machine.words import CounterPage

COUNTERS: Final = ("free", "zeropages", "paging", "pdpending")
"""The counters that more than one CPU updates; one cache line each on the counter page."""


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Limits on the count of free pages, in pages (R24).

    => `reserve_pagedaemon`: kept for the pagedaemon. `reserve_kernel`: kept for kernel threads.
    => `freemin`: below it the pagedaemon is woken. `freetarg`: what it frees up to.
    """

    reserve_pagedaemon: int
    reserve_kernel: int
    freemin: int
    freetarg: int


def tune(npages: int, ncpus: int, pagesize: int) -> Watermarks:
    """Return the watermarks of a system of that size (R24, uvmpd_tune)."""
    reserve_kernel = 5 * ncpus
    per_cpu = min(max(npages // 200, (128 << 10) // pagesize), (1 << 20) // pagesize)
    freemin = max(per_cpu * ncpus, reserve_kernel + 1)
    return Watermarks(
        reserve_pagedaemon=1,
        reserve_kernel=reserve_kernel,
        freemin=freemin,
        freetarg=max(freemin * 4 // 3, freemin + 1),
    )


@dataclass(frozen=True, slots=True)
class CpuStats:
    """What one CPU counted since boot; all are numbers of pages or of operations.

    => `allocs` and `frees`: successful pagealloc() and pagefree().
    => `cpuhit`/`cpumiss`, `colorhit`/`colormiss`, `zerohit`/`zeromiss`: as R11 has them.
    => `filled`, `drained`: pages taken off, and put on, the global list through this CPU.
    => `cached`: pages on this CPU's lists that stand on no other: frees + filled - allocs - drained.
    => `zeroaborts`: pages whose zeroing was broken off (R16). `zeroed`: pages zeroed ahead of time.
    => `atomics`: read-modify-writes of shared counters done for this CPU.

    >>> with uvmfree.boot(npages=64, ncpus=1, refill=4) as uvm, uvm.run_on(0) as cpu:
    ...     pages = [cpu.pagealloc() for _ in range(4)]
    ...     cpu.pagefree(pages[0])
    ...     stats = cpu.stats()
    >>> stats.allocs, stats.cpuhit, stats.cpumiss, stats.frees  # one miss fetched four pages
    (4, 3, 1, 1)
    >>> stats.filled, stats.drained, stats.cached, stats.atomics
    (4, 0, 1, 1)
    """

    index: int
    allocs: int
    frees: int
    cpuhit: int
    cpumiss: int
    colorhit: int
    colormiss: int
    zerohit: int
    zeromiss: int
    filled: int
    drained: int
    cached: int
    zeroed: int
    zeroaborts: int
    atomics: int


class CountsForItself(Protocol):
    """A CPU, as far as its counters go."""

    def stats(self) -> CpuStats:
        """Return the counters of this CPU."""


@dataclass(frozen=True, slots=True)
class UvmExpSnapshot:
    """The counters at one moment; fields are named as in struct uvmexp_sysctl.

    => Counts of pages, except `pagesize` in bytes. `cached` is this project's own: pages in CPU caches, which
       `free` does not count in the design of the proposal (Q3).
    => `paging`, `pdpending`: pages on their way to swap, and requests for that. `pdwoke` to `pdpageouts`: what the
       pagedaemon did. `waiters`: threads in uvm_wait().
    => Taken without locks: while CPUs are at work, the fields belong to slightly different moments.
    """

    pagesize: int
    npages: int
    ncolors: int
    free: int
    zeropages: int
    cached: int
    reserve_pagedaemon: int
    reserve_kernel: int
    freemin: int
    freetarg: int
    cpuhit: int
    cpumiss: int
    colorhit: int
    colormiss: int
    pga_zerohit: int
    pga_zeromiss: int
    zeroaborts: int
    paging: int
    pdpending: int
    pdwoke: int
    pdrevs: int
    pdscans: int
    pdfreed: int
    pdpageouts: int
    waiters: int


@dataclass(frozen=True, slots=True)
class DaemonStats:
    """What the pagedaemon and those who wait for it count; fields as in struct uvmexp_sysctl, and `waiters`."""

    pdwoke: int = 0
    pdrevs: int = 0
    pdscans: int = 0
    pdfreed: int = 0
    pdpageouts: int = 0
    waiters: int = 0


class UvmExp:
    """The live counters of a system.

    => `free`, `zeropages`, `paging` and `pdpending` are unlocked reads. `marks` and `ncolors` are replaced when a CPU
       comes or goes and when pages are recoloured, with all locks held; a reader without one sees old or new.
    => `daemon_stats()`: what the pagedaemon and those who wait for it have counted, without a lock.
    => `free` is O(1) where the design keeps a counter; one that keeps none adds up what its parts count.

    >>> with uvmfree.boot(npages=4096, ncpus=2) as uvm, uvm.run_on(0) as cpu:
    ...     pg = cpu.pagealloc()
    ...     print(uvm.uvmexp.free, uvm.uvmexp.marks.freemin, uvm.uvmexp.snapshot().cpumiss)
    4095 64 1
    """

    def __init__(
        self,
        counters: CounterPage,
        marks: Watermarks,
        cpus: Callable[[], Iterable[CountsForItself]],
        daemon: Callable[[], DaemonStats],
        *,
        npages: int,
        ncolors: int,
        pagesize: int,
        free: Callable[[], int] | None = None,
    ) -> None:
        """Make them; `free` tells what counts as free in a design that keeps no counter of it."""
        self._counters = counters
        self._cpus = cpus
        self._free = free or (lambda: counters.load("free"))
        self.daemon_stats = daemon
        self.marks = marks
        self.npages = npages
        self.ncolors = ncolors
        self.pagesize = pagesize

    @property
    def reserve_pagedaemon(self) -> int:
        """Pages kept for the pagedaemon."""
        return self.marks.reserve_pagedaemon

    @property
    def reserve_kernel(self) -> int:
        """Pages kept for kernel threads."""
        return self.marks.reserve_kernel

    @property
    def freemin(self) -> int:
        """Below so many free pages the pagedaemon is woken."""
        return self.marks.freemin

    @property
    def freetarg(self) -> int:
        """Up to so many pages the pagedaemon frees."""
        return self.marks.freetarg

    @property
    def paging(self) -> int:
        """Pages on their way to swap, read without a lock."""
        return self._counters.load("paging")

    @property
    def pdpending(self) -> int:
        """Pageout requests in flight, read without a lock; exact (unlike in the kernel, R23)."""
        return self._counters.load("pdpending")

    @property
    def free(self) -> int:
        """Pages that count as free, read without a lock: it may lag (P1; docs/locking.md says how far)."""
        return self._free()

    @property
    def zeropages(self) -> int:
        """Those of them on a ZEROS queue (R3), read without a lock."""
        return self._counters.load("zeropages")

    def freeze(self) -> None:
        """Say from now on what counts as free at this moment; for the end of a system."""
        free = self.free
        self._free = lambda: free

    def snapshot(self) -> UvmExpSnapshot:
        """Add up what every CPU counted, without a lock (sysctl vm.uvmexp2). O(CPUs x lists)."""
        cpus = [cpu.stats() for cpu in self._cpus()]
        return UvmExpSnapshot(
            pagesize=self.pagesize,
            npages=self.npages,
            ncolors=self.ncolors,
            free=self.free,
            zeropages=self.zeropages,
            cached=sum(cpu.cached for cpu in cpus),
            **asdict(self.marks),
            cpuhit=sum(cpu.cpuhit for cpu in cpus),
            cpumiss=sum(cpu.cpumiss for cpu in cpus),
            colorhit=sum(cpu.colorhit for cpu in cpus),
            colormiss=sum(cpu.colormiss for cpu in cpus),
            pga_zerohit=sum(cpu.zerohit for cpu in cpus),
            pga_zeromiss=sum(cpu.zeromiss for cpu in cpus),
            zeroaborts=sum(cpu.zeroaborts for cpu in cpus),
            paging=self.paging,
            pdpending=self.pdpending,
            **asdict(self.daemon_stats()),
        )

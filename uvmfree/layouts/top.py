"""What `uvmfree top` shows: the counters of a running system, and what became of them since the last look.

The line for pipes has vmstat's letters:

    r b w     CPUs that allocated or freed; threads that page out (0 or 1); threads that wait for pages
    avm fre   pages in use; pages on the global list (uvmexp.free)
    cac gap   pages in CPU caches; by how many uvmexp.free is ahead of the global list
    flt fre/s pages allocated and freed by CPUs, per second
    hit%      allocations served by the CPU's own cache
    po fr sr  pages on their way to swap; pages freed and scanned by the daemon, per second
    rd        redistributions, per second

Source: vmstat(1), top(1).
"""

from dataclasses import asdict, dataclass

from uvmfree.measure.counterfile import Reading

HEADER = "  r  b  w      avm      fre      cac    gap       flt     fre/s  hit%     po      fr      sr     rd"


@dataclass(frozen=True, slots=True)
class CpuRates:
    """One CPU: pages in its cache, operations per second, and allocations that its cache served, in percent."""

    cached: int
    allocs_per_s: float
    frees_per_s: float
    hit_percent: float
    filled_per_s: float
    drained_per_s: float


@dataclass(frozen=True, slots=True)
class Top:
    """A look at a run; counts are of pages, rates per second since the look before.

    => `t_s`: seconds on the run's own clock. `used`: pages that are neither free nor cached nor on their way out.
    """

    design: str
    t_s: float
    npages: int
    free: int
    zeropages: int
    cached: int
    used: int
    paging: int
    waiters: int
    lag: int
    allocs_per_s: float
    frees_per_s: float
    hit_percent: float
    pdfreed_per_s: float
    pdscans_per_s: float
    pdwoke_per_s: float
    redistributions_per_s: float
    cpus: tuple[CpuRates, ...]
    ended: bool

    def line(self) -> str:
        """Return the line for pipes; columns under HEADER."""
        busy = sum(cpu.allocs_per_s + cpu.frees_per_s > 0 for cpu in self.cpus)
        return (
            f"{busy:3d}{self.paging > 0:3d}{self.waiters:3d}{self.used:9d}{self.free:9d}{self.cached:9d}{self.lag:7d}"
            f"{self.allocs_per_s:10.0f}{self.frees_per_s:10.0f}{self.hit_percent:6.1f}{self.paging:7d}"
            f"{self.pdfreed_per_s:8.0f}{self.pdscans_per_s:8.0f}{self.redistributions_per_s:7.1f}"
        )

    def plain(self) -> dict[str, object]:
        """Return it as plain values for JSON."""
        return asdict(self)


def top(before: Reading, now: Reading) -> Top:
    """Compare two readings.

    => Rates are 0 if no time has passed between them, or if they are of two runs.
    """
    same = before.run == now.run
    elapsed_s = (now.system["clock_ns"] - before.system["clock_ns"]) / 1e9 if same else 0.0

    def rate(new: int, old: int) -> float:
        return (new - old) / elapsed_s if elapsed_s > 0 else 0.0

    def system(name: str) -> float:
        return rate(now.system[name], before.system[name]) if same else 0.0

    cpus = []
    allocs = hits = 0
    for index, cpu in enumerate(now.cpus):
        old = before.cpus[index] if same else cpu
        new_allocs, new_hits = cpu["allocs"] - old["allocs"], cpu["cpuhit"] - old["cpuhit"]
        allocs, hits = allocs + new_allocs, hits + new_hits
        cpus.append(
            CpuRates(
                cached=cpu["cached"],
                allocs_per_s=rate(cpu["allocs"], old["allocs"]),
                frees_per_s=rate(cpu["frees"], old["frees"]),
                hit_percent=_percent(new_hits, new_allocs),
                filled_per_s=rate(cpu["filled"], old["filled"]),
                drained_per_s=rate(cpu["drained"], old["drained"]),
            )
        )
    # In fpageqlock what is cached stands on the global list too, so its caches count as 0.
    free, paging = now.counts["free"], now.counts["paging"]
    return Top(
        design=now.design,
        t_s=now.system["clock_ns"] / 1e9,
        npages=now.npages,
        free=free,
        zeropages=now.counts["zeropages"],
        cached=now.cached,
        used=max(0, now.npages - free - now.cached - paging),
        paging=paging,
        waiters=now.system["waiters"],
        lag=now.system["lag"],
        allocs_per_s=sum(cpu.allocs_per_s for cpu in cpus),
        frees_per_s=sum(cpu.frees_per_s for cpu in cpus),
        hit_percent=_percent(hits, allocs),
        pdfreed_per_s=system("pdfreed"),
        pdscans_per_s=system("pdscans"),
        pdwoke_per_s=system("pdwoke"),
        redistributions_per_s=system("redistributions"),
        cpus=tuple(cpus),
        ended=now.ended,
    )


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0

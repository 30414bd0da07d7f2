"""Linux: how large a CPU's page set may be, how many pages a miss takes, and how many a full set spills.

    misses in a row       double the batch, up to `scale_max` times, and raise `high`
    frees in a row        are counted; a full set spills as many, and its `high` rises to hold them
    memory is short       `high` falls with each free, and nothing raises it
    a second that passes  takes an eighth of `high`

Source: nr_pcp_alloc, nr_pcp_high, nr_pcp_free, decay_pcp_high, zone_batchsize, zone_highsize in mm/page_alloc.c of
Linux 6.7 to 6.19; before 6.7 sets had one size, and spills doubled (free_factor).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from uvmfree.param import PAGES_MAX, Param, tunable, whole, yes_or_no
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.uvmexp import tune

BELOW_HIGH: Final = 1
"""A flag of the zone: an allocation found it below its high watermark, and no free has found it above since."""

RECLAIM_ACTIVE: Final = 2
"""A flag of the zone: the pagedaemon is at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxTunables:
    """The tunables of the page sets."""

    scale_max: int = tunable(5, "doublings", "of a batch: CONFIG_PCP_BATCH_SCALE_MAX")
    autotune: bool = tunable(True, "yes or no", "whether sets and batches grow (6.7); off: high_min, batches of one")
    spill_chunk: int | None = tunable(None, "pages", "freed in a hold; None: a batch (6.19); 0: all at once (before)")
    decay: bool = tunable(True, "yes or no", "whether sets shrink once a second (6.7)")

    def __post_init__(self) -> None:
        whole("scale_max", self.scale_max, 0, 6)
        if self.spill_chunk is not None:
            whole("spill_chunk", self.spill_chunk, 0, PAGES_MAX, " of pages, or None")
        yes_or_no("autotune", self.autotune)
        yes_or_no("decay", self.decay)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What follows from memory and CPUs: pages of a batch, of the smallest and the largest set, and of a hold."""

    batch: int
    high_min: int
    high_max: int
    chunk: int

    @classmethod
    def of(cls, param: Param, tunables: LinuxTunables) -> Sizes:
        """Derive them as zone_batchsize() and zone_highsize() do; no set is smaller than four batches."""
        most = max(1, min(param.npages >> 12, (256 << 10) // param.pagesize))
        batch = max(1, (1 << (most + most // 2).bit_length() - 1) - 1)
        low = tune(param.npages, param.ncpus, param.pagesize).freemin
        high_min = max(low // param.ncpus, 4 * batch)
        high_max = max(param.npages // 8 // param.ncpus, high_min) if tunables.autotune else high_min
        chunk = batch if tunables.spill_chunk is None else tunables.spill_chunk or PAGES_MAX
        return cls(batch, high_min, high_max, chunk)


class PageSet(Cpu):
    """A CPU's page set, as far as its sizes go; guarded by the CPU's own lock.

    => `pages`, `high`: how many it has, and from how many on it spills. `alloc_factor`: doublings of the next batch.
    => `free_count`: pages freed lately, halved by each allocation; without autotune, doublings of the next spill.
    => `_flags[0]`: those of the zone, read without a lock.
    """

    __slots__ = (
        "_count_max",
        "_flags",
        "_scale_max",
        "_sizes",
        "_tuned",
        "alloc_factor",
        "free_count",
        "high",
        "pages",
    )

    def begin(self, sizes: Sizes, tunables: LinuxTunables, flags: memoryview) -> None:
        """Begin with a set of the smallest size."""
        self._sizes, self._flags, self._scale_max, self._tuned = sizes, flags, tunables.scale_max, tunables.autotune
        self._count_max = sizes.batch << tunables.scale_max if tunables.autotune else 0
        self.high, self.pages, self.alloc_factor, self.free_count = sizes.high_min, 0, 0, 0

    def _to_take(self) -> int:
        """Return how many pages a miss takes (nr_pcp_alloc)."""
        batch = self._sizes.batch
        if not self._tuned:
            return batch
        wanted = batch << self.alloc_factor
        if not self._flags[0] & BELOW_HIGH:
            self.high = min(self.high + wanted, self._sizes.high_max)
        most = max(self.high - self.pages - batch, batch)
        if wanted <= most and self.alloc_factor < self._scale_max:
            self.alloc_factor += 1
        return min(wanted, most)

    def _limit(self) -> int:
        """Return from how many pages on the set spills (nr_pcp_high)."""
        sizes, flags, high = self._sizes, self._flags[0], self.high
        lower = max(high - max(self.free_count, sizes.batch), sizes.high_min)
        if flags & RECLAIM_ACTIVE:
            self.high = lower
            return min(4 * sizes.batch, lower)
        if sizes.high_min == sizes.high_max:
            return high
        if flags & BELOW_HIGH:
            self.high = lower
            return max(self.pages, sizes.high_min)
        if self.pages >= high:
            self.high = max(high, min(self.free_count + sizes.batch, sizes.high_max))
        return high

    def _to_free(self, limit: int) -> int:
        """Return how many pages a full set spills (nr_pcp_free)."""
        batch = self._sizes.batch
        most, wanted = max(limit - batch, batch), self.free_count
        if not self._tuned:
            wanted = batch << self.free_count
            self.free_count += wanted < most
        return min(max(wanted, batch), most, self.pages)

    def shrink(self) -> int:
        """Lower `high` as time does; with the lock held. Return how many pages are too many (decay_pcp_high)."""
        sizes, most = self._sizes, self._sizes.batch << self._scale_max
        if self.high > sizes.high_min:
            self.high = max(self.pages - most, self.high - (self.high >> 3), sizes.high_min)
        return self.pages - self.high

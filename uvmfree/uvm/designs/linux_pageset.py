"""Linux: a CPU's page set: its stacks, how large it may be, how many pages a miss takes, how many a full one spills.

    misses in a row       double the batch, up to `scale_max` times, and raise `high`
    frees in a row        are counted; a full set spills as many, and its `high` rises to hold them
    memory is short       `high` falls with each free, and nothing raises it
    a second that passes  takes an eighth of `high`

So a busy CPU takes the zone's lock once in thousands of operations, and an idle one lets go of its pages in tens of
seconds.

Source: nr_pcp_alloc, nr_pcp_high, nr_pcp_free, decay_pcp_high, zone_batchsize, zone_highsize in mm/page_alloc.c of
Linux 6.7 to 6.19; before 6.7 sets had one size, and spills doubled (free_factor).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from uvmfree.kern.lock import LockHandle
from uvmfree.param import PAGES_MAX, Param, tunable, whole, yes_or_no
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs.linux_zone import BELOW_HIGH, RECLAIM_ACTIVE, Zone
from uvmfree.uvm.page import PageList, VmPage
from uvmfree.uvm.uvmexp import tune


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
    """A CPU's page set, a stack for each freelist; guarded by the CPU's own lock.

    => `_first`: the stack of freelist 0. `pages`, `high`: how many it has, and from how many on it spills.
    => `alloc_factor`: doublings of the next batch.
    => `free_count`: pages freed lately, halved by each allocation; without autotune, doublings of the next spill.
    => `_flags[0]`: those of the zone, read without a lock.
    """

    __slots__ = (
        "_count_max",
        "_first",
        "_flags",
        "_lists",
        "_scale_max",
        "_sizes",
        "_store",
        "_tuned",
        "alloc_factor",
        "free_count",
        "high",
        "pages",
    )

    def begin(self, sizes: Sizes, tunables: LinuxTunables, store: Zone) -> None:
        """Begin with a set of the smallest size."""
        self._store, self._flags = store, store.flags.unlocked()
        self._sizes, self._scale_max, self._tuned = sizes, tunables.scale_max, tunables.autotune
        self._count_max = sizes.batch << tunables.scale_max if tunables.autotune else 0
        self.high, self.pages, self.alloc_factor, self.free_count = sizes.high_min, 0, 0, 0

    def empty(self) -> None:
        """Have an empty set."""
        self._use([self._own_list(row) for row in range(self._nfreelists)])

    def _use(self, lists: list[PageList]) -> None:
        self._lists, self._first, self.pages = lists, lists[0], sum(map(len, lists))

    def lists(self) -> Iterable[PageList]:
        """Return the stacks."""
        return self._lists

    def inherit(self, before: PageSet) -> None:
        """Take the set over; empty stacks are made anew, to belong to the thread that is going to use them."""
        self.high, self.alloc_factor, self.free_count = before.high, before.alloc_factor, before.free_count
        self.empty()
        if before.cached():
            self._use(before._lists)

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page onto the head of the set."""
        self._lists[pg.free_list].put(pg)
        self.pages += 1

    def give_back(self, npages: int, zone: LockHandle, row: int = 0) -> int:
        """Move so many of the coldest pages to the zone, those of `row` first; return how many. The lock is held."""
        cold: list[VmPage] = []
        for pages in chain(self._lists[row:], self._lists[:row]):
            part = pages[: npages - len(cold)]
            del pages[: len(part)]
            cold += part
        self.pages -= len(cold)
        if cold:
            self.put_back(cold, zone, self._store)
        return len(cold)

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

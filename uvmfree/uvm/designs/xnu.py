"""XNU: a CPU has a list that it allocates from and never frees to; frees go to the global queues in batches.

    allocate   from the CPU's list; it is empty: 128 pages come under one hold of the global lock, their colours in
               rotation, or what is above the reserve, at least one
    free       to a batch that the CPU gathers; when 64 pages are in it they go to the global queues in one hold
    hand back  nothing does: what a CPU has on its list it is about to use

So nobody hoards: a process that exits leaves pages to all, and at most a part of a batch to one CPU. A CPU that frees
and allocates by turns pays for that: no page that it freed comes back warm, and all pages pass the lock, 64 or 128 at
a time.

=> Locks: none for the list, preemption is off; uvm_fpageqlock (vm_page_queue_free_lock) for the queues.
=> Bounds: a refill less one page of each freelist on the list, a batch less one page beside it.
=> Counts as free: what is on the queues. A refill asks the reserves, a hit does not.
=> Pages of a batch are nobody's to allocate, as long as it is not full. In XNU a batch is what one thread frees in
   one call, as at the exit of a process, and a page that is freed alone goes alone: `free_batch=1`.
=> On x86 a refill is as many times larger as there are CPUs: `refill_limit`; 128 is that of arm64.
=> Not in it: the wish for a colour (R7), pages known to be zero (R8).

Source: vm_page_grab_options, vm_page_free_list, vm_page_release in osfmk/vm/vm_resident.c; VMP_FREE_BATCH_SIZE,
COLOR_GROUPS_TO_STEAL in osfmk/vm/vm_page_internal.h of xnu.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from uvmfree.kern.lockrank import CPU_OFF, UVM_FPAGEQLOCK
from uvmfree.param import Param, tunable, whole
from uvmfree.uvm.cpu import Cpu, Found, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.freelist import in_turn
from uvmfree.uvm.page import UNKNOWN, PageList, Place, VmPage
from uvmfree.uvm.stackcpu import StackCpu
from uvmfree.uvm.traits import Traits


@dataclass(frozen=True, slots=True, kw_only=True)
class XnuTunables:
    """The tunables of the list and of the batches."""

    refill_limit: int = tunable(128, "pages", "fetched by a miss: 4 of each of 32 colours (vm_free_magazine_...)")
    free_batch: int = tunable(64, "pages", "freed in one hold: longer ones keep others waiting (VMP_FREE_BATCH_SIZE)")

    def __post_init__(self) -> None:
        whole("refill_limit", self.refill_limit, 1, 65_536)
        whole("free_batch", self.free_batch, 1, 4096)


class XnuCpu(StackCpu):
    """A CPU with a list for each freelist, and a batch; guarded by "preemption off".

    => `loaded[free_list]`: the list. `batch`: freed pages of all freelists that are on their way to the queues.
    """

    __slots__ = ("_batch_size", "_fpageqlock", "_refill_size", "_store", "batch")

    _design: Xnu
    batch: PageList

    def setup(self) -> None:
        """Take a handle of the global lock."""
        self._fpageqlock = self.handle(self._design.shared_locks[0], "uvm_pagealloc")
        self._store, tunables = self._design.store, self._design.tunables
        self._refill_size, self._batch_size = tunables.refill_limit, tunables.free_batch

    def empty(self) -> None:
        """Have empty lists and an empty batch."""
        self.loaded = [self._own_list(row) for row in range(self._nfreelists)]
        self.batch = PageList(Place.CACHED, self.index, UNKNOWN)

    def lists(self) -> Iterable[PageList]:
        """Return the lists and the batch."""
        return (*self.loaded, self.batch)

    def inherit(self, before: XnuCpu) -> None:
        """Take lists and batch over."""
        self.loaded, self.batch = before.loaded, before.batch

    def pagefree(self, pg: VmPage) -> None:
        """Free one page: never to the list, so the stack's short way is of no use."""
        Cpu.pagefree(self, pg)

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page of one freelist after the other: on the list, or by a refill."""
        for row in want.freelists:
            local = bool(self.loaded[row])
            if local or self._refill(want, row, start):
                pg = self.loaded[row].pop()
                pg.on = self._system
                return pg, UNKNOWN, local
        return None

    def _refill(self, want: Want, row: int, start: int) -> bool:
        """Fetch pages of a freelist of which the list has none; their colours come out in rotation from `start`."""
        parts: list[list[VmPage]] = []
        with self._fpageqlock:
            free = self._store.free
            if self.may_take(free, want):
                spare = max(1, free - self._state.uvmexp.reserve_kernel)
                parts = self._store.take(row, start, min(self._refill_size, spare), UNKNOWN)
        pages = in_turn(map(reversed, parts))
        self.loaded[row].adopt(pages[::-1])
        if pages:
            self.took(len(pages))
        return bool(pages)

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page into the batch; give that to the queues if it is full."""
        batch = self.batch
        pg.on = batch
        batch.append(pg)
        if len(batch) >= self._batch_size:
            self.batch, npages = PageList(Place.CACHED, self.index, UNKNOWN), len(batch)
            with self._fpageqlock:
                self._store.splice(batch)
            self.gave(npages)


class Xnu(Design[XnuCpu]):
    """The global queues, and for each CPU a list and a batch."""

    name = "xnu"
    summary = "XNU: a list to allocate from for each CPU; what is freed goes to the global queues in batches"
    cpu_class = XnuCpu
    LOCKS = (CPU_OFF, UVM_FPAGEQLOCK)
    Tunables = XnuTunables
    CAUSES = ("explicit",)
    uses = frozenset(("count_cached",))

    @classmethod
    def traits(cls, param: Param, tunables: XnuTunables) -> Traits:
        """No colours, no zeros; what is freed is not with the CPU that freed it, but for a part of a batch."""
        return replace(
            super().traits(param, tunables),
            colors=None,
            zeros=False,
            lifo=False,
            freed="batch" if tunables.free_batch > 1 else "store",
            bound=(tunables.refill_limit - 1) * param.nfreelists + tunables.free_batch - 1,
            refill=tunables.refill_limit,
            idle=None,
        )

"""The lock order, outermost first: the one table that code, docs and the checking mutex share.

A thread may take a lock only if its rank is higher than that of every lock it holds. Two locks of one rank
are allowed only where the rule says so, in ascending index. `lockdebug` enforces it; `docs/locking.md`
repeats it for readers, and a test keeps the two equal.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LockRank:
    """One row of the lock order.

    => `rank`: 0 is outermost. `guards`: the data that may be touched only under it. `rule`: what else holds.
    => `never_under`: locks of lower rank which may not be held all the same when this one is taken.
    """

    rank: int
    name: str
    guards: str
    rule: str
    never_under: tuple[str, ...] = ()


UVM_PAGEQLOCK: Final = LockRank(
    0,
    "uvm_pageqlock",
    "the anon maps and the inactive queue",
    "never held during I/O, nor while a page's bytes are copied",
)
UVM_CPU: Final = LockRank(
    1, "uvm_cpu", "the free lists and statistics of one CPU", "two only in ascending CPU number"
)
UVM_FPAGEQLOCK: Final = LockRank(
    2,
    "uvm_fpageqlock",
    "the global free lists and the count of pages on them",
    "uvmexp.free is updated after it is dropped, by an atomic operation; readers hold nothing",
)
XCALL: Final = LockRank(3, "xcall", "the call queues and the tickets", "dropped before a called function runs")
UVM_PAGEOUT_LOCK: Final = LockRank(
    4,
    "uvm_pageout_lock",
    "waiters, paging, pdpending and the wakeup state",
    "a leaf; never taken with a page lock held",
    never_under=(UVM_CPU.name, UVM_FPAGEQLOCK.name),
)
SWAPIO: Final = LockRank(5, "swapio", "the queue of pages to be written to swap", "a leaf; never held during I/O")

RANKS: Final = (UVM_PAGEQLOCK, UVM_CPU, UVM_FPAGEQLOCK, XCALL, UVM_PAGEOUT_LOCK, SWAPIO)

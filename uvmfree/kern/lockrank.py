"""The lock order, outermost first: the one table that code, docs and the checking mutex share.

A thread may take a lock only if its rank is higher than that of every lock it holds. Two locks of one rank
are allowed only where the rule says so, in ascending index. `lockdebug` enforces it; `docs/locking.md`
repeats it for readers, and a test keeps the two equal.

=> A design declares the locks that are its own in its file, by shared_lock(), between those that stand here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

Kind = Literal["cpu", "off", "shared", "other"]
"""What a lock is, for whoever asks and knows no names:

=> cpu: a CPU's own, which that CPU alone takes in the normal course of things.
=> off: interrupts or preemption off on that CPU. Here it is a lock, since threads stand in for a CPU and its
   interrupts; in a kernel it is none, and who takes it from another CPU makes a cross-call.
=> shared: of a design, taken by every CPU. other: no page list is behind it.
"""

PAGE_LOCKS: Final = ("cpu", "shared")
"""The kinds of locks that guard free pages and are locks in a kernel, too."""


@dataclass(frozen=True, slots=True)
class LockRank:
    """One row of the lock order.

    => `rank`: 0 is outermost. `guards`: the data that may be touched only under it. `rule`: what else holds.
    => `kind`: what it is. `never_under`: kinds of lower rank which may not be held all the same when it is taken.
    """

    rank: float
    name: str
    guards: str
    rule: str
    kind: Kind = "other"
    never_under: tuple[Kind, ...] = ()


UVM_PAGEQLOCK: Final = LockRank(
    0,
    "uvm_pageqlock",
    "the anon maps and the inactive queue",
    "never held during I/O, nor while a page's bytes are copied",
)
UVM_CPU: Final = LockRank(
    1, "uvm_cpu", "the free lists and statistics of one CPU", "two only in ascending CPU number", kind="cpu"
)
CPU_OFF: Final = LockRank(
    1,
    "splvm",
    "the free lists and statistics of one CPU",
    "no lock in a kernel: interrupts or preemption are off there; two only in ascending CPU number",
    kind="off",
)
UVM_FPAGEQLOCK: Final = LockRank(
    2,
    "uvm_fpageqlock",
    "the global free lists and the count of pages on them",
    "uvmexp.free is updated after it is dropped, by an atomic operation; readers hold nothing",
    kind="shared",
)
XCALL: Final = LockRank(3, "xcall", "the call queues and the tickets", "dropped before a called function runs")
UVM_PAGEOUT_LOCK: Final = LockRank(
    4,
    "uvm_pageout_lock",
    "waiters, paging, pdpending and the wakeup state",
    "a leaf; never taken with a page lock held",
    never_under=("cpu", "off", "shared"),
)
SWAPIO: Final = LockRank(5, "swapio", "the queue of pages to be written to swap", "a leaf; never held during I/O")

RANKS: Final = (UVM_PAGEQLOCK, UVM_CPU, UVM_FPAGEQLOCK, XCALL, UVM_PAGEOUT_LOCK, SWAPIO)


def misplaced(ranks: Sequence[LockRank]) -> str:
    """Say which of a design's locks is out of order, and what to do; nothing if their ranks ascend."""
    for one, other in pairwise(ranks):
        if one.rank >= other.rank:
            return (
                f"LOCKS has {one.name} (rank {one.rank:g}) before {other.name} (rank {other.rank:g}), but ranks must "
                f"ascend: list {other.name} first if it is taken first; else have, in the place of {one.name}, a "
                f"lock that shared_lock(..., before=) puts before {other.name}"
            )
    return ""


def shared_lock(name: str, guards: str, rule: str, *, before: LockRank = UVM_FPAGEQLOCK) -> LockRank:
    """Declare a lock of a design, taken after a CPU's own and before another one of the design.

    => Its rank lies halfway between the two, so that two locks before the same one have one rank: `before` says which
       of them is taken first.
    """
    return LockRank((UVM_CPU.rank + before.rank) / 2, name, guards, rule, kind="shared")

"""What a design says of itself where designs honestly differ; the contract's tests hold it to that.

A rule of the contract binds every design. Where it leaves a choice open, a design declares which choice is its own,
and tests/conformance asks for that one: what is claimed is tested to the page, what is not claimed for what it means.

Prior art: the trait `Alloc` of LLFree, which one suite runs over several allocators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The choices of one design with one set of tunables; what a design does not say is the proposal's letter.

    Order
        colors: where a search looks for its start colour (R7, R9). "system": in the CPU's list and in the store,
            before the next colour. "cache": all of the CPU's list, then the store; colours rotate in each (Q9).
            "units": all of the CPU's list, then whole units of the store, of the colours that they happen to have.
            None: pages of all colours are one; the wish for a colour is heard, counted (R11) and not granted.
        zeros: whether pages that are known to be zero are kept apart (R8) and made ahead of time (R14 to R16).
        lifo: whether a CPU gets back first what it freed last (R2), as far as that is with it still.
    Caches
        freed: where a page stands that a CPU has freed (R13). "both": on that CPU's list and in the store, so that no
            page is cached. "cache": with that CPU and nowhere else (P5). "batch": there, too, but nobody's to take
            until the batch is full and goes to the store. "store": in the store, owned by no CPU.
        bound: most pages that one CPU's cache holds between two calls; None: there is no bound (Q2).
        refill: most pages that an allocation takes from the store; all but one of them stay with the CPU (Q15).
        idle: pages that the timer leaves in the cache of an idle CPU (P9): 0 is a flush, more is a decay. None: it
            leaves everything.
        causes: why pages go from a cache to the store, beside the bound, as redistributions() calls it (P8 to P10).
    Counting
        free: what uvmexp.free counts (R3). "store": what is cached is not free. "all": it is.
        short: what is counted when it is decided to wake the daemon or a waiter (R17, Q3); the same two.
        gate: where the reserves are asked (R6). "system": before any page is taken. "store": at a miss; what a cache
            holds is its CPU's, whatever is left elsewhere (Q7). "part": so, too, and kept in each part of the store:
            each freelist, or each bucket of one, keeps as much as elsewhere the whole system does.
        steals: whether an allocation takes what other CPUs have cached before it fails (Q5).

    >>> with uvmfree.boot(npages=64, ncpus=1, design="percpu", refill=8) as uvm:
    ...     uvm.traits.refill, uvm.traits.bound, uvm.traits.freed
    (8, None, 'cache')
    """

    colors: Literal["system", "cache", "units"] | None = "cache"
    zeros: bool = True
    lifo: bool = True
    freed: Literal["both", "cache", "batch", "store"] = "cache"
    bound: int | None = None
    refill: int = 1
    idle: int | None = 0
    causes: frozenset[str]
    free: Literal["store", "all"] = "store"
    short: Literal["store", "all"]
    gate: Literal["system", "store", "part"] = "store"
    steals: bool = False

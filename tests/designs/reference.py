"""Counting models: the rules of each design, without pages, time or concurrency, for patterns to be played on.

A model keeps numbers where the design keeps lists, so that it is a page long and can be compared with a source line
by line. tests/designs/test_reference.py pins what the rules of the shipped kernels come to; test_counts.py asks the
same counts of the designs.

=> A page is what alloc() returned: its colour where the model has colours, else None.

Sources: sys/uvm/uvm_page.c and uvm_pgflcache.c of NetBSD 10; sys/vm/uma_core.c and vm_page.c of FreeBSD 15;
sys/uvm/uvm_pmemrange.c of OpenBSD 7.6; osfmk/vm/vm_resident.c of XNU; Bonwick and Adams, "Magazines and Vmem",
USENIX 2001.
"""

from __future__ import annotations

from typing import Any, Final

from tests.designs.patterns import Counts

NPAGES: Final = 65_536
NCPUS: Final = 2
NCOLORS: Final = 8


class Reference:
    """What the models share: the counters."""

    def __init__(self, ncpus: int = NCPUS, npages: int = NPAGES) -> None:
        self.ncpus, self.free_pages = ncpus, npages
        self.store = self.depot = self.moved = self.passed = self.atomics = 0

    def alloc(self, cpu: int, color: int | None = None) -> Any:
        """Allocate."""
        raise AssertionError("a model says how")

    def free(self, cpu: int, page: Any) -> None:
        """Free."""
        raise AssertionError("a model says how")

    def tick(self) -> None:
        """Do what happens once a second: nothing."""

    def cached(self) -> int:
        """Count what is free and not in the store."""
        return 0

    def counts(self, most_cached: int) -> Counts:
        """Return what has been counted."""
        return Counts(self.store, self.depot, self.moved, self.passed, most_cached, self.atomics)

    def take(self, pages: int) -> int:
        """Take pages from the store in one hold, as far as it has some; return how many."""
        got = min(pages, self.free_pages)
        self.store += 1
        self.moved += got
        self.free_pages -= got
        return got

    def give(self, pages: int) -> None:
        """Put pages on the store in one hold."""
        self.store += 1
        self.moved += pages
        self.free_pages += pages


class Fpageqlock(Reference):
    """Each page goes on and off the one list under the one lock."""

    def alloc(self, cpu: int, color: int | None = None) -> Any:
        self.take(1)

    def free(self, cpu: int, page: Any) -> None:
        self.give(1)


class Percpu(Reference):
    """An unbounded cache for each CPU; a miss takes `refill` pages. One atomic update for each of them."""

    def __init__(self, refill: int = 1, **sizes: int) -> None:
        super().__init__(**sizes)
        self.refill, self.caches = refill, [0] * self.ncpus

    def alloc(self, cpu: int, color: int | None = None) -> Any:
        if not self.caches[cpu]:
            self.caches[cpu] = self.take(self.refill)
            self.atomics += 1
        self.caches[cpu] -= 1

    def free(self, cpu: int, page: Any) -> None:
        self.caches[cpu] += 1

    def tick(self) -> None:
        for cpu, pages in enumerate(self.caches):
            if pages:
                self.give(pages)
                self.atomics += 1
            self.caches[cpu] = 0

    def cached(self) -> int:
        return sum(self.caches)


class Netbsd10(Reference):
    """Seven pages a colour; a miss fills to six, a full array spills all seven; exact colours, one bucket."""

    MAX_PAGES, FILL_PAGES = 7, 6

    def __init__(self, ncolors: int = NCOLORS, **sizes: int) -> None:
        super().__init__(**sizes)
        self.ncolors = ncolors
        self.caches = [[0] * ncolors for _ in range(self.ncpus)]
        self.bucket = [self.free_pages // ncolors] * ncolors
        self.next = [0] * self.ncpus

    def alloc(self, cpu: int, color: int | None = None) -> int:
        start = self.next[cpu] if color is None else color
        if self.caches[cpu][start]:
            self.caches[cpu][start] -= 1
            found = start
        else:
            found = next(c for step in range(self.ncolors) if self.bucket[c := (start + step) % self.ncolors])
            self.bucket[found] -= 1
            fill = max(0, min(self.FILL_PAGES - self.caches[cpu][found], self.bucket[found]))
            self.bucket[found] -= fill
            self.caches[cpu][found] += fill
            self.store += 1
            self.moved += 1 + fill
        self.next[cpu] = (found + 1) % self.ncolors
        return found

    def free(self, cpu: int, page: Any) -> None:
        if self.caches[cpu][page] == self.MAX_PAGES:
            self.bucket[page] += self.MAX_PAGES
            self.caches[cpu][page] = 0
            self.store += 1
            self.moved += self.MAX_PAGES
        self.caches[cpu][page] += 1

    def cached(self) -> int:
        return sum(map(sum, self.caches))


class Openbsd(Reference):
    """Two magazines of eight a CPU; the one that is not in use is refilled, or emptied.

    => `counters`: two counters that CPUs share change at each allocation, one at each free, one more with a batch.
       The count of free pages changes with a batch in any case.
    """

    def __init__(self, magazine: int = 8, *, counters: bool = True, **sizes: int) -> None:
        super().__init__(**sizes)
        self.magazine, self.counters = magazine, counters
        self.pairs = [[0, 0] for _ in range(self.ncpus)]
        self.active = [0] * self.ncpus

    def alloc(self, cpu: int, color: int | None = None) -> Any:
        pair, counted = self.pairs[cpu], 2
        if not pair[self.active[cpu]]:
            self.active[cpu] = 1 - self.active[cpu]
            if pair[self.active[cpu]]:
                counted = 1
            else:
                pair[self.active[cpu]] = self.take(self.magazine)
                self.atomics += 1
                counted = 3
        pair[self.active[cpu]] -= 1
        self.atomics += counted * self.counters

    def free(self, cpu: int, page: Any) -> None:
        pair = self.pairs[cpu]
        if pair[self.active[cpu]] == self.magazine:
            self.active[cpu] = 1 - self.active[cpu]
            if pair[self.active[cpu]]:
                self.give(pair[self.active[cpu]])
                pair[self.active[cpu]] = 0
                self.atomics += 1 + self.counters
        pair[self.active[cpu]] += 1
        self.atomics += self.counters

    def cached(self) -> int:
        return sum(map(sum, self.pairs))


class Freebsd(Reference):
    """Two buckets a CPU, and a stack of full ones that CPUs share, under a lock of its own.

    => `items`: how many pages may be cached in all (uma_zone_set_maxcache): half of them in the CPUs' buckets.
    """

    BUCKET_MAX = 254

    def __init__(self, items: int | None = None, **sizes: int) -> None:
        super().__init__(**sizes)
        items = self.free_pages // 1000 if items is None else items
        buckets = 2 * self.ncpus
        self.size = min(self.BUCKET_MAX, max(1, items // buckets // 2))
        self.stack_max = items - buckets * self.size
        self.pairs = [[0, 0] for _ in range(self.ncpus)]  # to allocate from, to free to
        self.stack: list[int] = []

    def alloc(self, cpu: int, color: int | None = None) -> Any:
        pair = self.pairs[cpu]
        if not pair[0]:
            if pair[1]:
                pair.reverse()
            elif self.stack:
                self.depot += 1
                pair[0] = self.stack.pop()
                self.passed += pair[0]
            else:
                pair[0] = self.take(self.size)
                self.atomics += 1
        pair[0] -= 1

    def free(self, cpu: int, page: Any) -> None:
        pair = self.pairs[cpu]
        if pair[0] == self.size:
            if pair[1] == self.size:
                self.depot += 1
                if sum(self.stack) < self.stack_max:
                    self.stack.append(pair[1])
                    self.passed += pair[1]
                else:
                    self.give(pair[1])
                    self.atomics += 1
                pair[1] = 0
            pair.reverse()
        pair[0] += 1

    def cached(self) -> int:
        return sum(map(sum, self.pairs)) + sum(self.stack)


class Xnu(Reference):
    """A list to allocate from; what is freed gathers, and goes to the store `free_batch` pages at a time."""

    def __init__(self, refill: int = 128, free_batch: int = 64, **sizes: int) -> None:
        super().__init__(**sizes)
        self.refill, self.free_batch = refill, free_batch
        self.lists, self.gathered = [0] * self.ncpus, [0] * self.ncpus

    def alloc(self, cpu: int, color: int | None = None) -> Any:
        if not self.lists[cpu]:
            self.lists[cpu] = self.take(self.refill)
            self.atomics += 1
        self.lists[cpu] -= 1

    def free(self, cpu: int, page: Any) -> None:
        self.gathered[cpu] += 1
        if self.gathered[cpu] == self.free_batch:
            self.give(self.gathered[cpu])
            self.atomics += 1
            self.gathered[cpu] = 0

    def cached(self) -> int:
        return sum(self.lists) + sum(self.gathered)


class Magazines(Reference):
    """Two magazines a CPU, of which the second is full or empty, over a store of full ones, exchanged by pointer."""

    def __init__(self, magazine: int = 256, **sizes: int) -> None:
        super().__init__(**sizes)
        self.magazine = magazine
        self.pairs = [[0, 0] for _ in range(self.ncpus)]  # loaded, previous

    def alloc(self, cpu: int, color: int | None = None) -> Any:
        pair = self.pairs[cpu]
        if not pair[0]:
            pair.reverse()
        if not pair[0]:
            pair[0] = self.take(self.magazine)
            self.atomics += 1
        pair[0] -= 1

    def free(self, cpu: int, page: Any) -> None:
        pair = self.pairs[cpu]
        if pair[0] == self.magazine:
            pair.reverse()
        if pair[0] == self.magazine:
            self.give(self.magazine)
            self.atomics += 1
            pair[0] = 0
        pair[0] += 1

    def cached(self) -> int:
        return sum(map(sum, self.pairs))

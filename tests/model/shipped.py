"""Models of the designs that kernels ship: OpenBSD's, FreeBSD's and XNU's; NetBSD 10's is beside it.

=> A cache is a list of the model that is named by its CPU and a number; it is handed back in the order of numbers.
"""

from itertools import zip_longest
from typing import ClassVar

from tests.model.designs import PercpuModel
from tests.model.model import GLOBAL, Asked, Found, Where
from uvmfree.param import Param

PARKED = -2
"""The owner of what is in a cache that CPUs share."""

NS = 10**9


def in_turn(parts: list[list[int]]) -> list[int]:
    """Return the heads of all parts, which have them last, then what is behind them, and so on."""
    rounds = zip_longest(*(part[::-1] for part in parts))
    return [pfn for each in rounds for pfn in each if pfn is not None]


class ShippedModel(PercpuModel):
    """What they share: caches of pages of all colours over the global list; no zeroed pages, no timer."""

    CAUSES: ClassVar[tuple[str, ...]] = ("explicit",)

    def __init__(self, param: Param) -> None:
        super().__init__(param)
        self.own = dict(param.own)

    def cache_of(self, cpu: int, number: int) -> list[int]:
        return self.lists[Where(cpu, False, number, GLOBAL)]

    def swap(self, cpu: int, one: int, other: int) -> None:
        one_of, other_of = Where(cpu, False, one, GLOBAL), Where(cpu, False, other, GLOBAL)
        self.lists[one_of], self.lists[other_of] = self.lists[other_of], self.lists[one_of]

    def push(self, pfns: list[int]) -> None:
        """Put pages on the global list, one after the other."""
        for pfn in pfns:
            self.lists[self.where(GLOBAL, pfn, False)].append(pfn)

    def give(self, cpu: int, pfns: list[int]) -> None:
        """Move pages from a CPU to the global list."""
        self.push(pfns)
        self.stats[cpu]["drained"] += len(pfns)
        self.publish(cpu, len(pfns), 0)

    def spread(self, free_list: int, start: int, n: int) -> list[list[int]]:
        """Take up to so many pages off the global list, evenly of all colours; each part has its head last."""
        parts = []
        for step in range(self.ncolors):
            where = Where(GLOBAL, False, free_list, (start + step) % self.ncolors)
            share = -(-n // (self.ncolors - step))
            pfns = self.lists[where]
            kept = max(0, len(pfns) - share)
            self.lists[where], part = pfns[:kept], pfns[kept:]
            parts.append(part)
            n -= len(part)
        return parts

    def took(self, cpu: int, npages: int) -> None:
        self.stats[cpu]["filled"] += npages
        self.publish(cpu, -npages, 0)

    def one(self, asked: Asked, freelists: list[int], start: int = 0) -> Found | None:
        """Take one page past the caches, of the first colour from `start` on."""
        for free_list in freelists if self.allowed(asked) else []:
            for color in self.rotation(start):
                if pfns := self.lists[Where(GLOBAL, False, free_list, color)]:
                    self.took(asked.cpu, 1)
                    return Found(pfns.pop(), False, False)
        return None

    def free(self, cpu: int, pfn: int) -> None:
        """R13; who waits is woken if pages left the CPU."""
        drained = self.stats[cpu]["drained"]
        self.put(cpu, pfn, False)
        self.stats[cpu]["frees"] += 1
        if self.stats[cpu]["drained"] != drained:
            self.wake_waiters()

    def idle_take(self, cpu: int) -> int | None:
        return None

    def timer(self, cpu: int) -> None:
        pass

    def relieve(self) -> bool:
        return False

    def cache(self, cpu: int) -> dict[Where, list[int]]:
        return {where: pfns for where, pfns in sorted(super().cache(cpu).items()) if pfns}

    def hand_back(self, cpu: int, part: dict[Where, list[int]]) -> tuple[int, int]:
        npages = 0
        for where, pfns in part.items():
            del self.lists[where]
            self.push(pfns)
            npages += len(pfns)
        self.stats[cpu]["drained"] += npages
        return npages, 0

    def redistribute(self, cpu: int, cause: str = "explicit") -> int:
        return super().redistribute(cpu, cause) if cause in self.CAUSES else 0

    def places(self) -> dict[int, tuple[str, int | None, bool]]:
        return {
            pfn: ("GLOBAL", None, False)
            if where.owner == GLOBAL
            else ("CACHED", None if where.owner == PARKED else where.owner, False)
            for where, pfns in self.lists.items()
            for pfn in pfns
        }


class OpenbsdModel(ShippedModel):
    """Two magazines, and counters that are shared; the active one is handed back last."""

    CAUSES = ("pressure", "explicit")
    OTHER, ACTIVE = 0, 1

    def count_shared(self, cpu: int) -> None:
        self.stats[cpu]["atomics"] += self.own.get("counters", True)

    @property
    def size(self) -> int:
        return int(self.own.get("magazine", 8))

    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        cpu, local = asked.cpu, True
        if asked.freelists[0] != 0:
            return self.one(asked, asked.freelists), True
        if self.cache_of(cpu, self.ACTIVE):
            self.count_shared(cpu)
        else:
            if not self.cache_of(cpu, self.OTHER):
                local = False
                self.count_shared(cpu)
                if not self.refilled(cpu):
                    return self.one(asked, asked.freelists), True
            self.swap(cpu, self.ACTIVE, self.OTHER)
        self.count_shared(cpu)
        return Found(self.cache_of(cpu, self.ACTIVE).pop(), local, False), not local

    def refilled(self, cpu: int) -> bool:
        if self.free_count() <= self.reserve_kernel + self.size:
            return False
        pfns = [pfn for part in self.spread(0, 0, self.size) for pfn in part]
        if len(pfns) < self.size:
            self.push(pfns)
            return False
        self.cache_of(cpu, self.OTHER).extend(pfns)
        self.count_shared(cpu)
        self.took(cpu, len(pfns))
        return True

    def put(self, cpu: int, pfn: int, zeroed: bool) -> None:
        if self.free_list(pfn) != 0:
            self.give(cpu, [pfn])
            return
        if len(self.cache_of(cpu, self.ACTIVE)) >= self.size:
            other = self.cache_of(cpu, self.OTHER)
            if other:
                self.count_shared(cpu)
                self.give(cpu, other)
                other.clear()
            self.swap(cpu, self.ACTIVE, self.OTHER)
        self.cache_of(cpu, self.ACTIVE).append(pfn)
        self.count_shared(cpu)

    def redistribute(self, cpu: int, cause: str = "explicit") -> int:
        return 0 if cause == "pressure" and cpu != 0 else super().redistribute(cpu, cause)

    def hand_back(self, cpu: int, part: dict[Where, list[int]]) -> tuple[int, int]:
        if part:
            self.count_shared(cpu)
        return super().hand_back(cpu, part)


class XnuModel(ShippedModel):
    """A list for each freelist, and a batch behind them."""

    BATCH = 100

    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        cpu, looked = asked.cpu, False
        for row in asked.freelists:
            pfns, local = self.cache_of(cpu, row), True
            if not pfns:
                local, looked = False, True
                if self.allowed(asked):
                    spare = max(1, self.free_count() - self.reserve_kernel)
                    parts = self.spread(row, asked.start, min(self.own.get("refill_limit", 128), spare))
                    pfns += in_turn(parts)[::-1]
                    if pfns:
                        self.took(cpu, len(pfns))
            if pfns:
                return Found(pfns.pop(), local, False), looked
        return None, looked

    def put(self, cpu: int, pfn: int, zeroed: bool) -> None:
        batch = self.cache_of(cpu, self.BATCH)
        batch.append(pfn)
        if len(batch) >= self.own.get("free_batch", 64):
            self.give(cpu, batch)
            batch.clear()


class FreebsdModel(ShippedModel):
    """An alloc and a free bucket for each freelist, and a stack of full ones."""

    CAUSES = ("pressure", "explicit")
    ALLOC = 100

    def __init__(self, param: Param) -> None:
        super().__init__(param)
        items = param.npages // param.nfreelists // self.own.get("cache_fraction", 1000)
        share = items // (2 * param.ncpus)
        self.size = min(share // 2 or min(share, 1), self.own.get("bucket_max", 254))
        self.size_max, self.stack_max = self.size, items - 2 * param.ncpus * self.size
        self.sizes = [self.size] * param.nfreelists
        self.stacks: list[list[int]] = [[] for _ in range(param.nfreelists)]  # numbers of buckets
        self.bucket = 0
        self.seen = [(0, 0)] * param.nfreelists  # the fewest and the most pages since the last estimate
        self.wss, self.estimated_ns = [0] * param.nfreelists, [0] * param.nfreelists
        self.trimmed_ns = [-10 * NS] * param.nfreelists

    @property
    def room(self) -> int:
        size = min(self.sizes)
        return size if size > 1 else 0

    def parked(self, row: int) -> int:
        parked = sum(len(self.cache_of(PARKED, number)) for number in self.stacks[row])
        self.seen[row] = min(self.seen[row][0], parked), max(self.seen[row][1], parked)
        return parked

    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        cpu, looked = asked.cpu, False
        for row in asked.freelists:
            local = True
            if not self.cache_of(cpu, self.ALLOC + row):
                if self.cache_of(cpu, row):
                    self.swap(cpu, row, self.ALLOC + row)
                elif self.stacks[row]:
                    local = False
                    pfns = self.lists.pop(Where(PARKED, False, self.stacks[row].pop(), GLOBAL))
                    self.cache_of(cpu, self.ALLOC + row).extend(pfns)
                    self.stats[cpu]["filled"] += len(pfns)
                    self.parked(row)
                else:
                    local, looked = False, True
                    if not self.imported(asked, row):
                        if found := self.one(asked, [row], self.nextcolor[cpu]):
                            return found, True
                        continue
            return Found(self.cache_of(cpu, self.ALLOC + row).pop(), local, False), looked
        return None, looked

    def imported(self, asked: Asked, row: int) -> bool:
        n = self.room
        if not n or asked.lwp == "pagedaemon" or self.free_count() < self.reserve_kernel + n:
            return False
        pfns = in_turn(self.spread(row, self.nextcolor[asked.cpu], n))
        self.cache_of(asked.cpu, self.ALLOC + row).extend(pfns)
        if pfns:
            self.took(asked.cpu, len(pfns))
        return bool(pfns)

    def put(self, cpu: int, pfn: int, zeroed: bool) -> None:
        row, size = self.free_list(pfn), self.room
        if not size:
            self.give(cpu, [pfn])
            return
        if len(self.cache_of(cpu, self.ALLOC + row)) >= size:
            spare = self.cache_of(cpu, row)
            if len(spare) >= size:
                if self.parked(row) < self.stack_max:
                    self.bucket += 1
                    self.stacks[row].append(self.bucket)
                    self.cache_of(PARKED, self.bucket).extend(spare)
                    self.stats[cpu]["drained"] += len(spare)
                    self.parked(row)
                else:
                    self.give(cpu, spare)
                spare.clear()
            self.swap(cpu, row, self.ALLOC + row)
        self.cache_of(cpu, self.ALLOC + row).append(pfn)

    def unstack(self, row: int, keep: int = 0) -> int:
        """Move the oldest buckets to the global list, as long as so many pages stay; return how many pages."""
        npages = 0
        while self.stacks[row] and self.parked(row) - len(self.cache_of(PARKED, self.stacks[row][0])) >= keep:
            pfns = self.lists.pop(Where(PARKED, False, self.stacks[row].pop(0), GLOBAL))
            self.push(pfns)
            npages += len(pfns)
            self.parked(row)
        return npages

    def redistribute(self, cpu: int, cause: str = "explicit") -> int:
        handed, npages = super().redistribute(cpu, cause) if cause == "explicit" else 0, 0
        for row in range(self.param.nfreelists):
            if cause == "explicit":
                npages += self.unstack(row)
            elif self.now_ns - self.trimmed_ns[row] >= 10 * NS:
                self.trimmed_ns[row] = self.now_ns
                if self.own.get("adapt", True):
                    self.sizes[row] = max(min(2, self.size_max), self.sizes[row] - 1)
                npages += self.unstack(row, self.wss[row])
        if npages:
            self.causes["trim"] += 1
            self.publish(cpu, npages, 0)
        return handed + npages

    def timer(self, cpu: int) -> None:
        for row in range(self.param.nfreelists):
            if self.now_ns - self.estimated_ns[row] >= 20 * NS:
                self.estimated_ns[row] = self.now_ns
                low, high = self.seen[row]
                self.wss[row] = max(self.wss[row] * 3 // 4, high - low)
                now = self.parked(row)
                self.seen[row] = now, now

    def unlink(self, pfns: list[int]) -> None:
        if any(pfn in self.owned(PARKED) for pfn in pfns):
            self.causes["pglistalloc"] += 1
            for row in range(self.param.nfreelists):
                self.unstack(row)
        super().unlink(pfns)

    def recolor(self, ncolors: int) -> None:
        """The stacks come after the global list, the oldest bucket first; they are begun anew."""
        self.gather(set(self.attached))
        parked = [self.lists.pop(Where(PARKED, False, each, GLOBAL)) for stack in self.stacks for each in stack]
        settle, self.settle = self.settle, lambda: None  # type: ignore[method-assign]
        super().recolor(ncolors)
        self.settle = settle  # type: ignore[method-assign]
        for pfns in parked:
            self.push(pfns)
        self.stacks = [[] for _ in self.stacks]
        self.seen = [(0, 0)] * len(self.seen)
        self.settle()

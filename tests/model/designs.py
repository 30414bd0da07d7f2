"""What is different in the designs, as models: where a free page stands, and what that costs in counters."""

from typing import ClassVar

from tests.model.model import GLOBAL, Asked, Found, Model, Where
from uvmfree.param import Param
from uvmfree.uvm.designs.percpu import PercpuTunables


class FpageqlockModel(Model):
    """Today: a free page is on the global list and on that of the CPU which freed it."""

    TELLS = False  # one lock is all locks

    def __init__(self, param: Param) -> None:
        super().__init__(param)
        for pfn in range(param.npages):
            self.put(0, pfn, False)
            self.stats[0]["drained"] -= 1  # what stands there from boot on was not freed

    def free_count(self) -> int:
        return len(self.owned(GLOBAL))

    def cached(self, cpu: int) -> int:
        return 0

    def put(self, cpu: int, pfn: int, zeroed: bool) -> None:
        for owner in (cpu, GLOBAL):
            self.lists[self.where(owner, pfn, zeroed)].append(pfn)
        self.stats[cpu]["drained"] += 1

    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        if self.allowed(asked):
            for free_list in asked.freelists:
                for color in self.rotation(asked.start):
                    for zeroed in (asked.zero, not asked.zero):
                        for owner in (asked.cpu, GLOBAL):
                            pfns = self.lists[Where(owner, zeroed, free_list, color)]
                            if pfns:
                                found = Found(pfns[-1], owner == asked.cpu, zeroed)
                                self.remove(found.pfn)
                                self.stats[asked.cpu]["filled"] += 1
                                return found, True
        return None, True

    def idle_take(self, cpu: int) -> int | None:
        pfn = super().idle_take(cpu)
        self.stats[cpu]["filled"] += pfn is not None
        return pfn

    def redistribute(self, cpu: int, cause: str = "explicit") -> int:
        return 0

    def timer(self, cpu: int) -> None:
        pass

    def gather(self, cpus: set[int]) -> None:
        pass

    def unlink(self, pfns: list[int]) -> None:
        for pfn in pfns:
            self.remove(pfn)

    def bequeath(self, cpu: int, heir: int) -> None:
        for where in [where for where in self.lists if where.owner == cpu]:
            left = self.lists.pop(where)
            self.lists[where._replace(owner=heir)][:0] = left  # below what the heir has used itself

    def places(self) -> "dict[int, tuple[str, int | None, bool]]":
        return {
            pfn: ("GLOBAL", where.owner, where.zeroed)
            for where, pfns in self.lists.items()
            if where.owner != GLOBAL
            for pfn in pfns
        }


class PercpuModel(Model):
    """The proposal: a free page is on the global list or in one CPU's cache."""

    CAUSES: ClassVar[tuple[str, ...]] = ("timer", "pressure", "explicit", "retry")

    def __init__(self, param: Param) -> None:
        super().__init__(param)
        self.redistributed_ns = [0] * param.ncpus
        own = {name: value for name, value in param.own if name in PercpuTunables.__dataclass_fields__}
        self.percpu = PercpuTunables(**own)  # as it is, in the models of other designs
        self.shared = param.npages, 0  # uvmexp.free and uvmexp.zeropages, as the atomic operations have made them
        for pfn in range(param.npages):
            self.lists[self.where(GLOBAL, pfn, False)].append(pfn)

    def free_count(self) -> int:
        return len(self.owned(GLOBAL))

    def cached(self, cpu: int) -> int:
        return len(self.owned(cpu))

    def put(self, cpu: int, pfn: int, zeroed: bool) -> None:
        self.lists[self.where(cpu, pfn, zeroed)].append(pfn)

    def free(self, cpu: int, pfn: int) -> None:
        super().free(cpu, pfn)
        bound = self.percpu.hoard_max
        if bound is not None and self.in_hand(cpu) > bound:
            self.spill(cpu)

    def in_hand(self, cpu: int) -> int:
        """What counts against `hoard_max`: a page that is being zeroed comes back."""
        return self.cached(cpu) + list(self.zeroing.values()).count(cpu)

    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        """The whole cache before the global list, or `search="colour"`, its part of each colour (Q9)."""
        looked = False
        rotation = self.rotation(asked.start)
        turns = [[color] for color in rotation] if self.percpu.search == "colour" else [rotation]
        for free_list in asked.freelists:
            for colors in turns:
                lists = [(zeroed, color) for color in colors for zeroed in (asked.zero, not asked.zero)]
                for zeroed, color in lists:
                    pfns = self.lists[Where(asked.cpu, zeroed, free_list, color)]
                    if pfns:
                        return Found(pfns.pop(), True, zeroed), looked
                looked = True
                for zeroed, color in lists if self.allowed(asked) else []:
                    pfns = self.lists[Where(GLOBAL, zeroed, free_list, color)]
                    if pfns:
                        pfn = pfns.pop()
                        self.refill(asked, free_list, colors[0] + 1, int(zeroed))
                        return Found(pfn, False, zeroed), looked
        return None, looked

    def refill(self, asked: Asked, free_list: int, first: int, zeropages: int) -> None:
        """Q15: take more pages with the one that goes out, spread over the colours, above the kernel reserve."""
        refill = self.percpu.refill
        if self.percpu.hoard_max is not None:
            refill = min(refill, 1 + max(0, self.percpu.hoard_max - self.in_hand(asked.cpu)))
        left = spare = max(0, min(refill - 1, self.free_count() - self.reserve_kernel))
        for zeroed in (asked.zero, not asked.zero):
            for step in range(self.ncolors):
                where = Where(GLOBAL, zeroed, free_list, (first + step) % self.ncolors)
                pfns = self.lists[where]
                kept = max(0, len(pfns) - -(-left // (self.ncolors - step)))
                self.lists[where], taken = pfns[:kept], pfns[kept:]
                self.lists[where._replace(owner=asked.cpu)] += taken
                left -= len(taken)
                zeropages += len(taken) * zeroed
        npages = 1 + spare - left
        self.stats[asked.cpu]["filled"] += npages
        self.publish(asked.cpu, -npages, -zeropages)

    def publish(self, cpu: int, npages: int, zeropages: int) -> None:
        """P1, P4: one atomic operation for each shared counter that changes."""
        self.stats[cpu]["atomics"] += (npages != 0) + (zeropages != 0)
        self.shared = self.shared[0] + npages, self.shared[1] + zeropages

    def hand_back(self, cpu: int, part: "dict[Where, list[int]]") -> tuple[int, int]:
        """Splice lists of a CPU onto the heads of the global ones (P8); return pages and zeroed pages."""
        npages = zeropages = 0
        for where, pfns in part.items():
            self.lists[where] = [pfn for pfn in self.lists[where] if pfn not in pfns]
            self.lists[where._replace(owner=GLOBAL)] += pfns
            npages += len(pfns)
            zeropages += len(pfns) if where.zeroed else 0
        self.stats[cpu]["drained"] += npages
        return npages, zeropages

    def cache(self, cpu: int) -> dict[Where, list[int]]:
        return {where: list(pfns) for where, pfns in self.lists.items() if where.owner == cpu}

    def spill(self, cpu: int) -> None:
        """Q2: the coldest half of each list."""
        part = {where: pfns[: (len(pfns) + 1) // 2] for where, pfns in self.cache(cpu).items()}
        self.publish(cpu, *self.hand_back(cpu, part))
        self.wake_waiters()

    def redistribute(self, cpu: int, cause: str = "explicit") -> int:
        self.redistributed_ns[cpu] = self.now_ns
        npages, zeropages = self.hand_back(cpu, self.cache(cpu))
        self.causes[cause] += npages > 0
        self.publish(cpu, npages, zeropages)
        return npages

    def timer(self, cpu: int) -> None:
        """P9: if that was not done recently, or the system is struggling."""
        recently = self.now_ns - self.redistributed_ns[cpu] < round(self.param.redistribute_interval_s * 1e9)
        if self.cached(cpu) and (not recently or self.is_short(self.free_count())):
            self.redistribute(cpu, "timer")

    def relieve(self) -> bool:
        return self.param.drain_retry and self.drain("retry")

    def gather(self, cpus: set[int]) -> None:
        for cpu in sorted(cpus):
            self.hand_back(cpu, self.cache(cpu))

    def unlink(self, pfns: list[int]) -> None:
        for pfn in pfns:
            self.remove(pfn)

    def bequeath(self, cpu: int, heir: int) -> None:
        self.gather({cpu})

    def settle(self) -> None:
        """With all locks held it is CPU 0 that does the atomic operations, one for all that was done."""
        self.publish(0, self.free_count() - self.shared[0], self.zero_count() - self.shared[1])

    def places(self) -> "dict[int, tuple[str, int | None, bool]]":
        return {
            pfn: ("GLOBAL", None, where.zeroed) if where.owner == GLOBAL else ("CACHED", where.owner, where.zeroed)
            for where, pfns in self.lists.items()
            for pfn in pfns
        }

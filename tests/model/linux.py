"""The page sets of Linux as a model: which page goes where, and how large sets and batches are (linux_pcp).

=> A set is one list for each freelist, whatever the colours; the zone's lists are by colour, as the proposal's are.
"""

from itertools import zip_longest

from tests.model.designs import PercpuModel
from tests.model.model import GLOBAL, Asked, Found, Where
from uvmfree.param import Param

MIXED = -1
"""The colour of a list that has pages of all colours."""


class LinuxModel(PercpuModel):
    """linux_pcp: the gate, the set, a batch."""

    CAUSES = ("decay", "explicit", "retry")

    def __init__(self, param: Param) -> None:
        super().__init__(param)
        own = dict(param.own)
        self.tuned, self.chunk = own.get("autotune", True), own.get("spill_chunk")
        self.scale_max, self.decays = own.get("scale_max", 5), own.get("decay", True)
        most = max(1, min(param.npages // 4096, 262144 // param.pagesize))
        batch = 1
        while 2 * batch <= most + most // 2:
            batch *= 2
        self.batch = max(1, batch - 1)
        self.high_min = max(self.freemin // param.ncpus, 4 * self.batch)
        self.high_max = max(param.npages // (8 * param.ncpus), self.high_min) if self.tuned else self.high_min
        self.below_high = False
        self.high = [self.high_min] * param.ncpus
        self.alloc_factor, self.freed = [0] * param.ncpus, [0] * param.ncpus

    def where(self, owner: int, pfn: int, zeroed: bool) -> Where:
        where = super().where(owner, pfn, zeroed)
        return where if owner == GLOBAL else where._replace(color=MIXED)

    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        cpu = asked.cpu
        self.below_high |= self.free_count() <= self.freetarg
        if not self.allowed(asked):
            return None, True
        self.freed[cpu] //= 2
        for free_list in asked.freelists:
            own = self.lists[Where(cpu, False, free_list, MIXED)]
            local = bool(own)
            if not local:
                self.fetch(cpu, free_list, own)
            if own:
                return Found(own.pop(), local, False), True
        return None, True

    def fetch(self, cpu: int, free_list: int, own: list[int]) -> None:
        """A batch, of all colours in turn; a page more than the kernel reserve is left."""
        left = min(self.to_take(cpu), max(1, self.free_count() - self.reserve_kernel - 1))
        taken: list[list[int]] = []
        for step in range(self.ncolors):
            pfns = self.lists[Where(GLOBAL, False, free_list, (self.nextcolor[cpu] + step) % self.ncolors)]
            share = -(-left // (self.ncolors - step))
            taken.append([pfns.pop() for _ in range(min(share, len(pfns)))])
            left -= len(taken[-1])
        own[:] = reversed([pfn for turn in zip_longest(*taken) for pfn in turn if pfn is not None])
        self.stats[cpu]["filled"] += len(own)
        self.publish(cpu, -len(own), 0)

    def to_take(self, cpu: int) -> int:
        if not self.tuned:
            return self.batch
        wanted = self.batch * 2 ** self.alloc_factor[cpu]
        if not self.below_high:
            self.high[cpu] = min(self.high[cpu] + wanted, self.high_max)
        most = max(self.high[cpu] - self.cached(cpu) - self.batch, self.batch)
        if wanted <= most and self.alloc_factor[cpu] < self.scale_max:
            self.alloc_factor[cpu] += 1
        return int(min(wanted, most))

    def free(self, cpu: int, pfn: int) -> None:
        super().free(cpu, pfn)
        self.alloc_factor[cpu] //= 2
        if self.tuned and self.freed[cpu] < self.batch * 2**self.scale_max:
            self.freed[cpu] += 1
        limit = self.limit(cpu)
        if self.cached(cpu) >= limit:
            self.give_back(cpu, self.to_free(cpu, limit), self.free_list(pfn))
            self.below_high &= self.free_count() <= self.freetarg
            self.wake_waiters()

    def limit(self, cpu: int) -> int:
        high = self.high[cpu]
        if self.high_min == self.high_max:
            return high
        if self.below_high:
            self.high[cpu] = max(high - max(self.freed[cpu], self.batch), self.high_min)
            return max(self.cached(cpu), self.high_min)
        if self.cached(cpu) >= high:
            self.high[cpu] = max(high, min(self.freed[cpu] + self.batch, self.high_max))
        return high

    def to_free(self, cpu: int, limit: int) -> int:
        most, wanted = limit - self.batch, self.freed[cpu]
        if not self.tuned:
            wanted = self.batch * 2 ** self.freed[cpu]
            self.freed[cpu] += wanted < most
        return int(min(max(wanted, self.batch), most))

    def give_back(self, cpu: int, npages: int, first: int = 0, chunk: int | None = None) -> int:
        """The coldest, in holds of a chunk each."""
        if chunk is None:
            chunk = self.batch if self.chunk is None else self.chunk or npages
        order = [Where(cpu, False, row % self.param.nfreelists, MIXED) for row in range(first, first + 8)]
        cold = [(where, pfn) for where in dict.fromkeys(order) for pfn in self.lists[where]][:npages]
        for at in range(0, len(cold), chunk):
            for where, pfn in cold[at : at + chunk]:
                self.lists[where].remove(pfn)
                self.lists[self.where(GLOBAL, pfn, False)].append(pfn)
            self.stats[cpu]["drained"] += len(cold[at : at + chunk])
            self.publish(cpu, len(cold[at : at + chunk]), 0)
        return len(cold)

    def gather(self, cpus: set[int]) -> None:
        for cpu in sorted(cpus):
            for where, pfns in self.cache(cpu).items():
                self.lists[where].clear()
                for pfn in pfns:
                    self.lists[self.where(GLOBAL, pfn, False)].append(pfn)
                self.stats[cpu]["drained"] += len(pfns)

    def redistribute(self, cpu: int, cause: str = "explicit") -> int:
        moved = self.give_back(cpu, self.cached(cpu), chunk=self.batch * 2**self.scale_max)
        self.causes[cause] += moved > 0
        return moved

    def timer(self, cpu: int) -> None:
        if not self.decays or cpu not in self.attached:
            return
        high, pages = self.high[cpu], self.cached(cpu)
        if high > self.high_min:
            self.high[cpu] = max(pages - self.batch * 2**self.scale_max, high - high // 8, self.high_min)
        if pages > self.high[cpu]:
            self.causes["decay"] += 1
            self.give_back(cpu, pages - self.high[cpu])

    def idle_take(self, cpu: int) -> int | None:
        return None

    def relieve(self) -> bool:
        return self.drain("retry")

    def attach(self, cpu: int) -> None:
        super().attach(cpu)
        self.high[cpu], self.alloc_factor[cpu], self.freed[cpu] = self.high_min, 0, 0

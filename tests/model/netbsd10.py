"""The model of NetBSD 10's design: arrays of seven pages over buckets."""

from tests.model.model import GLOBAL, Asked, Found, Where
from tests.model.shipped import ShippedModel
from uvmfree.param import Param


class Netbsd10Model(ShippedModel):
    """Arrays of seven for each freelist and colour, of the own bucket's pages; free pages are all that are free.

    => The buckets' lists of a colour are one list here, of which each bucket has its part, in the order of the whole.
    """

    MOST, FILL, RUN = 7, 6, 8

    def __init__(self, param: Param) -> None:
        super().__init__(param)
        self.nbuckets = int(self.own.get("nbuckets", 1))
        self.caching = self.nbuckets < param.ncpus
        self.bucket_of_cpu = [cpu * self.nbuckets // param.ncpus for cpu in range(param.ncpus)]

    def bucket(self, pfn: int) -> int:
        return pfn // self.ncolors // self.RUN % self.nbuckets

    def standing(self) -> list[tuple[Where, int]]:
        return sorted(super().standing(), key=lambda one: self.bucket(one[1]))

    def free_count(self) -> int:
        return len(self.free_pages())

    def publish(self, cpu: int, npages: int, zeropages: int) -> None:
        pass

    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        mine = self.bucket_of_cpu[asked.cpu]
        for row in asked.freelists:
            own = self.lists[Where(asked.cpu, False, row, asked.start)]
            if own:
                return Found(own.pop(), True, False), False
            for step in range(self.nbuckets):
                number = (mine + step) % self.nbuckets
                pfn = self.taken(asked, row, number, fills=number == mine and self.caching)
                if pfn is not None:
                    return Found(pfn, False, False), False
        return None, True

    def taken(self, asked: Asked, row: int, number: int, fills: bool) -> int | None:
        """Take a page off a bucket, and fill the array of its colour."""
        there = {
            color: [pfn for pfn in self.lists[Where(GLOBAL, False, row, color)] if self.bucket(pfn) == number]
            for color in self.rotation(asked.start)
        }
        nfree = sum(map(len, there.values()))
        if not nfree or not self.granted(asked, nfree):
            return None
        color, pfns = next((color, pfns) for color, pfns in there.items() if pfns)
        array = self.lists[Where(asked.cpu, False, row, color)]
        taken = [pfns.pop()]
        if fills and nfree > self.reserve_kernel:
            while pfns and len(array) < self.FILL:
                array.append(pfns.pop())
                taken.append(array[-1])
        for pfn in taken:
            self.lists[Where(GLOBAL, False, row, color)].remove(pfn)
        self.took(asked.cpu, len(taken))
        return taken[0]

    def granted(self, asked: Asked, nfree: int) -> bool:
        """R6 for the freelist of one bucket alone."""
        if nfree > self.reserve_kernel:
            return True
        return (asked.use_reserve or asked.lwp != "user") and (nfree > 1 or asked.lwp == "pagedaemon")

    def put(self, cpu: int, pfn: int, zeroed: bool) -> None:
        if self.bucket(pfn) != self.bucket_of_cpu[cpu] or not self.caching:
            self.give(cpu, [pfn])
            return
        array = self.lists[self.where(cpu, pfn, False)]
        if len(array) == self.MOST:
            self.give(cpu, array[::-1])
            array.clear()
        array.append(pfn)

    def hand_back(self, cpu: int, part: dict[Where, list[int]]) -> tuple[int, int]:
        return super().hand_back(cpu, {where: pfns[::-1] for where, pfns in part.items()})

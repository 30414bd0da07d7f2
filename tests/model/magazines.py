"""Bonwick's magazines as a model: two stacks a CPU for each freelist, over a depot of full ones.

=> `rows[free_list]`: the magazines of the depot, the newest last; an entry is a frame number, or None for a page that
   was taken from the middle. The CPUs' magazines are caches of theirs: of freelist f the previous one has number f,
   the loaded one LOADED + f.
"""

from typing import ClassVar

from tests.model.designs import PercpuModel
from tests.model.model import Asked, Found
from tests.model.shipped import ShippedModel
from uvmfree.param import Param


class MagazinesModel(ShippedModel):
    """A free page is in a magazine: of a CPU, or of the depot."""

    CAUSES: ClassVar[tuple[str, ...]] = ("pressure", "explicit", "retry")
    LOADED = 8

    def __init__(self, param: Param) -> None:
        super().__init__(param)
        self.size = int(self.own.get("M", 256))
        self.fill(range(param.npages))

    def fill(self, pfns: "list[int] | range") -> None:
        """Have a new depot with these pages, which come singly."""
        self.lists.clear()
        self.rows: list[list[list[int | None]]] = [[] for _ in range(self.param.nfreelists)]
        for pfn in pfns:
            self.push_one(pfn)

    # The depot.

    def in_depot(self) -> list[int]:
        return [pfn for row in self.rows for magazine in row for pfn in magazine if pfn is not None]

    def push_one(self, pfn: int) -> None:
        row = self.rows[self.free_list(pfn)]
        if not row or len(row[0]) >= self.size:
            row.insert(0, [])
        row[0].append(pfn)

    def push(self, pfns: list[int]) -> None:
        """Put a magazine there: whole if it is full."""
        if len(pfns) >= self.size:
            self.rows[self.free_list(pfns[0])].append(list(pfns))
        else:
            for pfn in pfns:
                self.push_one(pfn)

    def newest(self, free_list: int, most: int) -> list[int]:
        """Take the newest magazine; what is beyond `most` pages stays, singly."""
        row = self.rows[free_list]
        while row:
            if found := [pfn for pfn in row.pop() if pfn is not None]:
                for pfn in found[:-most]:
                    self.push_one(pfn)
                return found[-most:]
        return []

    def unlink(self, pfns: list[int]) -> None:
        for magazine in (magazine for row in self.rows for magazine in row):
            for pfn in pfns:
                if magazine and magazine[-1] == pfn:
                    magazine.pop()
                elif pfn in magazine:
                    magazine[magazine.index(pfn)] = None

    def free_count(self) -> int:
        return len(self.in_depot())

    def free_pages(self) -> set[int]:
        return super().free_pages() | set(self.in_depot())

    def places(self) -> dict[int, tuple[str, int | None, bool]]:
        return super().places() | dict.fromkeys(self.in_depot(), ("GLOBAL", None, False))

    def arrange(self, places: dict[int, tuple[str, int | None, bool]]) -> None:
        super().arrange(places)
        cached = {pfn: owner for pfn, (place, owner, _) in places.items() if place == "CACHED" and owner is not None}
        self.fill([pfn for pfn, (place, *_) in places.items() if place == "GLOBAL"])
        for pfn, cpu in cached.items():
            self.cache_of(cpu, self.LOADED + self.free_list(pfn)).append(pfn)

    def recolor(self, ncolors: int) -> None:
        """A magazine is of all colours; they are packed anew, in the order in which they stood."""
        self.gather(set(self.attached))
        self.ncolors = ncolors
        self.fill(self.in_depot())
        for cpu in self.attached:
            self.nextcolor[cpu] = 0
        self.settle()

    # A CPU.

    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        cpu, looked = asked.cpu, False
        for row in asked.freelists:
            loaded, local = self.LOADED + row, True
            if not self.cache_of(cpu, loaded):
                local = bool(self.cache_of(cpu, row))
                if local:
                    self.swap(cpu, row, loaded)
                else:
                    looked = True
                    most = max(1, self.free_count() - self.reserve_kernel)
                    found = self.newest(row, most) if self.allowed(asked) else []
                    if not found:
                        continue
                    self.took(cpu, len(found))
                    self.cache_of(cpu, loaded).extend(found)
            return Found(self.cache_of(cpu, loaded).pop(), local, False), looked
        return None, looked

    def put(self, cpu: int, pfn: int, zeroed: bool) -> None:
        row = self.free_list(pfn)
        loaded = self.LOADED + row
        if len(self.cache_of(cpu, loaded)) >= self.size:
            if previous := self.cache_of(cpu, row):
                self.give(cpu, previous)
                previous.clear()
            self.swap(cpu, row, loaded)
        self.cache_of(cpu, loaded).append(pfn)

    def relieve(self) -> bool:
        return PercpuModel.relieve(self)

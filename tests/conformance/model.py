"""The rules R2 and R5 to R11 in the plainest way: what each design must do, one operation at a time.

=> A free page is one entry in one Python list, `order`, oldest first; a page freed later stands nearer the head.
   Every search looks through all of it. Nothing here is fast, and nothing is shared with the code under test.
"""

from collections import Counter
from dataclasses import dataclass, field

GLOBAL = -1


@dataclass
class Free:
    """A free page: which, whether on a ZEROS queue, and the CPU on whose list it stands, or GLOBAL."""

    pfn: int
    free_list: int
    color: int
    zeroed: bool
    owner: int


@dataclass
class Model:
    """One system of one design; call what is done to the system, compare what comes out."""

    ncpus: int
    ncolors: int
    nfreelists: int
    order: list[Free]  # oldest first: the head of every list is the last entry that belongs to it
    nextcolor: list[int] = field(default_factory=list)
    stats: list[Counter[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nextcolor = [0] * self.ncpus
        self.stats = [Counter() for _ in range(self.ncpus)]

    def free_count(self) -> int:
        """Return what uvmexp.free must be (R3)."""
        raise AssertionError("a design's model says")

    def zero_count(self) -> int:
        raise AssertionError("a design's model says")

    def find(self, cpu: int, free_list: int, start: int, *, zero: bool, allowed: bool) -> tuple[Free, bool] | None:
        """Return the page of one freelist that goes out, and whether it comes off the CPU's own list (R9)."""
        raise AssertionError("a design's model says")

    def alloc(
        self, cpu: int, *, zero: bool, use_reserve: bool, strat: str, free_list: int, color: int | None
    ) -> Free | None:
        """Allocate for an ordinary thread; return the page that must come out, or None (R5 to R11)."""
        free = self.free_count()
        allowed = free > 5 * self.ncpus or (use_reserve and free > 1)
        normal = list(range(self.nfreelists))
        freelists = {"normal": normal, "only": [free_list], "fallback": [free_list, *normal]}[strat]
        start = self.nextcolor[cpu] if color is None else color % self.ncolors
        for candidate in freelists:
            found = self.find(cpu, candidate, start, zero=zero, allowed=allowed)
            if found is not None:
                self._count(cpu, *found, start=start, zero=zero)
                return found[0]
        return None

    def newest(self, free_list: int, color: int, zeroed: bool, owner: int | None) -> Free | None:
        """Return the head of a list; with `owner` None, of all that stand on the global list of today."""
        for pg in reversed(self.order):
            if (pg.free_list, pg.color, pg.zeroed) == (free_list, color, zeroed) and owner in (None, pg.owner):
                return pg
        return None

    def rotation(self, start: int) -> list[int]:
        return [(start + step) % self.ncolors for step in range(self.ncolors)]

    def free(self, cpu: int, pfn: int, free_list: int) -> None:
        self.order.append(Free(pfn, free_list, pfn % self.ncolors, False, cpu))
        self.stats[cpu]["frees"] += 1

    def zero(self, pfn: int) -> None:
        """Move a free page to the head of the ZEROS queue where it is."""
        (pg,) = [pg for pg in self.order if pg.pfn == pfn]
        if not pg.zeroed:
            pg.zeroed = True
            self.order.remove(pg)
            self.order.append(pg)

    def redistribute(self, cpu: int) -> int:
        """Hand back what one CPU has cached; return how many pages."""
        return 0

    def _count(self, cpu: int, pg: Free, local: bool, *, start: int, zero: bool) -> None:
        self.order.remove(pg)
        stats = self.stats[cpu]
        stats["allocs"] += 1
        stats["cpuhit" if local else "cpumiss"] += 1
        stats["colorhit" if pg.color == start else "colormiss"] += 1
        if zero:
            stats["zerohit" if pg.zeroed else "zeromiss"] += 1
        self.nextcolor[cpu] = (pg.color + 1) % self.ncolors


class FpageqlockModel(Model):
    """Today: all free pages are global, and each is also on the list of the CPU that freed it."""

    def free_count(self) -> int:
        return len(self.order)

    def zero_count(self) -> int:
        return sum(pg.zeroed for pg in self.order)

    def find(self, cpu: int, free_list: int, start: int, *, zero: bool, allowed: bool) -> tuple[Free, bool] | None:
        if not allowed:
            return None
        for color in self.rotation(start):
            for zeroed in (zero, not zero):
                for owner in (cpu, None):
                    pg = self.newest(free_list, color, zeroed, owner)
                    if pg is not None:
                        return pg, owner == cpu
        return None


class PercpuModel(Model):
    """The proposal, with a refill of one page: a page is in one CPU's cache or on the global list."""

    def free_count(self) -> int:
        return sum(pg.owner == GLOBAL for pg in self.order)

    def zero_count(self) -> int:
        return sum(pg.owner == GLOBAL and pg.zeroed for pg in self.order)

    def find(self, cpu: int, free_list: int, start: int, *, zero: bool, allowed: bool) -> tuple[Free, bool] | None:
        for owner in (cpu, GLOBAL) if allowed else (cpu,):
            for color in self.rotation(start):
                for zeroed in (zero, not zero):
                    pg = self.newest(free_list, color, zeroed, owner)
                    if pg is not None:
                        return pg, owner == cpu
        return None

    def redistribute(self, cpu: int) -> int:
        moved = [pg for pg in self.order if pg.owner == cpu]
        self.order = [pg for pg in self.order if pg.owner != cpu] + moved  # onto the head, in their own order
        for pg in moved:
            pg.owner = GLOBAL
        return len(moved)


MODELS: dict[str, tuple[type[Model], int]] = {"fpageqlock": (FpageqlockModel, 0), "percpu": (PercpuModel, GLOBAL)}
"""Of each design its model, and the owner of all pages after boot."""

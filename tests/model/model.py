"""The rules in the plainest way: what a system of either design must do, one call at a time.

=> A page is its frame number. A free list is a Python list, its head last (R2); all of them are looked through,
   nothing is fast, and nothing is shared with the code under test.
=> `lists` is by whose list it is (a CPU, or GLOBAL), whether of the ZEROS queue, freelist and colour. Every method
   does to the model what the method of that name does to the system, and returns what that must return.
"""

from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Generator
from typing import ClassVar, NamedTuple

from tests.model.pageout import PageoutModel
from tests.model.ranged import Ranged
from uvmfree.param import Param

SEEKS = 16
"""Runs that are tried before all is stopped: one whose CPU is detached is passed over."""

GLOBAL = -1
PIECES = 8  # in which an idle CPU zeroes a page, looking after each whether something is runnable


class Where(NamedTuple):
    """A free list."""

    owner: int
    zeroed: bool
    free_list: int
    color: int


class Asked(NamedTuple):
    """An allocation: who asks for what, and where the search starts."""

    cpu: int
    lwp: str
    zero: bool
    use_reserve: bool
    freelists: list[int]
    start: int


class Found(NamedTuple):
    """The page that goes out, whether it comes off the CPU's own list, and whether it was known to be zero."""

    pfn: int
    local: bool
    zeroed: bool


class Model(PageoutModel):
    """What both designs have in common."""

    TELLS: ClassVar[bool] = True
    """Whether who holds the store's lock sees by a page whether it is there."""

    def __init__(self, param: Param) -> None:
        super().__init__(param)
        self.ncolors = param.ncolors
        bounds = [param.npages * part // param.nfreelists for part in range(param.nfreelists + 1)]
        self.segments = [range(bounds[part], bounds[part + 1]) for part in reversed(range(param.nfreelists))]
        self.lists: defaultdict[Where, list[int]] = defaultdict(list)
        self.zeroing: dict[int, int] = {}  # page -> the CPU that has it in hand
        self.nextcolor = [0] * param.ncpus
        self.stats: list[Counter[str]] = [Counter() for _ in range(param.ncpus)]
        self.causes: Counter[str] = Counter()
        self.hints: dict[range, int] = {}  # a segment -> the frame after the last run that was found there

    # What a design says.

    @abstractmethod
    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        """Take a page; return it, or None, and whether the global list was looked at (R9)."""

    @abstractmethod
    def put(self, cpu: int, pfn: int, zeroed: bool) -> None:
        """Let a page stand at the head of the lists on which a CPU puts it (R2, R13)."""

    @abstractmethod
    def gather(self, cpus: set[int]) -> None:
        """Hand back what these CPUs have cached, with all locks held."""

    @abstractmethod
    def unlink(self, pfns: list[int]) -> None:
        """Take pages off their lists, with all locks held."""

    def publish(self, cpu: int, npages: int, zeropages: int) -> None:
        """Have a CPU update the shared counters."""
        raise AssertionError("its store does not tell, so nobody takes a run from there alone")

    def settle(self) -> None:
        """Update the shared counters for what was done with all locks held."""

    @abstractmethod
    def bequeath(self, cpu: int, heir: int) -> None:
        """Leave what stands on a CPU's lists to the global list, or to another CPU."""

    def relieve(self) -> bool:
        """Whether a failed allocation had all caches handed back, to be tried again (Q5)."""
        return False

    # What is the same in both.

    def free_list(self, pfn: int) -> int:
        return next(number for number, segment in enumerate(self.segments) if pfn in segment)

    def where(self, owner: int, pfn: int, zeroed: bool) -> Where:
        return Where(owner, zeroed, self.free_list(pfn), pfn % self.ncolors)

    def remove(self, pfn: int) -> None:
        for pfns in self.lists.values():
            if pfn in pfns:
                pfns.remove(pfn)

    def owned(self, owner: int) -> list[int]:
        return [pfn for where, pfns in self.lists.items() if where.owner == owner for pfn in pfns]

    def free_pages(self) -> set[int]:
        """Return all pages that stand on a free list."""
        return {pfn for pfns in self.lists.values() for pfn in pfns}

    def zero_count(self) -> int:
        """Return what uvmexp.zeropages must be (R3)."""
        return sum(len(pfns) for where, pfns in self.lists.items() if where.owner == GLOBAL and where.zeroed)

    def rotation(self, start: int) -> list[int]:
        return [(start + step) % self.ncolors for step in range(self.ncolors)]

    def allowed(self, asked: Asked, free: int | None = None) -> bool:
        """R5, R6; by what is free, or by a count that a design goes by."""
        free = self.free_count() if free is None else free
        if free > self.reserve_kernel:
            return True
        may_use_reserve = asked.use_reserve or asked.lwp != "user"
        return may_use_reserve and (free > 1 or asked.lwp == "pagedaemon")

    def alloc(
        self, cpu: int, lwp: str, *, zero: bool, use_reserve: bool, strat: str, free_list: int, color: int | None
    ) -> int | None:
        """R4 to R11."""
        before = self.free_count()
        normal = list(range(self.param.nfreelists))
        freelists = {"normal": normal, "only": [free_list], "fallback": [free_list, *normal]}[strat]
        start = self.nextcolor[cpu] if color is None else color % self.ncolors
        asked = Asked(cpu, lwp, zero, use_reserve, freelists, start)
        found, looked = self.search(asked)
        self.count(asked, found)
        if looked:
            self.kick_if_short(before)
        if found is None and self.relieve():
            start = self.nextcolor[cpu] if color is None else start
            asked = asked._replace(start=start)
            found, _ = self.search(asked)
            self.count(asked, found)
        return None if found is None else found.pfn

    def count(self, asked: Asked, found: Found | None) -> None:
        """R7, R11."""
        if found is None:
            return
        stats, color = self.stats[asked.cpu], found.pfn % self.ncolors
        stats["allocs"] += 1
        stats["cpuhit" if found.local else "cpumiss"] += 1
        stats["colorhit" if color == asked.start else "colormiss"] += 1
        if asked.zero:
            stats["zerohit" if found.zeroed else "zeromiss"] += 1
        self.nextcolor[asked.cpu] = (color + 1) % self.ncolors

    def free(self, cpu: int, pfn: int) -> None:
        """R13."""
        self.put(cpu, pfn, False)
        self.stats[cpu]["frees"] += 1

    def pageidlezero(self, cpu: int) -> Generator[int | None, bool, int]:
        """Zero pages of a CPU (R14 to R16): yield the page in hand, and be sent whether something is runnable."""
        done = 0
        while not (yield None):
            pfn = self.idle_take(cpu)
            if pfn is None:
                break
            finished = True
            for _ in range(PIECES):
                if (yield pfn):
                    finished = False
                    break
            holder = self.zeroing.pop(pfn)
            self.put(holder, pfn, finished)
            self.stats[holder]["zeroed" if finished else "zeroaborts"] += 1
            done += finished
        return done

    def idle_take(self, cpu: int) -> int | None:
        """Take a page off a CPU's lists for zeroing, if that is worth it (R14, R15)."""
        standing = Counter(where.zeroed for where, pfns in self.lists.items() if where.owner == cpu for _ in pfns)
        if standing[True] >= standing[False] or standing[False] < self.ncolors:
            return None
        for color in self.rotation(self.nextcolor[cpu]):
            for free_list in range(self.param.nfreelists):
                pfns = self.lists[Where(cpu, False, free_list, color)]
                if pfns:
                    pfn = pfns[-1]
                    self.remove(pfn)
                    self.zeroing[pfn] = cpu
                    return pfn
        raise AssertionError("unreachable: there are pages")

    def idle(self, cpu: int) -> int:
        """Zero until there is no more to do; return how many pages."""
        steps = self.pageidlezero(cpu)
        try:
            next(steps)
            while True:
                steps.send(False)
        except StopIteration as over:
            return int(over.value)

    # Whole systems.

    def pglistalloc(self, asked: Ranged) -> list[int] | None:
        """R25 to R28: a run in the store, if there is one; else a cache that holds a page of it comes back (P7)."""
        before, got = self.free_count(), None
        if self.TELLS and asked.contiguous and (got := self.take_stored(asked)):
            self.kick_if_short(before)
            return got
        free = self.free_pages()
        if len(free) > self.reserve_kernel + 1:
            fit = asked.choose(free, self.segments, self.hints)[: asked.size]
            if len(fit) == asked.size:
                got = self.take(fit)
        self.kick_if_short(before)
        return got

    def take_stored(self, asked: Ranged) -> list[int] | None:
        """Take a run off the store, by way of a CPU that goes by the run, if that is there and the reserves are."""
        stored = {pfn: zeroed for pfn, (place, _, zeroed) in self.places().items() if place == "GLOBAL"}
        for _ in range(SEEKS):
            run = asked.choose(set(stored), self.segments, self.hints)
            if not run or len(stored) <= self.reserve_kernel + 1:
                return None
            if (cpu := run[0] // asked.size % self.param.ncpus) in self.attached:
                self.take_run(cpu, run)
                self.publish(cpu, -len(run), -sum(stored[pfn] for pfn in run))
                return run
        return None

    def take_run(self, cpu: int, run: list[int]) -> None:
        self.unlink(run)

    def pglistalloc_waitok(self, asked: Ranged, cpu: int) -> list[int] | None:
        """R29, with no time to wait: what there is above the reserves is taken, and given back if it is not all."""
        if asked.contiguous:
            return self.pglistalloc(asked)
        before, free = self.free_count(), self.free_pages()
        spare = max(0, len(free) - self.reserve_kernel - 1)
        got = self.take(asked.choose(free, self.segments, self.hints)[: min(asked.size, spare)])
        if len(got) < asked.size:
            self.wait(0)
            for pfn in got:
                self.free(cpu, pfn)
        self.kick_if_short(before)
        return got if len(got) == asked.size else None

    def take(self, pfns: list[int]) -> list[int]:
        owners = {cpu for cpu in self.attached if self.cached(cpu) and set(self.owned(cpu)) & set(pfns)}
        self.causes["pglistalloc"] += len(owners)
        self.gather(owners)
        self.unlink(pfns)
        self.settle()
        return sorted(pfns)

    def detach(self, cpu: int) -> None:
        """Q13: its pages and what it is zeroing go to others."""
        self.attached.remove(cpu)
        heir = min(self.attached)
        self.bequeath(cpu, heir)
        for pfn, holder in self.zeroing.items():
            if holder == cpu:
                self.zeroing[pfn] = heir
                self.stats[heir]["filled"] += 1
                self.stats[cpu]["drained"] += 1
        self.settle()

    def attach(self, cpu: int) -> None:
        self.attached.add(cpu)
        self.nextcolor[cpu] %= self.ncolors

    def recolor(self, ncolors: int) -> None:
        """Q13: all pages stand by their new colours, in the order in which they stood on the global list."""
        self.gather(set(self.attached))
        owners = {pfn: where.owner for where, pfns in self.lists.items() for pfn in pfns if where.owner != GLOBAL}
        standing = self.standing()
        self.lists.clear()
        self.ncolors = ncolors
        for where, pfn in standing:
            if where.owner == GLOBAL:
                for owner in {GLOBAL, owners.get(pfn, GLOBAL)}:
                    self.lists[self.where(owner, pfn, where.zeroed)].append(pfn)
        for cpu in self.attached:
            self.nextcolor[cpu] = 0
        self.settle()

    def standing(self) -> list[tuple[Where, int]]:
        """Return where every free page stands, in the order in which the system walks its lists."""
        return [(where, pfn) for where, pfns in sorted(self.lists.items()) for pfn in pfns]

    # What can be looked at.

    def arrange(self, places: dict[int, tuple[str, int | None, bool]]) -> None:
        """Let every page stand where a system at rest says that it does, in no particular order."""
        self.lists.clear()
        self.zeroing.clear()
        for pfn, (place, owner, zeroed) in places.items():
            if place == "ZEROING":
                assert owner is not None
                self.zeroing[pfn] = owner
            elif place != "ALLOCATED":
                on = GLOBAL if owner is None else owner
                for each in {on, GLOBAL if place == "GLOBAL" else on}:
                    self.lists[self.where(each, pfn, zeroed)].append(pfn)

    def counters(self) -> list[dict[str, int]]:
        """Return what each CPU's statistics must be."""
        return [
            {**stats, "index": cpu, "cached": self.cached(cpu), "nextcolor": self.nextcolor[cpu]}
            for cpu, stats in enumerate(self.stats)
        ]

    @abstractmethod
    def places(self) -> dict[int, tuple[str, int | None, bool]]:
        """Return of each free page its place, the CPU on whose list it is, and whether it is known to be zero."""

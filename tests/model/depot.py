"""The depot as a model: units in a stack, credits that are lent, and what that costs in counters.

=> `units` is by store, whether of the ZEROS queue, and freelist: lists of frame numbers, the top last. The CPUs'
   lists are in `lists`, as in all models.
=> Of the four CPUs two are in each socket; there is a store for each only with `per_socket`.
"""

from collections import defaultdict

from tests.model.model import GLOBAL, Asked, Found, Model, Where
from uvmfree.param import Param
from uvmfree.uvm.designs.depot import DepotTunables

LOOKS = 8

Unit = tuple[bool, int, list[int]]


class DepotModel(Model):
    """A free page is in one CPU's cache, or in a unit."""

    CAUSES = ("timer", "pressure", "explicit")

    def __init__(self, param: Param) -> None:
        super().__init__(param)
        self.own = param.tunables_of("depot", DepotTunables)
        ncpus = param.ncpus
        budget = max(4096, 128 * ncpus) if self.own.budget is None else self.own.budget
        self.total = min(budget // (2 * self.own.unit), ncpus * self.own.exchange)
        self.credits = [self.total // ncpus + (cpu < self.total % ncpus) for cpu in range(ncpus)]
        self.hand, self.seen, self.since_ns = 0, [-1] * ncpus, [0] * ncpus
        self.stores = 2 if self.own.per_socket else 1
        self.units: defaultdict[tuple[int, bool, int], list[list[int]]] = defaultdict(list)
        self.shared = param.npages, 0
        for pfn in range(param.npages):
            self.push((False, self.free_list(pfn), [pfn]), self.store_of(pfn))

    # Where pages are.

    def in_units(self, zeroed: bool | None = None) -> list[int]:
        """Return the pages of all units, in the order in which they are walked."""
        return [
            pfn for key in sorted(self.units) if zeroed in (None, key[1]) for unit in self.units[key] for pfn in unit
        ]

    def free_count(self) -> int:
        return len(self.in_units())

    def zero_count(self) -> int:
        return len(self.in_units(True))

    def free_pages(self) -> set[int]:
        return super().free_pages() | set(self.in_units())

    def cached(self, cpu: int) -> int:
        return len(self.owned(cpu))

    def kept(self, cpu: int) -> int:
        return self.cached(cpu) + list(self.zeroing.values()).count(cpu)

    def most(self, cpu: int) -> int:
        return 2 * self.own.unit * min(self.credits[cpu], self.own.exchange)

    def put(self, cpu: int, pfn: int, zeroed: bool) -> None:
        self.lists[self.where(cpu, pfn, zeroed)].append(pfn)

    def places(self) -> dict[int, tuple[str, int | None, bool]]:
        units = {pfn: ("GLOBAL", None, key[1]) for key, stack in self.units.items() for unit in stack for pfn in unit}
        cached = {pfn: ("CACHED", where.owner, where.zeroed) for where, pfns in self.lists.items() for pfn in pfns}
        return {**units, **cached}

    def arrange(self, places: dict[int, tuple[str, int | None, bool]]) -> None:
        super().arrange(places)
        self.units.clear()
        for where in [where for where in self.lists if where.owner == GLOBAL]:
            for pfn in self.lists.pop(where):
                self.push((where.zeroed, where.free_list, [pfn]), self.store_of(pfn))

    # Units.

    def store_of(self, pfn: int) -> int:
        """Return the store of a page that nobody chained: that of its part of RAM."""
        return pfn * self.stores // self.param.npages

    def socket(self, cpu: int) -> int:
        """Return the store of a CPU."""
        return cpu // 2 % self.stores

    def push(self, unit: Unit, store: int) -> None:
        """Put a unit on top, or pour it into the one that is there."""
        stack, pfns = self.units[store, *unit[:2]], unit[2]
        if stack and len(stack[-1]) + len(pfns) <= self.own.unit:
            stack[-1] += pfns
        else:
            stack.append(list(pfns))

    def pop(self, store: int, free_list: int, queues: tuple[bool, bool], npages: int, most: int) -> list[Unit]:
        """Take at most `most` units of so many pages in all, or one page."""
        got: list[Unit] = []
        for zeroed in queues:
            stack = self.units[store, zeroed, free_list]
            while stack and len(got) < most and len(stack[-1]) <= npages:
                npages -= len(stack[-1])
                got.append((zeroed, free_list, stack.pop()))
            if stack and not got:
                got.append((zeroed, free_list, [stack[-1].pop()]))
                stack[:] = filter(None, stack)
                break
        return got

    def chain(self, cpu: int, npages: int, freelists: list[int] | None = None) -> list[Unit]:
        """Take the coldest pages of a CPU, of each colour its share, whole units first."""
        units, size = [], self.own.unit
        for multiple in (size, 1):
            for zeroed in (False, True):
                for free_list in range(self.param.nfreelists):
                    if freelists is not None and free_list not in freelists:
                        continue
                    rows = [self.lists[Where(cpu, zeroed, free_list, color)] for color in range(self.ncolors)]
                    there = sum(map(len, rows))
                    count = left = min(npages, there) // multiple * multiple
                    npages -= count
                    shares = []
                    for row in rows:
                        share = min(left, -(-len(row) * count // max(1, there)))
                        left -= share
                        shares.append([row.pop(0) for _ in range(share)])
                    cold = [share[turn] for turn in range(count) for share in shares if turn < len(share)]
                    units += [(zeroed, free_list, cold[at : at + size]) for at in range(0, count, size)]
        return units

    def move(self, lender: int, cpu: int, npages: int, freelists: list[int] | None = None) -> int:
        moved = 0
        for zeroed, _, pfns in self.chain(lender, npages, freelists):
            for pfn in pfns:
                self.put(cpu, pfn, zeroed)
            moved += len(pfns)
        self.stats[lender]["drained"] += moved
        self.stats[cpu]["filled"] += moved
        return moved

    def intervals(self) -> tuple[int, int | None]:
        return super().intervals()[0] // 20, super().intervals()[1]

    # Credits.

    def idle_ns(self, cpu: int) -> int:
        operations = self.stats[cpu]["allocs"] + self.stats[cpu]["frees"]
        if operations != self.seen[cpu]:
            self.seen[cpu], self.since_ns[cpu] = operations, self.now_ns
        return self.now_ns - self.since_ns[cpu]

    def pull(self, cpu: int) -> bool:
        """Borrow credits, and the pages that they covered, from the next CPU that has some to spare."""
        mine, ncpus = self.credits[cpu], self.param.ncpus
        poor = mine < self.total // ncpus
        if mine >= self.own.exchange:
            return False
        for _ in range(ncpus if poor else LOOKS):
            self.hand = lender = (self.hand + 1) % ncpus
            if lender == cpu:
                continue
            idle = self.idle_ns(lender) >= self.own.spare_s * 1e9
            spare = self.credits[lender] if idle else (self.credits[lender] - mine) // 2
            if spare >= (1 if poor else 2):
                lent = min(spare, self.own.exchange - mine)
                self.credits[lender] -= lent
                self.credits[cpu] += lent
                self.move(lender, cpu, max(0, self.kept(lender) - self.most(lender)))
                return True
        return False

    # Calls.

    def local(self, asked: Asked, free_list: int) -> tuple[int, bool] | None:
        for color in self.rotation(asked.start):
            for zeroed in (asked.zero, not asked.zero):
                pfns = self.lists[Where(asked.cpu, zeroed, free_list, color)]
                if pfns:
                    return pfns.pop(), zeroed
        return None

    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        looked = False
        for free_list in asked.freelists:
            page = self.local(asked, free_list)
            if page is not None:
                return Found(page[0], True, page[1]), looked
            while self.pull(asked.cpu) and self.cached(asked.cpu):
                page = self.local(asked, free_list)
                if page is not None:
                    return Found(page[0], False, page[1]), looked
            looked = True
            found = self.fetch(asked, free_list)
            if found is not None:
                return found, True
        ring = [(asked.cpu + step) % self.param.ncpus for step in range(1, self.param.ncpus)]
        handful = min(self.own.unit, max(1, self.most(asked.cpu) - self.kept(asked.cpu)))
        if any(self.move(lender, asked.cpu, handful, asked.freelists) for lender in ring):
            page = next(page for page in (self.local(asked, each) for each in asked.freelists) if page is not None)
            return Found(page[0], False, page[1]), True
        if self.allowed(asked) and self.lift(asked):
            return self.search(asked)[0], True
        return None, True

    def lift(self, asked: Asked) -> bool:
        """Take a unit with everything stopped: what is left for those that might be on their way to other stores."""
        cpu = asked.cpu
        room = self.most(cpu) - self.kept(cpu)
        npages = max(1, min(self.own.unit, room, self.free_count() - self.reserve_kernel))
        for free_list in asked.freelists:
            for store in range(self.stores):
                for zeroed, _, pfns in self.pop(store, free_list, (asked.zero, not asked.zero), npages, 1):
                    for pfn in pfns:
                        self.put(cpu, pfn, zeroed)
                    self.stats[cpu]["filled"] += len(pfns)
                    self.settle()
                    return True
        return False

    def fetch(self, asked: Asked, free_list: int) -> Found | None:
        """Take as many units as there are credits; what the reserve keeps stays, and what others may take first."""
        cpu = asked.cpu
        sure = self.free_count() - (self.stores - 1) * self.own.unit * self.own.exchange
        if not self.allowed(asked, sure):
            return None
        npages = min(self.most(cpu) // 2, self.most(cpu) - self.kept(cpu), sure - self.reserve_kernel)
        for step in range(self.stores):
            store = (self.socket(cpu) + step) % self.stores
            units = self.pop(store, free_list, (asked.zero, not asked.zero), npages, 2 * self.own.exchange)
            if units:
                break
        else:
            return None
        got = sum(len(pfns) for _, _, pfns in units)
        zeroed, _, first = units[0]
        pfn = min(first, key=lambda pfn: (pfn - asked.start) % self.ncolors)
        first.remove(pfn)
        for each, _, pfns in units:
            for rest in pfns:
                self.put(cpu, rest, each)
        self.stats[cpu]["filled"] += got
        self.publish(cpu, -got, -sum(len(pfns) for each, _, pfns in units if each) - zeroed)
        return Found(pfn, False, zeroed)

    def publish(self, cpu: int, npages: int, zeropages: int) -> None:
        """One atomic operation for each shared counter that changes."""
        self.stats[cpu]["atomics"] += (npages != 0) + (zeropages != 0)
        self.shared = self.shared[0] + npages, self.shared[1] + zeropages

    def free(self, cpu: int, pfn: int) -> None:
        super().free(cpu, pfn)
        if self.kept(cpu) >= self.most(cpu):
            self.spill(cpu)

    def spill(self, cpu: int) -> None:
        """Push the coldest half of what it may keep, if no credit is to be had."""
        if not (self.pull(cpu) and self.kept(cpu) < self.most(cpu)):
            most = self.most(cpu)
            self.hand_back(cpu, max(most // 2, self.kept(cpu) - most + 1))
        self.wake_waiters()

    def hand_back(self, cpu: int, npages: int, *, published: bool = True) -> int:
        """Push units; the counters follow once for each hold, of `2 * exchange` items."""
        moved, hold = 0, list[Unit]()
        for unit in self.chain(cpu, npages):
            moved += len(unit[2])
            if published and hold and self.items([*hold, unit]) > 2 * self.own.exchange:
                self.end_hold(cpu, hold)
                hold = []
            self.push(unit, self.socket(cpu))
            hold.append(unit)
        if published:
            self.end_hold(cpu, hold)
        self.stats[cpu]["drained"] += moved
        return moved

    def items(self, hold: list[Unit]) -> int:
        """Count what a hold may touch: a unit that has no whole one of its stack under it may be poured."""
        whole = {unit[:2] for unit in hold if len(unit[2]) == self.own.unit}
        return sum(1 if unit[:2] in whole else len(unit[2]) for unit in hold)

    def end_hold(self, cpu: int, hold: list[Unit]) -> None:
        self.publish(cpu, sum(len(pfns) for *_, pfns in hold), sum(len(pfns) for zeroed, _, pfns in hold if zeroed))

    def redistribute(self, cpu: int, cause: str = "explicit") -> int:
        npages = self.hand_back(cpu, self.cached(cpu))
        self.causes[cause] += npages > 0
        return npages

    def timer(self, cpu: int) -> None:
        """What an idle CPU has goes back."""
        if self.idle_ns(cpu) >= self.param.redistribute_interval_s / 10 * 1e9 and self.cached(cpu):
            self.redistribute(cpu, "timer")

    def gather(self, cpus: set[int]) -> None:
        for cpu in sorted(cpus):
            self.hand_back(cpu, self.cached(cpu), published=False)

    def unlink(self, pfns: list[int]) -> None:
        for stack in self.units.values():
            stack[:] = [left for unit in stack if (left := [pfn for pfn in unit if pfn not in pfns])]

    def bequeath(self, cpu: int, heir: int) -> None:
        self.credits[heir], self.credits[cpu] = self.credits[heir] + self.credits[cpu], 0
        self.gather({cpu})

    def recolor(self, ncolors: int) -> None:
        self.gather(set(self.attached))
        standing = [(*key[1:], [pfn]) for key in sorted(self.units) for unit in self.units[key] for pfn in unit]
        self.units.clear()
        self.lists.clear()
        self.ncolors = ncolors
        for one in standing:
            self.push(one, self.store_of(one[2][0]))
        for cpu in self.attached:
            self.nextcolor[cpu] = 0
        self.settle()

    def settle(self) -> None:
        self.publish(0, self.free_count() - self.shared[0], self.zero_count() - self.shared[1])

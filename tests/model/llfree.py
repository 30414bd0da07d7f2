"""LLFree as a model: which trees count how many free pages, and which CPU takes its pages from which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.model.model import GLOBAL, Asked, Found, Model
from uvmfree.param import Param

ROW = 64


class Tree(NamedTuple):
    """A tree by its freelist and its number there."""

    free_list: int
    number: int


@dataclass
class Own:
    """What a CPU has reserved: a tree, how many of its pages, and the row from which on it takes them."""

    tree: Tree
    pages: int
    row: int = 0


class LlfreeModel(Model):
    """A free page stands in its tree, and is counted there or by the CPU that has reserved it."""

    def __init__(self, param: Param) -> None:
        super().__init__(param)
        self.size = dict(param.own).get("tree_pages", 512)  # of a small system
        for pfn in range(param.npages):
            self.lists[self.where(GLOBAL, pfn, False)].append(pfn)
        self.begin()

    def begin(self) -> None:
        """Have nothing reserved, with the pages free that are."""
        self.own: dict[tuple[int, int], Own] = {}  # by CPU and freelist
        self.counts = {
            Tree(free_list, number): 0
            for free_list, segment in enumerate(self.segments)
            for number in range(-(-len(segment) // self.size))
        }
        for pfn in self.free_pages():
            self.counts[self.tree(pfn)] += 1
        self.uncounted = [0] * self.param.ncpus

    def count_part(self, cpu: int, npages: int) -> None:
        """Count freed pages with the CPU; more than a few are added to what all count, which is atomic."""
        chunks = self.param.npages * self.param.pagesize // (128 << 20)
        self.uncounted[cpu] += npages
        if abs(self.uncounted[cpu]) > min(125, 2 * self.param.ncpus.bit_length() * (1 + chunks.bit_length())):
            self.uncounted[cpu] = 0
            self.swaps(cpu, 1)

    def tree(self, pfn: int) -> Tree:
        free_list = self.free_list(pfn)
        return Tree(free_list, (pfn - self.segments[free_list].start) // self.size)

    def swaps(self, cpu: int, n: int) -> None:
        self.stats[cpu]["atomics"] += n

    def free_count(self) -> int:
        return len(self.free_pages())

    def cached(self, cpu: int) -> int:
        return 0

    # A page is freed.

    def put(self, cpu: int, pfn: int, zeroed: bool) -> None:
        self.lists[self.where(GLOBAL, pfn, False)].append(pfn)
        tree = self.tree(pfn)
        own = self.own.get((cpu, tree.free_list))
        if own is not None and own.tree == tree:
            own.pages += 1
        else:
            self.counts[tree] += 1
        self.swaps(cpu, 3)
        self.count_part(cpu, 1)

    # A page is allocated.

    def search(self, asked: Asked) -> tuple[Found | None, bool]:
        """The reserves before all; so small a system always asks for them."""
        if self.allowed(asked):
            for free_list in asked.freelists:
                found = self.counted_off(asked.cpu, free_list)
                if found is not None:
                    tree, row, local = found
                    pfn, found_row = self.first(tree, row)
                    own = self.own.get((asked.cpu, free_list))
                    if own is not None and own.tree == tree and row == own.row != found_row and local is not None:
                        own.row = found_row
                        self.swaps(asked.cpu, 1)
                    self.remove(pfn)
                    self.swaps(asked.cpu, 2)
                    self.count_part(asked.cpu, -1)
                    return Found(pfn, bool(local), False), True
        return None, True

    def counted_off(self, cpu: int, free_list: int) -> tuple[Tree, int, bool | None] | None:
        """Count a page off: return its tree, from which row on; whether by a hit; None: not by the own count."""
        own = self.own.get((cpu, free_list))
        hit = own is not None and own.pages > 0
        if own is not None and not hit and self.counts[own.tree] > 1:
            own.pages, self.counts[own.tree] = self.counts[own.tree], 0
            self.swaps(cpu, 2)
        if own is not None and own.pages:
            own.pages -= 1
            self.swaps(cpu, 1)
            return own.tree, own.row, hit
        for tree in self.to_reserve(cpu, free_list):
            self.own[cpu, free_list] = Own(tree, self.counts[tree] - 1)
            self.counts[tree] = 0
            self.swaps(cpu, 2 + (own is not None))
            return tree, 0, None
        for step in range(1, self.param.ncpus):
            other = self.own.get(((cpu + step) % self.param.ncpus, free_list))
            if other is not None and other.pages:
                other.pages -= 1
                self.swaps(cpu, 1)
                return other.tree, other.row, None
        for tree, count in self.counts.items():
            if tree.free_list == free_list and count:
                self.counts[tree] -= 1
                self.swaps(cpu, 1)
                return tree, 0, None
        return None

    def first(self, tree: Tree, row: int) -> tuple[int, int]:
        """Return the first free page of a tree from a row on, and its row."""
        start = self.segments[tree.free_list].start + tree.number * self.size
        free, rows = self.free_pages(), self.size // ROW
        for each in [*range(row, rows), *range(row)]:
            for pfn in range(start + each * ROW, start + (each + 1) * ROW):
                if pfn in free and self.tree(pfn) == tree:
                    return pfn, each
        raise AssertionError(f"{tree} counted a page that is not there")

    def to_reserve(self, cpu: int, free_list: int) -> Iterator[Tree]:
        """Yield trees to reserve, the first choice first: near by a nearly full one, else the best of the others."""
        trees = [tree for tree in self.counts if tree.free_list == free_list]
        taken = {own.tree for own in self.own.values()}
        near, own = max(len(trees) // 16, 4), self.own.get((cpu, free_list))
        start = own.tree.number if own is not None else len(trees) // self.param.ncpus * cpu
        span = 1
        while span < 2 * near:
            span *= 2
        start -= start % span
        steps = [step // 2 if step % 2 == 0 else -(step + 1) // 2 for step in range(len(trees) + near)]
        around = [trees[(start + step) % len(trees)] for step in steps]
        fit = [tree for tree in around if self.counts[tree] and tree not in taken]
        near_by = [tree for tree in around[1:near] if tree in fit]
        yield from [tree for tree in near_by if self.size // 64 <= self.counts[tree] < self.size // 2]
        yield from [tree for tree in near_by if self.size // 2 <= self.counts[tree] < self.size]
        yield from [tree for tree in near_by if self.counts[tree] < self.size // 64 or self.counts[tree] == self.size]
        yield from fit

    # With everything stopped.

    def unlink(self, pfns: list[int]) -> None:
        for pfn in pfns:
            self.remove(pfn)
            tree = self.tree(pfn)
            if self.counts[tree]:
                self.counts[tree] -= 1
            else:
                next(own for own in self.own.values() if own.tree == tree).pages -= 1

    # By words.

    def take_run(self, cpu: int, run: list[int]) -> None:
        """Swap a word for each part of the run: of a tree, and of who has the rest of it, of a child, of a row."""
        slots = [(self.tree(pfn), pfn - self.segments[self.free_list(pfn)].start) for pfn in run]
        child = min(self.size, 8 * ROW)
        self.swaps(cpu, len({slot // child for _, slot in slots}) + len({slot // ROW for _, slot in slots}))
        for tree, wanted in Counter(tree for tree, _ in slots).items():
            self.swaps(cpu, (self.counts[tree] > 0) + (self.counts[tree] < wanted))
        self.unlink(run)
        self.count_part(cpu, -len(run))

    def publish(self, cpu: int, npages: int, zeropages: int) -> None:
        pass

    def bequeath(self, cpu: int, heir: int) -> None:
        for free_list in range(self.param.nfreelists):
            own = self.own.pop((cpu, free_list), None)
            if own is not None:
                self.counts[own.tree] += own.pages
                self.swaps(cpu, 2)

    def recolor(self, ncolors: int) -> None:
        super().recolor(ncolors)
        self.begin()

    def gather(self, cpus: set[int]) -> None:
        pass

    def redistribute(self, cpu: int, cause: str = "explicit") -> int:
        return 0

    def idle_take(self, cpu: int) -> int | None:
        return None

    def places(self) -> dict[int, Any]:
        return dict.fromkeys(self.free_pages(), ("GLOBAL", None, False))

"""The counting model of LLFree: which words of which trees an allocation and a free change.

=> A page is a frame number here: where a frame is decides which words are touched. One class of trees.
=> `reservations`: how often a CPU went to another tree.

Source: core/src/llfree.rs, trees.rs, lower.rs and local.rs of llfree-rs, 2026; mm/vmstat.c of Linux for the count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.designs.reference import Reference

ROW_FRAMES: Final = 64
"""Frames in a word of a bit field."""

PAGESIZE: Final = 4096

NEAR_BEST: Final = 3
"""Trees in the neighbourhood that are kept for a second look."""


@dataclass(slots=True)
class Local:
    """The tree that a CPU has reserved: how many of its frames are the CPU's, and the row where it goes on."""

    tree: int
    free: int
    row: int


class Llfree(Reference):
    """Trees with counts, bit fields under them, and a reserved tree for each CPU; compare-and-swap only."""

    def __init__(self, tree_pages: int = 512, **sizes: int) -> None:
        super().__init__(**sizes)
        self.tree_pages, self.rows_each = tree_pages, tree_pages // ROW_FRAMES
        ntrees = self.free_pages // tree_pages
        self.trees = [tree_pages] * ntrees
        self.reserved = [False] * ntrees
        self.rows = [(1 << ROW_FRAMES) - 1] * (ntrees * self.rows_each)  # a bit is set where a frame is free
        self.locals: list[Local | None] = [None] * self.ncpus
        self.reservations = self.in_use = 0
        chunks = self.free_pages * PAGESIZE >> 27
        self.threshold = min(125, 2 * self.ncpus.bit_length() * (1 + chunks.bit_length()))
        self.uncounted = [0] * self.ncpus

    def alloc(self, cpu: int, color: int | None = None) -> int:
        own = self.locals[cpu]
        if own is not None and not own.free and self.trees[own.tree] > 1:
            own.free, self.trees[own.tree] = self.trees[own.tree], 0  # what others gave back to it
            self.atomics += 2
        if own is None or not own.free:
            own = self.reserve(cpu, own.tree if own is not None else len(self.trees) // self.ncpus * cpu)
        else:
            own.free -= 1
            self.atomics += 1
        frame = self.first_free(own.row)
        if frame // ROW_FRAMES != own.row:
            own.row = frame // ROW_FRAMES
            self.atomics += 1
        self.rows[own.row] &= ~(1 << frame % ROW_FRAMES)
        self.atomics += 2  # the child's count, the bit
        self.free_pages -= 1
        self.in_use += 1
        self.count(cpu, -1)
        return frame

    def count(self, cpu: int, pages: int) -> None:
        """Count in the CPU's part; more than the threshold is added to the count of all."""
        self.uncounted[cpu] += pages
        if abs(self.uncounted[cpu]) > self.threshold:
            self.uncounted[cpu] = 0
            self.atomics += 1

    def first_free(self, row: int) -> int:
        """Find the first free frame at or after a row, in its tree."""
        first = row - row % self.rows_each
        for step in range(self.rows_each):
            at = first + (row - first + step) % self.rows_each
            if self.rows[at]:
                return at * ROW_FRAMES + (self.rows[at] & -self.rows[at]).bit_length() - 1
        raise AssertionError("the counts promised a frame")

    def reserve(self, cpu: int, start: int) -> Local:
        """Take another tree, with all its free frames but the one that is about to go out; give the old one back."""
        tree, old = self.search(start), self.locals[cpu]
        own = self.locals[cpu] = Local(tree, self.trees[tree] - 1, tree * self.rows_each)
        self.trees[tree], self.reserved[tree] = 0, True
        self.atomics += 2  # the tree, the CPU's word
        if old is not None:
            self.trees[old.tree] += old.free
            self.reserved[old.tree] = False
            self.atomics += 1
        self.reservations += 1
        return own

    def search(self, start: int) -> int:
        """Find a tree: a nearly full one in the neighbourhood, else the best there, else the next with a frame."""
        ntrees = len(self.trees)
        near = max(ntrees // 16, 4)
        start -= start % (1 << (2 * near - 1).bit_length())
        best: list[tuple[int, int]] = []
        for tree in self.around(start, 1, near):
            rank = self.rank(tree)
            if rank == 3:
                return tree
            if rank >= 0 and len(best) < NEAR_BEST:
                best.append((rank, tree))
        if best:
            return max(best, key=lambda each: each[0])[1]
        return next(tree for tree in self.around(start, 0, ntrees) if self.rank(tree) >= 0)

    def around(self, start: int, first: int, end: int) -> Iterator[int]:
        """Yield trees on both sides of one, in turn."""
        for step in range(first, end):
            yield (start + (step // 2 if step % 2 == 0 else -(step + 1) // 2)) % len(self.trees)

    def rank(self, tree: int) -> int:
        """How good a tree is to reserve: nearly full 3, half free 2, hardly any 1, all free 0; -1 if it is none."""
        free = self.trees[tree]
        if self.reserved[tree] or not free:
            return -1
        if free == self.tree_pages:
            return 0
        if free >= self.tree_pages // 2:
            return 2
        return 3 if free >= self.tree_pages // 64 else 1

    def free(self, cpu: int, page: Any) -> None:
        tree, own = page // self.tree_pages, self.locals[cpu]
        self.rows[page // ROW_FRAMES] |= 1 << page % ROW_FRAMES
        if own is not None and own.tree == tree:
            own.free += 1
        else:
            self.trees[tree] += 1
        self.atomics += 3  # the child's count, the bit, the count of the CPU or of the tree
        self.free_pages += 1
        self.in_use -= 1
        self.count(cpu, 1)

    def cached(self) -> int:
        return sum(own.free for own in self.locals if own is not None)

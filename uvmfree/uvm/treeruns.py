"""Runs of frames out of trees, by words alone: all or nothing, and no CPU is stopped.

Each page is counted off its tree's word, or that of the CPU which has the tree, then its child's, and its bit is
cleared last: in the order in which one page is taken (uvm/trees.py), so that no count ever says more than there is.
Whoever loses a swap to another CPU gives back what it has, last things first, as one who frees the pages would.

=> While it tries, all pages are in the CPU's hand: who finds nothing free looks again (uvm/reservations.py).
=> One that gives back has had the pages for a moment, and others may have found them gone.

Source: get with orders above 0 in core/src/lower.rs of luhsra/llfree-rs, 2026, for runs of a power of two that begin
at a multiple of it, out of the CPU's own tree. A run that begins anywhere and may span trees is not from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from uvmfree.uvm.page import VmPage
from uvmfree.uvm.reservations import AT, HANDS, LOW, Reserved
from uvmfree.uvm.trees import FREE, ROW, Counts, Tally


class Runs:
    """Runs as one CPU takes them; with its guard held."""

    __slots__ = ("_bits", "_children", "_counts", "_hand", "_reserved", "_trees", "_words")

    def __init__(self, reserved: Reserved, index: int, tally: Tally) -> None:
        self._reserved, self._trees, self._hand = reserved, reserved.trees, HANDS + index
        self._counts, self._words, self._children, self._bits = (
            Counts(words, tally)
            for words in (self._trees.counts, reserved.words, self._trees.children, self._trees.bits)
        )

    def take(self, run: Sequence[VmPage]) -> bool:
        """Take these pages, neighbours of one freelist; False, and nothing has changed, if one is not free."""
        trees, view = self._trees, self._words.view
        first = run[0].pfn + trees.offsets[run[0].free_list]
        taken: list[tuple[Counts, int, int]] = []
        view[self._hand] = len(run)
        if whole := self._take(first, first + len(run), taken):
            for pg in run:
                pg.on = trees.system
            view[LOW] = 1  # or may be: whoever allocates next sums
        else:
            for words, at, n in reversed(taken):
                words.add(at, n)
        view[self._hand] = 0
        return whole

    def _take(self, first: int, end: int, taken: list[tuple[Counts, int, int]]) -> bool:
        """Take slots, and list what is to be added to which word to give them back; whether all were had."""
        trees, child_rows = self._trees, self._trees.child_rows
        for tree, _, n in _parts(first, end, trees.size):
            if not self._count_off(tree, n, taken):
                return False
        for child, _, n in _parts(first, end, child_rows * ROW):
            if not self._children.take(child * child_rows, n):
                return False
            taken.append((self._children, child * child_rows, n))
        for row, at, n in _parts(first, end, ROW):
            mask = (1 << n) - 1 << at
            if not self._bits.clear(row, mask):
                return False
            taken.append((self._bits, row, mask))
        return True

    def _count_off(self, tree: int, n: int, taken: list[tuple[Counts, int, int]]) -> bool:
        """Count frames off a tree's word, and the rest off the word of the CPU that has it.

        => What is given back goes to the tree's word, as what others free does: the CPU may have left the tree.
        """
        counts, words, rows = self._counts, self._words, self._trees.rows
        while n and (there := counts.view[tree]) & FREE:
            part = min(n, there & FREE)
            if counts.change(tree, there, there - part):
                taken.append((counts, tree, part))
                n -= part
        for at in (at for reserved, at in self._reserved.by_tree() if reserved == tree) if n else ():
            while n and (word := words.view[at]) & FREE and (word >> AT) // rows == tree:
                part = min(n, word & FREE)
                if words.change(at, word, word - part):
                    taken.append((counts, tree, part))
                    n -= part
        return not n


def _parts(first: int, end: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Cut slots at the multiples of a size: which block each part lies in, where it begins there, how long it is."""
    while first < end:
        n = min(end, first - first % size + size) - first
        yield first // size, first % size, n
        first += n

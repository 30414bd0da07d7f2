"""Trees of page frames, all in words: which frames are free is a bit each, how many is a count at each level.

    bits      a word of 64 frames, a *row*; a bit is set where a frame is free
    children  the free frames of each 8 rows, whose bits share a cache line; the word has the number of the first row
    counts    the free frames of each tree; some of them may be counted elsewhere, as with a CPU that has reserved it

=> A count never says more than there is: who takes a frame counts it off first and clears the bit last, who frees one
   sets the bit first and counts it last. So a frame that was counted off is there, though perhaps in another row.
=> A free page stays where it is; it names its Tree. A page's *slot* is the number of its bit: its frame number, but
   that each freelist begins a tree.
=> What may be stored plainly: with everything stopped, or at boot.

Source: core/src/lower.rs, bitfield.rs and trees.rs of luhsra/llfree-rs, 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from uvmfree.machine.face import Machine, Words
from uvmfree.param import Param
from uvmfree.uvm.page import UNKNOWN, Place, VmPage
from uvmfree.uvm.physmem import PhysMem

FREE: Final = (1 << 32) - 1
"""The free frames in a word; also in a sum of words, since no system has so many."""
RESERVED: Final = 1 << 32
"""In a tree's word: its free frames are counted elsewhere, but for those that were freed since."""

ROW: Final = 64
CHILD_ROWS: Final = 8

CHILD: Final = CHILD_ROWS * ROW
"""Smaller trees share the cache lines of their bits."""
TREE_SHIPPED: Final = 2048
TREES_A_CPU: Final = 64
"""Where LLFree runs there are more trees by far than CPUs; with few, CPUs steal from each other."""

LOOKS_MAX: Final = 1000
"""How often a frame that was promised is looked for: each time in vain, another CPU has taken one and freed one."""


def tree_size(param: Param, tree_pages: int | None) -> int:
    """Return how many pages a tree has."""
    size = tree_pages or TREE_SHIPPED
    while tree_pages is None and size > CHILD and param.npages // size < TREES_A_CPU * param.ncpus:
        size //= 2
    return size


@dataclass(slots=True)
class Tally:
    """What one CPU counted; guarded by its guard.

    => `swaps`: words that were swapped. `retries`: swaps that failed, since another CPU was first. `syncs`,
       `reservations`, `steals`: what misses came to. `remote`: pages freed to a tree that another CPU has reserved.
       `uncounted`: pages freed, less those taken, that the count of free pages does not have yet; `adds`: to it.
    """

    swaps: int = 0
    retries: int = 0
    syncs: int = 0
    reservations: int = 0
    steals: int = 0
    remote: int = 0
    uncounted: int = 0
    adds: int = 0


class Counts:
    """An array of words as one CPU changes it; each swap is tallied."""

    __slots__ = ("_swap", "_tally", "view")

    def __init__(self, words: Words, tally: Tally) -> None:
        self.view, self._swap, self._tally = words.view(), words.swapper(), tally

    def change(self, at: int, word: int, becomes: int) -> bool:
        """Swap a word for another; False if it has changed."""
        if self._swap(at, word, becomes):
            self._tally.swaps += 1
            return True
        self._tally.retries += 1
        return False

    def down(self, at: int) -> int:
        """Count one off a word; return the word as it was, or 0 if it counts none."""
        while (word := self.view[at]) & FREE:
            if self._swap(at, word, word - 1):
                self._tally.swaps += 1
                return word
            self._tally.retries += 1
        return 0

    def take(self, at: int, n: int) -> bool:
        """Count `n` off a word that is nothing but a count; False if it counts fewer."""
        while (word := self.view[at]) >= n:
            if self.change(at, word, word - n):
                return True
        return False

    def clear(self, at: int, mask: int) -> bool:
        """Clear bits of a word; False if one of them is not set."""
        while (word := self.view[at]) & mask == mask:
            if self.change(at, word, word & ~mask):
                return True
        return False

    def add(self, at: int, n: int) -> int:
        """Add to a word; return it as it was."""
        while True:
            word = self.view[at]
            if self._swap(at, word, word + n):
                self._tally.swaps += 1
                return word
            self._tally.retries += 1


class Tree:
    """The Stand of a tree's free pages: its bits say which; all else is immutable."""

    __slots__ = ("_bits", "first_row", "frames", "free_list")

    place: Place = Place.GLOBAL
    owner: int | None = None
    ghosts: int = 0
    queue, color, home = UNKNOWN, None, True

    def __init__(self, bits: Words, frames: list[VmPage], first_row: int, free_list: int) -> None:
        self._bits, self.frames, self.first_row, self.free_list = bits, frames, first_row, free_list

    def rows(self) -> list[int]:
        """Return its bits."""
        return self._bits.read(self.first_row, self.first_row - (-len(self.frames) // ROW))

    def pages(self) -> list[VmPage]:
        """Return the free pages, the lowest frame last: that is the head."""
        rows = self.rows()
        free = [pg for at, pg in enumerate(self.frames) if rows[at // ROW] >> at % ROW & 1 and pg.on is self]
        return free[::-1]

    def __len__(self) -> int:
        return sum(map(int.bit_count, self.rows()))

    def clear(self) -> None:
        """Let go of all pages."""
        self.frames = []


class Trees:
    """All trees of a system, and their words.

    => `size`: frames of a tree; `rows`, `child_rows`: rows of a tree and of a child. `stands`: the trees, by number.
       `ranges[free_list]`: the first of its trees, and the end. `offsets[free_list]`: from frame number to slot.
    """

    def __init__(self, physmem: PhysMem, size: int, machine: Machine) -> None:
        self.size, self.rows, self.child_rows = size, size // ROW, min(size // ROW, CHILD_ROWS)
        self.system = physmem.system
        segments = physmem.by_freelist()
        ntrees = sum(-(-len(pages) // size) for _, pages in segments)
        self.counts = machine.words(ntrees)
        self.children = machine.words(ntrees * self.rows)  # a child's word is on a line of its own, as its bits are
        self.bits = machine.words(ntrees * self.rows)
        self.stands: list[Tree] = []
        self.ranges: list[tuple[int, int]] = []
        self.offsets: list[int] = []
        for seg, pages in segments:
            first = len(self.stands)
            for at in range(0, len(pages), size):
                row = len(self.stands) * self.rows
                self.stands.append(Tree(self.bits, pages[at : at + size], row, seg.free_list))
            self.ranges.append((first, len(self.stands)))
            self.offsets.append(first * size - seg.start)

    def free(self) -> int:
        """Return how many pages the trees' words count, without a lock."""
        return sum(self.counts.read(0, len(self.stands))) & FREE

    def tree_of(self, pg: VmPage) -> int:
        """Return the number of a page's tree."""
        return (pg.pfn + self.offsets[pg.free_list]) // self.size

    def empty(self) -> None:
        """Have nothing free; plainly."""
        counts, children, bits = (words.view() for words in (self.counts, self.children, self.bits))
        for tree in range(len(self.stands)):
            counts[tree] = 0
            for row in range(tree * self.rows, (tree + 1) * self.rows):
                bits[row] = children[row] = 0

    def fill(self) -> int:
        """Have all frames free, where none was; plainly. Return how many."""
        counts, children, bits = (words.view() for words in (self.counts, self.children, self.bits))
        for number, tree in enumerate(self.stands):
            counts[number] = len(tree.frames)
            for at in range(0, len(tree.frames), ROW):
                row, there = tree.first_row + at // ROW, min(ROW, len(tree.frames) - at)
                bits[row] = (1 << there) - 1
                children[row - row % self.child_rows] += there
            for pg in tree.frames:
                pg.on = tree
        return self.free()

    def change(self, pg: VmPage, n: int) -> int:
        """Let a page be free, with `n` 1, or not, with -1, but for the tree's count; plainly. Return its tree."""
        slot, tree = pg.pfn + self.offsets[pg.free_list], self.tree_of(pg)
        row, bits, children = slot // ROW, self.bits.view(), self.children.view()
        bits[row] ^= 1 << slot % ROW
        children[row - row % self.child_rows] += n
        pg.on = self.stands[tree] if n > 0 else self.system
        return tree

    def check(self, elsewhere: Mapping[int, int]) -> Iterator[str]:
        """Say which counts are wrong; `elsewhere`: of each reserved tree, the free frames that are counted there."""
        counts, children = self.counts.view(), self.children.view()
        for number, tree in enumerate(self.stands):
            free = [row.bit_count() for row in tree.rows()]
            for at in range(0, len(free), self.child_rows):
                child = tree.first_row + at
                if children[child] != (there := sum(free[at : at + self.child_rows])):
                    yield f"child {child} of tree {number} counts {children[child]} free pages, {there} are"
            word = counts[number]
            if (word >= RESERVED) != (number in elsewhere):
                is_it, should_be = ("not ", "") if word < RESERVED else ("", "not ")
                yield f"tree {number} is {is_it}marked as reserved, and should {should_be}be"
            if (word & FREE) + elsewhere.get(number, 0) != sum(free):
                yield f"tree {number} counts {word & FREE} and {elsewhere.get(number, 0)} free pages, {sum(free)} are"


class Frames:
    """The frames of all trees as one CPU takes and frees them; with its guard held."""

    __slots__ = ("_bits", "_child", "_children", "_offsets", "_stands", "_system", "_tree")

    def __init__(self, trees: Trees, tally: Tally) -> None:
        self._bits, self._children = Counts(trees.bits, tally), Counts(trees.children, tally)
        self._tree, self._child = trees.rows, trees.child_rows
        self._stands, self._offsets, self._system = trees.stands, trees.offsets, trees.system

    def take(self, row: int) -> tuple[VmPage, int]:
        """Take a page of the row's tree that was counted off, from that row on; return it and its row."""
        first = row - row % self._tree
        for step in range(0, LOOKS_MAX * self._tree, self._child):
            at = first + (row + step) % self._tree
            if self._children.down(at - at % self._child):
                return self._clear(at)
        raise AssertionError(f"the tree of row {row} counted a free page too many")

    def _clear(self, row: int) -> tuple[VmPage, int]:
        """Clear a bit of the row's child, from that row on."""
        first = row - row % self._child
        for step in range(LOOKS_MAX * self._child):
            at = first + (row + step) % self._child
            while bits := self._bits.view[at]:
                if self._bits.change(at, bits, bits & bits - 1):
                    tree = self._stands[at // self._tree]
                    pg = tree.frames[(at - tree.first_row) * ROW + (bits & -bits).bit_length() - 1]
                    pg.on = self._system
                    return pg, at
        raise AssertionError(f"the child of row {row} counted a free page too many")

    def put(self, pg: VmPage) -> int:
        """Let a page be free where it is, but for the tree's count; return its tree."""
        slot = pg.pfn + self._offsets[pg.free_list]
        row, bit, bits = slot // ROW, 1 << slot % ROW, self._bits
        tree = row // self._tree
        pg.on = self._stands[tree]
        while not bits.change(row, word := bits.view[row], word | bit):
            pass
        self._children.add(row - row % self._child, 1)
        return tree

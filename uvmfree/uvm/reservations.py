"""Trees that CPUs have reserved: a word for each CPU and freelist, and how it gets another tree or another frame.

    word   the row where the CPU goes on in its tree; RESERVED, or no tree; how many free frames it may take

=> Others may count frames off a CPU's word, and only the CPU changes the rest of it.
=> A count that is on its way from a tree's word to a CPU's is in neither for a few steps. The CPU says so beside it,
   in its *hand*, from before until after. So who adds up trees, hands and CPUs, in this order, never finds too few;
   and who has found nothing to take adds up, and looks again if something is there.

Source: core/src/llfree.rs, local.rs and trees.rs of luhsra/llfree-rs, 2026. The hands are not from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from uvmfree.machine.face import Machine
from uvmfree.uvm.trees import FREE, LOOKS_MAX, RESERVED, Counts, Tally, Trees

AT: Final = 33
"""The first bit of the row, above RESERVED."""
LOW, HANDS = 0, 1
"""Where the other words are: whether memory is short, which is a design's to say, and the hands."""
NEAR_BEST: Final = 3


class Reserved:
    """The words of all CPUs, each on a cache line."""

    def __init__(self, machine: Machine, ncpus: int, nfreelists: int, trees: Trees) -> None:
        self.ncpus, self.trees = ncpus, trees
        self._npages = sum(len(tree.frames) for tree in trees.stands)
        self._first, self._end = HANDS + ncpus, HANDS + (1 + nfreelists) * ncpus
        self.words = machine.words(self._end, apart=True)
        self.view = self.words.view()

    def first(self, free_list: int) -> int:
        """Return where the CPUs' words for a freelist begin."""
        return self._first + free_list * self.ncpus

    def empty(self) -> None:
        """Have nothing reserved; plainly."""
        for at in range(self._end):
            self.view[at] = 0

    def hands(self) -> list[int]:
        """Return what the CPUs say that they have in hand."""
        return self.words.read(HANDS, self._first)

    def free(self) -> int:
        """Add up all words, of trees, too: exact while no CPU is in a call, else never too few.

        => What is on its way may be met twice; there are no more than all pages.
        """
        return min(self.trees.free() + (sum(self.words.read(HANDS, self._end)) & FREE), self._npages)

    def any_free(self, free_list: int) -> bool:
        """Whether any page of a freelist may be free; in the order in which pages go from word to word."""
        first = self.first(free_list)
        there = any(word & FREE for word in self.trees.counts.read(*self.trees.ranges[free_list]))
        return there or any(self.hands()) or any(word & FREE for word in self.words.read(first, first + self.ncpus))

    def by_tree(self) -> list[tuple[int, int]]:
        """Return each reserved tree, and where the word of its CPU is."""
        words = enumerate(self.words.read(self._first, self._end), self._first)
        return [((word >> AT) // self.trees.rows, at) for at, word in words if word]


class Reservations:
    """What one CPU does to the words, with its guard held. `at`: where its own word for a freelist is."""

    __slots__ = ("_counts", "_hand", "_index", "_reserved", "_rows", "_tally", "_trees", "_words")

    def __init__(self, reserved: Reserved, index: int, tally: Tally) -> None:
        self._reserved, self._trees, self._index, self._tally = reserved, reserved.trees, index, tally
        self._words, self._counts = Counts(reserved.words, tally), Counts(reserved.trees.counts, tally)
        self._hand, self._rows = HANDS + index, reserved.trees.rows

    def elsewhere(self, at: int, free_list: int) -> int | None:
        """Count a frame off, where the own word has none; return a row of its tree, or None if nothing is free."""
        for _ in range(LOOKS_MAX):
            if (row := self.reserve(at, free_list)) is not None or (row := self.steal(free_list)) is not None:
                return row
            if not self._reserved.any_free(free_list):
                return None
            self._words.add(at, 0)  # takes a moment
        return None

    def sync(self, at: int) -> int:
        """Bring to the own word what others have freed to its tree, if it is more than one page, and count one off.

        => Returns the own word as it was then; 0 if there is nothing.
        """
        word, view = self._words.view[at], self._words.view
        tree, synced = (word >> AT) // self._rows, False
        while word and not synced and (there := self._counts.view[tree]) & FREE > 1:
            view[self._hand] = there & FREE
            if synced := self._counts.change(tree, there, RESERVED):
                self._words.add(at, there & FREE)
                self._tally.syncs += 1
            view[self._hand] = 0
        return self._words.down(at) if synced else 0

    def reserve(self, at: int, free_list: int) -> int | None:
        """Reserve a tree with all its free frames but the one that goes out; give the old tree back."""
        view = self._words.view
        for tree in self._search(at, *self._trees.ranges[free_list]):
            while 0 < (there := self._counts.view[tree]) < RESERVED:
                view[self._hand] = there
                if reserved := self._counts.change(tree, there, RESERVED):
                    self.use(at, (tree * self._rows << AT) + RESERVED + there - 1)
                    self._tally.reservations += 1
                view[self._hand] = 0
                if reserved:
                    return tree * self._rows
        return None

    def use(self, at: int, word: int) -> None:
        """Have another tree, or with 0 none; give the old one back."""
        while not self._words.change(at, old := self._words.view[at], word):
            pass
        if old:
            self._counts.add((old >> AT) // self._rows, (old & FREE) - RESERVED)

    def steal(self, free_list: int) -> int | None:
        """Count a frame off another CPU's word, or off a tree's: one that was freed to a tree which is reserved.

        => LLFree has the first only (steal_local): its Tree::steal leaves reserved trees alone, and an allocation may
           fail beside such a frame.
        """
        first, ncpus, tally = self._reserved.first(free_list), self._reserved.ncpus, self._tally
        for step in range(1, ncpus):
            if word := self._words.down(first + (self._index + step) % ncpus):
                tally.steals += 1
                return word >> AT
        for tree in range(*self._trees.ranges[free_list]):
            if self._counts.down(tree):
                tally.steals += 1
                return tree * self._rows
        return None

    def _search(self, at: int, first: int, end: int) -> Iterator[int]:
        """Yield trees to reserve: near the old one any that is nearly used up, else the best three there; then any.

        => On both sides of a start that neighbours share, in turn. A tree that nobody has touched is the last choice.
        """
        view, size, ntrees, word = self._counts.view, self._trees.size, end - first, self._words.view[at]
        near = max(ntrees // 16, 4)
        start = (word >> AT) // self._rows - first if word else ntrees // self._reserved.ncpus * self._index
        start -= start % (1 << (2 * near - 1).bit_length())

        def tree(step: int) -> int:
            return first + (start + (-(step + 1) // 2 if step & 1 else step // 2)) % ntrees

        best: list[tuple[int, int]] = []
        for near_by in map(tree, range(1, near)):
            free = view[near_by]
            if size // 64 <= free < size // 2:
                yield near_by
            elif 0 < free < RESERVED:
                best.append((0 if free == size else 1 if free < size // 2 else 2, near_by))
        yield from (each for _, each in sorted(best, key=lambda each: -each[0])[:NEAR_BEST])
        yield from (each for each in map(tree, range(ntrees)) if 0 < view[each] < RESERVED)

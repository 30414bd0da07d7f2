"""LLFree: no list and no lock; each CPU reserves a tree of frames, and what CPUs share are words to compare and swap.

RAM is cut into *trees* of frames (uvm/trees.py). A free page stays where it is, and nothing is ever moved. Each CPU
has a word for each freelist (uvm/reservations.py): its tree, how many free frames it may take, where to go on.

    allocate  count one off the CPU's word, and take a frame of its tree. If that word has none: get what others have
              freed to the tree (sync), else another tree (reserve), else count one off another CPU's word (steal)
    free      let the frame be free, and count it up: in the CPU's word if it has the tree, else in the tree's

=> Locks nothing: a hit swaps 3 or 4 words, whose lines are mostly the CPU's own, a free 3. The guard of a CPU is
   preemption off, in a kernel no lock: it keeps take-over, detach and contiguous allocation out of a call.
=> Bounds nothing, holds nothing back and drains nothing: what a CPU has reserved is free, and others steal it. No
   allocation fails while a page is free.
=> Free are the words summed: exact at rest, else too many by what is on its way. A call pays for no sum: a word says
   whether memory is short, and only then the reserves are asked. A CPU takes at most a tree between two looks.
   A look is at a counter (uvm/freecount.py), and adds up the words only where that says too little.
=> A wish for a colour is heard and not granted; zeroed pages are not kept apart.

Source: core/src/llfree.rs of luhsra/llfree-rs, 2026; Wrenger et al., USENIX ATC 2023. Left out: classes of trees.
Added: the reserves and the counter, which are a kernel's business there; and stealing what was freed to a tree that
another CPU has reserved, which Tree::steal refuses: there it waits until that CPU syncs. Runs: uvm/treeruns.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

from uvmfree.errors import ParamError
from uvmfree.kern.lockrank import CPU_OFF
from uvmfree.param import Param, tunable
from uvmfree.uvm.binding import Bound
from uvmfree.uvm.cpu import Cpu, Found, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.freecount import FreeCount, PartCount
from uvmfree.uvm.page import UNKNOWN, PageList, VmPage
from uvmfree.uvm.reservations import AT, LOW, Reservations, Reserved
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.traits import Traits
from uvmfree.uvm.treeruns import Runs
from uvmfree.uvm.trees import FREE, RESERVED, Counts, Frames, Tally, Tree, Trees, tree_size
from uvmfree.uvm.uvmexp import CpuStats

TREE_MIN: Final = 64
TREE_MAX: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class LlfreeTunables:
    """The tunables of LLFree."""

    tree_pages: int | None = tunable(
        None, "pages", "of a tree; None: 2048 as shipped, halved to 512 while there are fewer than 64 trees a CPU"
    )

    def __post_init__(self) -> None:
        size = self.tree_pages
        if size is not None and (type(size) is not int or size & (size - 1) or not TREE_MIN <= size <= TREE_MAX):
            raise ParamError(f"tree_pages={size!r}: must be a power of two from {TREE_MIN} to {TREE_MAX}, or None")


class LlfreeCpu(Cpu):
    """A CPU, as it changes words. `_at`: by freelist, where its own is; `_rows`: of a tree."""

    __slots__ = ("_at", "_counts", "_frames", "_reservations", "_rows", "_tally", "_words", "free", "runs")

    _design: Llfree
    idle_zeroing = False

    def setup(self) -> None:
        """Have views and swappers of its own; the words are the CPU's, whoever plays it."""
        trees, reserved, self._tally = self._design.trees, self._design.reserved, Tally()
        self._counts, self._words = Counts(trees.counts, self._tally), Counts(reserved.words, self._tally)
        self._frames, self._rows = Frames(trees, self._tally), trees.rows
        self._reservations = Reservations(reserved, self.index, self._tally)
        self.runs = Runs(reserved, self.index, self._tally)
        self.free = PartCount(self._design.counted, self._tally)
        self._at = [reserved.first(free_list) + self.index for free_list in range(self._nfreelists)]

    def empty(self) -> None:
        """Do nothing: a CPU has no list."""

    def lists(self) -> Iterable[PageList]:
        """Return nothing: a tree that is reserved is anybody's."""
        return ()

    def take_over(self, before: Bound | None) -> None:
        """Go on with what was counted."""
        super().take_over(before)
        for each in fields(Tally):
            setattr(self._tally, each.name, getattr(self._design.tallies[self.index], each.name))
        self._design.tallies[self.index] = self._tally

    def inherit(self, before: LlfreeCpu) -> None:
        """Do nothing: the words are there."""

    def leave(self, heir: LlfreeCpu) -> None:
        """Give the trees back, with all that might have been taken of them."""
        for at in self._at:
            if self._words.view[at]:
                self._reservations.use(at, 0)

    def publish(self, pages: int, zeropages: int) -> None:
        """Do nothing: no counter follows the words."""

    def stats(self) -> CpuStats:
        """Return what this CPU counted; it fills, drains and caches nothing."""
        tally = self._design.tallies[self.index]
        return replace(super().stats(), filled=0, drained=0, cached=0, atomics=tally.swaps + tally.adds)

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page: in each freelist of this CPU's tree, of another one, of another CPU's; the reserves first."""
        words = self._words
        if words.view[LOW] and not self._may(want):
            return None
        for free_list in want.freelists:
            at = self._at[free_list]
            word = hit = words.down(at)
            if not word:
                if self._asked is None and not self._may(want):
                    return None
                word = self._reservations.sync(at)
            if word:
                pg, row = self._frames.take(word >> AT)
                if row != word >> AT:
                    words.add(at, row - (word >> AT) << AT)
                self.free.add(-1)
                return pg, UNKNOWN, hit != 0
            found = self._reservations.elsewhere(at, free_list)
            if found is not None:
                self.free.add(-1)
                return self._frames.take(found)[0], UNKNOWN, False
        return None

    def _put(self, pg: VmPage, queue: int) -> None:
        """Let a page be free where it is, and count it up."""
        words, counts, at = self._words, self._counts, self._at[pg.free_list]
        tree, word = self._frames.put(pg), words.view[at]
        if word and (word >> AT) // self._rows == tree:
            words.add(at, 1)
        elif counts.add(tree, 1) >= RESERVED:
            self._tally.remote += 1
        self.free.add(1)

    def _may(self, want: Want) -> bool:
        """Whether the reserves let the caller have a page; note whether memory is short once each CPU took a tree.

        => Two that note at once may leave the older note: until the next look of one of them, a tree later.
        """
        view, mark = self._words.view, self._state.uvmexp.marks.freetarg + len(self._cpus) * self._design.trees.size
        free = self.free.near(mark, self._design.free)
        low = free < mark
        if view[LOW] != low:
            view[LOW] = low
        return self.may_take(free, want)


class Llfree(Design[LlfreeCpu]):
    """LLFree. `tallies[cpu]`: what each CPU counted, whoever played it; under its guard. The rest: words."""

    name = "llfree"
    summary = "LLFree: trees of frames, one reserved for each CPU; compare-and-swap, no list and no lock"
    cpu_class = LlfreeCpu
    LOCKS = (CPU_OFF,)
    Tunables = LlfreeTunables
    publishes = False

    @classmethod
    def traits(cls, param: Param, tunables: LlfreeTunables) -> Traits:
        """Nothing is cached, though much is reserved."""
        of_all = replace(super().traits(param, tunables), free="all", short="all", gate="system")
        return replace(of_all, bound=0, freed="store", lifo=False, colors=None, zeros=False)

    def __init__(self, state: UvmState) -> None:
        """Cut RAM into trees."""
        param = state.param
        self.trees = Trees(state.physmem, tree_size(param, state.tunables.tree_pages), state.machine)
        self.reserved = Reserved(state.machine, param.ncpus, param.nfreelists, self.trees)
        self.tallies = [Tally()] * param.ncpus
        self.counted = FreeCount(state.machine, param)
        super().__init__(state)

    def empty(self) -> None:
        """Have nothing free, and nothing reserved."""
        self.trees.empty()
        self.reserved.empty()
        self.counted.empty(self.tallies)

    def lists(self) -> Iterable[Tree]:
        """Return the trees."""
        return self.trees.stands

    def push(self, pg: VmPage, queue: int, owner: int | None = None) -> None:
        """Let a page be free: by the CPU whose guard is held, or plainly, with everything stopped."""
        if owner is not None:
            self.cpus[owner]._put(pg, queue)
        else:
            self.trees.counts.view()[self.trees.change(pg, 1)] += 1
            self.counted.set(1 + self.counted.pages)

    def fill(self) -> None:
        """Let all be free."""
        self.counted.set(self.trees.fill())

    def splice(self, part: PageList) -> None:
        """Never called: no CPU has a list."""

    def remove(self, pages: Sequence[VmPage]) -> None:
        """Take free pages; where a tree's word counts none, a CPU's does. Whoever allocates next sums."""
        counts, locals_, ats = self.trees.counts.view(), self.reserved.view, dict(self.reserved.by_tree())
        for pg in pages:
            tree = self.trees.change(pg, -1)
            if counts[tree] & FREE:
                counts[tree] -= 1
            else:
                locals_[ats[tree]] -= 1
        self.counted.set(self.counted.pages - len(pages))
        locals_[LOW] = 1

    def take_run(self, cpu: LlfreeCpu, run: Sequence[VmPage]) -> bool:
        """Take them by the CPU's words."""
        if taken := all(type(pg.on) is Tree for pg in run) and cpu.runs.take(run):
            cpu.free.add(-len(run))
        return taken

    def stop(self, refuse: Callable[[], object]) -> None:
        """Let go of all pages; uvmexp.free goes on saying what was free."""
        free = self.free()
        super().stop(refuse)
        self.trees.counts.view()[0] = free

    def stock(self) -> tuple[int, int]:
        """All free pages; none is known to be zero."""
        return self.free(), 0

    def free(self) -> int:
        """Sum the words."""
        return self.reserved.free()

    def check(self) -> Iterator[str]:
        """Check the words against the bits, and that a reserved tree is one CPU's."""
        by_tree, view = self.reserved.by_tree(), self.reserved.view
        if len(dict(by_tree)) != len(by_tree):
            yield f"a tree is reserved by two CPUs: {by_tree}"
        if any(self.reserved.hands()):
            yield f"the CPUs say that they have frames in hand: {self.reserved.hands()}"
        yield from self.trees.check({tree: view[at] & FREE for tree, at in by_tree})
        yield from self.counted.check(self.tallies, self.free())

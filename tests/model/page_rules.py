"""What any thread may ask of a system about pages: one at a time, several at once, all that a cache holds."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

import uvmfree
from tests.model.beside import CPU, LWP, NPAGES, Beside
from tests.model.page_operations import Alloc, By, How, IdleZero, Run
from tests.model.ranged import Ranged
from uvmfree.uvm.cpu import Lwp
from uvmfree.uvm.page import VmPage

HOW = st.builds(
    How,
    zero=st.booleans(),
    use_reserve=st.sampled_from([False, False, True]),
    strat=st.sampled_from(["normal", "normal", "only", "fallback"]),
    free_list=st.integers(0, 2),
    color=st.sampled_from([None, None, None, 0, 3, 5, -1, 1 << 40]),
)
BY: st.SearchStrategy[By] = st.sampled_from(["cpu", "cpu", "player", "list", "twice"])
WHICH = st.integers(0, NPAGES - 1)
"""Which of the pages in hand, counted round from the oldest."""
RANGED = st.builds(
    lambda size, low, span, alignment, boundary, nsegs: Ranged(
        size, low, span and low + alignment + span, alignment, boundary if boundary >= size else 0, nsegs
    ),
    size=st.sampled_from([1, 2, 3, 4, 8, 16, 24]),
    low=st.one_of(st.just(0), st.integers(0, NPAGES)),
    span=st.one_of(st.none(), st.integers(1, NPAGES)),
    alignment=st.sampled_from([1, 1, 1, 2, 4, 8]),
    boundary=st.sampled_from([0, 0, 4, 8, 16, 32]),
    nsegs=st.sampled_from([1, 1, 2, 64, 64]),
)
# What must be refused: by pagealloc(), by pglistalloc(), and by pagefree() as no page of the system.
WRONG_HOW: list[dict[str, Any]] = [
    {"strat": "best"},
    {"strat": "only", "free_list": 3},
    {"strat": "fallback", "free_list": -1},
    {"strat": "only", "free_list": True},
    {"color": 1.0},
]
WRONG_RANGED: list[dict[str, Any]] = [
    {"size": 0},
    {"size": 2.0},
    {"size": 1, "low": -1},
    {"size": 1, "low": 9, "alignment": 8, "high": 16},
    {"size": 1, "alignment": 3},
    {"size": 1, "alignment": 0},
    {"size": 1, "boundary": 5},
    {"size": 5, "boundary": 4},
    {"size": 1, "nsegs": 0},
]
STRANGERS: list[Any] = [VmPage(0, 0, 0, "another system"), None, 17]


class PageRules(Beside):
    """What is held is held by all: any CPU frees any of it."""

    @rule(cpu=CPU, lwp=LWP, how=HOW, later=st.booleans())
    def alloc(self, cpu: int, lwp: Lwp, how: How, later: bool) -> None:
        """Now, or when a drain would not be limited any more (Q5, Q11)."""
        self.alloc_many(1, cpu, lwp, how, later)

    @rule(npages=st.integers(2, 40), cpu=CPU, lwp=LWP, how=HOW, later=st.booleans())
    def alloc_many(self, npages: int, cpu: int, lwp: Lwp, how: How, later: bool) -> None:
        self.advance(self.uvm.param.redistribute_min_gap_s if later else 0)
        if not self.refused_where_it_is_away(cpu):
            self.do(Alloc(npages, how), cpu, lwp, enough=True)

    @rule(npages=st.sampled_from([1, 1, 1, 4, 12, 40]), at=WHICH, cpu=CPU, by=BY)
    def free_some(self, npages: int, at: int, cpu: int, by: By) -> None:
        self.free(cpu, npages, at, by)

    @rule(npages=st.integers(1, 24), cpu=CPU, to=CPU, how=HOW, zeroed=st.booleans(), by=BY)
    def use(self, npages: int, cpu: int, to: int, how: How, zeroed: bool, by: By) -> None:
        """Q1: allocate on one CPU, free on another, or on the same; with pages that were zeroed ahead, or without."""
        if self.refused_where_it_is_away(cpu):
            return
        if zeroed:
            self.do(IdleZero(), cpu)
        before = self.nheld
        self.free(to, self.do(Alloc(npages, how), cpu, enough=True), before, by)

    @rule(
        cpu=CPU,
        lwp=LWP,
        which=st.integers(0, NPAGES),
        stranger=st.sampled_from(STRANGERS),
        how=st.sampled_from(WRONG_HOW),
        ranged=st.sampled_from(WRONG_RANGED),
    )
    def be_refused(
        self, cpu: int, lwp: Lwp, which: int, stranger: Any, how: dict[str, Any], ranged: dict[str, Any]
    ) -> None:
        """R10, R13, R25, and an object of a CPU that another thread has taken over: nothing changes."""
        with pytest.raises(uvmfree.ArgumentError):
            self.uvm.pglistalloc(**ranged)
        if cpu not in self.model.attached:
            return
        hands, before, free = self.table.hands[cpu], self.uvm.cpus[cpu], sorted(self.model.free_pages())
        hands.lwp = lwp
        with hands.playing() as player:
            with pytest.raises(uvmfree.BindError), self.uvm.run_on(cpu):
                pass
            with pytest.raises(uvmfree.ArgumentError):
                player.pagealloc(**how)
            with pytest.raises(uvmfree.ForeignPage):
                player.pagefree(stranger)
            if free:
                pg = self.page[free[which % len(free)]]
                for call in (player.pagefree, self.uvm.pagefree):
                    with pytest.raises(uvmfree.DoubleFree, match=hex(pg.pfn)):
                        call(pg)
        calls: list[Callable[[], object]] = [before.pagealloc, before.pageidlezero]
        calls += [lambda pg=pg: before.pagefree(pg) for pg in list(hands.held)[:1]]  # type: ignore[misc]
        for refused in calls:
            with pytest.raises(uvmfree.BindError):
                refused()

    @rule(asked=RANGED, waitok=st.booleans())
    def alloc_ranged(self, asked: Ranged, waitok: bool) -> None:
        self.do(Run(asked, waitok))

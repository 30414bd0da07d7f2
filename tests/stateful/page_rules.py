"""What any thread may ask of a system about pages: one at a time, several at once, all that a cache holds."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import consumes, multiple, rule

import uvmfree
from tests.stateful.beside import CPU, LWP, NPAGES, Beside
from tests.stateful.ranged import Ranged
from uvmfree.uvm.page import VmPage

HOW = st.fixed_dictionaries(
    {
        "zero": st.booleans(),
        "use_reserve": st.sampled_from([False, False, True]),
        "strat": st.sampled_from(["normal", "normal", "only", "fallback"]),
        "free_list": st.integers(0, 2),
        "color": st.sampled_from([None, None, None, 0, 3, 5, -1, 1 << 40]),
    }
)
BY = st.sampled_from(["cpu", "cpu", "player", "list", "twice"])
PLAIN: dict[str, Any] = {"zero": False, "use_reserve": False, "strat": "normal", "free_list": 0, "color": None}
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
    """Pages that are held are drawn from Bundles."""

    pages, runs = Beside.pages, Beside.runs

    @rule(target=pages, cpu=CPU, lwp=LWP, how=HOW, later=st.booleans())
    def alloc(self, cpu: int, lwp: str, how: dict[str, Any], later: bool) -> Any:
        """Now, or when a drain would not be limited any more (Q5, Q11)."""
        self.advance(self.uvm.param.redistribute_min_gap_s if later else 0)
        return multiple(*self.alloc_up_to(1, cpu, lwp, how))

    @rule(target=runs, npages=st.integers(2, 40), cpu=CPU, lwp=LWP, how=HOW, later=st.booleans())
    def alloc_many(self, npages: int, cpu: int, lwp: str, how: dict[str, Any], later: bool) -> Any:
        self.advance(self.uvm.param.redistribute_min_gap_s if later else 0)
        pages = self.alloc_up_to(npages, cpu, lwp, how)
        return pages if pages else multiple()

    @rule(page=consumes(pages), cpu=CPU, by=BY)
    def free(self, page: VmPage, cpu: int, by: str) -> None:
        self.pagefree(cpu, [page], by)

    @rule(run=consumes(runs), cpu=CPU, by=BY)
    def free_many(self, run: list[VmPage], cpu: int, by: str) -> None:
        self.pagefree(cpu, run, by)

    @rule(npages=st.integers(1, 24), cpu=CPU, to=CPU, how=HOW, zeroed=st.booleans(), by=BY)
    def use(self, npages: int, cpu: int, to: int, how: dict[str, Any], zeroed: bool, by: str) -> None:
        """Q1: allocate on one CPU, free on another, or on the same; with pages that were zeroed ahead, or without."""
        if zeroed and cpu in self.model.attached:
            assert self.uvm.cpus[cpu].pageidlezero() == self.model.idle(cpu)
        self.pagefree(to, self.alloc_up_to(npages, cpu, "user", how), by)

    @rule(
        cpu=CPU,
        lwp=LWP,
        which=st.integers(0, NPAGES),
        stranger=st.sampled_from(STRANGERS),
        how=st.sampled_from(WRONG_HOW),
        ranged=st.sampled_from(WRONG_RANGED),
    )
    def be_refused(
        self, cpu: int, lwp: str, which: int, stranger: Any, how: dict[str, Any], ranged: dict[str, Any]
    ) -> None:
        """R10, R13, R25, and an object of a CPU that another thread has taken over: nothing changes."""
        with pytest.raises(uvmfree.ArgumentError):
            self.uvm.pglistalloc(**ranged)
        if cpu not in self.model.attached:
            return
        before, held, free = self.uvm.cpus[cpu], list(self.stamps), sorted(self.model.free_pages())
        with self.playing(cpu, lwp) as player:
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
        calls += [lambda pfn=pfn: before.pagefree(self.page[pfn]) for pfn in held[:1]]  # type: ignore[misc]
        for refused in calls:
            with pytest.raises(uvmfree.BindError):
                refused()

    @rule(target=runs, asked=RANGED, waitok=st.booleans())
    def alloc_ranged(self, asked: Ranged, waitok: bool) -> Any:
        pages = self.pglistalloc(asked, waitok=waitok)
        return pages if pages else multiple()

"""What any thread may ask of a system about pages: one at a time, several at once, all that a cache holds."""

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
RANGED = st.builds(
    Ranged,
    size=st.sampled_from([1, 1, 2, 3, 4, 8, 16, 24, 0]),
    low=st.one_of(st.just(0), st.just(0), st.integers(-1, NPAGES)),
    high=st.one_of(st.none(), st.integers(1, NPAGES + 9)),
    alignment=st.sampled_from([1, 1, 1, 2, 4, 8, 3]),
    boundary=st.sampled_from([0, 0, 4, 8, 16, 32, 5]),
    nsegs=st.sampled_from([1, 1, 2, 64, 64, 0]),
)
# What pagealloc() must refuse, and what is no page of the system.
WRONG: list[dict[str, Any]] = [
    {"strat": "best"},
    {"strat": "only", "free_list": 3},
    {"strat": "fallback", "free_list": -1},
    {"strat": "only", "free_list": True},
    {"color": 1.0},
]
STRANGERS: list[Any] = [VmPage(0, 0, 0, "another system"), None, 17]


class PageRules(Beside):
    """Pages that are held are drawn from Bundles."""

    pages, runs = Beside.pages, Beside.runs

    @rule(target=pages, cpu=CPU, lwp=LWP, how=HOW)
    def alloc(self, cpu: int, lwp: str, how: dict[str, Any]) -> Any:
        return multiple(*self.alloc_up_to(1, cpu, lwp, how))

    @rule(target=runs, npages=st.integers(2, 40), cpu=CPU, lwp=LWP, how=HOW, later=st.booleans())
    def alloc_many(self, npages: int, cpu: int, lwp: str, how: dict[str, Any], later: bool) -> Any:
        """Now, or when a drain would not be limited any more (Q11)."""
        self.advance(self.uvm.param.redistribute_min_gap_s if later else 0)
        pages = self.alloc_up_to(npages, cpu, lwp, how)
        return pages if pages else multiple()

    @rule(page=consumes(pages), cpu=st.one_of(CPU, st.none()))
    def free(self, page: VmPage, cpu: int | None) -> None:
        self.pagefree(cpu, [page])

    @rule(run=consumes(runs), cpu=st.one_of(CPU, st.none()))
    def free_many(self, run: list[VmPage], cpu: int | None) -> None:
        self.pagefree(cpu, run)

    @rule(npages=st.integers(1, 24), cpu=CPU, to=CPU, how=HOW, zeroed=st.booleans())
    def use(self, npages: int, cpu: int, to: int, how: dict[str, Any], zeroed: bool) -> None:
        """Q1: allocate on one CPU, free on another, or on the same; with pages that were zeroed ahead, or without."""
        if zeroed and cpu in self.model.attached:
            assert self.uvm.cpus[cpu].pageidlezero() == self.model.idle(cpu)
        self.pagefree(to, self.alloc_up_to(npages, cpu, "user", how))

    @rule(which=st.integers(0, NPAGES), cpu=CPU)
    def free_twice(self, which: int, cpu: int) -> None:
        """R13: it changes nothing."""
        free = sorted(self.model.free_pages())
        if free and cpu in self.model.attached:
            pg = self.page[free[which % len(free)]]
            for call in (self.uvm.cpus[cpu].pagefree, self.uvm.pagefree, lambda pg: self.uvm.pglistfree([pg])):
                with pytest.raises(uvmfree.DoubleFree, match=hex(pg.pfn)):
                    call(pg)

    @rule(stranger=st.sampled_from(STRANGERS), wrong=st.sampled_from(WRONG), cpu=CPU)
    def ask_for_what_cannot_be(self, stranger: Any, wrong: dict[str, Any], cpu: int) -> None:
        """R13 and R10: it changes nothing."""
        if cpu in self.model.attached:
            with pytest.raises(uvmfree.ForeignPage):
                self.uvm.cpus[cpu].pagefree(stranger)
            with pytest.raises(uvmfree.ArgumentError):
                self.uvm.cpus[cpu].pagealloc(**wrong)

    @rule(target=runs, asked=RANGED, waitok=st.booleans())
    def alloc_ranged(self, asked: Ranged, waitok: bool) -> Any:
        pages = self.pglistalloc(asked, waitok=waitok)
        return pages if pages else multiple()

    @rule(cpu=st.one_of(CPU, st.none()))
    def drain(self, cpu: int | None) -> None:
        """P8."""
        self.redistribute(cpu)

    def alloc_up_to(self, npages: int, cpu: int, lwp: str, how: dict[str, Any]) -> list[VmPage]:
        """Allocate until there are so many, or one fails; an ordinary thread uses whatever object the CPU has now."""
        if cpu not in self.model.attached:
            with pytest.raises(uvmfree.BindError):
                self.uvm.cpus[cpu].pagealloc()
            with pytest.raises(uvmfree.BindError), self.uvm.run_on(cpu):
                pass
            return []
        if lwp == "user":
            got = [self.pagealloc(self.uvm.cpus[cpu], lwp, how) for _ in range(npages)]
        else:
            with self.playing(cpu, lwp) as player:
                got = [self.pagealloc(player, lwp, how) for _ in range(npages)]
        return [pg for pg in got if pg is not None]

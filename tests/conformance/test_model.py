"""Each design beside its naive model: any operations, one at a time, on any CPU, give page for page the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import uvmfree
from tests.conformance.model import MODELS, Free, Model
from tests.conformance.zeros import zero_free_page
from uvmfree.uvm.page import VmPage

NCPUS = 3
NPAGES = 40

CPU = st.integers(0, NCPUS - 1)
ALLOC = st.fixed_dictionaries(
    {
        "zero": st.booleans(),
        "use_reserve": st.sampled_from([False, False, True]),
        "strat": st.sampled_from(["normal", "normal", "only", "fallback"]),
        "free_list": st.integers(0, 1),
        "color": st.sampled_from([None, None, 0, 1, 5, -1]),
    }
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("alloc"), CPU, st.integers(1, 12), ALLOC),
        st.tuples(st.just("free"), CPU, st.integers(1, 12), st.integers(0, 99)),
        st.tuples(st.just("zero"), st.integers(0, 9)),
        st.tuples(st.just("redistribute"), st.one_of(st.none(), CPU)),
        st.tuples(st.just("rebind"), CPU),
    ),
    max_size=30,
)


class Beside:
    """A system and its model, driven alike."""

    def __init__(self, uvm: uvmfree.Uvm) -> None:
        kind, owner = MODELS[uvm.param.design]
        self.uvm = uvm
        self.model: Model = kind(
            NCPUS,
            uvm.param.ncolors,
            uvm.param.nfreelists,
            [Free(pg.pfn, pg.free_list, pg.color, False, owner) for pg in uvm.physmem],
        )
        self.held: list[VmPage] = []

    def alloc(self, cpu: int, times: int, how: dict[str, Any]) -> None:
        for _ in range(times):
            pg = self.uvm.cpus[cpu].pagealloc(**how)
            wanted = self.model.alloc(cpu, **how)
            assert (pg and pg.pfn) == (wanted and wanted.pfn)
            if pg is not None:
                self.held.append(pg)

    def free(self, cpu: int, times: int, which: int) -> None:
        for _ in range(min(times, len(self.held))):
            pg = self.held.pop(which % len(self.held))
            self.uvm.cpus[cpu].pagefree(pg)
            self.model.free(cpu, pg.pfn, pg.free_list)

    def zero(self, which: int) -> None:
        """Zero a free page, counted from the one that was freed last: it is likely to stand on a CPU's list."""
        pfn = self.model.order[-1 - which % len(self.model.order)].pfn
        zero_free_page(self.uvm, next(pg for pg in self.uvm.physmem if pg.pfn == pfn))
        self.model.zero(pfn)

    def redistribute(self, cpu: int | None) -> None:
        cpus = range(NCPUS) if cpu is None else [cpu]
        assert self.uvm.redistribute(cpu) == sum(map(self.model.redistribute, cpus))

    def rebind(self, cpu: int) -> None:
        with self.uvm.run_on(cpu):
            pass

    def check(self) -> None:
        exp = self.uvm.uvmexp
        assert (exp.free, exp.zeropages) == (self.model.free_count(), self.model.zero_count())
        for stats, wanted in zip(self.uvm.cpu_stats(), self.model.stats, strict=True):
            names = ("allocs", "frees", "cpuhit", "cpumiss", "colorhit", "colormiss", "zerohit", "zeromiss")
            assert {name: getattr(stats, name) for name in names} == {name: wanted[name] for name in names}
        assert self.uvm.cached_pages() == tuple(stats.cached for stats in self.uvm.cpu_stats())
        self.uvm.audit()


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
@given(steps=STEPS, ncolors=st.sampled_from([1, 2, 4]), nfreelists=st.integers(1, 2))
def test_any_operations_give_what_the_model_gives(
    design: str, steps: list[tuple[Any, ...]], ncolors: int, nfreelists: int
) -> None:
    """R2, R3, R5, R6, R7, R8, R9, R10, R11, R13: page for page and count for count."""
    uvm = uvmfree.boot(
        npages=NPAGES, ncpus=NCPUS, ncolors=ncolors, nfreelists=nfreelists, pagesize=512, design=design
    )
    try:
        beside = Beside(uvm)
        for name, *arguments in steps:
            if name == "alloc":
                arguments[2] = arguments[2] | {"free_list": arguments[2]["free_list"] % nfreelists}
            getattr(beside, name)(*arguments)
            beside.check()
    finally:
        uvm.close()

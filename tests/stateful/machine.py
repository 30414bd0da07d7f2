"""The state machine: any calls on any CPU, one at a time, of a system of one design and of its model beside it.

=> `machine_for(variant)` gives the machine for the tunables of one variant (`tests/mechanism/rig.py`, VARIANTS).
=> Every page that is held is filled with a stamp of its holder: whoever else writes to it is found out when it is
   freed, and a page that is said to be zero must be.
=> After every step audit() is content, and every counter, every place and every list is what the model has.
"""

from contextlib import contextmanager
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

import uvmfree
from tests.stateful.designs import MODELS
from tests.stateful.model import Model
from tests.stateful.ranged import Ranged
from tests.uvm.machines import ClockMachine
from uvmfree.uvm.allocator import Cpu
from uvmfree.uvm.page import FRESH, FRESH_ZERO, PG_CLEAN, VmPage

NCPUS = 4
SIZES = {"npages": 96, "ncpus": NCPUS, "pagesize": 1 << 14, "redistribute_interval_s": 3600}
"""Small enough to be used up: 20 of 96 pages are the kernel's, freemin is 32, freetarg 42 (R24)."""

CPU = st.integers(0, NCPUS - 1)
LWP = st.sampled_from(["user", "user", "kernel", "pagedaemon"])
COLORS = st.sampled_from([1, 2, 4, 8])
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
    low=st.one_of(st.just(0), st.integers(-1, 100)),
    high=st.one_of(st.none(), st.integers(1, 110)),
    alignment=st.sampled_from([1, 1, 1, 2, 4, 8, 3]),
    boundary=st.sampled_from([0, 0, 4, 8, 16, 32, 5]),
    nsegs=st.sampled_from([1, 1, 2, 64, 0]),
)


class UvmMachine(RuleBasedStateMachine):
    """A system that nothing happens in but what the rules do."""

    variant: dict[str, Any]

    pages = Bundle("pages")  # one page each, held
    runs = Bundle("runs")  # a list of pages each, held

    uvm: uvmfree.Uvm
    model: Model

    @initialize(ncolors=COLORS, nfreelists=st.integers(1, 3))
    def boot(self, ncolors: int, nfreelists: int) -> None:
        self.machine = ClockMachine()
        tunables = SIZES | {"ncolors": ncolors, "nfreelists": nfreelists} | self.variant
        self.uvm = uvmfree.boot(self.machine, **tunables)
        self.model = MODELS[self.uvm.param.design](self.uvm.param)
        self.page = list(self.uvm.physmem)
        ram = self.uvm.physmem.ram()
        ram[:] = b"\xff" * len(ram)  # nobody has zeroed anything yet
        self.stamps: dict[int, bytes] = {}  # of each page that is held
        self.stamp = 0

    def teardown(self) -> None:
        if hasattr(self, "uvm"):
            self.uvm.close()

    # Allocation and free.

    @rule(target=pages, cpu=CPU, lwp=LWP, how=HOW)
    def alloc(self, cpu: int, lwp: str, how: dict[str, Any]) -> Any:
        return multiple(*self.pagealloc(cpu, lwp, how, 1))

    @rule(target=runs, cpu=CPU, lwp=LWP, how=HOW, npages=st.integers(2, 40))
    def alloc_many(self, cpu: int, lwp: str, how: dict[str, Any], npages: int) -> Any:
        pages = self.pagealloc(cpu, lwp, how, npages)
        return pages if pages else multiple()

    @rule(page=consumes(pages), cpu=st.one_of(CPU, st.none()))
    def free(self, page: VmPage, cpu: int | None) -> None:
        self.pagefree(cpu, [page])

    @rule(run=consumes(runs), cpu=st.one_of(CPU, st.none()))
    def free_many(self, run: list[VmPage], cpu: int | None) -> None:
        self.pagefree(cpu, run)

    @rule(cpu=CPU, which=st.integers(0, 95))
    def free_twice(self, cpu: int, which: int) -> None:
        """R13: a double free changes nothing."""
        free = sorted(self.model.free_pages())
        if free and cpu in self.model.attached:
            with pytest.raises(uvmfree.DoubleFree):
                self.uvm.cpus[cpu].pagefree(self.page[free[which % len(free)]])

    # Several pages at once.

    @rule(target=runs, asked=RANGED)
    def pglistalloc(self, asked: Ranged) -> Any:
        if asked.wrong:
            with pytest.raises(uvmfree.ArgumentError):
                self.uvm.pglistalloc(*asked)
            return multiple()
        wanted = self.model.pglistalloc(asked)
        if wanted is None:
            with pytest.raises(uvmfree.OutOfPages):
                self.uvm.pglistalloc(*asked)
            return multiple()
        pages = self.uvm.pglistalloc(*asked)
        assert [pg.pfn for pg in pages] == wanted
        for pg in pages:
            assert pg.flags == PG_CLEAN
            self.hold(pg)
        return pages

    # What is done to the system.

    @rule(cpu=st.one_of(CPU, st.none()))
    def redistribute(self, cpu: int | None) -> None:
        cpus = range(NCPUS) if cpu is None else [cpu]
        assert self.uvm.redistribute(cpu) == sum(map(self.model.redistribute, cpus))

    @rule(ncolors=COLORS)
    def recolor(self, ncolors: int) -> None:
        self.uvm.recolor(ncolors)
        self.model.recolor(ncolors)

    @rule(cpu=CPU)
    def attach_or_detach(self, cpu: int) -> None:
        if cpu not in self.model.attached:
            self.uvm.attach(cpu)
            self.model.attach(cpu)
        elif len(self.model.attached) > 1:
            self.uvm.detach(cpu)
            self.model.detach(cpu)
        else:
            with pytest.raises(uvmfree.ArgumentError):
                self.uvm.detach(cpu)

    @rule(cpu=CPU, polls=st.integers(0, 60))
    def pageidlezero(self, cpu: int, polls: int) -> None:
        """R14 to R16: until there is no more to do, or something is runnable at the poll of that number."""
        if cpu not in self.model.attached:
            return
        steps = self.model.pageidlezero(cpu)
        answers: list[bool] = []

        def runnable() -> bool:
            in_hand = steps.send(answers[-1]) if answers else next(steps)
            if in_hand is not None:
                assert self.page[in_hand].place is uvmfree.Place.ZEROING
            answers.append(len(answers) >= polls)
            return answers[-1]

        done = self.uvm.cpus[cpu].pageidlezero(runnable)
        with pytest.raises(StopIteration) as over:
            steps.send(answers[-1])
        assert done == over.value.value

    # How.

    @contextmanager
    def playing(self, cpu: int, lwp: str) -> Iterator[Cpu]:
        """Play a CPU as that kind of thread; as an ordinary one, by whatever object plays it now."""
        if lwp == "user":
            yield self.uvm.cpus[cpu]
        else:
            with self.uvm.run_on(cpu, lwp=lwp) as player:  # type: ignore[arg-type]
                yield player

    def pagealloc(self, cpu: int, lwp: str, how: dict[str, Any], npages: int) -> list[VmPage]:
        how = how | {"free_list": how["free_list"] % self.uvm.param.nfreelists}
        if cpu not in self.model.attached:
            with pytest.raises(uvmfree.BindError), self.playing(cpu, lwp) as player:
                player.pagealloc(**how)
            return []
        pages = []
        with self.playing(cpu, lwp) as player:
            for _ in range(npages):
                pg = player.pagealloc(**how)
                wanted = self.model.alloc(cpu, lwp, **how)
                assert (pg and pg.pfn) == wanted
                if pg is None:
                    break
                assert pg.flags == (FRESH_ZERO if how["zero"] else FRESH)
                if how["zero"]:
                    assert self.uvm.physmem.bytes_of(pg) == bytes(self.uvm.param.pagesize)
                self.hold(pg)
                pages.append(pg)
        return pages

    def hold(self, pg: VmPage) -> None:
        self.stamp = self.stamp % 250 + 1
        self.stamps[pg.pfn] = bytes([self.stamp]) * self.uvm.param.pagesize
        self.uvm.physmem.bytes_of(pg)[:] = self.stamps[pg.pfn]

    def pagefree(self, cpu: int | None, pages: list[VmPage]) -> None:
        for pg in pages:
            assert self.uvm.physmem.bytes_of(pg) == self.stamps.pop(pg.pfn)
            if cpu is None or cpu not in self.model.attached:
                self.uvm.pagefree(pg)
                self.model.free(min(self.model.attached), pg.pfn)
            else:
                self.uvm.cpus[cpu].pagefree(pg)
                self.model.free(cpu, pg.pfn)

    # What must hold after every step.

    @invariant()
    def counters_are_exact(self) -> None:
        uvm, model = self.uvm, self.model
        assert (uvm.uvmexp.free, uvm.uvmexp.zeropages) == (model.free_count(), model.zero_count())
        for stats, wanted in zip(uvm.cpu_stats(), model.counters(), strict=True):
            names = [name for name in stats.__slots__ if name != "index"]
            assert {name: getattr(stats, name) for name in names} == {name: wanted.get(name, 0) for name in names}
        assert uvm.redistributions() == {name: model.causes[name] for name in uvm.redistributions()}
        assert uvm.pageout.kicks == model.kicks
        assert uvm.counter_lag() == 0

    @invariant()
    def every_page_is_where_it_should_be(self) -> None:
        held = {pfn: ("ALLOCATED", None, False) for pfn in self.stamps}
        wanted = self.model.places() | held
        found = {
            pg.pfn: (pg.place.name, pg.owner, pg.zeroed and pg.pfn not in self.stamps) for pg in self.uvm.physmem
        }
        assert found == wanted

    @invariant()
    def the_audit_is_content(self) -> None:
        self.uvm.audit()


def machine_for(variant: dict[str, Any]) -> type[UvmMachine]:
    """Return the state machine for a system booted with these tunables."""
    return type("Uvm", (UvmMachine,), {"variant": variant})

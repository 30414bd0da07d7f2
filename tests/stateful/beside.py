"""A system and its model, driven alike, with all that must hold after every step.

=> The system is started, on a Machine on which threads take turns (turns.py): nothing is left to luck.
=> Every page that is held is filled with a stamp of its holder. Whoever else writes to it is found out when it is
   freed; and as no page is ever freed as zero, one that is said to be zero must have been zeroed.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple

import uvmfree
from tests.stateful.designs import MODELS
from tests.stateful.model import Model
from tests.stateful.ranged import Ranged
from tests.stateful.turns import TurnsMachine
from tests.stateful.virtual import VirtualTurns
from uvmfree.uvm.allocator import Cpu
from uvmfree.uvm.page import FRESH, FRESH_ZERO, PG_CLEAN, VmPage

NCPUS = 4
NPAGES = 96
BOOT: dict[str, Any] = {
    "npages": NPAGES,
    "ncpus": NCPUS,
    "pagesize": 1 << 14,
    "redistribute_interval_s": 1.0,
    "redistribute_min_gap_s": 0.5,
    "idle_interval_s": 0.25,
}
"""Small enough to be used up: 20 of 96 pages are the kernel's, freemin is 32, freetarg 42 (R24)."""

# Mostly one CPU: what is cached there is as much at stake as what is passed from one to another.
CPU = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
LWP = st.sampled_from(["user", "user", "user", "kernel", "pagedaemon"])


class Beside(RuleBasedStateMachine):
    """The state, and how a step is taken; the rules are in rules.py and machine.py."""

    variant: dict[str, Any]
    turns: type[TurnsMachine] | type[VirtualTurns] = TurnsMachine

    pages = Bundle("pages")  # one page each, held
    runs = Bundle("runs")  # a list of pages each, held

    @initialize(
        target=runs,
        ncolors=st.sampled_from([2, 4, 1, 8]),
        nfreelists=st.sampled_from([1, 1, 2, 3]),
        spread=st.lists(st.tuples(CPU, st.integers(1, 24)), max_size=6),
        held=st.sampled_from([0, 40, 60, 76]),
    )
    def boot(self, ncolors: int, nfreelists: int, spread: list[tuple[int, int]], held: int) -> Any:
        """Boot, let pages be freed here and there, and others be held: caches are full, memory is short."""
        self.machine = self.turns()
        tunables = BOOT | {"ncolors": ncolors, "nfreelists": nfreelists} | self.variant
        self.uvm = uvmfree.boot(self.machine, **tunables)
        self.model: Model = MODELS[self.uvm.param.design](self.uvm.param)
        self.page = list(self.uvm.physmem)
        ram = self.uvm.physmem.ram()
        ram[:] = b"\xff" * len(ram)  # nobody has zeroed anything yet
        self.stamps: dict[int, bytes] = {}  # of each page that is held
        self.stamp = 0
        self.sleepers: list[Any] = []
        self.woken: list[bool] = []
        self.pageouts: list[int] = []  # begun, of so many pages each
        self.uvm.__enter__()
        self.settle()
        for cpu, npages in spread:
            self.pagefree(cpu, self.pglistalloc(Ranged(npages, 0, None, 1, 0, npages)))
        got = [self.pglistalloc(Ranged(npages, 0, None, 1, 0, npages)) for npages in (held // 2, held // 2) if npages]
        self.advance(self.uvm.param.redistribute_min_gap_s)
        return multiple(*filter(None, got))

    def teardown(self) -> None:
        """Close the system: its threads end, and whoever waits is told."""
        if not hasattr(self, "uvm"):
            return
        try:
            if not self.machine.trouble:
                self.uvm.close()
                self.machine.settle()
                assert all(isinstance(sleeper.error, uvmfree.ClosedError) for sleeper in self.sleepers)
        finally:
            self.machine.give_up()

    # Steps that are taken in both.

    def settle(self) -> None:
        """Let whoever was woken run."""
        self.machine.settle()
        self.model.daemon()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.machine.advance(seconds)
        self.model.advance(round(seconds * 1e9))

    @contextmanager
    def playing(self, cpu: int, lwp: str) -> Iterator[Cpu]:
        """Play a CPU as that kind of thread."""
        with self.uvm.run_on(cpu, lwp=lwp) as player:  # type: ignore[arg-type]
            self.model.playing = cpu
            yield player
        self.model.playing = None

    def pagealloc(self, player: Cpu, lwp: str, how: dict[str, Any]) -> VmPage | None:
        how = how | {"free_list": how["free_list"] % self.uvm.param.nfreelists}
        pg = player.pagealloc(**how)
        wanted = self.model.alloc(player.index, lwp, **how)
        self.settle()
        assert (pg and pg.pfn) == wanted, f"page {pg and pg.pfn}, the model has {wanted}"
        if pg is not None:
            assert pg.flags == (FRESH_ZERO if how["zero"] else FRESH), f"{pg!r} has flags {pg.flags:#x}"  # R12
            if how["zero"]:
                assert self.uvm.physmem.bytes_of(pg) == bytes(self.uvm.param.pagesize), f"{pg!r} is not zero"
            self.hold(pg)
        return pg

    def alloc_up_to(self, npages: int, cpu: int, lwp: str, how: dict[str, Any]) -> list[VmPage]:
        """Allocate until there are so many, or one fails; an ordinary thread uses whatever object the CPU has now."""
        if cpu not in self.model.attached:
            with pytest.raises(uvmfree.BindError):
                self.uvm.cpus[cpu].pagealloc()
            with pytest.raises(uvmfree.BindError), self.uvm.run_on(cpu):
                pass
            return []
        pages: list[VmPage] = []
        with nullcontext(self.uvm.cpus[cpu]) if lwp == "user" else self.playing(cpu, lwp) as player:
            while len(pages) < npages and (pg := self.pagealloc(player, lwp, how)) is not None:
                pages.append(pg)
        return pages

    def pagefree(self, cpu: int, pages: list[VmPage], by: str = "cpu") -> None:
        """Free pages to a CPU; where there is no such CPU, or `by` says so, from a thread that plays none.

        => `by`: "player", by way of the system from a thread that plays the CPU; "list", all in one call; "twice",
           the same, and the first page again.
        """
        for pg in pages:
            assert self.uvm.physmem.bytes_of(pg) == self.stamps.pop(pg.pfn), f"{pg!r} was written to by another"
        to = cpu
        if by == "player" and cpu in self.model.attached:
            with self.playing(cpu, "user"):
                self.uvm.pglistfree(pages)
        elif by == "cpu" and cpu in self.model.attached:
            for pg in pages:
                self.uvm.cpus[cpu].pagefree(pg)
        else:
            to = min(self.model.attached)
            if by == "twice" and pages:
                with pytest.raises(uvmfree.DoubleFree, match=hex(pages[0].pfn)):
                    self.uvm.pglistfree([*pages, pages[0]])
            else:
                self.uvm.pglistfree(pages)
        for pg in pages:
            self.model.free(to, pg.pfn)
        self.settle()

    def pglistalloc(self, asked: Ranged, *, waitok: bool = False) -> list[VmPage]:
        """Allocate several pages; return none if the request cannot be met."""
        if waitok:
            wanted = self.model.pglistalloc_waitok(asked, min(self.model.attached))
        else:
            wanted = self.model.pglistalloc(asked)
        if wanted is None:
            with pytest.raises(uvmfree.OutOfPages):
                self.uvm.pglistalloc(*asked, waitok=waitok, timeout_s=0)
            self.settle()
            return []
        pages = self.uvm.pglistalloc(*asked, waitok=waitok, timeout_s=0)
        self.settle()
        assert [pg.pfn for pg in pages] == wanted, f"pages {[pg.pfn for pg in pages]}, the model has {wanted}"
        for pg in pages:
            assert pg.flags == PG_CLEAN
            self.hold(pg)
        return pages

    def hold(self, pg: VmPage) -> None:
        """Write to a page as its holder."""
        self.stamp = self.stamp % 250 + 1
        self.stamps[pg.pfn] = bytes([self.stamp]) * self.uvm.param.pagesize
        self.uvm.physmem.bytes_of(pg)[:] = self.stamps[pg.pfn]

    def redistribute(self, cpu: int | None) -> None:
        """Hand back the cache of one CPU, or of all (P8)."""
        moved = 0
        for each in range(NCPUS) if cpu is None else [cpu]:
            moved += self.model.redistribute(each)
            self.model.wake_waiters()
        assert (got := self.uvm.redistribute(cpu)) == moved, f"{got} pages were moved, the model has {moved}"
        self.settle()

    # What must hold after every step.

    def check(self) -> None:
        """Check all of it, in the middle of a step."""
        self.counters_are_exact()
        self.every_page_is_where_it_should_be()
        self.the_daemon_is_where_it_should_be()
        self.the_audit_is_content()

    @invariant()
    def counters_are_exact(self) -> None:
        """R3, R7, R11, P1."""
        uvm, model = self.uvm, self.model
        same("uvmexp", exp_of(uvm), {"free": model.free_count(), "zeropages": model.zero_count(), "lag": 0})
        for cpu, stats, wanted in zip(uvm.cpus, uvm.cpu_stats(), model.counters(), strict=True):
            found = {name: getattr(stats, name) for name in stats.__slots__} | {"nextcolor": cpu.nextcolor}
            same(f"CPU {cpu.index}", found, dict.fromkeys(found, 0) | wanted)
        drains = uvm.redistributions()
        same(
            "redistributions", drains, dict.fromkeys(drains, 0) | model.causes | {"rate-limited": model.rate_limited}
        )

    @invariant()
    def every_page_is_where_it_should_be(self) -> None:
        """R1, R3, R16."""
        held = dict.fromkeys(self.stamps, ("ALLOCATED", None, False))
        in_hand = {pfn: ("ZEROING", cpu, False) for pfn, cpu in self.model.zeroing.items()}
        found = {
            pg.pfn: (pg.place.name, pg.owner, pg.zeroed and pg.pfn not in self.stamps) for pg in self.uvm.physmem
        }
        same("pages", found, self.model.places() | in_hand | held)

    @invariant()
    def the_daemon_is_where_it_should_be(self) -> None:
        """R17 to R22."""
        pageout, daemon, model = self.uvm.pageout, self.uvm.pagedaemon, self.model
        names = ("kicks", "sleeps", "timeouts", "wakeups", "paging", "pdpending")
        found = {name: getattr(pageout, name) for name in names}
        found |= {"pdwoke": daemon.pdwoke, "pdrevs": daemon.pdrevs, "now_ns": self.machine.now_ns}
        same("pageout", found, {name: getattr(model, name) for name in found})
        self.sleepers = [sleeper for sleeper in self.sleepers if not sleeper.over]
        found = {"waiters": pageout.waiters, "asleep": len(self.sleepers), "slept_ns": pageout.sleep_ns_total}
        waiters = len(model.waiters)
        same("waiters", found, {"waiters": waiters, "asleep": waiters, "slept_ns": sum(model.slept_ns)})
        assert all(self.woken)

    @invariant()
    def the_audit_is_content(self) -> None:
        """R1, R3, R16."""
        self.uvm.audit()


def same(what: str, found: dict[Any, Any], wanted: dict[Any, Any]) -> None:
    """Fail with what is different."""
    wrong = {name: found.get(name) for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}
    assert not wrong, f"{what}: {wrong}; the model has { {name: wanted.get(name) for name in wrong} }"


def exp_of(uvm: uvmfree.Uvm) -> dict[str, int]:
    return {"free": uvm.uvmexp.free, "zeropages": uvm.uvmexp.zeropages, "lag": uvm.counter_lag()}

"""A system and its model, driven alike, with all that must hold after every step.

=> The system is started, on a Machine on which threads take turns (turns.py): nothing is left to luck.
=> Whoever holds a page has filled it (hands.py). As no page is ever freed as zero, one that is said to be zero must
   have been zeroed.
"""

from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

import uvmfree
from tests.model.hands import Hands, Table
from tests.model.model import Model
from tests.model.models import MODELS
from tests.model.operations import Op
from tests.model.page_operations import By, Free, Run
from tests.model.ranged import scattered
from tests.model.turns import TurnsMachine
from tests.model.virtual import VirtualTurns
from uvmfree.uvm.cpu import Lwp

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
    """The state, and how a step is taken; the rules are in page_rules.py and system_rules.py."""

    variant: ClassVar[dict[str, Any]]
    turns: ClassVar[type[TurnsMachine | VirtualTurns]] = TurnsMachine

    @initialize(
        ncolors=st.sampled_from([2, 4, 1, 8]),
        nfreelists=st.sampled_from([1, 1, 2, 3]),
        spread=st.lists(st.tuples(CPU, st.integers(1, 24)), max_size=6),
        held=st.sampled_from([0, 40, 60, 76]),
    )
    def boot(self, ncolors: int, nfreelists: int, spread: list[tuple[int, int]], held: int) -> None:
        """Boot, let pages be freed here and there, and others be held: caches are full, memory is short."""
        self.machine = self.turns()
        tunables = BOOT | {"ncolors": ncolors, "nfreelists": nfreelists} | self.variant
        self.uvm = uvmfree.boot(self.machine, **tunables)
        self.model: Model = MODELS[self.uvm.param.design](self.uvm.param)
        if isinstance(self.machine, VirtualTurns):
            self.model.in_order = self.machine.in_order
        self.page = list(self.uvm.physmem)
        ram = self.uvm.physmem.ram()
        ram[:] = b"\xff" * len(ram)  # nobody has zeroed anything yet
        self.table = Table(self.uvm, NCPUS)
        for hands in self.table.hands:
            hands.held = self.table.hands[0].held  # whoever took a page, any CPU may free it
        self.sleepers: list[Any] = []
        self.woken: list[bool] = []
        self.uvm.__enter__()
        self.settle()
        for cpu, npages in spread:
            self.filled(cpu, npages)
        for _ in range(2):
            if held:
                self.do(Run(scattered(held // 2)))
        self.advance(self.uvm.param.redistribute_min_gap_s)

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

    @property
    def nheld(self) -> int:
        return len(self.table.hands[0].held)

    # Steps that are taken in both.

    def settle(self) -> None:
        """Let whoever was woken run."""
        self.machine.settle()
        self.model.daemon()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.machine.advance(seconds)
        self.model.advance(round(seconds * 1e9))

    def do(self, op: Op, cpu: int = 0, lwp: Lwp = "user", *, enough: bool = False) -> int:
        """Do an operation in both, and find the same; return in how many steps.

        => An ordinary thread uses whatever object the CPU has now, others play it.
        => `enough`: it is over with the first step that found no page.
        """
        hands, steps = self.table.hands[cpu], 0
        hands.lwp = lwp
        if lwp != "user":
            self.model.playing = cpu
            with hands.playing():
                steps = self._steps(op, hands, enough)
            self.model.playing = None
            return steps
        return self._steps(op, hands, enough)

    def _steps(self, op: Op, hands: Hands, enough: bool) -> int:
        steps = 0
        for out in op.system(hands):
            wanted = op.model(self.model, hands, out)
            self.settle()
            assert out == wanted, f"{op} on CPU {hands.me} gave {out}, the model has {wanted}"
            if enough and out is None:
                break
            steps += 1
        return steps

    def free(self, cpu: int, npages: int, at: int, by: By = "cpu") -> None:
        """Free pages to a CPU; where there is no such CPU, from a thread that plays none."""
        if cpu not in self.model.attached and by in ("cpu", "player"):
            by = "list"
        self.do(Free(npages, at, by), cpu)

    def filled(self, cpu: int, npages: int) -> None:
        """Have a CPU free some pages."""
        before = self.nheld
        if self.do(Run(scattered(npages)), enough=True):
            self.free(cpu, npages, before)

    def refused_where_it_is_away(self, cpu: int) -> bool:
        """Check that a CPU which is detached refuses; return whether it is."""
        if cpu in self.model.attached:
            return False
        with pytest.raises(uvmfree.BindError):
            self.uvm.cpus[cpu].pagealloc()
        with pytest.raises(uvmfree.BindError), self.uvm.run_on(cpu):
            pass
        return True

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
        held = self.table.held()
        in_hand = {pfn: ("ZEROING", cpu, False) for pfn, cpu in self.model.zeroing.items()}
        found = {pg.pfn: (pg.place.name, pg.owner, pg.zeroed and pg.pfn not in held) for pg in self.uvm.physmem}
        same("pages", found, self.model.places() | in_hand | dict.fromkeys(held, ("ALLOCATED", None, False)))

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

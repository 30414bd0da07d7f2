"""Real threads hand pages from CPU to CPU; each page carries in its own bytes who holds it.

=> A page with two holders, a page that is on a list and held, or one that comes out before it was freed, shows as
   a stamp that is not its holder's. In the end every page is where the counters say (audit).
"""

import struct
from collections import deque
from typing import Any

import pytest

import uvmfree
from tests.kern.tasks import WAIT_S, begin, finish, void
from uvmfree.kern.xcall import Ticket
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import Body, Lane, drive

STAMP = struct.Struct("<qqq")
ROUNDS = 300
IN_HAND = 12
"""Pages that a CPU keeps before it hands the oldest on."""
TRAY = 4
"""Pages handed to a CPU that it has not taken yet: few, so that the threads must take turns."""


class Table:
    """What the players of one run share: a tray for each CPU, from which it takes what it was handed."""

    def __init__(self, uvm: uvmfree.Uvm) -> None:
        self.uvm = uvm
        self.trays: list[deque[tuple[VmPage, int, int]]] = [deque() for _ in range(uvm.param.ncpus)]
        self.done = [False] * uvm.param.ncpus  # each written by its own player, as is the next
        self.handed = [0] * uvm.param.ncpus
        self.redistributions: list[Ticket] = []

    def stamp(self, pg: VmPage, cpu: int, number: int) -> None:
        self.uvm.physmem.bytes_of(pg)[: STAMP.size] = STAMP.pack(pg.pfn, cpu, number)

    def check(self, pg: VmPage, cpu: int, number: int) -> None:
        assert STAMP.unpack_from(self.uvm.physmem.bytes_of(pg)) == (pg.pfn, cpu, number)
        assert pg.place is uvmfree.Place.ALLOCATED

    def redistribute_everywhere(self) -> None:
        """Let every xc thread hand its CPU's pages back, while all are at work (P8)."""
        self.redistributions.append(self.uvm.xcall.broadcast(lambda cpu: void(self.uvm.redistribute(cpu.index))))

    def bodies(self) -> list[Body]:
        return [lambda cpu, lane: Player(self, cpu, lane).play() for _ in self.trays]


class Player:
    """Allocates and stamps; hands pages on to the next CPU, which checks them, and frees them or keeps them."""

    def __init__(self, table: Table, cpu: Cpu, lane: Lane) -> None:
        self.table, self.cpu, self.lane, self.me = table, cpu, lane, cpu.index
        self.tray = table.trays[self.me]
        self.onward = table.trays[(self.me + 1) % len(table.trays)]
        self.mine: deque[tuple[VmPage, int]] = deque()

    def play(self) -> None:
        for number in range(ROUNDS):
            self.allocate(number)
            while len(self.mine) > IN_HAND:
                pg, stamped = self.mine.popleft()
                self.table.check(pg, self.me, stamped)
                if number % 3:
                    self.lane.wait_until(lambda: self.take_what_was_handed() and len(self.onward) < TRAY)
                    self.onward.append((pg, self.me, stamped))
                else:
                    self.cpu.pagefree(pg)
            if self.me == 0 and number % 30 == 20:
                self.table.redistribute_everywhere()
        for pg, stamped in self.mine:
            self.table.check(pg, self.me, stamped)
            self.cpu.pagefree(pg)
        self.mine.clear()
        self.table.done[self.me] = True
        self.lane.wait_until(lambda: self.take_what_was_handed() and all(self.table.done) and not self.tray)

    def allocate(self, number: int) -> None:
        zero = number % 4 == 0
        pg = self.cpu.pagealloc(zero, color=number if number % 5 == 0 else None)
        if pg is None:
            self.lane.failed += 1
            self.table.uvm.machine.sleep(0.001)  # or all rounds are over before who has the pages gets its turn
            return
        if zero:
            assert not any(self.table.uvm.physmem.bytes_of(pg))
        self.table.stamp(pg, self.me, number)
        self.mine.append((pg, number))

    def take_what_was_handed(self) -> bool:
        while self.tray:
            pg, giver, stamped = self.tray.popleft()
            self.table.handed[self.me] += 1
            self.table.check(pg, giver, stamped)
            if stamped % 2 and not self.table.done[self.me]:
                self.table.stamp(pg, self.me, stamped + 1)  # even: whoever has it next frees it
                self.mine.append((pg, stamped + 1))
            else:
                self.cpu.pagefree(pg)
        return True


@pytest.mark.sampled(8)
@pytest.mark.parametrize("lockdebug", [False, True], ids=["", "lockdebug"])
@pytest.mark.parametrize("ncpus", [2, 4])
@pytest.mark.parametrize(("design", "own"), [*((name, {}) for name in uvmfree.DESIGNS), ("percpu", {"refill": 8})])
def test_no_page_ever_has_two_holders(design: str, own: dict[str, Any], ncpus: int, lockdebug: bool) -> None:
    """R3, R12 and R13 with threads at work: each page one holder, zeroed ones zero, nothing lost in the end."""
    with uvmfree.boot(
        npages=64 * ncpus, ncpus=ncpus, ncolors=4, pagesize=512, design=design, **own,
        redistribute_interval_s=0.002, lockdebug=lockdebug,
    ) as uvm:  # fmt: skip
        table = Table(uvm)
        failed = drive(uvm, table.bodies()).failed
        for ticket in table.redistributions:
            uvm.xcall.wait(ticket, WAIT_S)
        uvm.audit()
        assert len(table.redistributions) == ROUNDS // 30
        stats = uvm.cpu_stats()
        assert [each.allocs for each in stats] == [ROUNDS - each for each in failed]
        assert sum(each.allocs for each in stats) == sum(each.frees for each in stats) > ROUNDS // 2
        assert sum(table.handed) > 20  # pages did change hands
        assert all(each.allocs == each.cpuhit + each.cpumiss == each.colorhit + each.colormiss for each in stats)
        uvm.redistribute()
        uvm.audit()
        assert (uvm.uvmexp.free, uvm.counter_lag()) == (uvm.param.npages, 0)
        assert not any(uvm.cached_pages())


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_players_come_and_go_while_pages_are_handed_back(design: str) -> None:
    """A CPU is bound again and again, while its xc thread redistributes and allocates on it."""
    with uvmfree.boot(npages=128, ncpus=2, pagesize=512, design=design, redistribute_interval_s=0.001) as uvm:

        def call(cpu: Cpu) -> None:
            pg = cpu.pagealloc()
            if pg is not None:
                try:
                    cpu.pagefree(pg)
                except uvmfree.BindError:  # bound anew meanwhile: the page is still in hand
                    strays.append(pg)

        strays: list[VmPage] = []
        tickets = []
        for round_ in range(150):
            tickets.append(uvm.xcall.broadcast(call))
            with uvm.run_on(round_ % 2) as cpu:
                pages = [pg for pg in (cpu.pagealloc() for _ in range(9)) if pg is not None]
                for pg in pages:
                    cpu.pagefree(pg)
        for ticket in tickets:
            try:
                uvm.xcall.wait(ticket, WAIT_S)
            except uvmfree.XcallError as error:
                assert isinstance(error.__cause__, uvmfree.BindError)  # noqa: PT017 (either outcome is right)
        uvm.audit()
        for pg in strays:
            uvm.cpus[0].pagefree(pg)
        uvm.redistribute()
        uvm.audit()
        assert uvm.uvmexp.free == 128


def test_two_systems_run_side_by_side() -> None:
    """Threads of two systems at once: neither sees the other."""
    with uvmfree.boot(npages=96, ncpus=2, pagesize=512) as one:
        with uvmfree.boot(npages=96, ncpus=2, pagesize=512, design="fpageqlock") as two:
            tables = [Table(one), Table(two)]
            finish(*[begin(lambda table=table: drive(table.uvm, table.bodies())) for table in tables])  # type: ignore[misc]
            two.audit()
        one.audit()

"""Everything at once: real threads do all that can be done to a system, at random, each page stamped by its holder.

=> Two to four CPUs; the last of them comes and goes. Players allocate, free, hand pages on, zero, redistribute, wait,
   ask for runs, send cross-calls; the main thread recolours, detaches, attaches and audits under way.
=> A page with two holders, one that is lost, or one that is not zero when it should be, is caught by its stamp, by an
   audit, or by the count at the end. A failure's message has the seed: it repeats what each thread does, though not
   who comes first.
"""

import random
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

import uvmfree
from tests.kern.tasks import WAIT_S, begin, finish
from tests.mechanism.rig import SMALL, VARIANTS, all_free, settle, until
from uvmfree.kern.xcall import Ticket
from uvmfree.uvm.allocator import Cpu
from uvmfree.uvm.page import Place, VmPage
from uvmfree.workload.driver import Body, Lane, drive

STEPS = 260
IN_HAND = 24
STAMP = struct.Struct("<qqq")
LOOSE, TRAY = -1, -2
"""Holders that are no player: pages that the daemon may reclaim, and pages on their way to another player."""

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *VARIANTS.items(),
    ("fpageqlock, idle", {"design": "fpageqlock", "idlezero": True}),
    ("percpu, idle", {"design": "percpu", "idlezero": True}),
    ("percpu, idle, bounded", {"design": "percpu", "idlezero": True, "hoard_max": 6, "refill": 3}),
    ("percpu, all", {
        "design": "percpu", "idlezero": True, "hoard_max": 16, "refill": 8, "search": "colour", "drain_retry": True,
        "remote_drain": True,
    }),
]  # fmt: skip


class Torture:
    """What the threads of one run share."""

    def __init__(self, uvm: uvmfree.Uvm, seed: int) -> None:
        self.uvm = uvm
        self.seed = seed
        self.players = uvm.param.ncpus - 1
        self.trays: list[deque[VmPage]] = [deque() for _ in range(self.players)]
        self.loose: deque[VmPage] = deque()
        self.tickets: deque[Ticket] = deque()
        self.finished = [False] * self.players
        uvm.pagedaemon.add_reclaimer(self)

    def stamp(self, pg: VmPage, holder: int) -> None:
        self.uvm.physmem.bytes_of(pg)[: STAMP.size] = STAMP.pack(pg.pfn, holder, ~holder)

    def check(self, pg: VmPage, holder: int) -> None:
        assert STAMP.unpack_from(self.uvm.physmem.bytes_of(pg)) == (pg.pfn, holder, ~holder)
        assert pg.place is Place.ALLOCATED

    def needs_scan(self) -> bool:
        return False

    def reclaim_one(self) -> bool:
        try:
            pg = self.loose.popleft()
        except IndexError:
            return False
        self.check(pg, LOOSE)
        self.uvm.pagefree(pg)
        return True

    def called(self, cpu: Cpu) -> None:
        """Be a cross-call: allocate and free on an xc thread, whoever plays the CPU."""
        pg = None
        try:
            pg = cpu.pagealloc(zero=True)
            if pg is not None:
                assert not any(self.uvm.physmem.bytes_of(pg))
                self.stamp(pg, LOOSE)
                cpu.pagefree(pg)
        except uvmfree.BindError:  # the CPU was detached, or taken over, meanwhile
            if pg is not None:
                self.loose.append(pg)


class Player:
    """One thread on one CPU, and the pages that it holds."""

    def __init__(self, torture: Torture, cpu: Cpu, lane: Lane) -> None:
        self.torture, self.uvm, self.cpu, self.lane, self.me = torture, torture.uvm, cpu, lane, cpu.index
        self.rng = random.Random(torture.seed * 100 + self.me)
        self.mine: list[VmPage] = []
        self.runs: list[list[VmPage]] = []
        self.steps: list[tuple[int, Callable[[], object]]] = [
            (30, self.alloc),
            (24, self.free),
            (6, self.hand_on),
            (6, self.let_go),
            (4, self.take_tray),
            (4, lambda: self.uvm.redistribute(self.rng.choice((None, self.me, self.uvm.param.ncpus - 1)))),
            (4, lambda: cpu.pageidlezero(lambda: self.rng.random() < 0.05)),
            (3, self.run_of_pages),
            (3, self.give_run_back),
            (2, lambda: self.uvm.wait(0.001)),
            (2, self.uvm.kick_pdaemon),
            (2, self.call),
            (2, self.free_nonsense),
            (2, self.look),
        ]

    def play(self) -> None:
        weights = [weight for weight, _ in self.steps]
        for _ in range(STEPS):
            self.rng.choices(self.steps, weights)[0][1]()
        while self.mine:
            self.free()
        while self.runs:
            self.give_run_back()
        self.torture.finished[self.me] = True
        self.lane.wait_until(lambda: self.take_tray() and all(self.torture.finished) and not self.tray)
        while self.mine:
            self.free()

    @property
    def tray(self) -> deque[VmPage]:
        return self.torture.trays[self.me]

    def alloc(self) -> None:
        if len(self.mine) >= IN_HAND:
            return self.free()
        zero = self.rng.random() < 0.3
        how: dict[str, Any] = self.rng.choice(
            ({}, {}, {}, {"color": self.rng.randrange(16)}, {"strat": "only"}, {"strat": "fallback", "free_list": 1})
        )
        pg = self.cpu.pagealloc(zero, use_reserve=self.rng.random() < 0.1, **how)
        if pg is not None:
            if zero:
                assert not any(self.uvm.physmem.bytes_of(pg))
            self.torture.stamp(pg, self.me)
            self.mine.append(pg)
        return None

    def free(self) -> None:
        if self.mine:
            pg = self.mine.pop(self.rng.randrange(len(self.mine)))
            self.torture.check(pg, self.me)
            self.cpu.pagefree(pg)

    def hand_on(self) -> None:
        if self.mine:
            pg = self.mine.pop()
            self.torture.check(pg, self.me)
            self.torture.stamp(pg, TRAY)
            self.rng.choice(self.torture.trays).append(pg)

    def take_tray(self) -> bool:
        while self.tray:
            pg = self.tray.popleft()
            self.torture.check(pg, TRAY)
            self.torture.stamp(pg, self.me)
            self.mine.append(pg)
        return True

    def let_go(self) -> None:
        """Let the daemon have a page."""
        if self.mine:
            pg = self.mine.pop()
            self.torture.check(pg, self.me)
            self.torture.stamp(pg, LOOSE)
            self.torture.loose.append(pg)

    def run_of_pages(self) -> None:
        size = self.rng.choice((2, 4, 8))
        nsegs = self.rng.choice((1, size))
        try:
            run = self.uvm.pglistalloc(
                size, nsegs=nsegs, alignment=self.rng.choice((1, 2)), waitok=self.rng.random() < 0.3, timeout_s=0.001
            )
        except uvmfree.OutOfPages:
            return
        for pg in run:
            self.torture.stamp(pg, self.me)
        self.runs.append(run)

    def give_run_back(self) -> None:
        if self.runs:
            run = self.runs.pop(0)
            for pg in run:
                self.torture.check(pg, self.me)
            self.uvm.pglistfree(run)

    def call(self) -> None:
        self.torture.tickets.append(self.uvm.xcall.broadcast(self.torture.called))

    def free_nonsense(self) -> None:
        with pytest.raises(uvmfree.ForeignPage):
            self.cpu.pagefree(None)  # type: ignore[arg-type]

    def look(self) -> None:
        seen = self.uvm.uvmexp.snapshot()
        assert seen.npages == self.uvm.param.npages
        assert all(cached >= 0 for cached in self.uvm.cached_pages())
        assert set(self.uvm.redistributions()) >= {"timer", "pressure"}
        assert abs(self.uvm.counter_lag()) <= seen.npages


def conduct(torture: Torture, rng: random.Random) -> None:
    """Change the system as a whole: colours, and the last CPU; audit under way."""
    uvm, last = torture.uvm, torture.uvm.param.ncpus - 1
    what = rng.randrange(8)  # half of the time nothing: the players shall get on
    if what == 0:
        uvm.recolor(1 << rng.randrange(5))
    elif what == 1:
        uvm.detach(last)
        uvm.redistribute()
        uvm.attach(last)
    elif what == 2:
        uvm.audit()
    elif what == 3:
        with uvm.run_on(last) as cpu:
            torture.called(cpu)
    elif what == 4:
        uvm.cpus[last].pageidlezero(lambda: rng.random() < 0.1)
    while torture.tickets:
        uvm.xcall.wait(torture.tickets.popleft(), WAIT_S)


def torture_once(variant: dict[str, Any], seed: int) -> None:
    rng = random.Random(seed)
    ncpus = 3 + seed % 2
    often = {"redistribute_interval_s": 0.002, "redistribute_min_gap_s": 0.001, "idle_interval_s": 0.001}
    sizes = {"ncpus": ncpus, "npages": 40 * ncpus, "nfreelists": 2, "pagesize": rng.choice((512, 1 << 14))}
    with uvmfree.boot(**SMALL | sizes | often | variant, lockdebug=True) as uvm:
        torture = Torture(uvm, seed)
        bodies: list[Body] = [lambda cpu, lane: Player(torture, cpu, lane).play() for _ in range(torture.players)]

        broken: list[BaseException] = []
        players = begin(lambda: drive(uvm, bodies, lambda: bool(broken)))
        try:
            while not players.join(0.0):
                conduct(torture, rng)
        except BaseException as error:
            broken.append(error)
            raise
        finally:
            finish(players)
        while torture.tickets:
            uvm.xcall.wait(torture.tickets.popleft(), WAIT_S)
        while torture.reclaim_one():
            pass
        assert not any(torture.trays)
        until(lambda: all_free(uvm) == uvm.param.npages)  # the daemon, and idle threads, may have one in hand
        uvm.audit()
        if not uvm.param.idlezero:
            settle(uvm)
        stats = uvm.cpu_stats()
        assert all(each.allocs == each.cpuhit + each.cpumiss == each.colorhit + each.colormiss for each in stats)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", [name for name, _ in OPTIONS])
def test_nothing_is_lost_whatever_happens_at_once(name: str, seed: int) -> None:
    """R3, R12, R13, R16, R18, R28, P8 and Q13 with all threads at work."""
    try:
        torture_once(dict(OPTIONS)[name], seed)
    except BaseException as error:
        error.add_note(f"torture_once(dict(OPTIONS)[{name!r}], seed={seed})")
        raise

"""Memory pressure on real threads: a daemon, an I/O thread, and two CPUs that write to more pages than there are."""

import random

import pytest

import uvmfree
from tests.anon.rig import NPAGES, Rig, io_error, until
from tests.kern.tasks import WAIT_S, WORK_S, begin, finish
from tests.threads.programs import quiet
from tests.uvm.machines import StandingMachine
from uvmfree.errors import OutOfPages
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.designs import traits_of
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.swap import SwapFile, SwapIO

VIRTUAL = NPAGES * 3 // 2
TOUCHES = 1500


def is_fed(design: str) -> bool:
    """Whether the daemon hears of it when an allocation is refused, in a system as small as those here.

    => Not of netbsd10: a bucket refuses for what it has itself, and the daemon counts what the CPUs cache, too. That
       is more here than the watermarks lie apart, so nobody is woken, and who waits gives up.
    """
    traits = traits_of(uvmfree.Param.of({"design": design}))
    return (traits.gate, traits.short) != ("part", "all")


FED = [design for design in sorted(uvmfree.DESIGNS) if is_fed(design)]


class Threads:
    """The daemon and the I/O thread of a rig; ended in the order in which a system has to end them."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._task = begin(self._daemon, "pagedaemon")
        rig.swap.start()

    def _daemon(self) -> None:
        self._rig.daemon_thread = self._rig.machine.me()
        self._rig.daemon.run()

    def end(self) -> None:
        self._rig.pageout.close()
        finish(self._task)
        self._rig.swap.close(WAIT_S)


def writer(rig: Rig, index: int, seed: int) -> None:
    """Touch pages at random, half of them to write, and let go of one now and then."""
    rng = random.Random(seed)
    with rig.uvm.run_on(index) as cpu:
        for _ in range(TOUCHES):
            at = rng.randrange(VIRTUAL)
            if rng.random() < 0.02:
                rig.anons.discard(cpu, at)
            else:
                rig.anons.touch(cpu, at, write=rng.random() < 0.5)


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("design", FED)
def test_two_writers_over_one_and_a_half_times_ram(design: str, failing: bool) -> None:
    """R6 to R23 together: every stamp holds, every wait ends, and every page is back in the end."""
    writes = [0]  # guarded by being the I/O thread's alone

    def fail(slot: int) -> OSError | None:
        writes[0] += 1
        return io_error(slot) if failing and writes[0] % 7 == 0 else None

    with Rig(design=design, virtual=VIRTUAL, nslots=VIRTUAL, patience_s=WAIT_S, fail=fail) as rig:
        threads = Threads(rig)
        writers = [begin(lambda index=index: writer(rig, index, seed=17 + index)) for index in (0, 1)]  # type: ignore[misc]
        finish(*writers, wait_s=WORK_S)
        rig.touch(*range(VIRTUAL))
        threads.end()
        now = rig.anons.stats()
        assert now.busy == 0
        assert (rig.pageout.waiters, rig.pageout.timeouts) == (0, 0)
        assert now.pgswapin > 0
        assert now.pdpageouts == now.pgswapout + now.swap_write_errors
        assert (now.swap_write_errors > 0) is failing
        assert now.pdfreed >= now.pgswapout
        assert rig.pageout.sleeps == sum(rig.pageout.sleep_hist) > 0
        rig.uvm.audit()
        rig.settle()


@pytest.mark.parametrize("design", FED)
def test_the_system_and_its_own_pagedaemon(design: str) -> None:
    """R4, R17 to R22: pagealloc kicks the daemon, uvm_wait waits for it, redistribution feeds it."""
    uvm = uvmfree.boot(npages=128, ncpus=3, pagesize=1 << 16, design=design, lockdebug=True)
    pages = 192
    file = SwapFile(uvm.machine, pages, 1 << 16)
    swap = SwapIO(uvm.machine, file)

    def pagefree(pg: VmPage) -> None:
        uvm.cpus[2].pagefree(pg)
        uvm.redistribute(2)

    anons = AnonMemory(
        uvm.machine, uvm.physmem, uvm.pageout, swap, npages=pages, pagefree=pagefree, wait=uvm.wait, patience_s=WAIT_S
    )
    uvm.pagedaemon.add_reclaimer(anons)

    def write(index: int) -> None:
        rng = random.Random(index)
        with uvm.run_on(index) as cpu:
            for _ in range(600):
                anons.touch(cpu, rng.randrange(pages), write=rng.random() < 0.5)

    with uvm:
        swap.start()
        finish(*[begin(lambda index=index: write(index)) for index in (0, 1)], wait_s=WORK_S)  # type: ignore[misc]
        with uvm.run_on(0) as cpu:
            for at in range(pages):
                anons.touch(cpu, at)
            swap.close(WAIT_S)
            anons.audit()
            anons.free_all(cpu)
        quiet(uvm)  # the daemon may have a clean page in hand, parted from its anon and not freed yet
        uvm.audit()
        assert (uvm.pageout.paging, uvm.pageout.pdpending, file.inuse) == (0, 0, 0)
        uvm.redistribute()
        assert uvm.uvmexp.free == 128
        assert uvm.pageout.timeouts == 0
        assert anons.stats().pgswapin > 0
    file.close()


def test_swap_that_is_too_small_ends_the_writers_with_a_clear_error_and_nothing_is_lost() -> None:
    """R21: no silent hang when there is nothing left to hope for."""

    def fill(index: int) -> None:
        """Write to more pages than RAM and swap hold, which nobody else touches."""
        with rig.uvm.run_on(index) as cpu:
            for at in range(NPAGES):
                rig.anons.touch(cpu, index * NPAGES + at, write=True)

    # Who waits loses patience when swap is full, however long the daemon and the I/O thread take to fill it.
    machine = StandingMachine(lambda: rig.file.inuse == 8)
    rig = Rig(virtual=2 * NPAGES, nslots=8, patience_s=0.3, machine=machine)
    with rig:
        threads = Threads(rig)
        tasks = [begin(lambda index=index: fill(index)) for index in (0, 1)]  # type: ignore[misc]
        for task in tasks:
            with pytest.raises(OutOfPages, match="8 of 8 swap slots are in use, 0 writes failed"):
                finish(task)
        threads.end()
        now = rig.anons.stats()
        assert (now.swapped, now.resident, now.dirty) == (8, now.dirty, now.resident)
        assert now.swap_full > 0
        rig.settle()


def test_closing_wakes_those_who_wait_for_pages() -> None:
    """R18: with ClosedError."""
    with Rig(virtual=VIRTUAL, nslots=0, patience_s=WAIT_S) as rig:
        rig.touch(*range(NPAGES - 15), write=True)
        task = begin(lambda: rig.anons.touch(rig.uvm.cpus[1], VIRTUAL - 1))
        until(lambda: rig.pageout.waiters)
        rig.pageout.close()
        with pytest.raises(uvmfree.ClosedError):
            finish(task)
        rig.settle()

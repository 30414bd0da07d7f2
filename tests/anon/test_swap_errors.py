"""Swap that is full, fails, or stops half way: the page stays where it is, the daemon goes on, and it is said."""

import os
import threading
from typing import Any

import pytest

from tests.anon.rig import USABLE, Rig, io_error, until
from tests.kern.tasks import WAIT_S, await_event, begin, finish
from tests.uvm.machines import ClockMachine
from uvmfree.errors import ClosedError, HangError, OutOfPages
from uvmfree.uvm.anonpage import AnonState, SwapReadError
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.physmem import PhysMem

RESIDENT, PAGEOUT, SWAPPED = AnonState.RESIDENT, AnonState.PAGEOUT, AnonState.SWAPPED


def test_a_page_that_finds_swap_full_stays_dirty_and_the_scan_ends() -> None:
    """R20: a scan ends with no victim left."""
    with Rig(nslots=3) as rig:
        rig.touch(*range(10), write=True)
        looked = rig.scan()
        now = rig.anons.stats()
        assert (now.swapped, now.resident, now.dirty, now.swpginuse) == (3, 7, 7, 3)
        assert 7 <= now.swap_full <= looked <= 2 * 10 + 3
        assert rig.scan() <= 2 * 7  # and the next one ends as well
        rig.touch(*range(10))
        rig.settle()


def test_clean_pages_are_freed_though_swap_is_full() -> None:
    with Rig(nslots=1) as rig:
        rig.touch(0, 1, 2, write=True)
        rig.touch(3, 4)
        rig.scan()
        now = rig.anons.stats()
        assert (now.swapped, now.dirty, now.resident) == (1, 2, 2)
        rig.settle()


def test_a_map_that_swap_cannot_take_ends_by_out_of_pages_with_the_reason() -> None:
    """R21: the daemon wakes the waiters though it found nothing; the access says why in the end."""
    machine = ClockMachine()

    def wait(timeout_s: float) -> bool:
        machine.now_s += 0.05
        return rig.daemon_wait(timeout_s)

    with Rig(machine=machine, nslots=5, patience_s=0.2, wait=wait) as rig:
        rig.touch(*range(USABLE + 5), write=True)
        with pytest.raises(OutOfPages, match=r"5 of 5 swap slots are in use, 0 writes failed"):
            rig.touch(USABLE + 5)
        rig.anons.discard(rig.cpu, 0)  # somebody lets go of memory: it goes on
        rig.touch(USABLE + 5)
        rig.settle()


def test_the_reason_counts_the_writes_that_failed_and_not_the_reads() -> None:
    with Rig(fail=io_error, wait=lambda timeout_s: False, patience_s=5) as rig:
        rig.touch(*range(USABLE), write=True)
        rig.anons.reclaim_one()
        rig.drain()
        with pytest.raises(OutOfPages, match=r"0 of 128 swap slots are in use, 1 writes failed$"):
            rig.touch(USABLE)
        rig.settle()


def test_a_file_that_is_closed_is_no_read_that_failed() -> None:
    with Rig() as rig:
        rig.touch(0, write=True)
        rig.scan()
        rig.file.close()
        with pytest.raises(ClosedError):
            rig.touch(0)
        assert (rig.anons.stats().swap_read_errors, rig.state(0)) == (0, SWAPPED)
        rig.settle()


def test_a_page_whose_write_fails_stays_dirty_is_counted_and_tried_again() -> None:
    """R22: a pageout that failed is done, too."""
    broken = {0, 1}
    with Rig(fail=lambda slot: io_error(slot) if slot in broken else None) as rig:
        rig.touch(0, write=True)
        assert rig.anons.reclaim_one()
        assert (rig.state(0), rig.pageout.paging, rig.file.inuse) == (PAGEOUT, 1, 1)
        rig.drain()
        now = rig.anons.stats()
        assert (now.swap_write_errors, now.pgswapout, now.dirty, now.resident) == (1, 0, 1, 1)
        assert (rig.state(0), rig.pageout.paging, rig.pageout.pdpending, rig.file.inuse) == (RESIDENT, 0, 0, 0)
        rig.touch(0)
        for _ in range(5):  # as many passes: with one page only, each looks at it twice at most
            rig.scan()
        assert rig.state(0) is SWAPPED  # by slot 1, and then 2: one that failed comes up again only after all others
        assert rig.anons.stats().swap_write_errors == 2
        rig.touch(0)
        rig.settle()


def test_a_page_whose_write_fails_has_a_second_chance() -> None:
    """It is the youngest then, and counts as accessed: the next look passes it over, the one after that does not."""
    with Rig(fail=lambda slot: io_error(slot) if slot == 0 else None) as rig:
        rig.touch(0, write=True)
        assert rig.anons.reclaim_one()
        rig.drain()
        before = rig.anons.stats()
        assert rig.anons.reclaim_one()
        now = rig.anons.stats()
        assert (rig.state(0), now.pdreact - before.pdreact, now.pdpageouts - before.pdpageouts) == (RESIDENT, 1, 0)
        assert not rig.anons.reclaim_one()  # it has been looked at twice since a page was last freed
        assert rig.anons.reclaim_one()
        assert (rig.state(0), rig.anons.stats().pdpageouts - before.pdpageouts) == (PAGEOUT, 1)
        rig.drain()
        rig.settle()


def test_others_are_reclaimed_while_some_writes_fail() -> None:
    with Rig(fail=lambda slot: io_error(slot) if slot % 3 == 0 else None) as rig:
        rig.touch(*range(30), write=True)
        rig.scan()
        now = rig.anons.stats()
        assert (now.swapped, now.dirty) == (30, 0)
        assert now.swap_write_errors >= 10
        rig.touch(*range(30))
        rig.settle()


def test_when_every_write_fails_each_pass_ends() -> None:
    """R20 and R21: the daemon gives up, wakes the waiters, and tries again in the next pass."""
    with Rig(fail=io_error) as rig:
        rig.touch(*range(USABLE), write=True)
        for number in range(1, 4):
            looked = rig.daemon.pdscans
            rig.daemon.one_pass()
            assert rig.drain() > 0
            while rig.anons.reclaim_one():
                rig.drain()
            assert rig.daemon.pdscans - looked <= 2 * USABLE + 1
            now = rig.anons.stats()
            assert (now.dirty, now.swapped, now.pgswapout) == (USABLE, 0, 0)
            assert now.swap_write_errors >= number * USABLE
            assert rig.pageout.paging == 0
        rig.touch(*range(USABLE))
        rig.settle()


def test_a_page_that_cannot_be_read_back_is_an_error_that_may_be_tried_again() -> None:
    broken = [True]

    def pread(fd: int, n: int, at: int) -> bytes:
        if broken[0]:
            raise io_error(at)
        return os.pread(fd, n, at)

    with Rig(pread=pread) as rig:
        rig.touch(7, write=True)
        rig.scan()
        free = rig.free()
        for number in range(1, 3):
            with pytest.raises(SwapReadError, match=r"page 7 of map 1 cannot be read back: .*slot 0 is broken"):
                rig.touch(7)
            assert rig.anons.stats().swap_read_errors == number
            assert rig.state(7) is SWAPPED
            rig.uvm.redistribute()
            assert rig.free() == free
        broken[0] = False
        rig.touch(7, write=True)
        rig.settle()


def test_short_writes_and_short_reads_are_no_faults() -> None:
    with Rig(
        pwrite=lambda fd, data, at: os.pwrite(fd, data[:50], at), pread=lambda fd, n, at: os.pread(fd, min(n, 33), at)
    ) as rig:
        rig.touch(*range(8), write=True)
        rig.scan()
        assert rig.anons.stats().swapped == 8
        rig.touch(*range(8))
        rig.settle()


def test_a_write_that_gets_nowhere_is_a_failed_write() -> None:
    with Rig(pwrite=lambda fd, data, at: 0) as rig:
        rig.touch(0, write=True)
        rig.scan()
        now = rig.anons.stats()
        assert (now.dirty, now.swapped) == (1, 0)
        assert now.swap_write_errors >= 1
        rig.settle()


def test_who_wants_a_page_that_is_being_written_waits_for_it() -> None:
    with Rig(patience_s=WAIT_S) as rig:
        rig.touch(0, write=True)
        rig.anons.reclaim_one()
        sleeper = begin(lambda: rig.anons.touch(rig.uvm.cpus[1], 0, write=True))
        until(lambda: rig.anons.stats().fltpgwait > 0)
        assert rig.state(0) is PAGEOUT
        rig.drain()
        finish(sleeper)
        assert rig.state(0) is RESIDENT
        assert rig.anons.stats().pgswapin == 1
        rig.settle()


def test_a_page_that_stays_busy_is_no_hang() -> None:
    with Rig(patience_s=0.02) as rig:
        rig.touch(0, write=True)
        rig.anons.reclaim_one()
        for call in (rig.anons.touch, rig.anons.discard):
            with pytest.raises(HangError, match=r"page 0 of map 1 stayed busy for 0\.02 s: .*being written to swap"):
                call(rig.cpu, 0)
        rig.drain()
        rig.settle()


def test_a_swap_that_is_closed_takes_no_page_and_loses_none() -> None:
    with Rig() as rig:
        rig.touch(0, write=True)
        rig.swap.close()
        rig.touch(1)
        assert rig.scan() == 4  # the dirty page, the clean one, and twice the dirty one again
        assert rig.anons.stats().swap_full == 0
        assert (rig.state(0), rig.pageout.paging, rig.pageout.pdpending) == (RESIDENT, 0, 0)
        rig.touch(0)
        rig.settle()


def test_a_swap_that_is_closed_between_the_slot_and_the_write_loses_no_page() -> None:
    class Closes(PhysMem):
        """Physical memory that closes swap when the pagedaemon asks for the bytes to be written."""

        def __init__(self, real: PhysMem) -> None:
            self.real, self.pagesize = real, real.pagesize

        def bytes_of(self, pg: VmPage) -> memoryview:
            if rig.pageout.paging:
                rig.swap.close()
            return self.real.bytes_of(pg)

    with Rig(physmem=Closes) as rig:
        rig.touch(0, write=True)
        assert rig.anons.reclaim_one()
        assert (rig.state(0), rig.pageout.paging, rig.file.inuse) == (RESIDENT, 0, 0)
        rig.touch(0)
        rig.settle()


def test_an_io_thread_that_dies_fails_the_daemon_and_all_who_wait() -> None:
    """R18: no silent hang."""
    died = threading.Event()

    def broken(slot: int) -> Any:
        raise LookupError(slot)

    with Rig(fail=broken, patience_s=10 * WAIT_S) as rig:  # they are told, and do not find it out by themselves
        rig.touch(0, 1, write=True)
        rig.anons.reclaim_one()
        sleepers = [begin(lambda: rig.anons.touch(rig.uvm.cpus[1], 0)), begin(lambda: rig.pageout.wait(WAIT_S))]
        until(lambda: rig.anons.stats().fltpgwait > 0 and rig.pageout.waiters > 0)
        rig.swap.on_death(lambda error: died.set())
        rig.swap.start()
        await_event(died)
        for sleeper in sleepers:
            with pytest.raises(HangError, match="died of"):
                finish(sleeper)
        with pytest.raises(HangError, match="swapio died of LookupError"):
            rig.pageout.wait(WAIT_S)
        with pytest.raises(HangError, match="swapio died of LookupError"):
            rig.anons.reclaim_one()
        assert rig.state(1) is RESIDENT
        with pytest.raises(HangError, match="swapio died of LookupError"):
            rig.swap.close(WAIT_S)


def test_a_page_is_not_lost_when_the_cpu_goes_away_before_it_is_freed() -> None:
    """Q13: whoever touches or discards a page on a CPU that is detached meanwhile frees it past that CPU."""
    broken = [False]

    def pread(fd: int, n: int, at: int) -> bytes:
        if broken[0]:
            rig.uvm.detach(1)
            raise io_error(at)
        return os.pread(fd, n, at)

    with Rig(pread=pread) as rig:
        with rig.uvm.run_on(1) as cpu:
            rig.anons.touch(cpu, 0, write=True)
            rig.anons.touch(cpu, 1, write=True)
            rig.scan()
            broken[0] = True
            with pytest.raises(SwapReadError):
                rig.anons.touch(cpu, 0)
            broken[0] = False
            rig.touch(1)
            rig.anons.discard(cpu, 1)
        rig.settle()

"""The anon map: what an access finds, and how pages are reclaimed, waited for and come back."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.anon.rig import USABLE, Rig
from uvmfree.errors import ArgumentError, ClosedError, OutOfPages
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.anonpage import AnonState
from uvmfree.uvm.page import PG_CLEAN, VmPage
from uvmfree.uvm.physmem import PhysMem

UNTOUCHED, SWAPPED, RESIDENT, PAGEOUT = AnonState.UNTOUCHED, AnonState.SWAPPED, AnonState.RESIDENT, AnonState.PAGEOUT


def test_a_page_is_zero_filled_once_and_then_stays() -> None:
    with Rig() as rig:
        rig.touch(3)
        rig.touch(3, write=True)
        rig.touch(3, 3)
        now = rig.anons.stats()
        assert (now.faults, now.flt_przero, now.resident, now.dirty, now.inactive) == (4, 1, 1, 1, 1)
        rig.settle()


def test_a_page_that_was_never_written_to_is_freed_and_forgotten() -> None:
    with Rig() as rig:
        rig.touch(0)
        assert rig.anons.reclaim_one()
        assert rig.state(0) is UNTOUCHED
        rig.uvm.audit()
        assert not rig.anons.reclaim_one()
        rig.touch(0)
        now = rig.anons.stats()
        assert (now.pdfreed, now.pdpageouts, now.flt_przero) == (1, 0, 2)
        rig.settle()


def test_a_dirty_page_is_written_freed_and_read_back() -> None:
    """R22: paging counts it from the start of the write to its end."""
    with Rig() as rig:
        rig.touch(5, write=True)
        rig.touch(6, 5, write=True)
        before = rig.free()
        rig.anons.reclaim_one()  # 5 was accessed again: a second chance
        rig.anons.reclaim_one()
        assert (rig.state(5), rig.state(6)) == (RESIDENT, PAGEOUT)
        assert (rig.pageout.paging, rig.pageout.pdpending, rig.free() - before) == (1, 1, 0)
        assert rig.drain() == 1
        assert (rig.pageout.paging, rig.pageout.pdpending) == (0, 0)
        assert rig.state(6) is SWAPPED
        rig.uvm.redistribute()
        rig.touch(6)
        now = rig.anons.stats()
        assert (now.pdpageouts, now.pgswapout, now.pgswapin, now.pdfreed, now.pdreact) == (1, 1, 1, 1, 1)
        rig.settle()


def test_a_clean_page_with_a_copy_in_swap_is_freed_without_a_write() -> None:
    with Rig() as rig:
        rig.touch(1, write=True)
        rig.scan()
        rig.touch(1)
        assert rig.anons.reclaim_one()
        assert rig.state(1) is SWAPPED
        rig.touch(1)
        assert rig.anons.stats().pgswapout == 1
        rig.settle()


def test_a_write_makes_the_copy_in_swap_old_and_gives_its_slot_back() -> None:
    with Rig() as rig:
        rig.touch(1, write=True)
        rig.scan()
        assert rig.file.inuse == 1
        rig.touch(1)
        assert rig.file.inuse == 1
        rig.touch(1, write=True)
        assert rig.file.inuse == 0
        rig.scan()
        rig.touch(1)
        assert rig.anons.stats().pgswapout == 2
        rig.settle()


def test_pages_go_oldest_first_and_those_accessed_again_get_a_second_chance() -> None:
    with Rig() as rig:
        rig.touch(0, 1, 2, 3)
        rig.touch(0, 2)
        gone: list[int] = []
        while rig.anons.reclaim_one():
            gone += [index for index in range(4) if rig.state(index) is UNTOUCHED and index not in gone]
        assert gone == [1, 3, 0, 2]
        assert rig.anons.stats().pdreact == 2
        assert not rig.anons.needs_scan()  # R17: the policy has no wish of its own
        rig.settle()


def test_more_pages_than_ram_are_had_by_waiting_for_the_daemon() -> None:
    """R18: who finds no page waits, and tries again."""
    with Rig(wait=lambda timeout_s: rig.daemon_wait(timeout_s)) as rig:
        for _ in range(3):
            rig.touch(*range(rig.anons.npages), write=True)
        rig.touch(*range(rig.anons.npages))
        now = rig.anons.stats()
        assert now.fltnoram > 0
        assert now.pgswapin > 0
        assert now.pgswapout >= now.swapped > 0
        assert now.faults == 4 * now.npages
        rig.settle()


def test_no_lock_is_held_while_bytes_are_touched_pages_had_or_waited_for() -> None:
    """R18: the caller of uvm_wait has dropped everything; the checking mutex would refuse a second taking."""
    seen: set[str] = set()

    def free_of_locks(what: str) -> None:
        assert rig.anons.mutex.owner != rig.machine.me()
        seen.add(what)

    class Watched:
        """Physical memory that looks at the locks whenever the bytes of a page are asked for."""

        def __init__(self, real: PhysMem) -> None:
            self.pagesize = real.pagesize
            self._real = real

        def bytes_of(self, pg: VmPage) -> memoryview:
            free_of_locks("bytes")
            return self._real.bytes_of(pg)

    class WatchedCpu:
        def pagealloc(self, **how: Any) -> VmPage | None:
            free_of_locks("pagealloc")
            return rig.cpu.pagealloc(**how)

    def wait(timeout_s: float) -> bool:
        free_of_locks("wait")
        return rig.daemon_wait(timeout_s)

    def fail(slot: int) -> None:
        free_of_locks("write")

    with Rig(physmem=Watched, wait=wait, fail=fail) as rig:
        cpu: Any = WatchedCpu()
        for index in range(rig.anons.npages):
            rig.anons.touch(cpu, index, write=True)
        assert seen == {"bytes", "pagealloc", "wait", "write"}
        rig.settle()


def test_a_page_whose_bytes_are_being_accessed_is_passed_over() -> None:
    looked: list[AnonState] = []

    class Meanwhile:
        """Physical memory that lets the pagedaemon come by whenever the bytes of a page are asked for."""

        def __init__(self, real: PhysMem) -> None:
            self.pagesize = real.pagesize
            self._real = real

        def bytes_of(self, pg: VmPage) -> memoryview:
            assert rig.anons.reclaim_one()
            looked.append(rig.state(0))
            return self._real.bytes_of(pg)

    with Rig(physmem=Meanwhile) as rig:
        rig.touch(0, 0, write=True)
        assert looked == [AnonState.INUSE] * 2
        assert rig.anons.stats().pdbusy == 2
        rig.settle()


@pytest.mark.parametrize("index", [-1, 128, 1.0, True])
def test_a_bad_index_is_refused(index: Any) -> None:
    with Rig() as rig:
        for call in (rig.anons.touch, rig.anons.discard):
            with pytest.raises(ArgumentError, match=r"index=.*: map 1 has pages 0 to 127"):
                call(rig.cpu, index)


@pytest.mark.parametrize("how", [{"npages": 0}, {"npages": 1.0}, {"owner": 0}, {"owner": 1 << 64}, {"owner": True}])
def test_a_bad_map_is_refused(how: dict[str, Any]) -> None:
    with Rig() as rig, pytest.raises(ArgumentError, match=f"{next(iter(how))}="):
        AnonMemory(
            rig.machine,
            rig.uvm.physmem,
            rig.pageout,
            rig.swap,
            pagefree=rig.pagefree,
            wait=rig.pageout.wait,
            **({"npages": 1} | how),
        )


def test_two_maps_share_ram_and_swap() -> None:
    with Rig() as rig:
        other = AnonMemory(
            rig.machine,
            rig.uvm.physmem,
            rig.pageout,
            rig.swap,
            npages=8,
            owner=2,
            pagefree=rig.pagefree,
            wait=rig.pageout.wait,
        )
        rig.daemon.add_reclaimer(other)
        for index in range(8):
            rig.touch(index, write=True)
            other.touch(rig.cpu, index, write=True)
        rig.scan()
        while other.reclaim_one():
            pass
        rig.drain()
        assert (rig.anons.stats().swapped, other.stats().swapped, rig.file.inuse) == (8, 8, 16)
        for index in range(8):
            rig.touch(index)
            other.touch(rig.cpu, index)
        other.free_all(rig.cpu)
        rig.settle()


def test_a_wait_that_runs_out_says_so_and_changes_nothing() -> None:
    """R18: False from uvm_wait means that no page became free in time."""
    with Rig(wait=lambda timeout_s: False, patience_s=5) as rig:
        rig.touch(*range(USABLE), write=True)
        with pytest.raises(OutOfPages, match=r"page 60 of map 1: no page of RAM became free in 5 s; 0 of 128 swap"):
            rig.touch(60)
        assert rig.state(60) is UNTOUCHED
        assert rig.anons.stats().fltnoram == 1
        rig.settle()


def test_waits_that_bring_nothing_end_with_the_patience() -> None:
    """R21: waiters are woken though nothing could be freed; they do not try for ever."""
    with Rig(wait=lambda timeout_s: True, patience_s=0.05) as rig:
        rig.touch(*range(USABLE), write=True)
        with pytest.raises(OutOfPages):
            rig.touch(60)
        rig.settle()


def test_an_error_while_waiting_leaves_the_page_to_others() -> None:
    """R18: closing a system wakes its sleepers with an error."""

    def closed(timeout_s: float) -> bool:
        raise ClosedError("closed")

    with Rig(wait=closed) as rig:
        rig.touch(*range(USABLE))
        with pytest.raises(ClosedError):
            rig.touch(60)
        assert rig.state(60) is UNTOUCHED
        rig.settle()


def test_an_error_of_pagealloc_leaves_the_page_to_others() -> None:
    def refuses(zero: bool) -> None:
        raise ClosedError("closed")

    with Rig() as rig:
        cpu: Any = SimpleNamespace(pagealloc=refuses)
        with pytest.raises(ClosedError):
            rig.anons.touch(cpu, 0)
        rig.touch(0)
        rig.settle()


def test_a_page_that_comes_back_is_marked_clean_until_it_is_written_to() -> None:
    with Rig() as rig:

        def flags() -> list[int]:
            return [pg.flags for pg in rig.uvm.physmem if pg.on is rig.uvm.physmem.system]

        rig.touch(0, write=True)
        rig.scan()
        assert (rig.state(0), flags()) == (SWAPPED, [])
        rig.touch(0)
        assert flags() == [PG_CLEAN]
        rig.touch(0, write=True)
        assert flags() == [0]
        rig.settle()

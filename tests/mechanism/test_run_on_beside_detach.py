"""A CPU that is detached, or whose system is closed, between the check of run_on() and the binding itself (Q13)."""

from collections import Counter

import pytest

import uvmfree
from tests.mechanism.rig import BOTH, SMALL, MutexMachine, own_lock, settle
from tests.uvm.machines import InterposingMachine
from uvmfree.uvm.page import UNKNOWN, ZEROS


@pytest.mark.parametrize("end", ["detach", "close"])
def test_whoever_takes_over_a_cpu_the_moment_it_stops_is_told(design: str, end: str) -> None:
    """Q13: the lists that a new player would get are not there any more; it is refused, and nothing is lost."""
    machine = InterposingMachine()
    uvm = uvmfree.boot(machine, **SMALL | {"design": design})
    machine.at = own_lock(design, 1)
    machine.then = (lambda: uvm.detach(1)) if end == "detach" else uvm.close
    with pytest.raises(uvmfree.UvmError, match="CPU 1 is detached" if end == "detach" else "closed"):
        uvm.run_on(1).__enter__()
    assert machine.at == ""
    if end == "detach":
        uvm.attach(1)
        with uvm.run_on(1) as cpu:
            pg = cpu.pagealloc()
            assert pg is not None
            cpu.pagefree(pg)
        settle(uvm)
    uvm.close()


def test_a_player_that_has_gone_leaves_its_counts_and_nothing_else() -> None:
    """R11: what was counted stays, however often a CPU is taken over; the handles of those who left are let go."""
    for design in BOTH:
        machine = MutexMachine(lockstat=True)
        with uvmfree.boot(machine, **SMALL | {"design": design, "lockstat": True}) as uvm:
            mutexes = [*uvm.design.shared_locks, *uvm.design.cpu_locks]
            before = [len(mutex._counting) for mutex in mutexes]
            for _ in range(7):
                with uvm.run_on(1) as cpu:
                    pg = cpu.pagealloc()
                    assert pg is not None
                    cpu.pagefree(pg)
            assert [len(mutex._counting) for mutex in mutexes] == before
            callers = {(each.name, each.caller): each.acquired for each in uvm.lockstat(by_caller=True)}
            assert callers[own_lock(design, 1), "uvm_pagefree"] == 7


def test_a_single_cached_page_goes_over_to_the_next_player(design: str) -> None:
    """R3 and P5: however few pages a cache holds, whoever takes the CPU over takes them over."""
    uvm = uvmfree.boot(**SMALL | {"design": design})
    pg = uvm.cpus[1].pagealloc()
    assert pg is not None
    uvm.cpus[1].pagefree(pg)
    with uvm.run_on(1) as cpu:
        uvm.audit()
        assert cpu.pagealloc(color=pg.color) is pg
        cpu.pagefree(pg)
    settle(uvm)
    uvm.close()


def test_a_cpu_has_as_many_lists_as_there_are_colours_whoever_plays_it(design: str) -> None:
    """R1 and Q13: for each queue and freelist, also after a takeover and after the colours have changed."""
    uvm = uvmfree.boot(**SMALL | {"design": design, "nfreelists": 2})
    for ncolors in (4, 2, 8):
        uvm.recolor(ncolors)
        with uvm.run_on(1):
            pass
        lists = Counter(
            (each.owner, each.queue, each.free_list) for each in uvm.design.walk() if each.owner is not None
        )
        assert lists == {(cpu, queue, row): ncolors for cpu in (0, 1) for queue in (UNKNOWN, ZEROS) for row in (0, 1)}
    uvm.close()


def test_the_table_of_causes_does_not_grow() -> None:
    """P9: a reader without a lock may walk it while the first redistribution of a cause is counted."""
    uvm = uvmfree.boot(**SMALL | {"design": "percpu"})
    causes = uvm.design._causes  # type: ignore[attr-defined]
    before = [set(counts) for counts in causes]
    for cause in ("timer", "pressure", "explicit", "retry"):
        pg = uvm.cpus[1].pagealloc()
        assert pg is not None
        uvm.cpus[1].pagefree(pg)
        assert uvm.design.redistribute(1, cause) == 1
        assert uvm.design.redistribute(1, cause) == 0
    assert [set(counts) for counts in causes] == before
    assert list(causes[1].values()) == [1, 1, 1, 1]
    uvm.close()

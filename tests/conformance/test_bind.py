"""Who plays a CPU, what becomes of the objects that were had before, and the end of a system; in every design."""

import threading
from typing import Any

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import all_free, counted, free_all, take
from tests.kern.tasks import await_event, begin, finish, run_all
from uvmfree.uvm.cpu import Cpu


def test_the_thread_that_plays_a_cpu_gets_its_object(boot: Boot) -> None:
    uvm = boot(ncpus=3)
    with uvm.run_on(1) as cpu:
        assert cpu.index == 1
        assert uvm.cpus[1] is cpu
        assert take(cpu).color == 0 or uvm.traits.colors not in ("system", "cache")
    assert uvm.cpus[1] is cpu
    assert [each.index for each in uvm.cpus] == [0, 1, 2]


def test_one_thread_at_a_time_plays_a_cpu(boot: Boot) -> None:
    uvm = boot()
    bound, go = threading.Event(), threading.Event()

    def play() -> None:
        with uvm.run_on(0):
            bound.set()
            await_event(go)

    player = begin(play)
    await_event(bound)
    try:
        with pytest.raises(uvmfree.BindError, match="CPU 0 is played by thread"), uvm.run_on(0):
            pass
        with uvm.run_on(1), pytest.raises(uvmfree.BindError, match="CPU 1"), uvm.run_on(1):
            pass
    finally:
        go.set()
        finish(player)
    with uvm.run_on(0) as cpu:
        take(cpu)


def test_a_part_ends_with_its_block_also_by_an_error(boot: Boot) -> None:
    uvm = boot()
    with pytest.raises(KeyError), uvm.run_on(0, lwp="kernel"):
        raise KeyError
    with uvm.run_on(0):
        pass


def test_an_object_that_was_left_behind_is_refused(boot: Boot) -> None:
    uvm = boot()
    old = uvm.cpus[0]
    pg = take(old)
    with uvm.run_on(0) as cpu:
        take(cpu)
    before = counted(uvm)
    calls: list[Any] = [lambda: old.pagealloc(), lambda: old.pagealloc(color=1), lambda: old.pagealloc(strat="only")]
    calls.append(lambda: old.pagefree(pg))
    for call in calls:
        with pytest.raises(uvmfree.BindError, match=r"CPU 0 was left behind by a later run_on\(0\)"):
            call()
    assert counted(uvm) == before
    uvm.cpus[0].pagefree(pg)


def test_counts_pages_and_the_next_colour_outlive_a_player(boot: Boot) -> None:
    """R3 and R7: what a CPU has does not hang on the thread that plays it."""
    uvm = boot(npages=128, lockstat=True)
    nextcolor = 0
    for round_ in range(4):
        with uvm.run_on(0) as cpu:
            assert cpu.nextcolor == nextcolor
            assert nextcolor == round_ or not uvm.traits.colors or uvm.traits.refill > 1
            pages = [take(cpu, zero=True) for _ in range(5)]
            free_all(cpu, pages[:4])
            assert cpu.stats().allocs == 5 * (round_ + 1)
            nextcolor = cpu.nextcolor
            uvm.audit()
            if round_ == 2:
                uvm.redistribute(0)
    stats = uvm.cpu_stats()[0]
    assert (stats.allocs, stats.frees, stats.zerohit + stats.zeromiss) == (20, 16, 20)
    assert all_free(uvm) == uvm.param.npages - 4
    guard = uvm.design.guard(0).name
    freed = [
        each.acquired for each in uvm.lockstat(by_caller=True) if (each.name, each.caller) == (guard, "uvm_pagefree")
    ]
    assert sum(freed) == 16


def test_threads_take_turns_at_one_cpu(boot: Boot) -> None:
    uvm = boot(npages=128)
    turn = threading.Lock()
    played: list[Cpu] = []

    def play() -> None:
        for _ in range(10):
            with turn, uvm.run_on(1) as cpu:
                played.append(cpu)
                pages = [take(cpu) for _ in range(8)]
                free_all(cpu, pages)

    run_all(play, play)
    assert len({id(cpu) for cpu in played}) == 20
    assert uvm.cpu_stats()[1].allocs == 160


@pytest.mark.parametrize("index", [-1, 2, "0", None, True, 0.0], ids=str)
def test_a_cpu_that_does_not_exist_cannot_be_played(boot: Boot, index: Any) -> None:
    uvm = boot()
    with pytest.raises(uvmfree.ArgumentError, match="there are CPUs 0 to 1"), uvm.run_on(index):
        pass
    with pytest.raises(uvmfree.ArgumentError, match="lwp='root'"), uvm.run_on(0, lwp="root"):  # type: ignore[arg-type]
        pass
    with uvm.run_on(0):
        pass


def test_a_closed_system_refuses_everything(boot: Boot) -> None:
    uvm = boot()
    with uvm:
        held = take(uvm.cpus[0])
        cpu, free = uvm.cpus[0], uvm.uvmexp.free
    calls: list[Any] = [
        lambda: cpu.pagealloc(),
        lambda: cpu.pagealloc(color=0),
        lambda: cpu.pagefree(held),
        lambda: uvm.cpus[1].pagealloc(zero=True),
        uvm.redistribute,
        uvm.audit,
        uvm.counter_lag,
        uvm.__enter__,
        lambda: uvm.run_on(0).__enter__(),
        lambda: uvm.xcall.broadcast(lambda cpu: None),
    ]
    for call in calls:
        with pytest.raises(uvmfree.ClosedError):
            call()
    uvm.close()
    assert uvm.uvmexp.free == free
    assert free == uvm.param.npages - 1 or uvm.traits.refill > 1
    assert uvm.cpu_stats()[0].allocs == 1


def test_a_player_is_told_that_the_system_was_closed(boot: Boot) -> None:
    uvm = boot()
    with uvm.run_on(0) as cpu:
        uvm.close()
        with pytest.raises(uvmfree.ClosedError):
            cpu.pagealloc()


def test_locks_that_count_nothing_say_so(boot: Boot) -> None:
    with pytest.raises(uvmfree.ArgumentError, match="lockstat=True"):
        boot().lockstat()
    names = [record.name for record in boot(lockstat=True).lockstat()]
    assert {"uvm_pageout_lock", "xcall"} <= set(names)
    assert len(set(names)) == len(names)

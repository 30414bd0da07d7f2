"""What holds of shared locks touched: asked of the guarded list at each release, on every machine."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from uvmfree.kern.lockholds import LockHolds
from uvmfree.kern.lockrank import CPU_OFF, UVM_CPU, UVM_FPAGEQLOCK, LockRank
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.virtual.machine import VirtualMachine

Machine = ThreadsMachine | VirtualMachine
MACHINES = pytest.mark.parametrize("make", [ThreadsMachine, VirtualMachine], ids=["threads", "virtual"])


class Guarded:
    """A list that tells what was touched; before it was guarded a lot was."""

    def __init__(self) -> None:
        self.pages_touched, self.items_touched = 900, 70
        self.taken: Sequence[Sequence[Any]] = ([object()],)


def seen(holds: LockHolds | None) -> dict[tuple[str, str], tuple[dict[int, int], dict[int, int]]]:
    assert holds is not None
    return {(one.rank.name, one.caller): (dict(one.items), dict(one.pages)) for one in holds.snapshot()}


@MACHINES
def test_each_hold_counts_what_it_touched_alone(make: type[Machine]) -> None:
    on = make(lockholds=True)
    mutex, touched = on.mutex(UVM_FPAGEQLOCK), Guarded()
    mutex.guards(touched)
    alloc, free = mutex.handle("uvm_pagealloc"), mutex.handle("uvm_pagefree")
    for handle, pages, items in (
        (alloc, 1, 0),
        (free, 1, 0),
        (alloc, 32, 2),
        (alloc, 0, 9),
        (alloc, 1, 0),
        (free, 0, 0),
    ):
        with handle:
            touched.pages_touched += pages
            touched.items_touched += items
    assert seen(on.lockholds) == {
        ("uvm_fpageqlock", "uvm_pagealloc"): ({1: 2, 34: 1, 9: 1}, {1: 2, 32: 1, 0: 1}),
        ("uvm_fpageqlock", "uvm_pagefree"): ({1: 1, 0: 1}, {1: 1, 0: 1}),
    }


@MACHINES
def test_a_hold_that_was_tried_for_counts_and_a_failure_does_not(make: type[Machine]) -> None:
    on = make(lockholds=True)
    mutex = on.mutex(UVM_FPAGEQLOCK)
    one, other = mutex.handle("one"), mutex.handle("other")
    assert one.try_acquire()
    assert not other.try_acquire()
    one.release()
    assert seen(on.lockholds)["uvm_fpageqlock", "one"] == ({1: 1}, {1: 1})
    assert seen(on.lockholds)["uvm_fpageqlock", "other"] == ({}, {})


@MACHINES
def test_a_mutex_that_guards_no_list_counts_a_page_a_hold_or_what_is_said(make: type[Machine]) -> None:
    on = make(lockholds=True)
    assert on.lockholds is not None
    handle = on.mutex(UVM_FPAGEQLOCK).handle("uvm_pglistalloc")
    for pages in (None, 16, None, 512):
        with handle:
            if pages is not None:
                on.lockholds.touch(pages)
    assert seen(on.lockholds) == {("uvm_fpageqlock", "uvm_pglistalloc"): ({1: 2, 16: 1, 512: 1},) * 2}


@MACHINES
def test_what_is_said_of_a_hold_whose_list_tells_is_not_said_of_the_next(make: type[Machine]) -> None:
    on = make(lockholds=True)
    assert on.lockholds is not None
    told, bare = on.mutex(UVM_FPAGEQLOCK), on.mutex(UVM_FPAGEQLOCK)
    told.guards(Guarded())
    with told.handle("told"):
        on.lockholds.touch(40)
    with bare.handle("bare"):
        pass
    assert seen(on.lockholds)["uvm_fpageqlock", "bare"] == ({1: 1}, {1: 1})


@MACHINES
def test_what_is_said_in_parts_adds_up(make: type[Machine]) -> None:
    on = make(lockholds=True)
    assert on.lockholds is not None
    with on.mutex(UVM_FPAGEQLOCK).handle("here"):
        for pages in (3, 0, 4):
            on.lockholds.touch(pages)
    assert seen(on.lockholds) == {("uvm_fpageqlock", "here"): ({7: 1}, {7: 1})}


@MACHINES
def test_pages_that_were_taken_are_named_once(make: type[Machine]) -> None:
    """Not what was taken before the list was guarded, nor in the hold before."""
    on = make(lockholds=True)
    mutex, touched = on.mutex(UVM_FPAGEQLOCK), Guarded()
    mutex.guards(touched)
    assert touched.taken == ()
    with mutex.handle("uvm_pagealloc"):
        touched.taken = ([],)
    assert touched.taken == ()


@MACHINES
def test_locks_of_two_names_are_two(make: type[Machine]) -> None:
    on = make(lockholds=True)
    for name in ("one", "other"):
        with on.mutex(replace(UVM_FPAGEQLOCK, name=name)).handle("uvm_pagefree"):
            pass
    assert seen(on.lockholds) == {(name, "uvm_pagefree"): ({1: 1}, {1: 1}) for name in ("one", "other")}


@MACHINES
def test_handles_of_one_caller_are_one_and_of_locks_of_one_name_too(make: type[Machine]) -> None:
    on = make(lockholds=True)
    for mutex in (on.mutex(UVM_FPAGEQLOCK), on.mutex(UVM_FPAGEQLOCK)):
        for _ in range(2):
            with mutex.handle("uvm_pagefree"):
                pass
    assert seen(on.lockholds) == {("uvm_fpageqlock", "uvm_pagefree"): ({1: 4}, {1: 4})}


@MACHINES
def test_a_lock_of_one_cpu_is_not_counted(make: type[Machine]) -> None:
    on = make(lockholds=True)
    with on.mutex(UVM_CPU, 0).handle("uvm_pagealloc"):
        pass
    assert seen(on.lockholds) == {}


def test_who_does_not_ask_for_it_has_the_handle_that_there_was() -> None:
    assert ThreadsMachine().lockholds is None
    assert VirtualMachine().lockholds is None
    raw = ThreadsMachine().mutex(UVM_FPAGEQLOCK).handle("uvm_pagefree")
    assert type(raw.release).__name__ == "builtin_function_or_method"


@MACHINES
def test_beside_the_other_instruments_each_counts_the_same_holds(make: type[Machine]) -> None:
    on = make(lockholds=True, lockstat=True, lockdebug=True, lockwatch=True)
    mutex = on.mutex(UVM_FPAGEQLOCK)
    handle = mutex.handle("uvm_pagefree")
    for _ in range(5):
        with handle:
            pass
    assert mutex.snapshot()[0].acquired == 5
    assert seen(on.lockholds)["uvm_fpageqlock", "uvm_pagefree"] == ({1: 5}, {1: 5})


@pytest.mark.parametrize("rank", [UVM_CPU, CPU_OFF], ids=["cpu", "off"])
def test_in_virtual_time_it_knows_whose_guard_is_held_and_whose_was(rank: LockRank) -> None:
    on = VirtualMachine(lockholds=True, ncpus=2)
    assert on.lockholds is not None
    guards = [on.mutex(rank, index).handle("uvm_pagealloc") for index in range(2)]
    assert (on.lockholds.inside, on.lockholds.left) == ([], set())
    with guards[1]:
        assert (on.lockholds.inside, on.lockholds.left) == ([1], set())
        assert guards[0].try_acquire()
        assert not guards[0].try_acquire()
        assert sorted(on.lockholds.inside) == [0, 1]
        guards[0].release()
        assert (on.lockholds.inside, on.lockholds.left) == ([1], {0})
    assert (on.lockholds.inside, on.lockholds.left) == ([], {0, 1})


def test_threads_that_run_at_once_have_no_such_list() -> None:
    on = ThreadsMachine(lockholds=True)
    assert on.lockholds is not None
    with on.mutex(UVM_CPU, 1).handle("uvm_pagealloc"):
        assert on.lockholds.inside == []
    assert on.lockholds.left == set()

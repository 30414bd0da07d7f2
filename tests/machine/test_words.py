"""The counter page: exact updates from many threads, plain reads, and a page that outlives whoever made it."""

import ctypes
import gc
import mmap
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import atomics
import pytest

from tests.kern.tasks import run_all
from uvmfree.machine import words
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.words import LINE, CounterPage

THREADS = 8
ADDS = 1000


@pytest.fixture(params=["direct", "public"])
def page(request: pytest.FixtureRequest) -> Iterator[CounterPage]:
    made = CounterPage(("free", "zeropages"), public_calls=request.param == "public")
    assert made.direct == (request.param == "direct")
    yield made
    made.close()


def test_updates_from_many_threads_are_exact(page: CounterPage) -> None:
    """P1: only updates have to be consistent, and those are atomic."""

    def add() -> None:
        free, zeropages = page.adder("free"), page.adder("zeropages")
        for n in range(ADDS):
            free.add(3)
            zeropages.add(-1 if n % 2 else 1 << 40)
        assert (free.operations, zeropages.operations) == (ADDS, ADDS)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        run_all(*[add] * THREADS)
    finally:
        sys.setswitchinterval(before)
    assert page.load("free") == 3 * ADDS * THREADS
    assert page.load("zeropages") == ((1 << 40) - 1) * ADDS // 2 * THREADS


def test_one_counter_leaves_the_others_alone(page: CounterPage) -> None:
    page.adder("zeropages").add(-7)
    assert (page.load("free"), page.load("zeropages")) == (0, -7)


def test_a_private_view_reads_and_writes_the_same_word(page: CounterPage) -> None:
    """P1: an unlocked read is a plain load of one aligned word."""
    view, slot = page.view(), page.slot("zeropages")
    page.adder("zeropages").add(1 << 33)
    assert view[slot] == 1 << 33
    view[slot] -= 1
    assert page.load("zeropages") == (1 << 33) - 1
    page.adder("zeropages").add(1)
    assert view[slot] == 1 << 33


def test_counters_stand_a_cache_line_apart(page: CounterPage) -> None:
    assert page.slot("zeropages") - page.slot("free") == LINE
    assert LINE * page.view().itemsize == 64


def test_closing_releases_the_atomic_views_and_leaves_what_can_be_read(page: CounterPage) -> None:
    adder = page.adder("free")
    adder.add(5)
    page.close()
    page.close()
    assert page.closed
    assert page.load("free") == 5
    if not page.direct:
        with pytest.raises(ValueError, match="released"):
            adder.add(1)
    assert page.load("free") == 5


@pytest.mark.parametrize("public_calls", [False, True], ids=["direct", "public"])
def test_an_adder_keeps_the_page_that_it_writes_to(public_calls: bool) -> None:
    page = CounterPage(("free",), public_calls=public_calls)
    adder, slot = page.adder("free"), page.slot("free")
    dropped = weakref.ref(page)
    del page
    gc.collect()
    adder.add(2)
    page = dropped()
    assert page is not None
    assert page.load("free") == 2
    page.close()
    view = page.view()
    del page
    gc.collect()
    assert view[slot] == 2


@pytest.mark.parametrize("public_calls", [False, True], ids=["direct", "public"])
def test_a_page_that_nobody_closed_goes_quietly(monkeypatch: pytest.MonkeyPatch, public_calls: bool) -> None:
    """The library complains of views that nobody released; a forgotten close() is no reason for a traceback."""
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    page = CounterPage(("free",), public_calls=public_calls)
    adder = page.adder("free")
    cycle: list[object] = [page, adder]
    cycle.append(cycle)
    del page, adder, cycle
    gc.collect()
    assert complaints == []


def test_an_interrupt_while_a_view_is_let_go_of_ends_as_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The view that it left open keeps its line: releasing that would be an error in the interrupt's place."""
    view = type(atomics.atomicview(bytearray(8), atype=atomics.INT))
    let_go, page = view.__exit__, None
    came: list[object] = []

    def interrupted(self: object, *of: object) -> object:
        came.append(self)
        if page is not None and len(came) == 2:
            raise KeyboardInterrupt
        return let_go(self, *of)

    monkeypatch.setattr(view, "__exit__", interrupted)
    page = CounterPage(("free", "zeropages", "paging"))
    came.clear()  # of the one by which it found out whether the short way works
    with pytest.raises(KeyboardInterrupt):
        page.close()
    assert (len(came), page.closed) == (3, True), "the other views are let go of"
    let_go(came[1], None, None, None)


def test_a_page_has_room_for_64_counters_and_says_so() -> None:
    lines = mmap.PAGESIZE // 64
    page = CounterPage(tuple(f"counter {n}" for n in range(lines)))
    page.adder(f"counter {lines - 1}").add(1)
    assert sum(page.view()) == 1
    page.close()
    with pytest.raises(ValueError, match=f"{lines + 1} counters do not fit"):
        CounterPage(tuple(f"counter {n}" for n in range(lines + 1)))


def test_a_short_way_that_does_not_add_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pointer is a private attribute of a library: if it does something else, the documented call is used."""

    def wrong(pointer: int) -> Any:
        return lambda *arguments: None

    monkeypatch.setattr(words, "_MachineAdd", wrong)
    page = CounterPage(("free",))
    assert not page.direct
    page.adder("free").add(4)
    assert page.load("free") == 4
    page.close()


def test_a_short_way_that_is_not_there_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> Any:
        raise AttributeError("fp_add")

    monkeypatch.setattr(ctypes, "cast", missing)
    page = CounterPage(("free",))
    assert not page.direct
    page.close()


def test_a_machine_makes_zeroed_counters() -> None:
    page = ThreadsMachine().counters(("free", "zeropages"))
    assert (page.names, page.load("free"), page.load("zeropages")) == (("free", "zeropages"), 0, 0)
    page.close()


def test_an_adder_leaves_nothing_behind(page: CounterPage) -> None:
    """CPUs come and go (Q13): each makes adders, and an interpreter without a GIL keeps every class for good."""

    function = ctypes.CFUNCTYPE(None).__mro__[1]  # what every type of a C function is derived from
    page.adder("free").add(1)
    gc.collect()
    gc.disable()
    try:
        before = len(function.__subclasses__())
        for _ in range(20):
            page.adder("free").add(1)
        assert len(function.__subclasses__()) <= before
    finally:
        gc.enable()
    assert page.load("free") == 21

"""A counter that is read without a lock is one that it had: never half of an old value and half of a new one.

=> What is added changes both halves of the word, and all eight bytes: a value whose halves differ was torn.
"""

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.kern.tasks import await_event, begin, finish
from tests.mechanism.rig import until
from uvmfree.machine.words import CounterPage
from uvmfree.uvm.uvmexp import DaemonStats, UvmExp, Watermarks

BOTH_HALVES = 0x01010101_01010101
UP_AND_DOWN = (1, 1, 1, 1, -1, -1, -1, -1)
HIGHEST = 4
BATCHES, BATCH = 30, 1000


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def by_atomics(page: CounterPage) -> Callable[[int], None]:
    return page.adder("free").add


def by_plain_stores(page: CounterPage) -> Callable[[int], None]:
    words, slot = page.view(), page.slot("free")

    def add(n: int) -> None:
        words[slot] += n

    return add


@pytest.mark.parametrize(("way", "writers"), [(by_atomics, 2), (by_plain_stores, 1)])
def test_a_value_read_without_a_lock_is_whole(
    way: Callable[[CounterPage], Callable[[int], None]], writers: int
) -> None:
    """P1: as percpu writes the counters, and as fpageqlock does, where a lock keeps writers apart."""
    page = CounterPage(("free", "zeropages", "paging", "pdpending"))
    exp = UvmExp(page, Watermarks(0, 0, 0, 0), list, DaemonStats, npages=0, ncolors=1, pagesize=512)
    seen: set[int] = set()
    writing, over = threading.Event(), threading.Event()

    def write() -> None:
        add = way(page)
        while not over.is_set():
            for step in UP_AND_DOWN:
                add(step * BOTH_HALVES)
            writing.set()

    threads = [begin(write, "writer") for _ in range(writers)]
    try:
        await_event(writing)
        for _ in range(BATCHES):
            seen.update(exp.free for _ in range(BATCH))
        until(lambda: seen.add(exp.free) or len(seen) > 2)  # type: ignore[func-returns-value]
    finally:
        over.set()
        finish(*threads)
    torn = [hex(value) for value in seen if value % BOTH_HALVES or not 0 <= value // BOTH_HALVES <= HIGHEST * writers]
    assert torn == []
    assert page.load("free") == 0
    page.close()

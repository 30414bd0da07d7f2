"""Views of RAM and of the counter page that many threads make and drop at once.

=> On a free-threaded interpreter 3.13 the count of a memoryview's slices is not atomic: slices of one shared view,
   taken by two threads, end with "operation forbidden on released memoryview object". So each view stands alone.
"""

import sys

import pytest

import uvmfree
from tests.kern.tasks import run_all

THREADS = 4
ROUNDS = 10_000


@pytest.fixture(autouse=True)
def _switch_often() -> object:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_each_holder_looks_at_its_own_page_while_others_look_at_theirs() -> None:
    uvm = uvmfree.boot(npages=64, ncpus=1, pagesize=512)
    pages = list(uvm.physmem)

    def look(me: int) -> None:
        mine = pages[me::THREADS]
        for n in range(ROUNDS):
            view = uvm.physmem.bytes_of(mine[n % len(mine)])
            view[:2] = bytes([me, n % 251])
            assert uvm.physmem.bytes_of(mine[n % len(mine)])[:2] == bytes([me, n % 251])

    run_all(*[lambda me=me: look(me) for me in range(THREADS)])  # type: ignore[misc]
    assert uvm.physmem.ram()[:1] == b"\0"
    uvm.close()


def test_private_views_come_and_go_on_many_threads() -> None:
    uvm = uvmfree.boot(npages=64, ncpus=1, pagesize=512)
    page = uvm.machine.counters(("free",))
    kept = uvm.physmem.ram(), page.view()

    def look() -> None:
        for _ in range(ROUNDS):
            assert len(uvm.physmem.ram()[3:5]) == 2
            assert page.view()[:1][0] == 0

    run_all(*[look] * THREADS)
    assert (kept[0][0], kept[1][0], page.load("free")) == (0, 0, 0)
    page.close()
    uvm.close()

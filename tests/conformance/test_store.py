"""A page says whether it is in the store, to who holds the store's locks: so a run can be taken while CPUs go on."""

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.noted import Noted
from tests.conformance.steps import free_all
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.mutex import Mutex
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.page import Place, VmPage

LOOKED_AT: Final = 700
"""Pages that are looked at for each hold of a shared lock, on average."""


class LookingMachine(ThreadsMachine):
    """Looks under each shared lock of pages."""

    def __init__(self) -> None:
        super().__init__()
        self.look: Callable[[], None] = lambda: None

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        if rank.kind != "shared":
            return super().mutex(rank, index)
        made: Iterator[Any] = iter((Noted(lambda: self.look(), lambda: self.look()), threading.Lock()))
        return Mutex(rank, index, raw_lock=lambda: next(made), clock_ns=self.clock_ns, lockstat=False, debug=None)


def looked_at(boot: Boot, npages: int, steps: int) -> list[set[int]]:
    """Play at random; return for each look which pages say that they are in the store and are not, or the reverse.

    => A look takes O(npages): there are fewer in a large system.
    """
    machine, chance, astray = LookingMachine(), random.Random(7), list[set[int]]()
    uvm = boot(machine, npages=npages)
    most, part = uvm.param.npages * 3 // 4, max(8, uvm.param.npages // 12)
    now_and_then = random.Random(8)
    if not (uvm.design.store_tells and uvm.design.cpu_locks and uvm.design.shared_locks):
        pytest.skip("no store that tells, or no lock of its own for it")

    def look() -> None:
        if now_and_then.random() * uvm.param.npages > LOOKED_AT:
            return
        standing = {pg.pfn for on in uvm.design.lists() if on.place is Place.GLOBAL for pg in on.pages()}
        astray.append({pg.pfn for pg in uvm.physmem if pg.place is Place.GLOBAL} ^ standing)

    machine.look = look
    held: list[VmPage] = []
    for _ in range(steps):
        cpu = uvm.cpus[chance.randrange(2)]
        what = chance.randrange(6)
        if what < 3 and len(held) < most:
            held += filter(None, (cpu.pagealloc() for _ in range(chance.randint(1, part))))
        elif what < 5:
            chance.shuffle(held)
            free_all(cpu, held[:part])
            del held[:part]
        else:
            try:
                held += uvm.pglistalloc(chance.choice((2, 4)), alignment=2)
            except uvmfree.OutOfPages:
                continue
    uvm.redistribute()
    machine.look = lambda: None
    free_all(uvm.cpus[0], held)
    uvm.audit()
    return astray


def test_a_page_says_that_it_is_in_the_store_while_it_is(boot: Boot) -> None:
    """In each hold of a shared lock, first and last: misses, overflows, drains, runs from the middle."""
    astray = looked_at(boot, npages=64, steps=80)
    assert len(astray) > 5
    assert not any(astray)

"""A lock under which pages move is worth what it moves: somebody counts it, or no hold moves more than one."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.noted import Noted
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.mutex import Mutex
from uvmfree.machine.threads import ThreadsMachine

ROUNDS = 3
"""Often enough that pages which one CPU freed have come back to the other."""


class NotingMachine(ThreadsMachine):
    """Counts how many pages change their stand under each shared lock: by its name, the most in a hold.

    => For one thread, while `uvm` is set. What moves under a lock that is taken later counts for that one alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uvm: uvmfree.Uvm | None = None
        self.most = Counter[str]()
        self._before: list[list[object]] = []

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        if rank.kind != "shared":
            return super().mutex(rank, index)
        made: Iterator[Any] = iter((Noted(self._taken, lambda: self._dropped(mutex.name)), threading.Lock()))
        mutex = Mutex(rank, index, raw_lock=lambda: next(made), clock_ns=self.clock_ns, lockstat=False, debug=None)
        return mutex

    def _taken(self) -> None:
        if self.uvm is not None:
            self._before.append([pg.on for pg in self.uvm.physmem])

    def _dropped(self, name: str) -> None:
        if self.uvm is None:
            return
        before = self._before.pop()
        now = [pg.on for pg in self.uvm.physmem]
        moved = [at for at, (on, then) in enumerate(zip(now, before, strict=True)) if on is not then]
        self.most[name] = max(self.most[name], len(moved))
        for outer in self._before:
            for at in moved:
                outer[at] = now[at]


def test_what_moves_under_a_shared_lock_is_counted(boot: Boot) -> None:
    """A hold counts what `guarded()` tells of its lock; where it tells nothing, one page: then no more may move."""
    machine = NotingMachine()
    uvm = boot(machine, npages=64)
    if not uvm.design.shared_locks:
        pytest.skip("no shared lock")
    giver, taker = uvm.cpus
    machine.uvm = uvm
    for _ in range(ROUNDS):
        pages = [pg for _ in range(uvm.param.npages * 3 // 4) if (pg := giver.pagealloc()) is not None]
        for pg in pages:
            taker.pagefree(pg)
        giver, taker = taker, giver
    machine.uvm = None
    told = {mutex.name for mutex, _ in uvm.design.guarded()}
    untold = {name: most for name, most in machine.most.items() if most > 1 and name not in told}
    for name, most in untold.items():
        raise AssertionError(f"{most} pages move in a hold of {name}, and guarded() names nothing that counts them")

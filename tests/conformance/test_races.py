"""All CPUs at work at once, in every design, while somebody moves pages, CPUs and players about under them."""

import random
import threading

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import all_free, begin_on, by_frame
from tests.kern.tasks import WORK_S, finish

STEPS = 400
CPUS = 3


class Held:
    """The pages that somebody has, by frame; guarded by `_lock`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[int, uvmfree.VmPage] = {}

    def put(self, pages: list[uvmfree.VmPage]) -> None:
        """Note pages that came out; one that somebody has cannot."""
        with self._lock:
            for pg in pages:
                assert pg.pfn not in self._pages, f"{pg!r} went out twice"
                self._pages[pg.pfn] = pg

    def pop(self) -> uvmfree.VmPage | None:
        """Take some page, whoever had it, to free it."""
        with self._lock:
            return self._pages.pop(next(iter(self._pages))) if self._pages else None


@pytest.mark.parametrize("seed", range(2))
def test_no_page_is_lost_or_had_twice_whatever_happens_at_once(boot: Boot, seed: int) -> None:
    """R3 and R13: threads allocate, and free what others allocated; meanwhile pages are redistributed, taken by
    frame, recoloured, and a CPU comes, goes and changes its player (Q13).
    """
    uvm = boot(npages=128, ncpus=CPUS + 1, nfreelists=2, redistribute_interval_s=0.001, drain_retry=True)
    held = Held()

    def work(index: int) -> None:
        chance = random.Random(10 * seed + index)
        with uvm.run_on(index) as cpu:
            for _ in range(STEPS):
                if chance.random() < 0.55:
                    pg = cpu.pagealloc(zero=chance.random() < 0.2, color=chance.choice([None, 1]))
                    held.put([pg] if pg else [])
                elif pg := held.pop():
                    cpu.pagefree(pg)

    def stir() -> None:
        chance = random.Random(10 * seed + 9)
        for step in range(STEPS // 10):
            uvm.redistribute(chance.randrange(CPUS))
            try:
                held.put(uvm.pglistalloc(4, nsegs=chance.choice([1, 4])))
            except uvmfree.OutOfPages:
                uvm.recolor(chance.choice([2, 4, 8]))
            if step % 2:
                with uvm.run_on(CPUS) as cpu:
                    held.put([pg for pg in (cpu.pagealloc() for _ in range(6)) if pg])
                    for pg in filter(None, (held.pop() for _ in range(9))):
                        cpu.pagefree(pg)
                uvm.detach(CPUS)
                uvm.attach(CPUS)

    with uvm:
        players = [begin_on(uvm, lambda index=index: work(index), index) for index in range(CPUS)]
        finish(*players, begin_on(uvm, stir), wait_s=WORK_S)
        uvm.audit()
        while pg := held.pop():
            uvm.cpus[0].pagefree(pg)
        uvm.audit()
    assert uvm.cpu_stats()[0].frees > 0


@pytest.mark.parametrize("seed", range(2))
def test_all_comes_back(boot: Boot, seed: int) -> None:
    """R3: when all is freed, all is free, and may be had by frame."""
    uvm = boot(npages=128, ncpus=2)
    chance = random.Random(seed)
    held: list[uvmfree.VmPage] = []
    for _ in range(STEPS):
        cpu = uvm.cpus[chance.randrange(2)]
        pg = cpu.pagealloc(zero=chance.random() < 0.3) if chance.random() < 0.6 else None
        if pg is not None:
            held.append(pg)
        elif held:
            cpu.pagefree(held.pop(chance.randrange(len(held))))
    for pg in held:
        uvm.cpus[chance.randrange(2)].pagefree(pg)
    assert all_free(uvm) == uvm.param.npages
    assert len(by_frame(uvm, uvm.param.npages)) == uvm.param.npages

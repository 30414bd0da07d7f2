"""LLFree: runs of pages by words alone, raced; all or nothing, and what was counted off comes back."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take, take_all
from tests.uvm.designs.test_llfree import CPUS, booted, on_every_cpu, tallied, virtual
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import Place, VmPage
from uvmfree.uvm.trees import RESERVED, Counts


def test_a_run_swaps_a_word_for_each_part_of_it() -> None:
    """Of 160 pages from frame 32 on, in trees of 128: two trees, two children, three rows; no guard but one."""
    with booted(tree_pages=128) as uvm:
        before = tallied(uvm, "swaps")
        run = uvm.pglistalloc(160, low=32, alignment=32)
        assert [pg.pfn for pg in run] == list(range(32, 192))
        assert tallied(uvm, "swaps") - before == 2 + 2 + 3
        assert uvm.uvmexp.free == 512 - 160
        uvm.pglistfree(run)


def test_a_run_comes_out_of_another_cpus_tree_too() -> None:
    """What its CPU has not counted yet, and what that has; a frame that is gone from both is no run's."""
    with booted() as uvm:
        held = [take(uvm.cpus[0]) for _ in range(8)]
        free_all(uvm.cpus[1], held[4:])  # CPU 0's word counts 56, its tree's 4
        first = held[0].pfn
        before = tallied(uvm, "swaps")
        run = uvm.pglistalloc(60, low=first + 4, high=first + 64)
        assert [pg.pfn for pg in run] == list(range(first + 4, first + 64))
        assert tallied(uvm, "swaps") - before == 2 + 1 + 1
        assert (uvm.design.trees.counts.view()[first // 64], uvm.uvmexp.free) == (RESERVED, 512 - 64)
        uvm.pglistfree(run + held[:4])


@pytest.mark.parametrize("before", ["change", "take", "clear"])
def test_a_run_that_another_cpu_breaks_into_is_given_back(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first page goes just before it is counted off its tree, or its child, or before its row is cleared."""
    with booted() as uvm:
        runner, thief = uvm.cpus
        stolen = [take(thief)]
        run = [uvm.physmem.by_freelist()[0][1][stolen[0].pfn + step] for step in range(1, 33)]
        real = getattr(Counts, before)

        def late(words: Counts, *how: int) -> Any:
            if words._tally is uvm.design.tallies[0] and len(stolen) == 1:
                stolen.append(take(thief))
            return real(words, *how)

        monkeypatch.setattr(Counts, before, late)
        assert not runner.runs.take(run)
        assert stolen[1] is run[0]
        assert {pg.place for pg in run[1:]} == {Place.GLOBAL}
        assert (uvm.uvmexp.free, uvm.design.reserved.hands()) == (512 - 2, [0, 0])
        uvm.audit()
        assert uvm.pglistalloc(31, low=run[1].pfn, high=run[-1].pfn + 1) == run[1:]
        free_all(runner, run[1:] + stolen)


@pytest.mark.parametrize("seed", range(4))
def test_words_agree_with_bits_where_runs_are_taken_beside_pages(seed: int) -> None:
    """All CPUs take pages and runs of 2 to 48 beside each other; each page has one holder, and all come back."""
    with booted(virtual(seed), npages=256, ncpus=CPUS, tree_pages=64) as uvm:
        out: set[int] = set()
        runs: list[int] = []

        def taken(pages: list[VmPage]) -> list[VmPage]:
            frames = {pg.pfn for pg in pages}
            assert not out & frames
            out.update(frames)
            return pages

        def freed(cpu: Cpu, pages: list[VmPage]) -> None:
            out.difference_update(pg.pfn for pg in pages)
            free_all(cpu, pages)

        def body(cpu: Cpu, index: int) -> None:
            rng, mine = random.Random(f"{seed} {index}"), list[VmPage]()
            for _ in range(150):
                what = rng.randrange(4)
                if what == 0:
                    with suppress(uvmfree.OutOfPages):
                        mine += taken(uvm.pglistalloc(rng.randint(2, 48), alignment=rng.choice((1, 2, 16))))
                        runs.append(index)
                elif what == 1 and (pg := cpu.pagealloc()) is not None:
                    mine += taken([pg])
                elif mine:
                    rng.shuffle(mine)
                    freed(cpu, mine[:12])
                    del mine[:12]
            freed(cpu, mine)

        on_every_cpu(uvm, body)
        assert len(runs) > 50
        assert tallied(uvm, "retries") > 0
        assert uvm.uvmexp.free == 256


def test_who_finds_nothing_adds_up_before_it_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages go from a tree's word to its CPU's while another looks at CPUs first and trees then."""
    with booted(npages=64) as uvm, uvm.run_on(1, lwp="pagedaemon") as thief:
        owner, pages = uvm.cpus[0], [take(uvm.cpus[0], use_reserve=True) for _ in range(2)]
        pages += take_all(thief)
        free_all(thief, [pg for pg in pages if pg.pfn in (7, 9, 11)])  # to the tree of CPU 0, which has not synced
        down = Counts.down

        def late(words: Counts, at: int) -> int:
            found = down(words, at)
            if words is thief._reservations._words and at == owner._at[0] and not found:
                monkeypatch.undo()
                assert owner._reservations.sync(at)  # counts one off, which nobody takes: put back
                owner._words.add(at, 1)
            return found

        monkeypatch.setattr(Counts, "down", late)
        assert thief._reservations.elsewhere(thief._at[0], 0) is not None
        thief._words.add(owner._at[0], 1)
        uvm.pglistfree([pg for pg in pages if pg.pfn not in (7, 9, 11)])

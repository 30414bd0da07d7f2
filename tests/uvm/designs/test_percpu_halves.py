"""The proposal's cache by figures: what a miss brings, which half spills; and arguments that only look right."""

import random
from typing import Any

import pytest

import uvmfree


def test_an_odd_page_spills_with_the_colder_half() -> None:
    with uvmfree.boot(npages=256, ncpus=1, ncolors=1, hoard_max=4) as uvm, uvm.run_on(0) as cpu:
        pages = [cpu.pagealloc() for _ in range(5)]
        for pg in pages:
            assert pg is not None
            cpu.pagefree(pg)
        assert uvm.cached_pages() == (2,)
        assert [cpu.pagealloc(), cpu.pagealloc()] == [pages[4], pages[3]]


def test_what_a_miss_fetches_beside_its_page_is_of_the_next_colours() -> None:
    with uvmfree.boot(npages=256, ncpus=1, ncolors=4, refill=3) as uvm, uvm.run_on(0) as cpu:
        pg = cpu.pagealloc(color=2)
        assert pg is not None
        assert pg.color == 2
        assert sorted(one.color for one in uvm.physmem if one.owner == 0) == [0, 3]
        cpu.pagefree(pg)


@pytest.mark.parametrize("how", [{"color": True}, {"strat": "only", "free_list": True}, {"color": 1.0}])
def test_truth_values_are_no_numbers(how: dict[str, Any]) -> None:
    with uvmfree.boot(npages=256, ncpus=1, nfreelists=2) as uvm, uvm.run_on(0) as cpu:
        with pytest.raises(uvmfree.ArgumentError, match=r"=(True|1\.0)"):
            cpu.pagealloc(**how)
        assert cpu.stats().allocs == 0


def test_what_is_no_page_is_named_in_a_few_words() -> None:
    with uvmfree.boot(npages=256, ncpus=1) as uvm, uvm.run_on(0) as cpu:
        with pytest.raises(uvmfree.ForeignPage, match=r"^'x{59} is not a page") as refusal:
            cpu.pagefree("x" * 500)  # type: ignore[arg-type]
        assert len(str(refusal.value)) < 140


@pytest.mark.parametrize("seed", range(4))
def test_a_cache_never_holds_more_than_its_bound_however_it_was_filled(seed: int) -> None:
    rng, held = random.Random(seed), list[Any]()
    with uvmfree.boot(npages=256, ncpus=1, ncolors=2, hoard_max=6, refill=4) as uvm, uvm.run_on(0) as cpu:
        for _ in range(100):
            for _ in range(rng.randrange(8)):
                held.append(cpu.pagealloc())
                assert uvm.cached_pages()[0] <= 6
            for _ in range(rng.randrange(min(8, len(held) + 1))):
                cpu.pagefree(held.pop())
                assert uvm.cached_pages()[0] <= 6
        for pg in held:
            cpu.pagefree(pg)


@pytest.mark.parametrize("nfreelists", [1, 2, 4])
def test_what_a_cpu_may_cache_is_said_for_all_freelists_together(nfreelists: int) -> None:
    def bound(design: str, **own: int) -> int | None:
        given = tuple((f"{design}.{name}", value) for name, value in own.items())
        with uvmfree.boot(npages=16_384, ncpus=1, nfreelists=nfreelists, design=design, own=given) as uvm:
            return uvm.traits.bound

    size = 16_384 // nfreelists // 16 // 4
    assert bound("freebsd_pgcache", cache_fraction=16) == 2 * min(size, 254) * nfreelists
    assert bound("magazines", M=16) == 2 * 16 * nfreelists
    assert bound("linux_pcp") == 16_384 // 8 + (nfreelists - 1) * 3

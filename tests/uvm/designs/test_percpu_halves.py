"""The proposal's cache by figures: what a miss brings, which half spills; and arguments that only look right."""

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

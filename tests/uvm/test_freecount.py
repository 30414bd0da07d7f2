"""The count of free pages that CPUs keep together: by hand, what it may be off by, and who adds up."""

import pytest

import uvmfree
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.param import Param
from uvmfree.uvm.freecount import FreeCount, PartCount
from uvmfree.uvm.trees import Tally

GB = 1 << 30


def count_of(ncpus: int = 2, nbytes: int = 64 << 20) -> FreeCount:
    return FreeCount(ThreadsMachine(), Param(npages=nbytes >> 12, ncpus=ncpus, pagesize=1 << 12))


@pytest.mark.parametrize(
    ("ncpus", "nbytes", "threshold"),
    # mm/vmstat.c has a table: 8 for 1 CPU and 1 to 2 GB down to 125 for many CPUs and much memory.
    [(1, 64 << 20, 2), (2, 64 << 20, 4), (2, 128 << 20, 8), (2, 256 << 20, 12), (1, 1 * GB, 10), (8, 1 * GB, 40),
     (8, 8 * GB, 64), (64, 1 * GB, 70), (256, 8 * GB, 125), (512, 64 * GB, 125)],
)  # fmt: skip
def test_the_threshold_grows_with_cpus_and_memory(ncpus: int, nbytes: int, threshold: int) -> None:
    class Sized:
        npages, pagesize = nbytes >> 12, 1 << 12

    Sized.ncpus = ncpus  # type: ignore[attr-defined]
    count = FreeCount(ThreadsMachine(), Sized)  # type: ignore[arg-type]
    assert (count.threshold, count.drift) == (threshold, ncpus * threshold)


def test_a_part_is_added_when_it_is_more_than_the_threshold() -> None:
    count, tally = count_of(), Tally()
    part = PartCount(count, tally)
    count.set(100)
    assert count.threshold == 4
    for pages, counted, left, adds in [(4, 100, 4, 0), (1, 105, 0, 1), (-4, 105, -4, 1), (2, 105, -2, 1),
                                       (-3, 100, 0, 2), (9, 109, 0, 3), (-1, 109, -1, 3)]:  # fmt: skip
        part.add(pages)
        assert (count.pages, tally.uncounted, tally.adds) == (counted, left, adds)


def test_who_is_near_a_mark_adds_up_and_who_is_not_takes_the_count() -> None:
    count = count_of()
    part = PartCount(count, Tally())
    for pages, found in [(58, 58), (57, -1), (50, -1), (59, 59)]:
        count.set(pages)
        assert part.near(50, lambda: -1) == found


def test_nobody_adds_up_the_words_while_memory_is_plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four trees are taken, and a sum would go over all of them each time."""
    with uvmfree.boot(design="llfree", npages=1 << 15, ncpus=2, tree_pages=64) as uvm, uvm.run_on(0) as cpu:
        sums = list[int]()
        free = uvm.design.free
        monkeypatch.setattr(uvm.design, "free", lambda: sums.append(1) or free())
        assert None not in [cpu.pagealloc() for _ in range(256)]
        assert sums == []


def test_a_page_too_many_in_the_count_is_a_finding() -> None:
    with uvmfree.boot(design="llfree", npages=2048, ncpus=2) as uvm, uvm.run_on(0) as cpu:
        for _ in range(99):
            cpu.pagealloc()
        uvm.audit()
        assert uvm.design.tallies[0].adds > 0
        uvm.design.counted.set(uvm.design.counted.pages + 1)
        with pytest.raises(uvmfree.AuditError, match=r"\d+ pages are counted as free and -?\d+ are to be added"):
            uvm.audit()
        uvm.design.counted.set(uvm.design.counted.pages - 1)


def test_pages_that_a_run_takes_and_gives_back_are_counted() -> None:
    with uvmfree.boot(design="llfree", npages=4096, ncpus=2) as uvm, uvm.run_on(0) as cpu:
        run = uvm.pglistalloc(64)
        assert (uvm.design.counted.pages + uvm.design.tallies[0].uncounted) == 4096 - 64 == uvm.uvmexp.free
        for pg in run:
            cpu.pagefree(pg)
        uvm.audit()

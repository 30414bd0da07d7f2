"""Ghosts and sweeps, to the page: a list is swept when ghosts outnumber pages, and not before (uvm/freelist.py).

=> Swept later, a list would grow; swept sooner, unlinking would cost more than O(1) on average.
=> The same for the three kinds of lists that pages leave from the middle: a chunk of the global list, and both lists
   of the design fpageqlock.
"""

from collections.abc import Callable

import pytest

from uvmfree.uvm.designs.fpageqlock import EveryList
from uvmfree.uvm.freelist import Bucket
from uvmfree.uvm.page import SWEEP_MIN, UNKNOWN, PageList, Place, VmPage

Unlink = Callable[[VmPage], None]


def stand(pages: PageList, npages: int) -> list[VmPage]:
    made = [VmPage(pfn, 0, 0, "test") for pfn in range(npages)]
    for pg in made:
        pg.on = pages
    pages += made
    return made


def a_chunk(npages: int) -> tuple[PageList, list[VmPage], Unlink]:
    bucket = Bucket("test", UNKNOWN)
    chunk = PageList(Place.CACHED, 0, UNKNOWN)
    made = stand(chunk, npages)
    bucket.splice(chunk)
    return chunk, made, bucket.unlink


def a_cpu_list(npages: int) -> tuple[PageList, list[VmPage], Unlink]:
    pages, others = PageList(Place.GLOBAL, 0, UNKNOWN), PageList(Place.GLOBAL, 1, UNKNOWN)
    made = stand(pages, npages)

    def unlink(pg: VmPage) -> None:
        pg.on = others  # free again, and no page of this CPU's
        others.append(pg)
        pages.unlink(pg)

    return pages, made, unlink


def a_global_list(npages: int) -> tuple[PageList, list[VmPage], Unlink]:
    made = stand(PageList(Place.GLOBAL, 0, UNKNOWN), npages)  # what the pages name is a list of some CPU
    pages = EveryList(Place.GLOBAL, None, UNKNOWN)
    pages += made

    def unlink(pg: VmPage) -> None:
        pg.on = "test"
        pages.unlink(pg)

    return pages, made, unlink


KINDS = pytest.mark.parametrize("make", [a_chunk, a_cpu_list, a_global_list])


@KINDS
@pytest.mark.parametrize(
    "npages", [SWEEP_MIN + 10, 2 * SWEEP_MIN, 2 * SWEEP_MIN + 1, 4 * SWEEP_MIN, 4 * SWEEP_MIN + 1]
)
def test_a_list_is_swept_when_ghosts_outnumber_pages_and_not_before(
    make: Callable[[int], tuple[PageList, list[VmPage], Unlink]], npages: int
) -> None:
    """R2: below SWEEP_MIN ghosts never; a sweep leaves the pages that stand there, in order, and no ghost."""
    pages, made, unlink = make(npages)
    entries, ghosts, sweeps = npages, 0, 0
    for gone, pg in enumerate(made[:-1], 1):  # from the bottom on: never the head
        unlink(pg)
        ghosts += 1
        if ghosts > SWEEP_MIN and ghosts > entries - ghosts:
            entries, ghosts = entries - ghosts, 0
            sweeps += 1
        assert (pages.ghosts, len(pages)) == (ghosts, entries)
        assert pages[ghosts:] == made[gone:]
    assert sweeps >= 1


@KINDS
def test_the_head_leaves_no_ghost(make: Callable[[int], tuple[PageList, list[VmPage], Unlink]]) -> None:
    """R2: a page that leaves from the head is simply taken."""
    pages, made, unlink = make(5)
    for pg in made[::-1]:
        unlink(pg)
        assert pages.ghosts == 0
    assert pages == []


def test_a_ghost_that_is_met_at_the_head_is_counted_no_more() -> None:
    """R2: pages come out from under ghosts, and the count of these stays exact."""
    chunk, made, unlink = a_chunk(12)
    bucket = Bucket("test", UNKNOWN)
    bucket.splice(chunk)
    for pg in (made[10], made[9], made[8], made[5], made[1]):
        unlink(pg)
    for pfn, ghosts in ((11, 5), (7, 2), (6, 2), (4, 1), (3, 1), (2, 1), (0, 0)):
        pg = bucket.pop()
        assert pg is made[pfn]
        assert chunk.ghosts == ghosts == len(chunk) - sum(each.on is chunk for each in chunk)
    assert bucket.pop() is None


def test_who_takes_from_the_head_does_not_walk_the_list() -> None:
    """One ghost at the bottom of a store of a thousand pages: a refill takes its pages, and no sweep."""
    bucket, chunk = Bucket("test", UNKNOWN), PageList(Place.CACHED, 0, UNKNOWN)
    made = stand(chunk, 1000)
    bucket.splice(chunk)
    bucket.unlink(made[0])
    bucket.unlink(made[998])
    assert bucket.take(3) == [made[996], made[997], made[999]]
    assert (chunk.ghosts, len(chunk)) == (1, 996)


def test_a_page_that_was_taken_does_not_come_again_from_its_ghost() -> None:
    """Not even before who took it has it on a list of its own: another CPU may have the lock by then."""
    bucket = Bucket("test", UNKNOWN)
    twice, once = VmPage(0, 0, 0, "test"), VmPage(1, 0, 0, "test")
    bucket.push(twice)
    bucket.push(once)
    bucket.unlink(twice)
    bucket.push(twice)
    assert bucket.take(1) == [twice]
    assert bucket.take(2) == [once]

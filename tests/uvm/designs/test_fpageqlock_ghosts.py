"""Today's allocator: a page that is at the head of both its lists leaves no ghost on either, whichever way it goes.

=> Ghosts are for pages that leave from the middle. Were one left each time, every list would be half ghosts.
"""

from collections.abc import Callable

import pytest

import uvmfree
from tests.conformance.steps import free_all, take, take_all
from tests.mechanism.rig import SMALL
from uvmfree.uvm.page import VmPage

WAYS: dict[str, Callable[[uvmfree.Uvm, VmPage], object]] = {
    "the short way": lambda uvm, warmest: take(uvm.cpus[0]),
    "with a colour": lambda uvm, warmest: take(uvm.cpus[0], color=warmest.color),
    "zeroed": lambda uvm, warmest: take(uvm.cpus[0], color=warmest.color, zero=True),
    "from another CPU": lambda uvm, warmest: take(uvm.cpus[1], color=warmest.color),
    "by frame": lambda uvm, warmest: uvm.pglistalloc(1, low=warmest.pfn, high=warmest.pfn + 1),
}


def ghosts(uvm: uvmfree.Uvm) -> int:
    """Count the ghosts on all lists, by what the lists say and by what stands there."""
    walked = list(uvm.design.walk())
    assert sum(each.pages.ghosts for each in walked) == sum(len(each.pages) - len(each.real) for each in walked)
    return sum(each.pages.ghosts for each in walked)


@pytest.mark.parametrize("way", WAYS)
def test_what_goes_out_at_the_head_leaves_no_ghost(way: str) -> None:
    """R2: last in, first out, on both lists at once."""
    uvm = uvmfree.boot(**SMALL | {"design": "fpageqlock", "ncolors": 1})
    assert ghosts(uvm) == 0
    for _ in range(20):
        warmest = next(each.pages[-1] for each in uvm.design.walk() if each.owner == 0 and each.pages)
        WAYS[way](uvm, warmest)
        assert warmest.place is uvmfree.Place.ALLOCATED
        assert ghosts(uvm) == 0
    uvm.audit()
    uvm.close()


def test_idle_zeroing_leaves_no_ghost_where_it_takes_the_warmest() -> None:
    """R15: off the head of the own list, which is the head of the global one here."""
    uvm = uvmfree.boot(**SMALL | {"design": "fpageqlock"})
    zeroed = uvm.cpus[0].pageidlezero()
    assert zeroed > 0
    assert ghosts(uvm) == 0
    uvm.audit()
    uvm.close()


def test_from_the_middle_a_ghost_is_left_on_the_list_that_it_is_the_middle_of() -> None:
    """R9: CPU 0 frees, then CPU 1; what CPU 0 takes back is at the head of its own list only."""
    uvm = uvmfree.boot(**SMALL | {"design": "fpageqlock", "ncolors": 1})
    pages = take_all(uvm.cpus[0])
    assert (len(pages), ghosts(uvm)) == (54, 0)
    free_all(uvm.cpus[0], pages[:30])
    free_all(uvm.cpus[1], pages[30:])
    for count in range(1, 11):
        assert take(uvm.cpus[0]) is pages[30 - count]
        assert ghosts(uvm) == count
    for count in range(1, 11):
        assert take(uvm.cpus[0], color=0) is pages[20 - count]
        assert ghosts(uvm) == 10 + count
    uvm.audit()
    uvm.close()

"""Units: chained off the cold ends, stacked, taken by pointer, poured together where they are partial."""

from itertools import pairwise

import pytest

from uvmfree.uvm.freelist import Grid, each, grid
from uvmfree.uvm.page import UNKNOWN, ZEROS, PageList, Place, VmPage
from uvmfree.uvm.units import Units, chained, unchain, zeros

COLORS = 4


def page(pfn: int, free_list: int = 0) -> VmPage:
    return VmPage(pfn, pfn % COLORS, free_list, "here")


def unit(first: int, npages: int, queue: int = UNKNOWN) -> PageList:
    made = PageList(Place.GLOBAL, None, queue, 0)
    for pfn in range(first, first + npages):
        made.append(page(pfn))
        made[-1].on = made
    return made


def cache(npages: int, queue: int = UNKNOWN) -> Grid:
    """Make the lists of a CPU that freed pages in the order of their numbers."""
    lists = grid(1, COLORS, Place.CACHED, 0)
    for pfn in range(npages):
        into = lists[queue][0][pfn % COLORS]
        into.append(page(pfn))
        into[-1].on = into
    return lists


def pfns(pages: list[VmPage]) -> list[int]:
    return [pg.pfn for pg in pages]


def test_a_unit_is_put_and_taken_by_pointer_and_counts_as_one_item() -> None:
    store, one, two = Units("here", 1, 8), unit(0, 8), unit(8, 8)
    store.splice(one)
    store.splice(two)
    assert (store.items_touched, store.pages_touched, store.free) == (2, 0, 16)
    assert store.units(1, 0, (UNKNOWN, ZEROS), 8, 32) == [two]
    assert store.units(1, 0, (UNKNOWN, ZEROS), 99, 32)[0] is one
    assert (store.items_touched, store.pages_touched, store.free) == (4, 0, 0)


def test_what_fits_is_poured_into_the_unit_on_top() -> None:
    store = Units("here", 1, 8)
    for part in (unit(0, 5), unit(5, 3), unit(8, 1)):
        store.splice(part)
    assert [pfns(stand.pages()) for stand in store.lists()] == [[*range(8)], [8]]
    assert list(store.check("here")) == []


def test_no_more_units_or_pages_are_taken_than_asked_for_and_a_single_page_if_none_fits() -> None:
    store = Units("here", 1, 4)
    for first in range(0, 20, 4):
        store.splice(unit(first, 4))
    assert sum(map(len, store.units(1, 0, (UNKNOWN,), 11, 32))) == 8
    assert sum(map(len, store.units(1, 0, (UNKNOWN,), 99, 1))) == 4
    assert [len(one) for one in store.units(1, 0, (UNKNOWN,), -3, 32)] == [1]
    assert store.free == 20 - 8 - 4 - 1
    assert list(store.check("here")) == []


def test_the_first_queue_comes_first_and_the_second_fills_up() -> None:
    store = Units("here", 1, 4)
    store.splice(unit(0, 4))
    store.splice(unit(4, 4, ZEROS))
    taken = store.units(1, 0, (ZEROS, UNKNOWN), 8, 32)
    assert [one.queue for one in taken] == [ZEROS, UNKNOWN]
    assert zeros(taken) == 4


def test_a_page_leaves_from_the_middle_and_an_empty_unit_is_dropped() -> None:
    """So a hold touches no more units than it takes, however many were emptied."""
    store, one = Units("here", 1, 2), unit(0, 2)
    store.splice(unit(2, 2))
    store.splice(one)
    for pg in list(one):
        store.unlink(pg)
        assert pg.on == "here"
    assert "a unit of 0 pages" in " ".join(store.check("here"))
    store.drop_empty()
    assert list(store.check("here")) == []
    assert [pfns(each) for each in store.lists()] == [[2, 3]]
    assert [pfns(taken) for taken in store.units(1, 0, (UNKNOWN,), 2, 32)] == [[2, 3]]
    assert not list(store.lists())
    assert store.units(1, 0, (UNKNOWN,), 2, 32) == []


def test_a_page_says_that_it_is_in_the_store_while_its_unit_is_on_a_stack_and_only_then() -> None:
    """Who takes a run out of the store, and stops no CPU, goes by that."""
    lists, store = cache(16), Units("here", 1, 8)
    units = chained(lists, 3, 16, 8)
    pages = [pg for one in units for pg in one]
    assert {(pg.place, pg.owner) for pg in pages} == {(Place.CACHED, 3)}
    for one in units:
        store.splice(one)
    assert {(pg.place, pg.owner) for pg in pages} == {(Place.GLOBAL, None)}
    assert {(pg.place, pg.owner) for pg in store.units(2, 0, (UNKNOWN,), 8, 1)[0]} == {(Place.CACHED, 2)}
    [[single]] = store.units(2, 0, (UNKNOWN,), 7, 32)
    assert (single.place, single.owner) == (Place.CACHED, 2)
    assert sum(pg.place is Place.GLOBAL for pg in pages) == store.free == 7


def test_single_pages_gather_in_units() -> None:
    store = Units("here", 1, 4)
    for pfn in range(10):
        store.push(page(pfn), UNKNOWN)
    assert [len(one) for one in store.lists()] == [4, 4, 2]
    assert (store.items_touched, store.pages_touched) == (3, 7), "a page that begins a unit is an item"


def test_a_single_page_begins_a_unit_of_its_queue_and_freelist() -> None:
    store = Units("here", 2, 4)
    for pg, queue in ((page(0), UNKNOWN), (page(1), ZEROS), (page(2, free_list=1), ZEROS)):
        store.push(pg, queue)
    assert [(one.queue, one.free_list, pfns(one)) for one in store.lists()] == [
        (UNKNOWN, 0, [0]),
        (ZEROS, 0, [1]),
        (ZEROS, 1, [2]),
    ]
    assert (store.npages, store.stock) == ([1, 2], (1, 2))


def test_a_unit_that_is_too_long_is_found() -> None:
    store = Units("here", 1, 4)
    store.splice(unit(0, 5))
    assert ["5 pages; 1 at least, 4 at most" in line for line in store.check("here")] == [True]


@pytest.mark.parametrize("npages", [0, 1, 8, 13, 24, 64, 99])
def test_the_coldest_are_chained_whole_units_first_with_all_colours_in_each(npages: int) -> None:
    """R2: what a CPU freed last stays with it; a unit that comes back has pages of every colour."""
    lists = cache(64)
    units = chained(lists, 0, npages, 8)
    taken = [pg for one in units for pg in one]
    assert len(taken) == min(npages, 64)
    assert pfns(taken)[: npages // 8 * 8] == [*range(min(npages // 8 * 8, 64))]
    assert all(pg.on is one and one.color is None for one in units for pg in one)
    assert [len(one) for one in units[:-1]] == [8] * (len(units) - 1)
    assert all(len({pg.color for pg in one}) == COLORS for one in units if len(one) == 8)
    for pages in each(lists):
        colder = [pg for pg in taken if pg.color == pages.color]
        assert all(cold.pfn < warm.pfn for cold, warm in pairwise([*colder, *pages]))


def test_whole_units_of_every_queue_come_before_partial_ones() -> None:
    lists = cache(12)
    lists[ZEROS] = cache(12, ZEROS)[ZEROS]
    assert [(one.queue, len(one)) for one in chained(lists, 0, 17, 8)] == [(UNKNOWN, 8), (ZEROS, 8), (UNKNOWN, 1)]


def test_chained_and_unchained_pages_stand_where_they_stood() -> None:
    lists = cache(32)
    before = [pfns(pages) for pages in each(lists)]
    units = chained(lists, 0, 32, 8)
    assert unchain(units, lists) == 32
    assert [pfns(pages) for pages in each(lists)] == before
    assert all(pg.on is pages for pages in each(lists) for pg in pages)


def test_only_the_freelists_that_are_asked_for_are_chained() -> None:
    lists = grid(2, COLORS, Place.CACHED, 0)
    for free_list in (0, 1):
        lists[UNKNOWN][free_list][0].append(page(4 * free_list, free_list))
    assert [pfns(one) for one in chained(lists, 0, 9, 8, (1,))] == [[4]]


def test_pages_of_one_colour_are_chained_too() -> None:
    lists = grid(1, 1, Place.CACHED, 0)
    into = lists[UNKNOWN][0][0]
    for pfn in range(5):
        into.append(VmPage(pfn, 0, 0, "here"))
        into[-1].on = into
    assert [pfns(part) for part in chained(lists, 0, 3, 2)] == [[0, 1], [2]]
    assert pfns(into) == [3, 4]


def test_a_unit_that_was_emptied_is_dropped_also_if_another_one_was_not() -> None:
    store, one, two = Units("here", 1, 4), unit(0, 4), unit(4, 4)
    store.splice(one)
    store.splice(two)
    store.remove([*one, two[0]])
    assert [pfns(stand.pages()) for stand in store.lists()] == [[5, 6, 7]]
    assert list(store.check("here")) == []


def test_a_last_page_that_is_taken_singly_leaves_no_empty_unit() -> None:
    store = Units("here", 1, 4)
    store.splice(unit(0, 1))
    assert [pfns(taken) for taken in store.units(1, 0, (UNKNOWN, ZEROS), 0, 32)] == [[0]]
    assert list(store.lists()) == []
    assert store.free == 0

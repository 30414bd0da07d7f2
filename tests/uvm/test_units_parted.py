"""Units in parts that one hold can splice: none lost, too large, or smaller than need be, beside a naive count."""

import random
from collections.abc import Sequence

from uvmfree.uvm.page import UNKNOWN, ZEROS, PageList, Place, VmPage
from uvmfree.uvm.units import parted

SIZE = 4


def unit(npages: int, queue: int, free_list: int) -> PageList:
    made = PageList(Place.GLOBAL, None, queue, free_list)
    made.extend(VmPage(pfn, 0, free_list, "here") for pfn in range(npages))
    return made


def items(part: Sequence[PageList]) -> int:
    """What a hold touches: an item for a whole unit, and for what comes on top of one of its row; else each page."""
    touched = 0
    for at, one in enumerate(part):
        tops = any(
            len(below) == SIZE and (below.queue, below.free_list) == (one.queue, one.free_list) for below in part[:at]
        )
        touched += 1 if len(one) == SIZE or tops else len(one)
    return touched


def test_parts_are_as_large_as_they_may_be() -> None:
    draw = random.Random(1)
    for most in (1, 2, 3, 5, 8, 32):
        for _ in range(60):
            units = [
                unit(draw.choice((1, 2, 3, SIZE, SIZE)), draw.choice((UNKNOWN, ZEROS)), draw.randrange(2))
                for _ in range(draw.randrange(12))
            ]
            parts = list(map(list, parted(units, SIZE, most)))
            assert [id(one) for part in parts for one in part] == [id(one) for one in units]
            for number, part in enumerate(parts):
                assert items(part) <= most or len(part) == 1
                if number:  # its first unit had no room in the part before
                    assert items([*parts[number - 1], part[0]]) > most


def test_nothing_has_no_parts() -> None:
    assert list(parted([], SIZE, 1)) == []

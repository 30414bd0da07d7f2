"""A page's struct that no cache holds: when it is cold, what it costs, and that it is off unless a table says so."""

import pytest

from uvmfree.machine.costs import SETS, costs_for
from uvmfree.machine.virtual.machine import VirtualMachine

KEEPS = 8
MEMORY_NS = 1000


class Struct:
    """What is to be a line: `list` is the field whose store fetches it."""

    __slots__ = ("list",)

    def __init__(self) -> None:
        self.list: object = None


def took(cold_after_pages: int, others: int, *, by: int = 0) -> int:
    """What it takes CPU `by` to touch a page that CPU 0 touched before `others` other pages, those twice each."""
    costs = costs_for(line_memory=MEMORY_NS, cold_after_pages=cold_after_pages, jitter_percent=0)
    machine = VirtualMachine(ncpus=2, costs=costs)
    page = machine.lined(Struct, "list")
    one, more = page(), [page() for _ in range(others)]
    spent: list[int] = []

    def first() -> None:
        one.list = None
        for other in more:
            other.list = other.list = None

    def then() -> None:
        machine.sleep(1)
        began = machine.clock_ns()
        one.list = None
        spent.append(machine.clock_ns() - began)

    tasks = [machine.spawn("first", first, 0), machine.spawn("then", then, by)]
    assert machine.wait_for(tasks, lambda: False)
    return spent[0]


@pytest.mark.parametrize(("others", "ns"), [(KEEPS - 1, 0), (KEEPS, 0), (KEEPS + 1, MEMORY_NS)])
def test_a_struct_is_cold_once_its_cpu_has_touched_more_pages_than_its_cache_keeps(others: int, ns: int) -> None:
    assert took(KEEPS, others) == ns


def test_another_cpu_gets_a_cold_struct_from_memory_a_warm_one_from_the_cache() -> None:
    assert took(KEEPS, KEEPS, by=1) == costs_for().ns("line_socket")
    assert took(KEEPS, KEEPS + 1, by=1) == MEMORY_NS


@pytest.mark.parametrize("name", SETS)
def test_it_is_off_unless_a_table_says_so(name: str) -> None:
    assert costs_for(name).count("cold_after_pages") == 0
    assert took(0, 100 * KEEPS) == 0

"""What a design's own checks say, line by line: which count, of which CPU and queue, and what stands there."""

from collections.abc import Callable

import pytest

from tests.uvm.test_audit import BOTH, Sick, free_too_high, lost, lost_from_the_global_list, zeropages_too_high
from uvmfree.uvm.audit import findings
from uvmfree.uvm.page import UNKNOWN, ZEROS


def found(sick: Sick, corrupt: Callable[[Sick], object]) -> list[str]:
    assert list(findings(sick.uvm.design)) == []
    corrupt(sick)
    return list(findings(sick.uvm.design))


@pytest.mark.parametrize("design", BOTH)
def test_a_counter_that_lies_is_named_with_both_figures(design: str) -> None:
    """R3: free and zeropages follow the global list."""
    for corrupt, name in ((free_too_high, "free"), (zeropages_too_high, "zeropages")):
        sick = Sick(design)
        truth = sick.counters.load(name)
        line = f"uvmexp.{name} is {truth + 1}, {truth} such pages are on the global list"
        assert found(sick, corrupt) == [line]
        sick.uvm.close()


@pytest.mark.parametrize("queue", [UNKNOWN, ZEROS])
def test_a_count_of_the_proposals_global_list_is_compared_for_each_queue(queue: int) -> None:
    """R3: the list's own count, and the counter that follows it."""
    sick = Sick("percpu")
    stock = sick.design.store
    stands, free, zeropages = stock.npages[queue], stock.free, stock.npages[ZEROS]

    def miscount(sick: Sick) -> None:
        stock.npages[queue] += 2

    lines = [
        f"the global list counts {stands + 2} pages on queue {queue}, {stands} stand there",
        f"uvmexp.free is {free}, {free + 2} such pages are on the global list",
    ]
    if queue == ZEROS:
        lines.append(f"uvmexp.zeropages is {zeropages}, {zeropages + 2} such pages are on the global list")
    assert found(sick, miscount) == lines
    sick.uvm.close()


@pytest.mark.parametrize("queue", [UNKNOWN, ZEROS])
@pytest.mark.parametrize("index", [0, 1])
def test_a_count_of_todays_cpus_is_compared_for_each_queue(index: int, queue: int) -> None:
    """R3: pages[q] is what the CPU's lists hold."""
    sick = Sick("fpageqlock")
    npages = (sick.cpu, sick.other)[index].npages
    stands = npages[queue]

    def miscount(sick: Sick) -> None:
        npages[queue] -= 1

    free, zeropages = sick.counters.load("free"), sick.counters.load("zeropages")
    lines = [
        f"CPU {index} counts {stands - 1} pages on queue {queue}, {stands} stand there",
        f"uvmexp.free is {free}, {free - 1} such pages are on the global list",
    ]
    if queue == ZEROS:
        lines.append(f"uvmexp.zeropages is {zeropages}, {zeropages - 1} such pages are on the global list")
    assert found(sick, miscount) == lines
    sick.uvm.close()


def test_a_page_on_one_of_two_lists_is_named_with_the_list_that_it_is_on() -> None:
    """R3: today every free page stands on both; the lines are in the order of the frames."""
    sick = Sick("fpageqlock")
    counted = sick.cpu.npages[UNKNOWN]

    def both(sick: Sick) -> None:
        lost(sick)
        lost_from_the_global_list(sick)

    lines = {
        sick.own.pfn: f"free page {sick.own.pfn:#x} stands on the global list only; it must stand on both",
        sick.stock.pfn: f"free page {sick.stock.pfn:#x} stands on a CPU's list only; it must stand on both",
    }
    assert found(sick, both) == [
        f"CPU 0 counts {counted} pages on queue 0, {counted - 1} stand there",
        *[lines[pfn] for pfn in sorted(lines)],
    ]
    sick.uvm.close()


@pytest.mark.parametrize(
    ("design", "lists"),
    [
        ("fpageqlock", {"the list of CPU 0": 0, "the list of CPU 1": 1, "the global list": None}),
        ("percpu", {"the cache of CPU 0": 0, "the cache of CPU 1": 1, "the global list": None}),
    ],
)
def test_every_list_is_walked_under_its_name(design: str, lists: dict[str, int | None]) -> None:
    """R3: as a finding names it; today's global list is the one that its pages do not name."""
    sick = Sick(design)
    walked = list(sick.uvm.design.walk())
    assert {each.where: each.owner for each in walked} == lists
    away = {"the global list"} if design == "fpageqlock" else set()
    assert {each.where for each in walked if not each.home} == away
    sick.uvm.close()

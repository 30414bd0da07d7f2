"""Counters in virtual time: what an update takes, whose line it fetches, and that one waits for the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

import uvmfree
from uvmfree.machine.costs import costs_for

COSTS = costs_for("xeon-2s", jitter_percent=0)
ATOMIC_NS, LINE_NS, MEMORY_NS = (round(COSTS.ns(cost)) for cost in ("atomic", "line_complex", "line_memory"))


def updated(words: Sequence[str], times: int) -> tuple[dict[str, int], list[int], int]:
    """Have a CPU add to each of these words; return the words, the updates of each CPU, and the time of all."""
    machine = uvmfree.VirtualMachine(ncpus=2, costs=COSTS, quantum_ns=0)
    page = machine.counters(("free", "zeropages"))
    adders = [page.adder(word) for word in words]

    def body(index: int) -> Callable[[], None]:
        def adds() -> None:
            for at in range(times):
                adders[index].add((-1, 3)[at % 2])

        return adds

    began_ns = machine.clock_ns()
    strands = [machine.spawn(f"cpu{index}", body(index), index) for index in range(len(words))]
    for strand in strands:
        assert strand.join(1)
        assert strand.error is None
    found = {name: page.load(name) for name in page.names}
    return found, [adder.operations for adder in adders], machine.clock_ns() - began_ns


def test_the_first_update_of_a_cpu_fetches_the_line_and_the_next_ones_have_it() -> None:
    found, operations, took_ns = updated(["free"], 10)
    assert (found, operations) == ({"free": 10, "zeropages": 0}, [10])
    assert took_ns == pytest.approx(MEMORY_NS + 9 * ATOMIC_NS, abs=1)


def test_updates_of_one_word_take_its_line_from_each_other() -> None:
    """Each waits for the one before; words of their own are on lines of their own."""
    together, apart = updated(["free", "free"], 10), updated(["free", "zeropages"], 10)
    assert (together[0], apart[0]) == ({"free": 20, "zeropages": 0}, {"free": 10, "zeropages": 10})
    assert together[1] == apart[1] == [10, 10]
    assert apart[2] == pytest.approx(MEMORY_NS + 9 * ATOMIC_NS, abs=1)
    assert together[2] == pytest.approx(MEMORY_NS + 19 * LINE_NS, abs=1)


def test_reading_costs_nothing_also_after_the_end() -> None:
    machine = uvmfree.VirtualMachine(ncpus=1, costs=COSTS)
    page = machine.counters(("free", "zeropages"))
    page.adder("zeropages").add(7)
    page.close()
    began_ns = machine.clock_ns()
    assert (page.load("free"), page.load("zeropages"), page.view()[page.slot("zeropages")]) == (0, 7, 7)
    assert (page.closed, machine.clock_ns()) == (True, began_ns)

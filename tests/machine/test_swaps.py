"""Words that are changed by compare-and-swap: on threads, in virtual time, and by the library's documented call."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import uvmfree
from uvmfree.machine.costs import costs_for
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.words import SharedWords

MAKERS: dict[str, Callable[..., Any]] = {
    "threads": ThreadsMachine().words,
    "public calls": lambda count, apart=False: SharedWords(count, apart=apart, public_calls=True),
    "virtual": lambda count, apart=False: uvmfree.VirtualMachine().words(count, apart=apart),
}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("made_by", MAKERS)
def test_a_swap_stores_what_it_is_given_if_the_word_is_what_was_expected(made_by: str, apart: bool) -> None:
    words = MAKERS[made_by](20, apart=apart)
    view, swap = words.view(), words.swapper()
    top = (1 << 64) - 1
    assert swap(3, 0, top)
    assert not swap(3, 0, 5)
    assert swap(19, 0, 7)
    assert (view[3], view[19], view[18]) == (top, 7, 0)
    view[18] = 1 << 63
    assert words.read(17, 20) == [0, 1 << 63, 7]
    assert swap(3, top, 0)
    assert sum(words.read(0, 20)) == (1 << 63) + 7


@pytest.mark.parametrize("public_calls", [False, True])
def test_the_short_way_is_taken_where_nobody_asks_for_the_other(public_calls: bool) -> None:
    """What is measured is the design, not the library's Python; the other way is a method of the words."""
    words = SharedWords(1, public_calls=public_calls)
    assert (getattr(words.swapper(), "__self__", None) is words) == public_calls


def test_no_swap_of_another_thread_is_lost() -> None:
    """Threads that count in one word, each with a swap and a view of its own."""
    words, turns, nthreads = SharedWords(9), 2_000, 4

    def count() -> None:
        view, swap = words.view(), words.swapper()
        for _ in range(turns):
            while not swap(8, word := view[8], word + 1):
                pass

    threads = [threading.Thread(target=count) for _ in range(nthreads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert words.read(0, 9) == [0] * 8 + [turns * nthreads]


def swapped_by_turns(apart: bool) -> tuple[list[int], int]:
    """Have two CPUs swap a word each, that is the other's neighbour; return what they came to, and in what time."""
    machine = uvmfree.VirtualMachine(ncpus=2, costs=costs_for("xeon-2s", jitter_percent=0), quantum_ns=0)
    words = machine.words(2, apart=apart)

    def body(index: int) -> None:
        view, swap = words.view(), words.swapper()
        for _ in range(100):
            while not swap(index, word := view[index], word + 1):
                pass

    began_ns = machine.clock_ns()
    for strand in [machine.spawn(f"cpu{index}", lambda index=index: body(index), index) for index in range(2)]:
        assert strand.join(1)
        assert strand.error is None
    return words.read(0, 2), machine.clock_ns() - began_ns


def test_words_of_one_line_take_it_from_each_other_in_virtual_time() -> None:
    together, apart = swapped_by_turns(False), swapped_by_turns(True)
    assert together[0] == apart[0] == [100, 100]
    atomic, line = (costs_for("xeon-2s").ns(cost) for cost in ("atomic", "line_core"))
    assert 99 * atomic <= apart[1] <= 101 * atomic + 200
    assert together[1] >= 150 * line


def test_a_swap_that_comes_late_fails_in_virtual_time() -> None:
    """Whoever swaps first in virtual time has it; the other finds the word changed."""
    machine = uvmfree.VirtualMachine(ncpus=2, quantum_ns=0)
    words, won = machine.words(1), []

    def body(index: int) -> None:
        view, swap = words.view(), words.swapper()
        word = view[0]
        machine.charge(1_000 * (2 - index))
        won.append((index, swap(0, word, index + 1)))

    for strand in [machine.spawn(f"cpu{index}", lambda index=index: body(index), index) for index in range(2)]:
        assert strand.join(1)
    assert won == [(1, True), (0, False)]
    assert words.read(0, 1) == [2]

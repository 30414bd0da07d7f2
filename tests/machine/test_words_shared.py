"""Updaters of one counter share nothing but the counter: what one is about to add, another does not touch."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from uvmfree.machine import words
from uvmfree.machine.words import CounterPage


class Between:
    """Has something done between the moment at which an updater has its operand ready and the atomic addition."""

    def __init__(self) -> None:
        self.then: Callable[[], object] | None = None

    def machine_add(self, pointer: int) -> Callable[..., object]:
        """Stand in for the type of the library's function."""
        real = MACHINE_ADD(pointer)

        def add(*arguments: Any) -> object:
            then, self.then = self.then, None
            if then is not None:
                then()
            return real(*arguments)

        return add


MACHINE_ADD = words._MachineAdd


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Between:
    made = Between()
    monkeypatch.setattr(words, "_MachineAdd", made.machine_add)
    return made


@pytest.fixture
def page(between: Between) -> Iterator[CounterPage]:
    made = CounterPage(("free", "zeropages"))
    assert made.direct
    yield made
    made.close()


@pytest.mark.parametrize("other", ["free", "zeropages"])
def test_another_threads_update_in_between_changes_no_operand(
    page: CounterPage, between: Between, other: str
) -> None:
    """Of the same counter, and of another one."""
    mine, theirs = page.adder("free"), page.adder(other)
    between.then = lambda: theirs.add(1000)
    mine.add(1)
    assert page.load("free") + page.load("zeropages") == 1001
    assert page.load("free") == (1001 if other == "free" else 1)


def test_each_counts_its_own_operations(page: CounterPage) -> None:
    mine, theirs = page.adder("free"), page.adder("free")
    mine.add(1)
    mine.add(1)
    theirs.add(1)
    assert (mine.operations, theirs.operations) == (2, 1)

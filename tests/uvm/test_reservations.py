"""Reserved trees: which of them a CPU reserves next."""

from __future__ import annotations

from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.physmem import PhysMem, split
from uvmfree.uvm.reservations import AT, Reservations, Reserved
from uvmfree.uvm.trees import RESERVED, Tally, Trees

SIZE = 128
NTREES = 64
HERE = 24
"""A tree from which a search starts, rather than from one below; it looks at three near by first."""


class Reserver:
    """A CPU that has tree HERE, and reserves others; of these all frames are free, or as many as a test says."""

    def __init__(self, free: dict[int, int]) -> None:
        machine = ThreadsMachine()
        physmem = PhysMem(split(NTREES * SIZE, 1), 1, 4096, machine.ram)
        self.trees = Trees(physmem, SIZE, machine)
        self.reserved = Reserved(machine, 1, 1, self.trees)
        self.cpu = Reservations(self.reserved, 0, Tally())
        self.at = self.reserved.first(0)
        self.counts = self.trees.counts.view()
        for tree in range(NTREES):
            self.counts[tree] = free.get(tree, SIZE)

    def next(self) -> int | None:
        """Return which tree it reserves from where it is; afterwards nothing is free there."""
        self.counts[HERE] = RESERVED
        self.reserved.view[self.at] = (HERE * self.trees.rows << AT) + RESERVED
        row = self.cpu.reserve(self.at, 0)
        if row is None:
            return None
        tree = row // self.trees.rows
        self.counts[tree] = 0
        return tree


def test_untouched_trees_are_reserved_on_both_sides_in_turn_the_nearest_first() -> None:
    cpu = Reserver({})
    assert [cpu.next() for _ in range(7)] == [HERE - 1, HERE + 1, HERE - 2, HERE + 2, HERE - 3, HERE + 3, HERE - 4]


def test_beyond_the_last_tree_comes_the_first() -> None:
    cpu = Reserver({})
    others = [cpu.next() for _ in range(NTREES - 1)]
    assert sorted(each for each in others if each is not None) == [each for each in range(NTREES) if each != HERE]
    assert cpu.next() is None


def test_one_near_by_that_is_nearly_used_up_comes_first_then_used_ones_then_untouched_ones() -> None:
    cpu = Reserver({HERE + 1: SIZE // 2, HERE - 2: SIZE // 2 - 1})
    assert [cpu.next() for _ in range(3)] == [HERE - 2, HERE + 1, HERE - 1]


def test_one_with_hardly_a_page_left_comes_after_one_of_which_half_is_left() -> None:
    cpu = Reserver({HERE - 1: SIZE // 64 - 1, HERE + 1: SIZE // 2})
    assert [cpu.next() for _ in range(3)] == [HERE + 1, HERE - 1, HERE - 2]

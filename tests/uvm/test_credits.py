"""Credits: dealt out once, lent by who is idle or has more, and never more or fewer in all."""

import random

import pytest

from uvmfree.uvm.credits import LOOKS, Credits

TICK_NS = 10**7


class Cpus:
    """What the credits are told of the CPUs."""

    def __init__(self, ncpus: int) -> None:
        self.now_ns, self.operations = 10**9, [1] * ncpus


def credits(total: int, ncpus: int, most: int = 16) -> tuple[Credits, Cpus]:
    """Deal out credits to CPUs that have all just worked."""
    cpus, made = Cpus(ncpus), Credits(total, ncpus, most, 2 * TICK_NS / 1e9)
    made.watch(lambda: cpus.now_ns, lambda index: cpus.operations[index])
    for index in range(ncpus):
        made.idle_ns(index)
    return made, cpus


def borrowed(made: Credits, borrower: int) -> int:
    """Borrow from the first CPU that can lend; return how many credits."""
    return next((lent for each in made.lenders(borrower) if (lent := made.lend(each, borrower))), 0)


@pytest.mark.parametrize(
    ("total", "ncpus", "dealt"), [(64, 2, [16, 16]), (64, 8, [8] * 8), (7, 4, [2, 2, 2, 1]), (2, 3, [1, 1, 0])]
)
def test_they_are_dealt_out_evenly_and_no_more_than_can_be_used(total: int, ncpus: int, dealt: list[int]) -> None:
    assert credits(total, ncpus)[0].of == dealt


def test_an_idle_cpu_lends_all_and_one_that_works_half_of_what_it_has_more() -> None:
    made, cpus = credits(24, 3)
    made.of[:] = [4, 12, 8]
    assert borrowed(made, 0) == (12 - 4) // 2
    assert made.of == [8, 8, 8]
    assert borrowed(made, 0) == 0, "nobody has more"
    cpus.now_ns += 2 * TICK_NS
    cpus.operations[1] += 1
    assert borrowed(made, 0) == 8
    assert made.of == [16, 8, 0], "CPU 2 did nothing, CPU 1 something"


def test_who_has_all_that_it_can_use_borrows_none() -> None:
    made, cpus = credits(64, 4)
    cpus.now_ns += 2 * TICK_NS
    assert list(made.lenders(0)) == []
    assert made.lend(1, 0) == 0


def test_nobody_borrows_more_than_it_can_use_however_much_an_idle_cpu_could_spare() -> None:
    made, cpus = credits(24, 3)
    made.of[:] = [12, 8, 4]
    cpus.now_ns += 2 * TICK_NS
    cpus.operations[0] += 1
    assert borrowed(made, 0) == 16 - 12
    assert made.of == [16, 4, 4]


def test_one_more_is_no_reason_unless_it_has_less_than_its_share() -> None:
    """Else two CPUs would hand a credit back and forth."""
    made, _ = credits(8, 4)
    made.of[:] = [2, 5, 1, 0]
    assert borrowed(made, 0) == 0
    assert borrowed(made, 2) == 2
    made.of[:] = [3, 3, 2, 0]
    assert borrowed(made, 3) == 1


def test_who_has_less_than_its_share_looks_at_all_and_others_at_a_few() -> None:
    made, _ = credits(64, 64, most=4)
    made.of[0], made.of[40] = 0, 2
    assert list(made.lenders(0)) == [40]
    made.of[0] = 1
    looked = []
    made.watch(lambda: 0, lambda index: looked.append(index) or 1)  # type: ignore[func-returns-value]
    assert list(made.lenders(0)) == []
    assert len(looked) <= LOOKS


def test_the_hand_goes_on_so_that_not_the_same_cpu_lends_each_time() -> None:
    made, cpus = credits(8, 4)
    cpus.now_ns += 2 * TICK_NS
    assert [next(made.lenders(0)) for _ in range(4)] == [1, 2, 3, 1]


def test_whatever_happens_their_sum_stays_and_none_is_negative() -> None:
    rng = random.Random(1)
    made, cpus = credits(40, 6)
    for _ in range(5000):
        cpu, other = rng.sample(range(6), 2)
        cpus.operations[rng.randrange(6)] += 1
        cpus.now_ns += rng.choice([0, TICK_NS, 3 * TICK_NS])
        if rng.random() < 0.1:
            made.bequeath(cpu, other)
        else:
            borrowed(made, cpu)
        assert list(made.check()) == []
    assert sum(made.of) == 40


@pytest.mark.parametrize("of", [[3, 3, 3], [9, 0, -1]])
def test_the_check_finds_one_that_was_made_or_is_owed(of: list[int]) -> None:
    made, _ = credits(8, 3)
    made.of[:] = of
    assert len(list(made.check())) == 1

"""Percents and factors of the verdict are rounded to the nearest, and left out where they round to nothing."""

from dataclasses import replace

import pytest

from tests.report.test_verdict import made
from uvmfree.measure.record import Record
from uvmfree.report.text import per_op
from uvmfree.report.verdict import verdict


def parking(pages: int, designs: int) -> Record:
    """Make a record of so many designs, of which the last has so many of 65,536 pages out of reach, others a few."""
    one = made(gil=True, rates=(2.0, 0.5, 0.4, 0.3)[:designs])
    last = one.designs[-1]
    runs = [
        replace(run, seen=replace(run.seen, stranded_pages_max=pages if run.design == last else 3))
        for run in one.runs
    ]
    return replace(one, runs=runs)


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        (327, "up to 327 free pages are out"),  # 0.499 %
        (329, "up to 329 free pages (1 % of RAM) are out"),  # 0.502 %
        (982, "up to 982 free pages (1 % of RAM) are out"),  # 1.498 %
        (984, "up to 984 free pages (2 % of RAM) are out"),  # 1.501 %
        (65_536, "up to 65,536 free pages (100 % of RAM) are out"),
        (1, "up to 1 free page is out"),
    ],
)
def test_a_part_of_ram(pages: int, said: str) -> None:
    *_, sentence = verdict(parking(pages, 2))
    assert said in sentence


@pytest.mark.parametrize(("pages", "share"), [(327, 0), (329, 1), (984, 2)])
def test_the_most_of_many(pages: int, share: int) -> None:
    *_, sentence = verdict(parking(pages, 4))
    assert sentence.endswith(f"to {pages} (fourth) free pages are out of some CPU's reach, at most {share} % of RAM.")


@pytest.mark.parametrize(("taken", "factor"), [(25, "9.6"), (24, "10"), (23, "10"), (22, "11"), (100, "2.4")])
def test_a_factor_has_one_digit_below_ten(taken: int, factor: str) -> None:
    """Of 240 times in as many operations as the other takes it `taken` times."""
    *_, sentence = verdict(made(gil=True, rates=(2.0, taken / 120)))
    assert f"a factor of {factor} less" in sentence


def test_a_rare_lock_is_not_rounded_away() -> None:
    """24 times in 480,000 operations: four decimals would say 0.0001, which is twice as often."""
    one = made(gil=True, rates=(8000.0, 0.2))  # of 120 operations
    more = [
        replace(run, cpus=tuple(replace(cpu, allocs=4000 * cpu.allocs, frees=4000 * cpu.frees) for cpu in run.cpus))
        for run in one.runs
    ]
    *_, sentence = verdict(replace(one, runs=more))
    assert sentence.startswith("percpu takes it 0.000050 times, a factor of 40,000 less")


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ((0.0,), ("0.0000",)),
        ((0.0017, 0.0, 2.0), ("0.0017", "0.0000", "2.0000")),
        ((0.00085, 0.00005, 0.01), ("0.000850", "0.000050", "0.010000")),
    ],
)
def test_the_first_rate_decides_how_fine_all_are(rates: tuple[float, ...], said: tuple[str, ...]) -> None:
    assert per_op(*rates) == said

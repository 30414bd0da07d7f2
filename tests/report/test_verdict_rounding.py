"""Percents and factors of the verdict are rounded to the nearest, and left out where they round to nothing."""

from dataclasses import replace

import pytest

from tests.report.test_verdict import made
from uvmfree.measure.record import Record
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

"""What a tally says: quantiles by nearest rank, and each figure by hand."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.measure.tallies import NONE, TALLY
from uvmfree.measure.tally import RUNS, Held, TallyFigures, figures_of, histogram, merged, quantile


def test_every_figure_of_a_tally() -> None:
    """100 holds: 50 of 1 item, one of 16, 49 of 32. Of 400 allocations 80 were warm."""
    assert figures_of(TALLY) == TallyFigures(
        held_items_p50=1,
        held_items_p99=32,
        held_items_max=32,
        held_pages_max=32,
        held_run_items_max=0,
        parked_pages_max=1234,
        parked_pages_mean=617.0,
        warm_percent=20.0,
        reuse_pages_median=3,
        color_right_percent=75.0,
        failed_while_free_elsewhere=4,
        free_512_blocks=101,
        store_512_blocks=77,
        stranded_1s_pages=600,
        stranded_5s_pages=50,
        stranded_20s_pages=0,
    )


def test_a_chunk_counts_among_the_items_and_not_among_the_pages() -> None:
    only_chunks = replace(TALLY, held=TALLY.held[1:])
    found = figures_of(only_chunks)
    assert (found.held_items_p50, found.held_items_max, found.held_pages_max) == (16, 16, 0)


def test_runs_of_pages_are_told_apart_from_what_cpus_exchange() -> None:
    """A run of 512 pages is 512 items for every design."""
    found = figures_of(replace(TALLY, held=(*TALLY.held, Held("uvm_fpageqlock", RUNS, ((512, 99),), ((512, 99),)))))
    assert (found.held_items_p99, found.held_items_max, found.held_pages_max) == (32, 32, 32)
    assert found.held_run_items_max == 512


def test_a_design_without_shared_locks_touches_nothing_under_one() -> None:
    found = figures_of(NONE)
    assert (found.held_items_p50, found.held_items_p99, found.held_items_max, found.held_pages_max) == (0, 0, 0, 0)


def test_without_a_tally_nothing_is_known() -> None:
    assert set(asdict(figures_of(None)).values()) == {None}


@pytest.mark.parametrize(
    ("part", "value"),
    [(0.01, 1), (0.49, 1), (0.5, 1), (0.51, 7), (0.98, 7), (0.99, 7), (0.991, 100), (1, 100)],
)
def test_a_quantile_is_the_least_value_that_so_many_do_not_exceed(part: float, value: int) -> None:
    """Of 100: 50 times 1, 49 times 7, and 100 once."""
    assert quantile(((1, 50), (7, 49), (100, 1)), part) == value


def test_a_part_of_a_whole_number_is_a_whole_number() -> None:
    """0.07 of 100 is 7, though a computer has it a little larger."""
    assert 0.07 * 100 > 7
    assert quantile(tuple((value, 1) for value in range(1, 101)), 0.07) == 7


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile((), 0.5) is None


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(1, 100))
def test_a_quantile_is_the_one_of_the_values_in_order(values: list[int], hundredths: int) -> None:
    counts = histogram({value: values.count(value) for value in values})
    rank = -(-hundredths * len(values) // 100)
    assert quantile(counts, hundredths / 100) == sorted(values)[rank - 1]


@given(st.lists(st.lists(st.integers(0, 9))))
def test_merged_histograms_count_what_each_counted(columns: list[list[int]]) -> None:
    each = [histogram({value: column.count(value) for value in column}) for column in columns]
    every = [value for column in columns for value in column]
    assert merged(each) == histogram({value: every.count(value) for value in every})

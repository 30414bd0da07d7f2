"""The bound of a quantile is the longest time that its bucket can hold, or the longest that there was."""

import pytest

from uvmfree.report.page.histogram import quantile_bound

FAR = 10**15


@pytest.mark.parametrize("bucket", [0, 1, 2, 10, 30])
def test_the_upper_end_of_a_bucket(bucket: int) -> None:
    """Times t with t.bit_length() == bucket: the longest of them is a number of so many ones."""
    histogram = [0] * 40
    histogram[bucket] = 5
    end_ns = int("0" + "1" * bucket, 2)
    assert end_ns.bit_length() == bucket
    assert quantile_bound(histogram, 0.5, FAR) == quantile_bound(histogram, 1.0, FAR) == end_ns
    assert quantile_bound(histogram, 0.99, end_ns // 2) == end_ns // 2


def test_the_last_bucket_has_no_end() -> None:
    assert quantile_bound([0, 0, 1], 0.5, FAR) == FAR


def test_a_part_is_reached_by_so_many_and_not_by_one_less() -> None:
    histogram = [0, 0, 99, 0, 1, 0, 0]
    assert quantile_bound(histogram, 0.99, FAR) == 3
    assert quantile_bound(histogram, 0.991, FAR) == 15
    assert quantile_bound([0, 1, 1, 0], 0.5, FAR) == 1

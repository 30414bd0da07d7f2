"""What a log2 histogram of times still tells: bounds of its quantiles.

=> Bucket b counts times t with t.bit_length() == b, in ns: 2**(b-1) to 2**b - 1; the last one all longer times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def summed(histograms: Iterable[Sequence[int]]) -> list[int]:
    """Add up histograms; empty without any."""
    return [sum(column) for column in zip(*histograms, strict=True)]


def quantile_bound(histogram: Sequence[int], part: float, longest_ns: int) -> int | None:
    """Return a time, in ns, that at least this part of all times did not exceed; None if there are none.

    => The upper end of the bucket that the quantile lies in, or the longest time where that is less: the quantile is
       above half of it.
    """
    total, below = sum(histogram), 0
    if not total:
        return None
    for bucket, count in enumerate(histogram[:-1]):
        below += count
        if below >= part * total:
            return min((1 << bucket) - 1, longest_ns)
    return longest_ns

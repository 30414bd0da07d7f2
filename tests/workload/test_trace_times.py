"""Times of a trace: a fraction of a second has one to nine digits, and each is worth what it says."""

from pathlib import Path

import pytest

from tests.workload.perf_lines import line, read


@pytest.mark.parametrize("digits", range(1, 10))
def test_a_fraction_is_read_by_its_digits(tmp_path: Path, digits: int) -> None:
    fraction = "123456789"[:digits]
    text = line("alloc", "0x10").replace("0.000000", "7.0", 1) + line("free", "0x10").replace(
        "0.000000", f"7.{fraction}"
    )
    assert list(read(tmp_path, text).time_ns) == [7 * 10**9, 7 * 10**9 + int(fraction.ljust(9, "0"))]

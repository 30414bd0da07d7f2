"""The limit that is given is the limit, to the byte: below what any trace may unpack to, too."""

import gzip
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workload.perf_lines import ONE
from uvmfree.errors import TraceError
from uvmfree.measure.cell import Cell
from uvmfree.workload.trace import read_trace

MIB = 1 << 20
TEXT = (ONE + (" " * 8191 + "\n") * 384)[: 3 * MIB].encode()
"""An allocation and blanks: 3 MiB."""


@pytest.mark.parametrize("pack", [lambda text: gzip.compress(text, 1), lambda text: lzma.compress(text, preset=0)])
def test_a_limit_below_what_is_free_is_kept(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "t"
    file.write_bytes(pack(TEXT))
    for limit in (None, 3 * MIB):
        assert read_trace(file, unpacked_max_bytes=limit).counts.allocs == 1
    with pytest.raises(TraceError, match="unpacks to over 2 MiB"):
        read_trace(file, unpacked_max_bytes=3 * MIB - 1)
    with pytest.raises(TraceError, match="unpacks to over 1 MiB"):
        read_trace(file, unpacked_max_bytes=MIB)


def test_what_is_not_packed_has_no_limit(tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_bytes(TEXT)
    assert read_trace(file, unpacked_max_bytes=MIB).counts.allocs == 1


def test_a_cell_of_a_sweep_has_the_limit_that_was_given(tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_bytes(gzip.compress(TEXT, 1))
    cell = Cell("trace", None, "percpu", ("npages=256",), 1, trace=str(file), unpacked_max_bytes=MIB)
    with pytest.raises(TraceError, match="unpacks to over 1 MiB"):
        cell.ready()
    assert replace(cell, unpacked_max_bytes=3 * MIB).ready()[0].ncpus == 1

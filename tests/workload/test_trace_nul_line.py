"""A trace with a NUL byte: the error shows the line that has it, from its beginning."""

from pathlib import Path

import pytest

from tests.workload.perf_lines import line
from uvmfree.errors import TraceError
from uvmfree.workload.trace import read_trace


@pytest.mark.parametrize("before", [0, 1, 3])
def test_it_shows_the_line_with_the_byte(tmp_path: Path, before: int) -> None:
    file = tmp_path / "trace.perf"
    file.write_bytes(line("alloc", "0x10").encode() * before + b"here it \0 is\nafter\n")
    with pytest.raises(TraceError) as told:
        read_trace(file)
    shown = repr("here it \x00 is")
    assert str(told.value) == f"{file}: line {before + 1}: binary (a NUL byte): {shown}"

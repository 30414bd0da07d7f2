"""`uvmfree top` in lines: the header comes again, so that a screen always shows one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from uvmfree.cli.top import HEADER_EVERY
from uvmfree.layouts.top import HEADER
from uvmfree.measure.counterfile import CounterFile
from uvmfree.param import Param


def test_the_header_comes_again(run: Callable[..., Any], tmp_path: Path) -> None:
    counters = CounterFile(str(tmp_path / "counters"))
    counters.begin(Param(npages=64, ncpus=1))
    said = run("top", str(tmp_path / "counters"), "-b", "-c", str(HEADER_EVERY + 1), "-w", "0.05")
    counters.close()
    lines = said.out.splitlines()
    assert [number for number, line in enumerate(lines) if line == HEADER] == [0, HEADER_EVERY + 1]
    assert len(lines) == HEADER_EVERY + 3

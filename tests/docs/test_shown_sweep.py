"""The sweep that docs/measuring.md shows: its cells can be measured, and the law of the next row fitted to them."""

import re
import shlex
from pathlib import Path

from uvmfree.analyse.sweep import Grid
from uvmfree.analyse.usl import POINTS_MIN
from uvmfree.cli.sweep import sweep
from uvmfree.uvm.designs import SHOWN

TEXT = (Path(__file__).resolve().parents[2] / "docs/measuring.md").read_text()


def test_its_cells_can_be_measured_and_are_enough_for_the_law() -> None:
    (shown,) = re.findall(r"`uvmfree (sweep -o s\.json [^`]+)` \|", TEXT)
    name, *args = shlex.split(shown)
    with sweep.make_context(name, args) as context:
        given = context.params
    assert "| `uvmfree usl s.json` |" in TEXT
    settings = tuple(
        (tunable, tuple(values.split(","))) for tunable, _, values in (s.partition("=") for s in given["settings"])
    )
    counts = tuple(map(int, given["cpus"].split(",")))
    grid = Grid(
        workloads=given["workloads"] or ("trace",),
        ncpus=counts,
        designs=SHOWN,
        settings=settings,
        repetitions=1,
        trace=None,
        seconds=None,
        unpacked_max_bytes=None,
    )
    assert [cell for cell in grid.cells() if not cell.ready()] == []
    assert len(counts) >= POINTS_MIN

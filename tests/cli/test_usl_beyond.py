"""`uvmfree usl` flags the counts at which there were more CPUs than processors, and no others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Said

pytest.importorskip("scipy", reason="the extra `report` is not installed")

from tests.cli.test_usl import OLD, record_at
from uvmfree.analyse.usl import Fitted, Usl
from uvmfree.cli.usl import _lines


@pytest.mark.parametrize("processors", [2, 4, 16])
def test_more_cpus_than_processors(run: Callable[..., Said], tmp_path: Path, processors: int) -> None:
    counts = (1, 2, 4, 8, 16)
    host = replace(OLD.host, affinity=tuple(range(processors)), cpus=processors)
    said = run("usl", *(record_at(ncpus, tmp_path, host=host) for ncpus in counts))
    rows = said.out.partition("\nfpageqlock\n")[2].splitlines()[1:6]
    flagged = [int(row.split()[0]) for row in rows if row.endswith("  more CPUs than processors")]
    assert len(rows) == len(counts)
    assert flagged == [ncpus for ncpus in counts if ncpus > processors]


@pytest.mark.parametrize(
    ("low", "said"), [(1.001, "is over 1: more CPUs do less than one"), (1.0, "of the work is done one at a time")]
)
def test_sigma_is_over_one_only_if_all_of_its_interval_is(low: float, said: str) -> None:
    some = Fitted(1.0, 0.5, 1.5)
    lines = list(_lines([], Usl(some, Fitted(1.2, low, 1.4), some, 1.0, 5.0, (), 0.987)))
    assert lines[2] == f"sigma  1.2000 [{low:.4f}-1.4000] {said}"
    assert lines[4:] == [
        "peak   5 a second at 1.0 CPUs",
        "The law explains 98.7 % of the variation. Intervals: 95 %.",
    ]

"""`uvmfree usl` flags the counts at which there were more CPUs than processors, and no others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Said

pytest.importorskip("scipy", reason="the extra `report` is not installed")

from tests.cli.test_usl import OLD, record_at


@pytest.mark.parametrize("processors", [2, 4, 16])
def test_more_cpus_than_processors(run: Callable[..., Said], tmp_path: Path, processors: int) -> None:
    counts = (1, 2, 4, 8, 16)
    host = replace(OLD.host, affinity=tuple(range(processors)), cpus=processors)
    said = run("usl", *(record_at(ncpus, tmp_path, host=host) for ncpus in counts))
    rows = said.out.partition("\nfpageqlock\n")[2].splitlines()[1:6]
    flagged = [int(row.split()[0]) for row in rows if row.endswith("  more CPUs than processors")]
    assert len(rows) == len(counts)
    assert flagged == [ncpus for ncpus in counts if ncpus > processors]

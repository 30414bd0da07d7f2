"""How a design scales is measured with its cache on one CPU and on two: bench/scaling.py."""

from __future__ import annotations

import pytest

from bench.scaling import Beside, rate


@pytest.mark.parametrize("design", ["netbsd10", "freebsd_pgcache"])
def test_both_runs_have_the_cache(design: str) -> None:
    """Bursts that a cache can hold are local on one CPU and on two, also where sizes come from CPUs and RAM."""
    for ncpus in (1, 2):
        beside = Beside()
        rate(design, ncpus, 1600, beside)
        assert beside.hits_percent is not None
        assert beside.hits_percent > 90, f"{ncpus} CPU"

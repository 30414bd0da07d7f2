"""The counters of a system and its watermarks."""

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from uvmfree.uvm.uvmexp import DaemonStats, UvmExp, Watermarks, tune

KIB = 1 << 10


def test_the_check_values() -> None:
    """R24: 30133 pages of 4 KiB and 1 CPU give 150, 200 and 5."""
    marks = tune(30133, 1, 4096)
    assert (marks.freemin, marks.freetarg, marks.reserve_kernel, marks.reserve_pagedaemon) == (150, 200, 5, 1)


@pytest.mark.parametrize(
    ("npages", "ncpus", "pagesize", "freemin", "freetarg"),
    [
        (64, 1, 4096, 32, 42),  # 128 KiB at least
        (6400, 1, 4096, 32, 42),
        (6600, 1, 4096, 33, 44),
        (51200, 1, 4096, 256, 341),
        (1 << 20, 1, 4096, 256, 341),  # 1 MiB at most
        (1 << 20, 4, 4096, 1024, 1365),  # for each CPU
        (30133, 2, 4096, 300, 400),
        (64, 1, 64 * KIB, 6, 8),  # above the kernel reserve
        (64, 2, 1 << 21, 11, 14),
        (1 << 20, 1, 64 * KIB, 16, 21),
    ],
)
def test_watermarks(npages: int, ncpus: int, pagesize: int, freemin: int, freetarg: int) -> None:
    """R24: v = clamp(npages/200, 128 KiB, 1 MiB, in pages) * ncpu, above the reserve."""
    reserve = 5 * ncpus
    assert tune(npages, ncpus, pagesize) == Watermarks(1, reserve, freemin, freetarg)
    assert freetarg > freemin > reserve


def test_a_system_runs_with_them() -> None:
    """R24: the watermarks of a booted system, live and in its snapshot."""
    uvm = uvmfree.boot(npages=30133, ncpus=1)
    for exp in (uvm.uvmexp, uvm.uvmexp.snapshot()):
        assert (exp.freemin, exp.freetarg, exp.reserve_kernel, exp.reserve_pagedaemon) == (150, 200, 5, 1)
        assert (exp.npages, exp.ncolors, exp.pagesize, exp.free) == (30133, 8, 4096, 30133)
    uvm.close()


def test_a_snapshot_adds_up_what_each_cpu_counted_and_mixes_nothing_up() -> None:
    """Every figure is another power of two, and CPU 1's are 1,000 times CPU 0's."""
    names = (
        *("cached", "cpuhit", "cpumiss", "colorhit", "colormiss", "zerohit", "zeromiss", "zeroaborts"),
        *("filled", "drained", "zeroed", "allocs", "frees"),
    )
    one = {name: 1 << at for at, name in enumerate(names)}
    cpus: Any = [
        SimpleNamespace(stats=lambda factor=factor: SimpleNamespace(**{name: n * factor for name, n in one.items()}))
        for factor in (1, 1000)
    ]
    words = {"free": 11, "zeropages": 12, "paging": 13, "pdpending": 14}
    counters: Any = SimpleNamespace(load=words.__getitem__)
    marks, daemon = Watermarks(21, 22, 23, 24), DaemonStats(31, 32, 33, 34, 35, 36)
    made = UvmExp(counters, marks, lambda: cpus, lambda: daemon, npages=41, ncolors=42, pagesize=43)
    summed = {name: 1001 * n for name, n in one.items() if name in names[:8]}
    assert asdict(made.snapshot()) == {
        "npages": 41,
        "ncolors": 42,
        "pagesize": 43,
        **words,
        **asdict(marks),
        **asdict(daemon),
        **{f"pga_{name}" if name in ("zerohit", "zeromiss") else name: n for name, n in summed.items()},
    }

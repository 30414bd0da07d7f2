"""bench/depot.py: what of the depot is held against which bound, and what is printed, of figures that are made up."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.scripted import Scripts


def seen(how: str, *counts: float) -> tuple[str, SimpleNamespace]:
    """Make what was seen of a trace played in a way: locks an operation, parked, % of hits and of right colours."""
    return how, SimpleNamespace(**dict(zip(("locks", "parked", "hits", "colors"), counts, strict=True)))


def test_the_depot_is_judged_on_its_worst_trace(script: Scripts, tmp_path: Path) -> None:
    """2 and 8 CPUs together, 32 apart: of threads, of virtual time, and of CPUs that are all busy."""
    for name in ("cc-j4", "fork-exec"):
        (tmp_path / f"{name}.perf.xz").touch()
    beside = [seen("again", 0.9, 1, 1.0, 1.0), seen("slower", 0.9, 1, 1.0, 1.0)]
    plays = {
        ("cc-j4", 2): [
            seen("threads", 0.0020, 1024, 99.9, 97.5),
            seen("virtual", 0.0005, 512, 99.8, 98.0),
            seen("copies", 0.0030, 9, 1.0, 1.0),
            seen("no lists", 0.9, 9999, 9.0, 12.0),
        ],
        ("cc-j4", 8): [seen("threads", 0.0007, 1024, 98.5, 99.0), *beside],
        ("cc-j4", 32): [
            seen("threads", 0.0045, 4096, 10.0, 50.0),
            seen("virtual", 0.0025, 4096, 20.0, 99.0),
            seen("copies", 0.0100, 4, 1.0, 1.0),
        ],
        ("fork-exec", 2): [
            seen("threads", 0.0003, 1024, 99.7, 97.2),
            seen("virtual", 0.0001, 3072, 99.6, 99.5),
            seen("no lists", 0.9, 9999, 9.0, 11.0),
        ],
        ("fork-exec", 8): [seen("virtual", 0.0024, 1024, 99.5, 98.5)],
        ("fork-exec", 32): [seen("virtual", 0.0084, 1024, 99.0, 97.0), seen("threads", 0.0035, 1, 99.9, 99.0)],
    }
    depot = script("depot").has(
        TRACES=tmp_path,
        read_trace=lambda file: file.name.removesuffix(".perf.xz"),
        played=lambda trace, ncpus: plays[trace, ncpus],
        tables=lambda *_: [],
        greenlets_work=lambda: True,
        BUSY=("fork-exec",),
        copied=lambda file, ncpus: {64: 4096, 256: 40_960}[ncpus],
    )
    assert depot.found() == {
        "depot-locks": (1.2, False),
        "depot-locks-32": (1.2, False),
        "depot-locks-32-threads": (0.9, True),
        "depot-locks-copies": (2.0, False),
        "depot-parked": (1.5, False),
        "depot-parked-copies": (1.25, False),
        "depot-local-hits": (98.5, False),
        "depot-local-hits-32": (10.0, False),
        "depot-colours": (97.2, True),
        "depot-colours-32": (50.0, False),
        "depot-colours-without-lists": (12.0, None),
    }
    # Where strands pass a baton there is no virtual time for 32 CPUs, and nothing is said of it.
    plays = {key: [each for each in found if each[0] == "threads"] for key, found in plays.items()}
    without = depot.has(greenlets_work=lambda: False).found()
    assert [without[name] for name in ("depot-locks-32", "depot-parked-copies")] == [(None, None)] * 2


def test_the_depot_is_played_in_all_ways_where_that_takes_no_minutes(script: Scripts) -> None:
    """How much longer a replay lasts than it was recorded is by how much the clock is slower; never faster."""
    asked: list[dict[str, Any]] = []

    def counted(trace: Any, ncpus: int, *, times: int = 1, **how: Any) -> list[Any]:
        asked.append(how)
        return [SimpleNamespace(lasted_s=ncpus / 4)] * times

    depot = script("depot").has(counted=counted, busy=lambda trace, ncpus: None, greenlets_work=lambda: True)
    trace = SimpleNamespace(counts=SimpleNamespace(duration_s=1.0))
    assert [how for how, _ in depot.module.played(trace, 8)] == [*depot.module.SHOWN]
    assert {"virtual": True, "slower": 2.0} in asked
    assert [how for how, _ in depot.module.played(trace, 2)] == [*depot.module.SHOWN]
    assert {"virtual": True, "slower": 1.0} in asked
    depot.has(greenlets_work=lambda: False)
    assert [how for how, _ in depot.module.played(trace, 2)] == ["threads", "virtual", "no lists"]
    assert [how for how, _ in depot.module.played(trace, 8)] == ["threads"]


def test_the_depot_prints_a_line_for_each_play_and_tables_of_all(
    script: Scripts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each trace on each number of CPUs, in the ways in which it was played; then a row of all traces for each."""
    for name in ("cc-j4", "java-build"):
        (tmp_path / f"{name}.perf.xz").touch()
    seen = script("depot").module.Seen
    depot = script("depot").has(
        TRACES=tmp_path,
        CPUS=(2, 8),
        read_trace=lambda file: file.name,
        played=lambda trace, ncpus: [
            ("threads", seen(ncpus / 1e5, 10 * ncpus, 90 + ncpus / 8, 99.0)),
            ("no lists", seen(ncpus / 1e4, 20 * ncpus, 80 + ncpus / 8, 12.5)),
        ],
        greenlets_work=lambda: True,
        BUSY=("java-build",),
        BUSY_LARGE=("cc-j4",),
        copied=lambda file, ncpus: 3 * ncpus,
    )
    depot.module.bench(False)
    head = " " * 48 + f"{'cc-j4':>18}{'java-build':>18}"
    assert capsys.readouterr().out.splitlines() == [
        "  trace                CPUs on        locks/op  parked  hits % colours %",
        "  cc-j4                   2 threads    0.00002      20   90.25     99.00",
        "  cc-j4                   2 no lists   0.00020      40   80.25     12.50",
        "  cc-j4                   8 threads    0.00008      80   91.00     99.00",
        "  cc-j4                   8 no lists   0.00080     160   81.00     12.50",
        "  java-build              2 threads    0.00002      20   90.25     99.00",
        "  java-build              2 no lists   0.00020      40   80.25     12.50",
        "  java-build              8 threads    0.00008      80   91.00     99.00",
        "  java-build              8 no lists   0.00080     160   81.00     12.50",
        "  copies of java-build   64 virtual                192",
        "  copies of java-build  256 virtual                768",
        "",
        "locks for 1,000 operations / most parked",
        head,
        f"    real threads, 2 CPUs{'0.02 / 20':>42}{'0.02 / 20':>18}",
        f"    real threads, 8 CPUs{'0.08 / 80':>42}{'0.08 / 80':>18}",
        f"    no colour lists, 2 CPUs{'0.20 / 40':>39}{'0.20 / 40':>18}",
        f"    no colour lists, 8 CPUs{'0.80 / 160':>39}{'0.80 / 160':>18}",
        "",
        "local hits, % / right colours, %",
        head,
        f"    real threads, 2 CPUs{'90.25 / 99.0':>42}{'90.25 / 99.0':>18}",
        f"    real threads, 8 CPUs{'91.00 / 99.0':>42}{'91.00 / 99.0':>18}",
        f"    no colour lists, 2 CPUs{'80.25 / 12.5':>39}{'80.25 / 12.5':>18}",
        f"    no colour lists, 8 CPUs{'81.00 / 12.5':>39}{'81.00 / 12.5':>18}",
        "",
    ]
    depot.module.bench(False, full=True)
    assert capsys.readouterr().out.splitlines()[11:13] == [
        "  copies of cc-j4        64 virtual                192",
        "  copies of cc-j4       256 virtual                768",
    ]

"""What `uvmfree bench` prints to a pipe: the verdict first, then what it cannot tell, then a table of 80 columns."""

import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.workload.perf_lines import line
from uvmfree.measure import workloads
from uvmfree.measure.host import gil_enabled
from uvmfree.workload.trace import bundled_trace

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "PINGPONG_PAGES", 500)


@pytest.fixture
def trace(tmp_path: Path) -> str:
    file = tmp_path / "small.perf"
    events = [line("alloc", hex(100 + page), cpu=page % 2, us=page) for page in range(40)]
    file.write_text("".join([*events, line("alloc", hex(64), us=60, order=2), line("free", hex(100), cpu=1, us=70)]))
    return str(file)


def test_the_verdict_comes_first_and_what_cannot_be_measured_above_the_table(run: Run, trace: str) -> None:
    said = run("bench", "--trace", trace, "--npages", "1024", "--repetitions", "1", "--set", "refill=2")
    assert (said.status, said.err) == (0, "")
    text = " ".join(said.out.split())
    parts = [
        "fpageqlock takes the shared lock ",
        "workload: small.perf, 2 CPUs tunables: npages=1024, percpu.refill=2 ",
    ]
    parts += ["Not measurable with the GIL"] if gil_enabled() else []
    parts += ["page operations asked for", "requests of order > 0 ", "From 1 repetition.", "fpageqlock, 1 run with "]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert places[0] == 0
    waits = [word for word in ("wait share %", "longest wait, us", "Elapsed time:", "wall time, ms") if word in text]
    assert bool(waits) != gil_enabled()


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--design", "percpu", "--cpus", "1"),
        ("-l", "--cpus", "4"),
        ("--vmstat", "--repetitions", "2", "--set", "redistribute_interval_s=0.001"),
    ],
)
def test_a_pipe_gets_80_columns_no_blanks_at_the_ends_and_no_escape_codes(run: Run, args: tuple[str, ...]) -> None:
    said = run("bench", "--workload", "pingpong", "--npages", "2048", "--repetitions", "1", *args)
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert all(text == text.rstrip() for text in lines)
    assert max(map(len, lines)) <= 80
    assert said.out.isascii()
    assert "\x1b" not in said.out
    assert not [text for text in lines if " 1 CPUs" in text or "1 repetitions" in text or "1 runs" in text]


@pytest.mark.rotated(2)
def test_the_trace_that_ships_is_said_to_be_unkind(run: Run, trace: str) -> None:
    """A reader who tries no other should know; of other traces nothing is said."""
    shipped = workloads.by_name("trace")
    assert shipped.note == workloads.by_name("trace", str(bundled_trace())).note
    assert "29 %" in shipped.note
    same = Path(trace).with_name(bundled_trace().name)  # as short as the other
    same.write_bytes(lzma.compress(Path(trace).read_bytes()))
    said = run("bench", "--trace", str(same), "--repetitions", "1", "--design", "fpageqlock", "--npages", "1024")
    assert "is the trace least kind to percpu" in " ".join(said.out.split())
    assert workloads.by_name("trace", trace).note == workloads.by_name("pingpong").note == ""


@pytest.mark.parametrize("timeline", [False, True])
def test_the_bar_names_the_timeline_only_where_one_is_written(
    run: Run, trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeline: bool
) -> None:
    if timeline:
        pytest.importorskip("perfetto", reason="extra `trace` not installed")
    ticks: list[str] = []

    @contextmanager
    def progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[], None]]]:
        yield ticks.append, lambda: None

    monkeypatch.setattr(import_module("uvmfree.cli.bench"), "progress", progress)
    args = ("--perfetto", str(tmp_path / "t.pftrace")) if timeline else ()
    small = ("--npages", "1024", "--repetitions", "1", "--design", "percpu")
    assert run("bench", "--trace", trace, *small, *args).status == 0
    assert ticks == ["percpu, tally", "percpu, 1 of 1", "percpu, 1 of 1", *(["timeline"] if timeline else [])]

"""`uvmfree trace info`, and what `bench` makes of a trace: what is lost, sparse or too large is said."""

import json
import lzma
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workload.perf_lines import ONE, line
from uvmfree.measure import workloads
from uvmfree.measure.machine_facts import VIRTUAL, MachineFacts
from uvmfree.measure.workloads import THREADS_CPUS_MAX
from uvmfree.param import NCPUS_MAX
from uvmfree.workload import tracefile
from uvmfree.workload.replay_plan import plan
from uvmfree.workload.trace import read_trace

Run = Callable[..., Any]

BOUND_S = 60.0
MIB = 1 << 20
PROGRAM = [sys.executable, "-m", "uvmfree", "trace", "info"]


def packed(path: Path, text: bytes, times: int) -> Path:
    """Write a trace packed with xz whose text is long, and the file small: streams may follow one another."""
    path.write_bytes(lzma.compress(text, preset=9) * times)
    return path


@pytest.mark.rotated(2)
def test_a_small_file_that_unpacks_to_600_mib_is_refused(run: Run, tmp_path: Path) -> None:
    file = packed(tmp_path / "t", b"\n" * 20 * MIB, 30)
    assert file.stat().st_size * tracefile.UNPACKED_PER_PACKED < 32 * MIB
    said = run("trace", "info", str(file))
    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
    assert re.search(r"/t: unpacks to over \d\d MiB, from [\d,]+ bytes; if .* --unpacked-mib N lets it$", said.err)


@pytest.mark.parametrize("text", [b"\n", b"#\n", b" \n\n\n"], ids=["ends", "comments", "spaces"])
def test_it_is_refused_whatever_is_in_it(
    run: Run, tmp_path: Path, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracefile, "UNPACKED_FREE_BYTES", MIB)
    file = packed(tmp_path / "t", text * (MIB // len(text)), 3)
    said = run("trace", "info", str(file))
    assert (said.status, said.out) == (2, "")
    size = file.stat().st_size
    assert said.err.startswith(f"uvmfree: {file}: unpacks to over 1 MiB, from {size:,} bytes; ")


def test_the_limit_can_be_raised(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And lines are counted on: of 9 million line ends none is missing in the number of the line after them."""
    monkeypatch.setattr(tracefile, "UNPACKED_FREE_BYTES", MIB)
    file = packed(tmp_path / "t", b"\n" * MIB, 9)
    with file.open("ab") as end:
        end.write(lzma.compress(ONE.encode() + b"what is this, then\n"))
    assert "unpacks to over 1 MiB" in run("trace", "info", str(file)).err
    said = run("trace", "info", str(file), "--unpacked-mib", "10")
    assert said.err.startswith(f"uvmfree: {file}: line {9 * MIB + 2}: malformed")
    assert "unpacks to over 9 MiB" in run("trace", "info", str(file), "--unpacked-mib", "9").err
    said = run("bench", "--trace", str(file), "--unpacked-mib", "9")
    assert (said.status, said.out) == (2, "")
    assert "unpacks to over 9 MiB" in said.err
    out = str(tmp_path / "sweep.json")
    said = run("sweep", "--trace", str(file), "-o", out, "--unpacked-mib", "9")
    assert "unpacks to over 9 MiB" in said.err


def test_a_limit_without_a_trace_is_refused(run: Run) -> None:
    said = run("sweep", "--workload", "pingpong", "-o", "nowhere", "--unpacked-mib", "5")
    assert said.err == "uvmfree: --unpacked-mib goes with --workload trace, not with --workload pingpong\n"
    said = run("bench", "--workload", "pingpong", "--unpacked-mib", "5")
    assert (said.status, said.out) == (2, "")
    assert said.err == "uvmfree: --unpacked-mib goes with --workload trace, not with --workload pingpong\n"


def test_a_trace_that_is_large_packed_has_no_limit(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor has one that is not packed."""
    monkeypatch.setattr(tracefile, "UNPACKED_FREE_BYTES", 100)
    trace = "".join(line("alloc", hex(page), us=page) for page in range(1, 2000))
    for content in (trace.encode(), lzma.compress(trace.encode())):
        (tmp_path / "t").write_bytes(content)
        assert run("trace", "info", str(tmp_path / "t")).status == 0


def on_a_terminal(folder: Path, *command: str) -> tuple[int, bytes, bytes]:
    """Run a command whose stderr is a terminal; return its exit code, what it printed, and what the terminal saw."""
    main, other = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=other, cwd=folder) as process:
        os.close(other)
        seen = b""
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:  # the other end was closed: the process has ended
                break
            seen += part
        out, _ = process.communicate(timeout=BOUND_S)
    os.close(main)
    return process.returncode, out, seen


def test_a_terminal_sees_how_far_it_is(tmp_path: Path) -> None:
    (tmp_path / "a [b]").write_text(ONE * 20_000)
    status, out, seen = on_a_terminal(tmp_path, *PROGRAM, "a [b]")
    assert status == 0
    assert b"reading a [b]" in seen
    assert b"MiB" in seen
    assert b"20,000" in out
    assert b"\x1b" not in out


@pytest.mark.parametrize("workload", ["trace", "handoff"])
@pytest.mark.sampled(1)
def test_a_bench_says_that_it_reads_a_trace_where_it_reads_one(tmp_path: Path, workload: str) -> None:
    """It is refused right afterwards, for want of pages."""
    bench = (sys.executable, "-m", "uvmfree", "bench", "--npages", "64", "--workload", workload)
    status, out, seen = on_a_terminal(tmp_path, *bench)
    assert (status, out) == (2, b"")
    assert b"uvmfree: npages=64: " in seen
    assert (b"reading the trace" in seen) == (workload == "trace")


def test_ctrl_c_ends_it_while_it_reads() -> None:
    """It has read all that came so far, and waits for more."""
    with subprocess.Popen(
        [*PROGRAM, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(64):  # more than a pipe and the first read hold: some of it was read, when this is done
            process.stdin.write(ONE.encode() * 1000)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.wait(BOUND_S) == 130
        assert process.stdout.read() == b""
        assert process.stderr.read().strip() == b"uvmfree: interrupted"


def test_lost_events_are_said_and_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t").write_text(ONE + "CPU:0 [LOST 1234 EVENTS]\n" + line("free", "0x10", us=2_000_000))
    (tmp_path / "whole").write_text(ONE)
    assert " events lost while recording" in run("trace", "info", str(tmp_path / "t")).out
    assert "1,234" in run("trace", "info", str(tmp_path / "t")).out
    assert json.loads(run("trace", "info", "--json", str(tmp_path / "t")).out)["lost_events"] == 1234
    bench = ("bench", "--npages", "256", "--repetitions", "1", "--design", "percpu", "--trace")
    assert "Recording the trace lost 1,234 events" in run(*bench, str(tmp_path / "t")).out.replace("\n", " ")
    assert json.loads(run(*bench, str(tmp_path / "t"), "--json", "-").out)["workload"]["lost_events"] == 1234
    assert "lost" not in run(*bench, str(tmp_path / "whole")).out


def test_a_record_from_before_lost_events_were_counted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t").write_text(ONE)
    record = tmp_path / "record"
    small = ("--npages", "256", "--repetitions", "1")
    assert run("bench", *small, "--trace", str(tmp_path / "t"), "--json", str(record)).status == 0
    document = json.loads(record.read_text())
    del document["workload"]["lost_events"]
    record.write_text(json.dumps(document))
    assert run("report", str(record), "-o", str(tmp_path / "page.html")).status == 0


def test_sparse_cpus_are_counted_and_named(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_text(line("alloc", "0x1", cpu=1000) + line("alloc", "0x2") + line("free", "0x1"))
    said = run("trace", "info", str(file)).out.split("\n")
    assert said[1].split() == ["CPUs,", "tasks", "2,", "1"]
    assert said[2].split() == ["...", "recorded", "as", "CPUs", "0,", "1000"]
    document = json.loads(run("trace", "info", "--json", str(file)).out)
    assert (document["ncpus"], document["recorded_cpus"]) == (2, [0, 1000])
    said = run("bench", "--npages", "256", "--repetitions", "1", "--trace", str(file), "--json", "-")
    assert json.loads(said.out)["workload"]["ncpus"] == 2
    file.write_text("".join(line("alloc", hex(cpu + 1), cpu=2 * cpu) for cpu in range(9)))
    assert "0, 2, 4, 6, ..., 16" in run("trace", "info", str(file)).out
    file.write_text("".join(line("alloc", hex(cpu + 1), cpu=2 * cpu) for cpu in range(6)))
    assert "0, 2, 4, 6, 8, 10\n" in run("trace", "info", str(file)).out
    file.write_text(line("alloc", "0x1", cpu=2) + line("alloc", "0x2"))
    assert "recorded as" in run("trace", "info", str(file)).out
    file.write_text(line("alloc", "0x1", cpu=1) + line("alloc", "0x2"))
    assert "recorded as" not in run("trace", "info", str(file)).out


def test_more_cpus_than_a_system_has(run: Run, tmp_path: Path) -> None:
    """Refused by the file's name; by task it runs, even where no number of CPUs is given."""
    file = tmp_path / "large.perf"
    file.write_text("".join(line("alloc", hex(n + 1), cpu=n, who=f"cc1 {n % 7}") for n in range(NCPUS_MAX + 1)))
    said = run("bench", "--trace", str(file))
    assert (said.status, said.out) == (2, "")
    refused = f"large.perf was recorded on {NCPUS_MAX + 1} CPUs, and a system has at most {NCPUS_MAX}"
    assert said.err == f"uvmfree: {refused}; --by task --cpus {THREADS_CPUS_MAX} spreads its tasks over so many\n"
    for more, most in (((), NCPUS_MAX), (("--copies", "3"), NCPUS_MAX - 2)):
        said = run("bench", "--trace", str(file), "--machine", "virtual", *more)
        assert said.err == f"uvmfree: {refused}; --by task --cpus {most} spreads its tasks over so many\n"
    said = run("bench", "--trace", str(file), "--cpus", "3")
    assert said.err == f"uvmfree: {refused}; --by task spreads its tasks over so many\n"
    out = str(tmp_path / "sweep.json")
    said = run("sweep", "-o", out, "--trace", str(file))
    other = f"only `uvmfree bench --by task --cpus {THREADS_CPUS_MAX}` spreads its tasks over so many"
    assert (said.status, said.err) == (2, f"uvmfree: trace, fpageqlock: {refused}; {other}\n")
    small = ("bench", "--repetitions", "1", "--design", "percpu", "--npages", "2048", "--json", "-")
    said = run(*small, "--trace", str(file), "--by", "task", "--cpus", "3")
    assert json.loads(said.out)["workload"]["ncpus"] == 3
    assert len(plan(read_trace(file), by="task").programs) == NCPUS_MAX


def test_a_sweep_on_too_few_cpus_is_told_what_a_sweep_can_do(run: Run, tmp_path: Path) -> None:
    """It has no --by; `bench` has."""
    file = tmp_path / "some.perf"
    file.write_text("".join(line("alloc", hex(n + 1), cpu=n) for n in range(3)))
    few = "2 CPUs: too few, since some.perf was recorded on 3"
    said = run("sweep", "-o", str(tmp_path / "sweep.json"), "--trace", str(file), "--cpus", "2")
    advice = "give at least 3, or leave --cpus out"
    assert (said.status, said.err) == (2, f"uvmfree: trace, 2 CPUs, fpageqlock: {few}; {advice}\n")
    said = run("bench", "--trace", str(file), "--cpus", "2")
    assert said.err == f"uvmfree: {few}; --by task spreads its tasks over so many\n"


def test_more_cpus_than_real_threads_play(run: Run, tmp_path: Path) -> None:
    """Whether they are asked for or recorded; by task it runs, on as many as there may be."""
    ncpus, most = THREADS_CPUS_MAX + 1, THREADS_CPUS_MAX
    file = tmp_path / "some.perf"
    file.write_text("".join(line("alloc", hex(n + 1), cpu=n, who=f"cc1 {n % 7}") for n in range(ncpus)))
    refused = f"some.perf was recorded on {ncpus} CPUs, and real threads play at most {most}"
    out = ("-o", str(tmp_path / "sweep.json"))
    for cpus, told in (((), f"--by task --cpus {most}"), (("--cpus", "2"), "--by task")):
        said = run("bench", "--trace", str(file), *cpus)
        spread = f"{told} spreads its tasks over so many, and --machine virtual has enough"
        assert (said.status, said.err) == (2, f"uvmfree: {refused}; {spread}\n")
        said = run("sweep", *out, "--trace", str(file), *cpus)
        only = f"only `uvmfree bench --by task --cpus {most}` spreads its tasks over so many"
        assert said.err.endswith(f": {refused}; {only}\n")
    assert run("bench", "--trace", str(file), "--cpus", str(ncpus)).err.endswith(f": must be from 1 to {most}\n")
    assert workloads.by_name("trace", str(file), by="task").ncpus == most
    assert workloads.by_name("trace", str(file), on=MachineFacts(VIRTUAL)).ncpus == ncpus


def test_each_line_has_its_count(run: Run, tmp_path: Path) -> None:
    """Six allocations, one of order 3 and two of zeros; three frees, one elsewhere; five of pages from before."""
    zeros = "GFP_KERNEL|__GFP_ZERO"
    zoned = line("alloc", "0x90", us=600_000).replace("mm_page_alloc:", "mm_page_alloc_zone_locked:")
    lines = [
        line("alloc", "0x8", order=3),
        *(line("alloc", hex(number), us=100_000, flags=zeros) for number in (1, 2)),
        *(line("alloc", hex(number), us=200_000, who="as 9") for number in (3, 4, 5)),
        line("free", "0x1", us=300_000, cpu=1),
        *(line("free", hex(number), us=400_000) for number in (2, 3)),
        *(line("free", hex(number), us=500_000, cpu=2) for number in (0x60, 0x61, 0x62, 0x63)),
        zoned,
        line("free", "0x64", us=1_250_000),
    ]
    file = tmp_path / "t"
    file.write_text("".join(lines))
    said = run("trace", "info", str(file)).out.splitlines()
    assert said[0] == "t"
    assert [(text[:48].strip(), text[48:].strip()) for text in said[1:]] == [
        ("CPUs, tasks", "2, 2"),
        ("duration, s", "1.250"),
        ("mm_page_alloc (order > 0)", "6 (1)"),
        ("... with __GFP_ZERO", "2"),
        ("mm_page_free of a page allocated in the trace", "3"),
        ("... on another CPU than its allocation", "1"),
        ("mm_page_free of an unknown page", "5"),
        ("events lost while recording", "0"),
        ("live allocations: peak / at end", "6 / 3"),
        ("pages moved under Linux's zone lock", "1"),
        ("... per page operation (alloc + known free)", "0.111"),
    ]

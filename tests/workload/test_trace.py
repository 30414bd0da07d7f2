"""The reader of perf script's text: what it makes of real traces, and of every form that perf prints.

=> `FACTS` is the table of bench/traces/README.md, and of uvmfree/workload/data/README.md.
"""

import io
import lzma
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.workload.perf_lines import ONE, PACKED, check_shape, line, read
from uvmfree.errors import TraceError
from uvmfree.workload import tracefile
from uvmfree.workload.trace import ALLOC, FREE, bundled_trace, read_trace

TRACES = Path(__file__).resolve().parents[2] / "bench" / "traces"

FACTS = {
    TRACES / "cc-j4.perf.xz": {
        "allocs": 148_481,
        "allocs_high_order": 678,
        "allocs_zero": 132_110,
        "frees": 138_743,
        "frees_other_cpu": 47_543,
        "frees_unknown": 943,
        "frees_high_order": 34,
        "live_peak": 39_931,
        "live_end": 9_699,
        "duration_s": 1.687751,
        "linux_moved": 60_207,
        "linux_moved_per_op": 0.210,
        "ignored_events": 0,
        "allocs_again": 39,
        "allocs_failed": 0,
    },
    TRACES / "fork-exec.perf.xz": {
        "allocs": 168_427,
        "allocs_high_order": 151,
        "allocs_zero": 80_963,
        "frees": 167_506,
        "frees_other_cpu": 10_899,
        "frees_unknown": 1_839,
        "frees_high_order": 75,
        "live_peak": 1_969,
        "live_end": 857,
        "duration_s": 1.050323,
        "linux_moved": 1_630,
        "linux_moved_per_op": 0.005,
        "ignored_events": 0,
        "allocs_again": 64,
        "allocs_failed": 0,
    },
    TRACES / "untar-scan.perf.xz": {
        "allocs": 54_554,
        "allocs_high_order": 3_395,
        "allocs_zero": 7_400,
        "frees": 52_084,
        "frees_other_cpu": 19_138,
        "frees_unknown": 61,
        "frees_high_order": 3_157,
        "live_peak": 31_525,
        "live_end": 2_332,
        "duration_s": 1.916857,
        "linux_moved": 22_761,
        "linux_moved_per_op": 0.213,
        "ignored_events": 0,
        "allocs_again": 138,
        "allocs_failed": 0,
    },
    bundled_trace(): {
        "allocs": 49_186,
        "allocs_high_order": 7,
        "allocs_zero": 47_151,
        "frees": 48_412,
        "frees_other_cpu": 14_506,
        "frees_unknown": 15_107,
        "frees_high_order": 0,
        "live_peak": 25_648,
        "live_end": 774,
        "duration_s": 0.651203,
        "linux_moved": 13_295,
        "linux_moved_per_op": 0.136,
        "ignored_events": 0,
        "allocs_again": 0,
        "allocs_failed": 0,
    },
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("path", FACTS, ids=lambda path: path.name)
def test_real_trace_has_the_counts_of_its_table(path: Path) -> None:
    trace = read_trace(path)
    facts = {fact: getattr(trace.counts, fact) for fact in FACTS[path]}
    facts["linux_moved_per_op"] = round(facts["linux_moved_per_op"], 3)
    assert facts == FACTS[path]
    assert (trace.name, trace.ncpus) == (path.name, 2)
    check_shape(trace)


def test_bundled_trace_is_the_cut_that_its_readme_tells_of() -> None:
    assert bundled_trace().stat().st_size < 400_000
    with lzma.open(TRACES / "cc-j4.perf.xz") as whole, lzma.open(bundled_trace()) as cut:
        assert cut.readlines() == whole.readlines()[220_000:346_000]


def test_columns(tmp_path: Path) -> None:
    text = (
        line("free", "0x5", us=1)  # allocated before the trace
        + line("alloc", "0x10", us=2, cpu=3, who="sh 9", flags="GFP_USER|__GFP_ZERO|__GFP_COMP")
        + line("alloc", "0x20", us=2, order=2)
        + line("free", "0x10", us=5, who="sh 9")
        + line("free", "0x20", us=1_000_006, order=2)
    )
    trace = read(tmp_path, text)
    check_shape(trace)
    assert list(trace.kind) == [ALLOC, ALLOC, FREE, FREE]
    assert list(trace.cpu) == [1, 0, 0, 0]
    assert [trace.tasks[task] for task in trace.task] == ["sh/9", "cc1/7", "sh/9", "cc1/7"]
    assert list(trace.time_ns) == [2_000, 2_000, 5_000, 1_000_006_000]
    assert list(trace.alloc) == [0, 1, 0, 1]
    assert list(trace.order) == [0, 2, 0, 2]
    assert list(trace.zero) == [1, 0, 0, 0]
    assert (trace.ncpus, trace.recorded_cpus) == (2, (0, 3))
    assert trace.counts.duration_s == 1.000005
    assert trace.counts.frees_unknown == 1
    assert trace.counts.live_peak == 2
    assert trace.counts.linux_moved is None
    assert trace.counts.linux_moved_per_op is None


@pytest.mark.parametrize("stdin", [False, True], ids=["path", "stdin"])
@pytest.mark.parametrize("name", ["t.perf", "t.perf.gz", "t.perf.xz"])
@pytest.mark.parametrize("packed", PACKED)
def test_packing_is_told_by_the_first_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: str, name: str, stdin: bool
) -> None:
    text = ONE + line("free", "0x10", us=2_000_000, cpu=1)
    data = PACKED[packed](text.encode())
    plain = read(tmp_path, text, name="plain")
    if stdin:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        trace = read_trace("-")
        assert not sys.stdin.buffer.closed
        assert trace.name == "stdin"
    else:
        trace = read(tmp_path, data, name)
        assert trace.name == name
    assert (trace.counts, trace.kind, trace.time_ns, trace.tasks) == (
        plain.counts,
        plain.kind,
        plain.time_ns,
        plain.tasks,
    )
    assert trace.counts.frees_other_cpu == 1


def test_pipe_that_gives_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    data = lzma.compress((ONE + line("free", "0x10", us=2_000_000) * 5000).encode())
    reader, writer = os.pipe()
    with open(reader, "rb") as end, open(writer, "wb", buffering=0) as other_end:
        for at in range(0, len(data), 7):  # all of it fits the pipe
            other_end.write(data[at : at + 7])
        other_end.close()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=end))
        counts = read_trace("-").counts
    assert (counts.frees, counts.frees_unknown) == (1, 4999)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 64, 100_000])
def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    text = "# naïve\n\n" + ONE + line("alloc", "0x20", who="é 1", us=1_500_000) * 3 + "oops\n"
    monkeypatch.setattr(tracefile, "BLOCK_BYTES", size)
    with pytest.raises(TraceError, match=r"line 7: malformed .*'oops'$"):
        read(tmp_path, text)
    assert read(tmp_path, text[: -len("oops\n")]).counts.allocs_again == 2


@pytest.mark.parametrize(
    ("who", "task"),
    [
        ("kworker/0:1-mm 12", "kworker/0:1-mm/12"),
        ("Web Content 4321", "Web Content/4321"),
        ("(sd-pam) 77", "(sd-pam)/77"),
        ("[x] y 5", "[x] y/5"),
        ("a 5 [2] 3.1: b: 9", "a 5 [2] 3.1: b:/9"),
        ("a [002] 6", "a [002]/6"),
        ("12 34 56", "12 34/56"),
        ("naïve 日本 8", "naïve 日本/8"),
        ("x\x0by\u2028z\x1c 8", "x\x0by\u2028z\x1c/8"),
        ("tab\tbed 8", "tab\tbed/8"),
        (":-1 -1", ":-1/-1"),
        ("swapper 0", "swapper/0"),
        ("bash 100/101", "bash/101"),
        ("5", "/5"),
        ("#x 3", "#x/3"),
    ],
)
def test_task_name(tmp_path: Path, who: str, task: str) -> None:
    trace = read(tmp_path, line("alloc", "0x10", who=who, cpu=1))
    assert trace.tasks == (task,)
    assert trace.recorded_cpus == (1,)


@pytest.mark.parametrize(
    "text",
    [
        "# captured on    : Mon\n#\n\n" + ONE,
        ONE + "   \n\n",
        ONE.removesuffix("\n"),
        ONE.replace("\n", "\r\n"),
        ONE.replace(" [000]", "   [000]    "),
        ONE.replace("GFP_KERNEL", "GFP_KERNEL some_later_field=1"),
        ONE.replace("page=0x10", "page=0xffffea0000000400").replace("pfn=0x10", "pfn=16"),
        ONE.replace("1.000000", "1.000000000"),
        ONE.replace("page=0x10", "page=(nil)"),
        ONE + "\tffffffff8123 __alloc_pages+0x1 ([kernel.kallsyms])\n\t   7f00 main (/bin/a b)\n\n",
    ],
)
def test_form_that_perf_prints_too(tmp_path: Path, text: str) -> None:
    trace = read(tmp_path, text)
    assert (trace.counts.allocs, trace.counts.ignored_events, trace.tasks) == (1, 0, ("cc1/7",))
    assert list(trace.time_ns) == [10**9]


@pytest.mark.parametrize(("form", "other"), [("16", "17"), ("0x10", "0x11")], ids=["decimal", "hexadecimal"])
def test_page_is_known_by_its_pfn(tmp_path: Path, form: str, other: str) -> None:
    text = line("alloc", form) + line("free", other) + line("free", form)
    assert read(tmp_path, text).counts.frees == 1


@pytest.mark.parametrize(
    "other",
    [
        "kmem:mm_page_free_batched: page=0x10 pfn=0x10 order=0",
        "sched:sched_switch: prev_comm=a prev_pid=1 prev_prio=120 prev_state=S ==> next_comm=b next_pid=2",
        "   250000 cycles:P:  ffffffff81000000 main+0x1 (/bin/a)",
        "syscalls:sys_enter_sync:",
        "PERF_RECORD_LOST lost 3",
    ],
)
def test_other_event_is_counted_and_passed_over(tmp_path: Path, other: str) -> None:
    text = ONE + f"cc1 7 [001] 0.500000: {other}\n"
    trace = read(tmp_path, text)
    assert (trace.counts.allocs, trace.counts.frees, trace.counts.ignored_events) == (1, 0, 1)
    assert trace.ncpus == 1


@pytest.mark.parametrize("pfn", ["0x0", "0", "0xffffffffffffffff", "18446744073709551615"])
def test_failed_allocation_makes_nothing(tmp_path: Path, pfn: str) -> None:
    failed = line("alloc", "0x1").replace("page=0x1 pfn=0x1", f"page=(nil) pfn={pfn}")
    counts = read(tmp_path, failed * 2 + ONE).counts
    assert (counts.allocs, counts.allocs_failed, counts.allocs_again, counts.live_end) == (1, 2, 0, 1)


@pytest.mark.parametrize(
    ("flags", "zero"),
    [
        ("__GFP_ZERO", 1),
        ("GFP_HIGHUSER_MOVABLE|__GFP_ZERO|__GFP_COMP", 1),
        ("GFP_KERNEL|GFP_ZERO", 1),
        ("GFP_KERNEL|__GFP_ZEROTAGS", 0),
        ("GFP_KERNEL|__GFP_SKIP_ZERO", 0),
        ("0x100", 0),
    ],
)
def test_zero(tmp_path: Path, flags: str, zero: int) -> None:
    assert list(read(tmp_path, line("alloc", "0x10", flags=flags)).zero) == [zero]


def test_page_allocated_again_without_a_free_is_a_new_allocation(tmp_path: Path) -> None:
    text = line("alloc", "0x10", cpu=1) + line("alloc", "0x10") + line("free", "0x10") * 2
    trace = read(tmp_path, text)
    check_shape(trace)
    assert list(trace.alloc) == [0, 1, 1]
    assert trace.counts.allocs_again == 1
    assert trace.counts.frees_unknown == 1
    assert trace.counts.frees_other_cpu == 0
    assert (trace.counts.live_peak, trace.counts.live_end) == (1, 0)


def test_free_has_the_order_of_its_allocation(tmp_path: Path) -> None:
    trace = read(tmp_path, line("alloc", "0x10", order=3) + line("free", "0x10", order=0))
    assert list(trace.order) == [3, 3]
    assert trace.counts.frees_high_order == 1


def test_unkept_events_name_no_task_and_no_cpu(tmp_path: Path) -> None:
    text = ONE + line("free", "0x99", who="sh 9", cpu=5, us=2_000_000)
    text += line("pcpu_drain", "0x99", who="as 8", cpu=6, us=3_000_000)
    trace = read(tmp_path, text)
    assert (trace.ncpus, trace.tasks) == (1, ("cc1/7",))
    assert trace.counts.linux_moved == 1
    assert trace.counts.linux_moved_per_op == 1.0

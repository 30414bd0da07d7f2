"""The forms of a line that perf script, ftrace and trace-cmd print, as they printed them on Linux 6.18 and 6.1.

=> What is read gives the same columns in every form; what is not names the form that is.
"""

import re
from pathlib import Path

import pytest

from tests.workload.perf_lines import ONE, check_shape, line, read
from uvmfree.errors import TraceError
from uvmfree.workload.traceline import PAGE_EVENT

PAGE = "page=0x184851 pfn=0x184851 order=0"
MADE = f"{PAGE} migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_ZERO|__GFP_COMP"
HASHED = MADE.replace("page=0x184851", "page=000000008bd723cf")
FULL = MADE.replace("page=0x184851", "page=0xffffea0006121440")

# Each an alloc and a free by task "Web Content/9822", or the form's own task, on CPU 1.
FORMS = {
    "perf": f"""
     Web Content  9822 [001]   458.805552: kmem:mm_page_alloc: {MADE}
     Web Content  9822 [001]   458.807513:  kmem:mm_page_free: {PAGE}
""",
    "perf, period": f"""
     Web Content  9822 [001]   458.805552:          1 kmem:mm_page_alloc: {MADE}
     Web Content  9822 [001]   458.807513:          1  kmem:mm_page_free: {PAGE}
""",
    "perf, pid and flags": f"""
     Web Content  9822/9822  [001]   458.805552: kmem:mm_page_alloc:                         {MADE}
     Web Content  9822/9822  [001]   458.807513: kmem:mm_page_free:                         {PAGE}
""",
    "perf, misc": f"""
     Web Content  9822 [001] K       458.805552: kmem:mm_page_alloc: {MADE}
     Web Content  9822 [001] K       458.807513: kmem:mm_page_free: {PAGE}
""",
    "perf, nanoseconds": f"""
     Web Content  9822 [001]   458.805552000: kmem:mm_page_alloc: {MADE}
     Web Content  9822 [001]   458.807513000: kmem:mm_page_free: {PAGE}
""",
    "perf, call chains": f"""
Web Content  9822 [001]   458.805552: kmem:mm_page_alloc: {MADE}
\tffffffff8162184b __alloc_frozen_pages_noprof+0x26b ([kernel.kallsyms])
\tffffffff8165add6 [unknown] ([kernel.kallsyms])
\t          16d868 operator new(unsigned long)+0x68 (/usr/lib/x86_64-linux-gnu/libc.so.6)

Web Content  9822 [001]   458.807513: kmem:mm_page_free: {PAGE}
\tffffffff815eb5d1 tlb_finish_mmu+0x71 ([kernel.kallsyms])

""",
    "perf, call chains of addresses": f"""
Web Content  9822 [001]   458.805552: kmem:mm_page_alloc: {MADE}
\tffffffff8162184b
\t          16d868

Web Content  9822 [001]   458.807513: kmem:mm_page_free: {PAGE}
\tffffffff815eb5d1

""",
    "perf, source lines": f"""
Web Content  9822 [001]   458.805552: kmem:mm_page_alloc: {MADE}
\tffffffff8162184b __alloc_frozen_pages_noprof ([kernel.kallsyms])
  [kernel.kallsyms][ffffffff8162184b]
\t           9dd38 [unknown] (/usr/bin/perf)
  perf[9dd38]
\t           9dd40 main (/usr/bin/perf)
  page_alloc.c:5191
\t           9dd41 main (/usr/bin/perf)
  page_alloc.c:5192 (discriminator 3)

Web Content  9822 [001]   458.807513: kmem:mm_page_free: {PAGE}
\tffffffff815eb5d1 tlb_finish_mmu ([kernel.kallsyms])
  ??:0

""",
    "ftrace": f"""
# tracer: nop
#
# entries-in-buffer/entries-written: 2/2   #P:2
#
#                                _-----=> irqs-off/BH-disabled
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| / _-=> migrate-disable
#                              |||| /     delay
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
     Web Content-9822    [001] .N...   458.805552: mm_page_alloc: {HASHED}
     Web Content-9822    [001] dNs2.   458.807513: mm_page_free: {PAGE}
""",
    "ftrace, four flags": f"""
     Web Content-9822  [001] d..1   458.805552: mm_page_alloc: {MADE}
     Web Content-9822  [001] ....   458.807513: mm_page_free: {PAGE}
""",
    "ftrace, no irq-info": f"""
#           TASK-PID     CPU#     TIMESTAMP  FUNCTION
     Web Content-9822    [001]    458.805552: mm_page_alloc: {HASHED}
     Web Content-9822    [001]    458.807513: mm_page_free: {PAGE}
""",
    "ftrace, record-tgid": f"""
#           TASK-PID       TGID    CPU#  |||||  TIMESTAMP  FUNCTION
     Web Content-9822    (-------) [001] .N...   458.805552: mm_page_alloc: {HASHED}
     Web Content-9822    (   9821) [001] .....   458.807513: mm_page_free: {PAGE}
""",
    "ftrace, stacktrace": f"""
##### CPU 1 buffer started ####
     Web Content-9822    [001] .....   458.805552: mm_page_alloc: {HASHED}
     Web Content-9822    [001] .....   458.805553: <stack trace>
 => trace_event_raw_event_mm_page_alloc
 => __alloc_frozen_pages_noprof
     Web Content-9822    [001] .....   458.805553: <user stack trace>
 =>  <0000559b80f3b2c3>
     Web Content-9822    [001] .....   458.807513: mm_page_free: {PAGE}
""",
    "trace-cmd": f"""
version = 6
CPU 0 is empty
cpus=2
     Web Content-9822  [001]   458.805552: mm_page_alloc:        {FULL}
     Web Content-9822  [001]   458.807513: mm_page_free:         {PAGE}
""",
    "trace-cmd, stack": f"""
cpus=2
     Web Content-9822  [001]   458.805552: mm_page_alloc:        {MADE}
     Web Content-9822  [001]   458.805553: kernel_stack:         <stack trace >
=> __alloc_frozen_pages_noprof (ffffffff8162184b)
=> alloc_pages_mpol (ffffffff8165add6)
     Web Content-9822  [001]   458.807513: mm_page_free:         {PAGE}
""",
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_events_in_every_form(tmp_path: Path, form: str) -> None:
    text = FORMS[form].removeprefix("\n")
    trace = read(tmp_path, text)
    check_shape(trace)
    assert trace.tasks == ("Web Content/9822",)
    assert trace.recorded_cpus == (1,)
    assert list(trace.time_ns) == [458_805_552_000, 458_807_513_000]
    assert list(trace.zero) == [1, 0]
    assert (trace.counts.allocs, trace.counts.frees, trace.counts.lost_events) == (1, 1, 0)
    assert trace.counts.ignored_events == text.count("stack trace")


@pytest.mark.parametrize(
    ("who", "task"),
    [
        ("<idle>-0      ", "<idle>/0"),
        ("<...>-3979    ", "<...>/3979"),
        ("kworker/u8:0-mm-12 ", "kworker/u8:0-mm/12"),
        ("a [002]-6 ", "a [002]/6"),
        ("(x)-1 (     77) ", "(x)/1"),
        ("gst-1.0: y-5 ", "gst-1.0: y/5"),
    ],
)
def test_task_of_ftrace(tmp_path: Path, who: str, task: str) -> None:
    assert read(tmp_path, f"{who:>23}[001] d..1.  1.000000: mm_page_alloc: {HASHED}\n").tasks == (task,)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        (b"caf\xe9", r"caf\xe9/7"),
        (bytes(range(1, 10)), "\x01\x02\x03\x04\x05\x06\x07\x08\t/7"),
        (bytes(range(0xF0, 0xFF)), "".join(rf"\x{byte:02x}" for byte in range(0xF0, 0xFF)) + "/7"),
        (b"new\nline", "line/7"),
        (b"a\n\n#b\nc\xff", r"c\xff/7"),
        (b"\n", "/7"),
        (b"\xff\xfe\xfd\xfc\nx", "x/7"),
        (b"mm_page_free: x", "mm_page_free: x/7"),
        (b": mm_page_free:", ": mm_page_free:/7"),
        (b"page=1 pfn=2 or", "page=1 pfn=2 or/7"),
        (b"PERF_RECORD_LOS", "PERF_RECORD_LOS/7"),
        (b"# tracer: nop", "# tracer: nop/7"),
        (b"\tdead beef", "\tdead beef/7"),
        (b" => f", "=> f/7"),
    ],
)
@pytest.mark.parametrize("after", ["page event", "other event"])
@pytest.mark.parametrize("form", ["perf", "ftrace"])
def test_a_task_may_have_any_name(tmp_path: Path, name: bytes, task: str, after: str, form: str) -> None:
    """Of one with a line end in it the rest stays; before an event that is not kept nothing needs to."""
    who, event = (b"%16s 7", b"kmem:mm_page_alloc") if form == "perf" else (b"%16s-7     ", b"mm_page_alloc")
    other = (who % name) + b" [000] 1.000000: sched:sched_stat_wait: comm=x pid=1\n"
    data = ((who % name) + b" [000] 1.000000: %s: %s\n" % (event, MADE.encode())) + ONE.encode()
    trace = read(tmp_path, data if after == "page event" else other + data)
    assert trace.tasks == (task, "cc1/7")
    assert trace.counts.ignored_events == (after == "other event")


@pytest.mark.parametrize(
    ("text", "number", "said"),
    [
        ("hello\nworld\n" + ONE + "sixteen letters.\n" + ONE, 4, "malformed (not a line of perf script): 'sixteen"),
        (ONE + "hello\n# world\n", 2, "malformed (not a line of perf script): 'hello'"),
        (ONE + "hello\n\tffffffff81\n" + ONE, 2, "malformed (not a line of perf script): 'hello'"),
        (ONE + "one\ntwo\nthree\nfour\nfive\n" + ONE, 2, "malformed (not a line of perf script): 'one'"),
        (ONE + "seven77\neight888\n" + ONE, 2, "malformed (not a line of perf script): 'seven77'"),
        (ONE + "one\ntwo\n\n", 2, "malformed (not a line of perf script): 'one'"),
    ],
)
def test_what_is_no_name_is_named_by_its_first_line(tmp_path: Path, text: str, number: int, said: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(tmp_path, text)
    assert f": line {number}: {said}" in str(caught.value)


PERF = "perf script -F comm,tid,cpu,time,event,trace"
FTRACE = "of ftrace, lines of COMM-PID [CPU] SECONDS: EVENT: FIELDS are read"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (f"          pytest  9822   458.805552: kmem:mm_page_alloc: {MADE}", PERF),  # -F -cpu
        (f"          pytest  9822 [000] kmem:mm_page_alloc: {MADE}", PERF),  # -F -time
        (f"          pytest [000]   458.805552: kmem:mm_page_alloc: {MADE}", PERF),  # -F -tid
        (f"          pytest  9822 [000]   458.805552: {MADE}", PERF),  # -F -event
        ("          pytest  9822 [000]   458.805552: kmem:mm_page_alloc: ", PERF),  # -F -trace
        (f"          pytest  9822 [000]   458.805552: kmem:mm_page_alloc: {MADE} ffffffff815c7ad1 f (g)", PERF),
        (f"    bash-32219     1.N... 487077205us+: mm_page_alloc: {HASHED}", FTRACE),  # latency-format
        (
            f" bash   32219   1 36 00000000 00000001 [1d08358b] 487077.259ms (+0.002ms): mm_page_alloc: {HASHED}",
            FTRACE,
        ),
        (f"            bash-731     [000] .....        52458: mm_page_alloc: {HASHED}", FTRACE),  # trace_clock uptime
        (f"              ls-41  [000] 747.1:  (+12)   mm_page_alloc:        {MADE}", FTRACE),  # trace-cmd --ts-diff
        ("            bash-731     [000] .....        52458: mm_page_alloc: page=", FTRACE),  # cut off there
    ],
)
def test_a_form_that_is_not_read_names_one_that_is(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(tmp_path, ONE + text + "\n")
    assert ": line 2: malformed" in str(caught.value)
    assert hint in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "lost", "ignored"),
    [
        ("perf-exec   892 [000]   0.265213: PERF_RECORD_LOST lost 49\n", 49, 1),
        (
            "perf 1/2 [000] 0.2: PERF_RECORD_LOST_SAMPLES lost 7\nperf 891 [000] 0.3: PERF_RECORD_LOST lost 46\n",
            53,
            2,
        ),
        ("perf-exec   892 [000]   0.265213: PERF_RECORD_COMM exec: x:1/1\n", 0, 1),
        ("CPU:1 [LOST 3625 EVENTS]\nCPU:0 [LOST 725 EVENTS]\n", 4350, 0),
        ("CPU:7 [204600 EVENTS DROPPED]\nCPU:7 [EVENTS DROPPED]\n", 204_601, 0),
        ("CPU:1 [LOST EVENTS]\n", 1, 0),
        ("LOST 12 events!\n", 12, 0),
        ("LOST 12 events\n", 12, 0),
        ("a 1 [000] 1.0: probe:do_mm_page_free: (ffffffff81)\n", 0, 1),  # no page event
        ("# entries-in-buffer/entries-written: 140080/250280   #P:4\n", 110_200, 0),
        ("# entries-in-buffer/entries-written: 151/151   #P:2\nCPU:1 [LOST 3 EVENTS]\n", 3, 0),
    ],
)
def test_events_that_were_lost_are_counted(tmp_path: Path, text: str, lost: int, ignored: int) -> None:
    counts = read(tmp_path, text + ONE).counts
    assert (counts.lost_events, counts.ignored_events, counts.allocs) == (lost, ignored, 1)


def test_sparse_cpus_are_numbered_anew_in_their_order(tmp_path: Path) -> None:
    text = line("alloc", "0x1", cpu=1000) + line("alloc", "0x2") + line("free", "0x1", cpu=7)
    text += line("free", "0x99", cpu=3)  # not kept
    trace = read(tmp_path, text)
    check_shape(trace)
    assert (trace.ncpus, trace.recorded_cpus, list(trace.cpu)) == (3, (0, 7, 1000), [2, 0, 1])


@pytest.mark.parametrize("order", [11, 13, 17])
def test_an_order_that_some_machine_has(tmp_path: Path, order: int) -> None:
    assert list(read(tmp_path, line("alloc", "0x10", order=order)).order) == [order]


@pytest.mark.parametrize("order", [18, 22])
def test_a_gigantic_page_of_another_time_is_freed(tmp_path: Path, order: int) -> None:
    assert read(tmp_path, ONE + line("free", "0x40000", us=2_000_000, order=order)).counts.frees_unknown == 1


def test_no_machine_frees_what_is_larger(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="line 2: no machine has pages of order 23; Linux stops at 22"):
        read(tmp_path, ONE + line("free", "0x40000", us=2_000_000, order=23))


def test_the_last_cpu_that_a_machine_may_have_is_taken(tmp_path: Path) -> None:
    assert read(tmp_path, line("alloc", "0x10", cpu=4095)).recorded_cpus == (4095,)


def test_no_group_of_the_pattern_is_possessive() -> None:
    """Where one does not match, Python 3.11.0 to 3.11.4 lose what stood before it: CPython's gh-106052."""
    assert not re.search(r"\)(?:[?*+]|\{[\d,]+\})\+", PAGE_EVENT.pattern)

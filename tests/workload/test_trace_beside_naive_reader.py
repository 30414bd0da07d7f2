"""The reader of traces beside a model, and beside whatever Hypothesis thinks a trace might be.

=> Any text and any bytes, packed or not, whole or cut off, are a trace or one clean TraceError.
=> `naive` is the model: the same rules in the plainest way, over events that are made up, or taken from a real trace.
"""

import itertools
import lzma
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.texts import texts
from tests.workload.perf_lines import ONE, PACKED, check_shape, line, read
from uvmfree.errors import TraceError
from uvmfree.workload.trace import bundled_trace


def real_lines() -> list[str]:
    """Return lines of a kernel's trace: all of the pages that had most done to them in its first 20,000 lines."""
    with lzma.open(bundled_trace(), "rt", encoding="utf-8") as bundled:
        lines = list(itertools.islice(bundled, 20_000))
    page = re.compile(r"pfn=\S+")
    found = [match[0] for text in lines if (match := page.search(text))]
    busiest = {pfn for pfn, _ in Counter(found).most_common(40)}
    return [text for text in lines if (match := page.search(text)) and match[0] in busiest]


REAL = real_lines()
PIECES = st.one_of(
    texts(max_size=40),
    st.sampled_from(
        [
            ONE,
            ONE.replace("1.000000", "2.000000"),
            "\n",
            "\r",
            "\t1f main\n",
            "# x\n",
            " ",
            "[",
            "0x",
            "\ufeff",
            "PERFILE2",
            "\u0660",
        ]
    ),
    st.tuples(st.sampled_from([ONE, line("free", "0x10"), "a 1 [000] 1.0: b:c: d\n"]), st.integers(0, 150)).map(
        lambda cut: cut[0][: cut[1]]
    ),
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@given(pieces=st.lists(PIECES, max_size=8), packed=st.sampled_from(list(PACKED)))
@example(pieces=[ONE], packed="plain")
@example(pieces=[ONE.replace("[000]", "[\u0660]")], packed="plain")
def test_any_text_is_a_trace_or_one_clear_error(scratch: Path, pieces: list[str], packed: str) -> None:
    data = "".join(pieces).encode(errors="surrogatepass")
    one_outcome(scratch, PACKED[packed](data))


@given(data=st.binary(max_size=200), head=st.sampled_from([b"", b"\x1f\x8b", b"\xfd7zXZ\0", lzma.compress(b"x")]))
def test_any_bytes_are_a_trace_or_one_clear_error(scratch: Path, data: bytes, head: bytes) -> None:
    one_outcome(scratch, head + data)


EDITS = st.lists(
    st.tuples(
        st.integers(0, sum(map(len, REAL[:40]))),
        st.integers(0, 40),
        st.one_of(
            st.just(""), texts(max_size=5), st.sampled_from(["\n", "\0", " ", "9" * 30, "[999]", "-1.0", *REAL[:3]])
        ),
    ),
    max_size=3,
)


@given(edits=EDITS, packed=st.sampled_from(list(PACKED)), cut=st.one_of(st.none(), st.integers(0, 3000)))
def test_real_lines_with_faults_are_a_trace_or_one_clear_error(
    scratch: Path, edits: list[tuple[int, int, str]], packed: str, cut: int | None
) -> None:
    """Pieces are left out and put in, the file is cut off."""
    text = "".join(REAL[:40])
    for at, length, instead in edits:
        text = text[:at] + instead + text[at + length :]
    one_outcome(scratch, PACKED[packed](text.encode(errors="surrogatepass"))[:cut])


@given(faults=st.lists(st.tuples(st.integers(0, 999), st.integers(1, 255)), min_size=1, max_size=3))
def test_damaged_archives_are_a_trace_or_one_clear_error(scratch: Path, faults: list[tuple[int, int]]) -> None:
    for pack in (PACKED["gzip"], PACKED["xz"]):
        data = bytearray(pack("".join(REAL[:40]).encode()))
        for at, flipped in faults:
            data[at % len(data)] ^= flipped
        one_outcome(scratch, bytes(data))


def one_outcome(scratch: Path, data: bytes) -> None:
    try:
        trace = read(scratch, data)
    except TraceError as error:
        assert type(error) is TraceError  # noqa: PT017 (either outcome is right)
        assert str(error).startswith(str(scratch))  # noqa: PT017
        assert str(error).isprintable()  # noqa: PT017 (and so of one line)
    else:
        check_shape(trace)


Event = tuple[str, int, int, int, int, bool, str]
"""What happened, page frame, CPU, time since the last event in us, order, whether __GFP_ZERO, whose task."""

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["alloc"] * 4 + ["free"] * 4 + ["alloc_zone_locked", "pcpu_drain", "free_batched"]),
        st.integers(0, 6),  # pfn; 0 is a failed allocation
        st.integers(0, 3),  # CPU
        st.integers(0, 10**7),  # time since the last event, us
        st.sampled_from([0, 0, 0, 1, 9]),  # order
        st.booleans(),  # __GFP_ZERO
        st.sampled_from(["cc1 7", "Web Content 8", "kworker/0:1-mm 9", ":-1 -1"]),
    ),
    max_size=40,
)


def naive(events: list[Event]) -> dict[str, object]:
    """Return the counts by the plainest reading of the rules: look back for the page's last kept event."""
    kept: list[tuple[str, int, int, int, bool]] = []
    count = dict.fromkeys(
        (
            "frees_unknown",
            "frees_other_cpu",
            "frees_high_order",
            "moved",
            "ignored_events",
            "allocs_again",
            "allocs_failed",
        ),
        0,
    )
    lives = [0]
    for event, pfn, cpu, _, order, zero, _ in events:
        last = next((old for old in reversed(kept) if old[1] == pfn), None)
        if event == "free_batched":
            count["ignored_events"] += 1
        elif event in ("alloc_zone_locked", "pcpu_drain"):
            count["moved"] += 1
        elif event == "alloc" and pfn == 0:
            count["allocs_failed"] += 1
        elif event == "alloc":
            count["allocs_again"] += last is not None and last[0] == "alloc"
            kept.append((event, pfn, cpu, order, zero))
        elif last is None or last[0] == "free":
            count["frees_unknown"] += 1
        else:
            count["frees_other_cpu"] += last[2] != cpu
            count["frees_high_order"] += last[3] > 0
            kept.append((event, pfn, cpu, last[3], False))
        lives.append(sum({old[1]: old[0] == "alloc" for old in kept}.values()))
    allocs = [old for old in kept if old[0] == "alloc"]
    times = [
        sum(event[3] for event in events[: n + 1]) for n, event in enumerate(events) if event[0] != "free_batched"
    ]
    return {
        "allocs": len(allocs),
        "frees": len(kept) - len(allocs),
        "allocs_high_order": sum(old[3] > 0 for old in allocs),
        "allocs_zero": sum(old[4] for old in allocs),
        "live_peak": max(lives),
        "live_end": lives[-1],
        "duration_s": (times[-1] - times[0]) / 1e6 if times else 0.0,
        "linux_moved": count.pop("moved") or None,
        **count,
    }


def naive_of_line(text: str) -> Event:
    """Take a line apart, with its time in place of the time that has passed."""
    head, _, tail = text.partition("kmem:mm_page_")
    *who, cpu, time = head.split()
    event, *fields = tail.split()
    said = dict(field.split("=") for field in fields)
    seconds, _, us = time.rstrip(":").partition(".")
    zero = "__GFP_ZERO" in said.get("gfp_flags", "").split("|")
    return (
        event.rstrip(":"),
        int(said["pfn"], 16),
        int(cpu[1:-1]),
        int(seconds) * 10**6 + int(us),
        int(said["order"]),
        zero,
        " ".join(who),
    )


@given(kept=st.sets(st.integers(0, len(REAL) - 1), max_size=80))
def test_counts_of_any_real_lines_are_those_of_the_naive_reader(scratch: Path, kept: set[int]) -> None:
    """A trace from which lines are missing is a trace, in which other frees are of unknown pages."""
    lines = [REAL[number] for number in sorted(kept)]
    events = [naive_of_line(text) for text in lines]
    times = [event[3] for event in events]
    passed = [us - before for before, us in itertools.pairwise([times[0] if times else 0, *times])]
    check_counts(
        scratch, "".join(lines), [(*event[:3], us, *event[4:]) for event, us in zip(events, passed, strict=True)]
    )


@given(events=EVENTS)
def test_counts_are_those_of_the_naive_reader(scratch: Path, events: list[Event]) -> None:
    text, us = "", 0
    for event, pfn, cpu, delta_us, order, zero, who in events:
        us += delta_us
        flags = "GFP_KERNEL|__GFP_ZERO" if zero else "GFP_KERNEL"
        text += line(event, hex(pfn), who=who, cpu=cpu, us=us, order=order, flags=flags)
    check_counts(scratch, text, events)


def check_counts(scratch: Path, text: str, events: list[Event]) -> None:
    expected = naive(events)
    if not expected["allocs"]:
        with pytest.raises(TraceError, match="no allocation in" if text else "empty"):
            read(scratch, text)
        return
    trace = read(scratch, text)
    check_shape(trace)
    counts = {name: getattr(trace.counts, name) for name in expected}
    assert counts == {**expected, "duration_s": pytest.approx(expected["duration_s"])}

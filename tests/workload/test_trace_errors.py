"""Every kind of bad trace gets one TraceError of one line: the file, the line's number, what is wrong, the line."""

import gzip
import io
import lzma
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.workload.perf_lines import FIELDS, ONE, PACKED, line, read
from uvmfree.errors import TraceError
from uvmfree.workload.trace import read_trace
from uvmfree.workload.tracefile import BLOCK_BYTES

# Bad files: text or bytes, the line that must be named (None: the file as a whole), what the error must say.
LATER = ONE.replace("1.000000", "2.000000")
BAD = {
    "empty": (b"", None, "empty"),
    "empty gzip": (gzip.compress(b""), None, "empty"),
    "empty xz": (lzma.compress(b""), None, "empty"),
    "no events": ("# nothing\n\n", None, "no allocation in 2 lines"),
    "only other events": ("a 1 [000] 1.0: kmem:kfree: x\n", None, "no allocation in 1 lines"),
    "only frees": (line("free", "0x1") * 3, None, "no allocation in 3 lines"),
    "only failed": (line("alloc", "0x0"), None, "no allocation in 1 lines"),
    "truncated xz": (lzma.compress(ONE.encode())[:-20], None, "truncated"),
    "xz magic only": (lzma.compress(ONE.encode())[:6], None, "truncated"),
    "truncated gzip": (gzip.compress(ONE.encode())[:-9], None, "truncated"),
    "damaged xz": (lzma.compress(ONE.encode())[:-30] + bytes(30), None, "damaged"),
    "damaged gzip": (gzip.compress(ONE.encode())[:30] + bytes(60), None, "damaged"),
    "gzip of no known block type": (gzip.compress(ONE.encode())[:10] + b"\xff" * 20, None, "damaged"),
    "gzip, then rubbish": (gzip.compress(ONE.encode()) + b"rubbish", None, "damaged"),
    "perf.data": (b"PERFILE2" + bytes(99), None, "this is perf.data; run perf script -i "),
    "perf.data, other byte order": (b"2ELIFREP" + bytes(99), None, "this is perf.data; run perf script -i "),
    "NUL": (ONE.encode() + b"\x7fELF\0\1\n", 2, "binary"),
    "NUL before a bad byte": (ONE.encode() + b"a\0\n\xff\n", 2, "binary"),
    "not UTF-8, cut off": (
        ONE.encode() * 2 + b"caf\xe9 7 [000] 1.0\n",
        3,
        r"malformed (not a line of perf script): 'caf\\xe9",
    ),
    "UTF-16": (ONE.encode("utf-16"), 1, "binary"),
    "cut off UTF-8": (ONE.encode() + b"caf\xc3", 2, "malformed"),
    "prose": ("hello\n", 1, "malformed"),
    "later prose": (ONE + "\n#\n" + ONE + "hello\n", 5, "malformed"),
    "cut off in the pfn": (ONE + ONE[:50], 2, "malformed"),
    "cut off before the flags": (ONE + ONE[: ONE.index(" gfp")], 2, "malformed"),
    "cut off after the event": (ONE + ONE[: ONE.index("page=")], 2, "malformed"),
    "two lines in one": (ONE.strip() + " " + ONE, 1, "malformed"),
    "no CPU": (ONE.replace("[000] ", ""), 1, "malformed"),
    "no time": (ONE.replace(" 1.000000:", ""), 1, "malformed"),
    "no PID": (ONE.replace("cc1 7", "cc1"), 1, "malformed: no PID"),
    "no PID, no space": (ONE.replace("cc1 7 ", "cc1 7"), 1, "malformed: no PID"),
    "CPU in other digits": (ONE.replace("[000]", "[\u0660]"), 1, "malformed"),
    "PID in other digits": (ONE.replace("cc1 7", "cc1 \u0667"), 1, "malformed: no PID"),
    "no pfn": (ONE.replace("pfn=0x10 ", ""), 1, "malformed"),
    "pfn is no number": (ONE.replace("pfn=0x10", "pfn=zz"), 1, "malformed"),
    "no order": (ONE.replace("order=0", ""), 1, "malformed"),
    "no flags": (ONE.replace(FIELDS, ""), 1, "malformed: no gfp_flags"),
    "time without a point": (ONE.replace("1.000000", "1000000"), 1, "malformed"),
    "time beyond an int64": (ONE.replace("1.000000", "9999999999.0"), 1, "malformed"),
    "CPU 4096": (ONE + LATER.replace("[000]", "[4096]"), 2, "CPU 4096 is beyond 4095"),
    "CPU 4096 of an unkept event": (line("free", "0x1", cpu=4096), 1, "CPU 4096 is beyond 4095"),
    "order 64": (ONE.replace("order=0", "order=64"), 1, "no machine has pages of order 64"),
    "order 18": (
        ONE + LATER.replace("order=0", "order=18"),
        2,
        "no machine has pages of order 18; Linux stops at 17",
    ),
    "order 23, freed": (ONE + line("free", "0x9", us=2_000_000, order=23), 2, "no machine has pages of order 23"),
    "time goes back": (LATER + ONE, 2, "time goes back"),
    "time goes back on another CPU": (LATER + ONE.replace("[000]", "[001]"), 2, "time goes back"),
    "time goes back by a nanosecond": (
        LATER.replace("2.000000", "2.000000001") + LATER.replace("2.000000", "2.000000000"),
        2,
        "time goes back",
    ),
    "a line of 20,000": (ONE + "x" * 20_000 + "\n" + ONE, 2, "longer than 16384 characters"),
    "no line at all": (b"x" * 3_000_000, 1, "longer than 16384 characters"),
    "escape codes": (ONE + "\x1b[31m\x07bad\x85\u2028\n", 2, r"malformed (not a line of perf script): '\x1b[31m"),
}


# Packed as well, unless it is the packing that is bad.
CASES = [
    (bad, packed)
    for bad, (content, _, what) in BAD.items()
    for packed in PACKED
    if packed == "plain" or what not in ("empty", "truncated", "damaged")
]


@pytest.mark.parametrize(("bad", "packed"), CASES)
def test_bad_file_is_one_line_that_says_where(tmp_path: Path, bad: str, packed: str) -> None:
    content, line_number, what = BAD[bad]
    data = PACKED[packed](content.encode() if isinstance(content, str) else content)
    path = tmp_path / "bad.perf"
    with pytest.raises(TraceError) as caught:
        read(tmp_path, data, path.name)
    message = str(caught.value)
    where = f"{path}: " if line_number is None else f"{path}: line {line_number}: "
    assert message.startswith(where + what)
    assert message.isprintable()
    assert len(message.removeprefix(str(path)).replace(str(path), "")) < 400


def test_error_shows_the_line_shortened(tmp_path: Path) -> None:
    with pytest.raises(TraceError) as caught:
        read(tmp_path, ONE + "    " + "0123456789" * 99 + "\n")
    assert str(caught.value).endswith(f"line 2: malformed (not a line of perf script): '{'0123456789' * 10}...'")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("missing", "No such file or directory"),
        (".", "Is a directory"),
        ("plain/file", "Not a directory"),
        ("nul\0name", "embedded null"),
        ("two\nlines", "No such file or directory"),
    ],
)
def test_file_that_cannot_be_opened(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "plain").touch()
    path = os.path.join(tmp_path, name)
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(caught.value).startswith(path if path.isprintable() else repr(path))
    assert what in str(caught.value)
    assert str(caught.value).isprintable()


def test_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # root may read any file
    with pytest.raises(TraceError, match=r"/t: Permission denied$"):
        read_trace(tmp_path / "t")


@pytest.mark.parametrize(
    ("stdin", "what"),
    [
        (None, "stdin: closed"),
        (SimpleNamespace(buffer=io.BytesIO(b"")), "stdin: empty"),
        (
            SimpleNamespace(buffer=io.BytesIO(b"oops\n")),
            "stdin: line 1: malformed (not a line of perf script): 'oops'",
        ),
        (SimpleNamespace(buffer=io.BytesIO(b"PERFILE2")), "stdin: this is perf.data; run perf script"),
    ],
)
def test_bad_stdin(monkeypatch: pytest.MonkeyPatch, stdin: object, what: str) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(TraceError) as caught:
        read_trace("-")
    assert str(caught.value) == what


def test_line_without_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = io.BytesIO(b"x" * (8 * BLOCK_BYTES))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=endless))
    with pytest.raises(TraceError, match="line 1: longer than"):
        read_trace("-")
    assert endless.tell() <= 2 * BLOCK_BYTES


@pytest.mark.parametrize(("chars", "end"), [(100, ""), (101, "...")])
def test_a_wrong_line_is_shown_whole_up_to_a_hundred_characters(tmp_path: Path, chars: int, end: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(tmp_path, ONE + "x" * chars + "\n")
    assert str(caught.value).endswith(f": '{'x' * 100}{end}'")

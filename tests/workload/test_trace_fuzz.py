"""Real lines, damaged at random, become a trace that holds what traces promise, or one TraceError that says where."""

import lzma
import re
import tempfile
from itertools import islice
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.workload.perf_lines import check_shape
from tests.workload.test_trace_forms import FORMS
from uvmfree.errors import TraceError
from uvmfree.workload.trace import bundled_trace, read_trace

with lzma.open(bundled_trace()) as _lines:
    REAL = [*islice(_lines, 40)]
REAL += [line + b"\n" for text in FORMS.values() for line in text.encode().splitlines()]

WHOLE_FILE = re.compile(r"empty|no allocation in \d+ lines; ")
ONE_LINE = re.compile(r"line (\d+): [^\n]+: (?:'.*'|\".*\")")

lines = st.sampled_from(REAL)
noise = st.binary(max_size=12) | st.sampled_from(
    [b"\n", b"\r", b"\xff", b"[", b"0", b"9" * 20, b"kmem:mm_page_free:"]
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Some real lines, of which a few are cut, doubled, mixed or have bytes put into them."""
    made = []
    for line in draw(st.lists(lines, max_size=12)):
        at = draw(st.integers(0, len(line)))
        cut = draw(st.integers(0, 30))
        match draw(st.sampled_from(["keep", "keep", "cut", "put", "splice"])):
            case "cut":
                line = line[:at] + line[at + cut :]
            case "put":
                line = line[:at] + draw(noise) + line[at:]
            case "splice":
                other = draw(lines)
                line = line[:at] + other[min(at, len(other)) :]
        made.append(line)
    return b"".join(made)


@given(damaged())
def test_damaged_lines(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t")
        path.write_bytes(data)
        try:
            trace = read_trace(path)
        except TraceError as error:
            where, _, said = str(error).partition(": ")
            assert where == str(path)
            assert said.isprintable()
            number = ONE_LINE.fullmatch(said)
            assert number or WHOLE_FILE.match(said), said
            assert number is None or 1 <= int(number[1]) <= data.count(b"\n") + 1
        else:
            check_shape(trace)

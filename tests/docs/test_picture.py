"""The pictures of lists and locks: what is drawn for which lines."""

import re

import pytest

from docs._ext.picture import NCPUS, drawn, parse, tag

PERCPU = """\
each CPU under uvm_cpu[i], cpu:
    cache: a `stack` <each>
up: a miss
all CPUs under uvm_fpageqlock, shared:
    global list: the rest
    (counters): a few
"""


def text(lines: str) -> str:
    """What is to be read of a picture."""
    return " ".join(re.sub(r"<[^>]+>", " ", drawn(parse(lines.splitlines()))).split())


def test_each_cpu_has_its_own_lock_and_lists() -> None:
    assert text(PERCPU).startswith(
        "CPU 0 uvm_cpu[0] a CPU's own lock cache : a stack &lt;each&gt; CPU 1 uvm_cpu[1] a CPU's own lock cache"
    )
    said = drawn(parse(PERCPU.splitlines()))
    assert said.count('class="frame cpu"') == NCPUS
    assert said.count('class="frame shared"') == 1
    assert said.count('class="stack"') == NCPUS + 1
    assert said.count('class="datum"') == 1
    assert said.count("<div") == said.count("</div>")


def test_levels_under_one_lock_stand_in_one_frame() -> None:
    said = drawn(parse(PERCPU.replace("uvm_cpu[i], cpu", "uvm_fpageqlock, shared").splitlines()))
    assert said.count("uvm_fpageqlock") == 1
    assert said.count('class="frame none"') == NCPUS + 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("some CPUs:", "neither a level"),
        ("    cache: a stack", "neither a level"),
        ("up: a miss", "neither a level"),
        ("all CPUs under a lock, fast:", "'fast' is no kind of lock: cpu, off, shared, other"),
    ],
)
def test_what_cannot_be_drawn_is_refused(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse([line])


def test_what_is_off_is_not_said_twice() -> None:
    assert tag(("preemption off", "off"), 0) == '<div class="lock"><code>preemption off</code></div>'
    assert tag(("splvm", "off"), 0).endswith("<span>interrupts off</span></div>")

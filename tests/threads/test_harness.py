"""The programs can fail: bugs put into the counters are caught, shortened, and reported with a line to repeat them.

=> The full list of seeded bugs is in tests/mutants/. These show the harness itself: what it says, and that a failure
   which does not come again is still a failure.
"""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.model.page_operations import Alloc, Free, Run
from tests.model.ranged import one_run
from tests.model.system_operations import Churn
from tests.threads import programs
from tests.threads.limits import Limits
from tests.threads.programs import Program, ProgramFailed, check_programs
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.words import Adder
from uvmfree.param import Param
from uvmfree.uvm.designs.fpageqlock import FpageqlockCpu
from uvmfree.uvm.designs.percpu import PercpuCpu
from uvmfree.uvm.page import VmPage

PAUSE = ThreadsMachine().sleep


def failure(variant: str, examples: int) -> str:
    with pytest.raises(ProgramFailed) as failed:
        check_programs(variant, examples)
    return str(failed.value)


@pytest.fixture(autouse=True)
def _shrink_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SHRINK_S", 1.0)
    monkeypatch.setattr(programs, "AGAIN", 3)


@pytest.mark.rotated(3)
def test_a_counter_updated_twice_is_caught_shortened_and_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """R3: each redistribution adds one too many; the line that is printed fails again."""

    def gave(cpu: PercpuCpu, pages: int, zeropages: int = 0) -> None:
        cpu.drained += pages
        cpu.publish(pages + 1, zeropages)

    monkeypatch.setattr(PercpuCpu, "gave", gave)
    said = failure("percpu", 20)
    line = re.search(r'python -c "(.*)"$', said, re.MULTILINE)
    assert line is not None
    assert "repeats=500" in line[1]
    length = re.search(r"variant 'percpu', (\d+) operations", said)
    assert length is not None
    assert int(length[1]) <= 12
    with pytest.raises(AssertionError):
        exec(line[1], {})
    monkeypatch.undo()
    exec(line[1].replace("repeats=500", "repeats=1"), {})


@pytest.mark.rotated(3)
def test_a_counter_updated_after_the_lock_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """R3: in the design of today the counter may not lag at all, and here a free is counted when the lock is gone."""
    pagefree = FpageqlockCpu.pagefree

    def late(cpu: FpageqlockCpu, pg: VmPage) -> None:
        pagefree(cpu, pg)
        cpu._free.add(-1)
        PAUSE(0)
        cpu._free.add(1)

    monkeypatch.setattr(FpageqlockCpu, "pagefree", late)
    assert "uvmexp.free" in failure("fpageqlock", 60).splitlines()[0]


@pytest.mark.rotated(3)
def test_a_failure_that_never_comes_again_is_reported_as_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program and its error, and not that hypothesis could not repeat it."""
    run_once = programs._run_once
    left = iter(range(3))

    def once(variant: str, program: Program) -> Any:
        seen = run_once(variant, program)
        if next(left, None) == 2:
            raise AssertionError("the third run went wrong")
        return seen

    monkeypatch.setattr(programs, "_run_once", once)
    assert failure("percpu", 6).startswith("AssertionError: the third run went wrong")


@pytest.mark.rotated(3)
def test_an_unlocked_update_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """P1: updates have to be consistent; two threads that read, add and store lose one."""

    def plainly(adder: Adder, n: int) -> None:
        words = adder._page._words
        slot = adder._page.slot("free")
        before = words[slot]
        PAUSE(0)
        words[slot] = before + n

    monkeypatch.setattr(Adder, "add", plainly)
    assert "CPU 0:" in failure("percpu", 60)


@pytest.mark.rotated(2)
def test_programs_of_every_kind_are_written() -> None:
    """A property over programs that have no such operation would say nothing of it."""
    written: Counter[str] = Counter()
    features: Counter[str] = Counter()

    @settings(max_examples=75, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(programs.PROGRAMS)
    def write(program: Program) -> None:
        written.update({getattr(op, "what", type(op).__name__) for op in (*program.ops, *program.conductor)})
        features.update(name for name in ("conductor", "spied", "stuck") if getattr(program, name))

    write()
    assert set(written) == {
        "Alloc", "Free", "Cycle", "Churn", "Hand", "take", "Redistribute", "Run", "IdleZero", "Touch", "Discard",
        "call", "kick", "Wait", "Detach", "Attach", "Bind", "audit", "Recolor",
    }  # fmt: skip
    assert min(features.values()) >= 10, features


def test_the_bound_of_a_program_is_what_its_operations_can_have_in_hand() -> None:
    """P1: refill, or a run, for each CPU that may take; what was freed there for each that may hand back."""
    param = Param.of(programs.tunables("percpu, refill", ncpus=2, pages_per_cpu=48))
    ops = [[Free(4)], [Alloc(2), Churn(3, 2)]]
    limits = Limits.of(param, ops, conducted=0, anon=False)
    assert limits.cached_max == (4, 2 * 7 + 3 * 2 * 8)
    assert limits.gap([]) == (0, 0)
    assert limits.gap([0]) == (-4, 8)
    assert limits.gap([0, 1]) == (-4 - 62, 16)
    assert limits.value() == (-66, 96)
    runs = Limits.of(param, [[Run(one_run(20))], []], conducted=0, anon=False)
    assert (runs.gap([0])[1], runs.gap([0, 1])[1]) == (20, 40)
    assert Limits.of(param, [[Run(one_run(3))], []], conducted=0, anon=False).gap([0, 1])[1] == 16

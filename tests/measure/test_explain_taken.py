"""The locks that an act took, in the order in which they were granted, each at its depth; from a made-up trace."""

import pytest

from uvmfree.kern.locktrace import LockTrace, Slice
from uvmfree.measure.explain import Stage
from uvmfree.param import Param
from uvmfree.workload.story import Act

SHARED, OWN = "uvm_fpageqlock", "uvm_cpu[1]"


def held(lock: str, thread: str, began: int, ended: int, *, waited: bool = False) -> Slice:
    return Slice(lock, f"by {thread}", thread, not waited, began, ended)


def test_depth_waits_and_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one moment: the outer one first. One that begins when another ends is not inside it."""
    far = 10**15  # after whatever the story itself does
    trace = [
        held(OWN, "CPU 1", far + 10, far + 50),
        held(SHARED, "CPU 1", far + 10, far + 30),
        held(SHARED, "CPU 0", far + 5, far + 30, waited=True),
        held(SHARED, "CPU 0", far + 30, far + 37),
        held(SHARED, "CPU 1", far + 35, far + 40),
        held("some", "CPU 1", far + 36, far + 38),
        held(SHARED, "CPU 1", far + 50, far + 61),
        held(SHARED, "CPU 1", far + 61, far + 62),
        held(SHARED, "CPU 1", -5, -1),  # before the act
    ]
    stage = Stage(Param(npages=64, ncpus=2), "xeon-2s", 1)
    monkeypatch.setattr(LockTrace, "slices", lambda trace_of: tuple(trace[::-1]))
    steps = stage.play([Act("", "wait", seconds=0.001)])
    step = next(steps)
    steps.close()
    assert [(each.lock, each.thread, each.depth, each.held_ns, each.waited_ns) for each in step.taken] == [
        (OWN, "CPU 1", 0, 40, 0),
        (SHARED, "CPU 1", 1, 20, 0),
        (SHARED, "CPU 0", 0, 7, 25),
        (SHARED, "CPU 1", 1, 5, 0),
        ("some", "CPU 1", 2, 2, 0),
        (SHARED, "CPU 1", 0, 11, 0),
        (SHARED, "CPU 1", 0, 1, 0),
    ]
    assert [(each.kind, each.cpu) for each in step.taken[:5]] == [
        ("cpu", 1),
        ("shared", None),
        ("shared", None),
        ("shared", None),
        ("other", None),
    ]


@pytest.mark.parametrize(("pages", "done"), [(5, 3), (2, 2), (None, 3)])
def test_no_more_pages_are_freed_than_are_held(pages: int | None, done: int) -> None:
    """Of three: a burst may have got fewer pages than it was to."""
    stage = Stage(Param(npages=64, ncpus=2), "xeon-2s", 1)
    acts = [Act("", "alloc", (0,), 3, "some"), Act("", "free", (1,), pages, "some"), Act("", "free", (0,), 1, "none")]
    assert [step.done for step in stage.play(acts)] == [3, done, 0]


def test_a_lock_that_was_granted_as_an_act_began_is_of_that_act(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(Param(npages=64, ncpus=2), "xeon-2s", 1)
    trace = [held(SHARED, "CPU 1", began, began + 10) for began in (99, 100, 101)]
    monkeypatch.setattr(LockTrace, "slices", lambda trace_of: tuple(trace))
    assert len(stage._taken(100)) == 2
    stage.uvm.close()

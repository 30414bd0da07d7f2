"""The fault `swapwrite` fails by itself: no device of the host has to."""

import errno
import os
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.stress.rig import run
from uvmfree.machine.costs import costs_for
from uvmfree.stress.fault import Fault
from uvmfree.stress.faults import SwapwriteFault
from uvmfree.stress.on_machine import Virtual
from uvmfree.stress.shared import Shared

PAGE = bytes(range(256)) * 16


def outcomes(fault: SwapwriteFault, writes: int) -> list[int | str]:
    """Return what so many writes of a page come to: the bytes written, or the name of the error."""
    came: list[int | str] = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(writes):
            try:
                came.append(fault.pwrite(file.fileno(), memoryview(PAGE), 0))
            except OSError as error:
                came.append(errno.errorcode[error.errno or 0])
            else:
                written = came[-1]
                assert isinstance(written, int)
                assert os.pread(file.fileno(), written, 0) == PAGE[:written]
    return came


@pytest.fixture
def _no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a host on which no device fails as expected."""
    plain = os.open

    def opens(path: str, *how: Any, **more: Any) -> int:
        assert not path.startswith("/dev/"), f"{path} was opened: where writes to it succeed, swap loses pages"
        return plain(path, *how, **more)

    monkeypatch.setattr(os, "open", opens)


@pytest.mark.usefixtures("_no_device")
def test_writes_fail_whole_and_by_halves_without_a_device() -> None:
    """R22: half of the failures come after half a page was really written, and none is taken for a write."""
    fault = SwapwriteFault()
    fault.broken = True
    half = len(PAGE) // 2
    assert outcomes(fault, 6) == ["ENOSPC", half, "ENOSPC", "ENOSPC", half, "ENOSPC"]
    assert fault.failed == 4


def test_between_those_times_every_sixteenth_write_fails_by_half() -> None:
    some = [len(PAGE)] * 15 + [len(PAGE) // 2, "ENOSPC"]
    fault = SwapwriteFault()
    assert outcomes(fault, 34) == some * 2
    assert fault.failed == 2


@pytest.mark.parametrize("mend", [SwapwriteFault.heal, lambda fault: setattr(fault, "broken", False)])
def test_writes_succeed_again_when_the_fault_is_over(mend: Callable[[SwapwriteFault], object]) -> None:
    fault = SwapwriteFault()
    fault.broken = True
    assert outcomes(fault, 1) == ["ENOSPC"]
    mend(fault)
    assert outcomes(fault, 3) == [len(PAGE)] * 3
    assert fault.failed == 1


class LastLook(Fault):
    """Does nothing, and looks at the end whether pages are on their way to swap."""

    name = "lastlook"
    pause_s = (1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.on_their_way: list[int] = []

    def inject(self, shared: Shared) -> bool:
        return False

    def finish(self, shared: Shared) -> None:
        self.on_their_way.append(shared.uvm.uvmexp.paging)


def test_what_failed_is_told_when_no_write_is_under_way_any_more() -> None:
    """A write that has just failed is counted a moment later: whoever compares the two has to wait for it."""
    look = LastLook()
    slow = Virtual(costs=costs_for("xeon-2s").with_figures({"disk_latency": 200_000}, "--cost"))
    seen = run("percpu", (), look, seconds=0.01, npages=256, machine=slow)
    assert seen.errors == (), seen.report
    assert look.on_their_way == [0]

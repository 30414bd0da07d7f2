"""Locks that nobody releases, at the end of a system: the innermost first, since others may come free then."""

from typing import Any, Final

import pytest

from uvmfree.kern.lockrank import UVM_CPU, UVM_FPAGEQLOCK, UVM_PAGEQLOCK, LockRank
from uvmfree.uvm.leftheld import CLOSE_LOCK_S, wrested

LOCKS: Final = ((UVM_PAGEQLOCK, None), (UVM_CPU, 0), (UVM_CPU, 1), (UVM_FPAGEQLOCK, None))
"""In lock order."""


class Held:
    """A lock of a holder that releases it as soon as that one has the lock it waits for, `inner`."""

    def __init__(self, rank: LockRank, index: int | None, inner: "Held | None", order: list[str]) -> None:
        self.rank, self.index, self.inner, self.order = rank, index, inner, order
        self.name = rank.name if index is None else f"{rank.name}[{index}]"
        self.gone = False

    def comes_free(self, timeout_s: float) -> bool:
        assert timeout_s == CLOSE_LOCK_S
        return self.gone or (self.inner is not None and self.inner.comes_free(timeout_s))

    def wrest(self) -> None:
        self.gone = True
        self.order.append(self.name)


@pytest.mark.parametrize("turned", [False, True])
def test_the_outer_ones_are_released_by_their_holder(turned: bool) -> None:
    order: list[str] = []
    held: list[Any] = []
    for rank, index in reversed(LOCKS):
        held.append(Held(rank, index, held[-1] if held else None, order))
    assert wrested(held[::-1] if turned else held) == order == ["uvm_fpageqlock"]


def test_those_of_holders_that_have_gone_are_all_wrested_from_the_inside_out() -> None:
    order: list[str] = []
    held: Any = [Held(rank, index, None, order) for rank, index in LOCKS]
    assert wrested(held) == order == ["uvm_fpageqlock", "uvm_cpu[1]", "uvm_cpu[0]", "uvm_pageqlock"]

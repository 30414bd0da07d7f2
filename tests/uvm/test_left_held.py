"""A lock that audit() finds held: for good if no CPU gets on meanwhile, or after a minute at most."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from uvmfree.errors import AuditError
from uvmfree.uvm.leftheld import AUDIT_LOCK_S, AUDIT_LOOKS, check


class Held:
    """Comes free after so many waits."""

    name = "uvm_cpu[0]"

    def __init__(self, waits: float) -> None:
        self.left, self.waited_s = waits, 0.0

    def comes_free(self, timeout_s: float) -> bool:
        self.waited_s += timeout_s
        self.left -= 1
        return self.left <= 0


def going(counts: Iterator[int]) -> Callable[[], int]:
    return lambda: next(counts)


@pytest.mark.parametrize("waits", [1, 2, AUDIT_LOOKS])
def test_it_is_waited_for_as_long_as_cpus_get_on(waits: int) -> None:
    held = Held(waits)
    check(held, going(itertools.count()))
    assert held.waited_s == waits * AUDIT_LOCK_S


@pytest.mark.parametrize(
    ("steps", "looks"),
    [(going(itertools.repeat(7)), 1), (going(iter([1, 2, 3, 3])), 2), (going(itertools.count()), AUDIT_LOOKS)],
)
def test_it_is_refused_when_none_does_and_after_a_minute(steps: Callable[[], int], looks: int) -> None:
    held = Held(float("inf"))
    with pytest.raises(AuditError, match=r"^uvm_cpu\[0\] is held for good"):
        check(held, steps)
    assert held.waited_s == looks * AUDIT_LOCK_S <= 60

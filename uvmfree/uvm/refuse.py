"""What takes the place of a Cpu's lock and lists when it may no longer be used.

A Cpu goes out of use when its system is closed, or when another thread takes its part over. Checking for that would
cost every call; instead its parts are exchanged for ones that raise, under the lock that the calls take.
"""

from collections.abc import Callable, Iterator
from typing import Any

from uvmfree.errors import BindError


class NoLists:
    """What stands in for the lists of a Cpu that was stopped: empty to walk, and whoever reaches in is refused."""

    __slots__ = ("_refuse",)

    def __init__(self, refuse: Callable[[], object]) -> None:
        self._refuse = refuse

    def __getitem__(self, index: int) -> Any:
        self._refuse()
        raise AssertionError("what takes the place of a lock raises")

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def left_behind(index: int) -> Callable[[], object]:
    """Return what takes the place of the lock in a Cpu that another thread has taken over."""

    def refuse() -> object:
        raise BindError(f"this object of CPU {index} was left behind by a later run_on({index}); use that one's")

    return refuse


def detached(index: int) -> Callable[[], object]:
    """Return what takes the place of the lock in a Cpu whose CPU was detached.

    => It refuses for good. A call may have loaded it before the CPU comes back, and make it after.
    """

    def refuse() -> object:
        raise BindError(f"CPU {index} is detached; attach({index}) brings it back")

    return refuse

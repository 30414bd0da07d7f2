"""What refuses the calls of a Cpu that may no longer be used: an error that says why, for good."""

from collections.abc import Callable

from uvmfree.errors import BindError


def left_behind(index: int) -> Callable[[], object]:
    """Return what refuses the calls of a Cpu that another thread has taken over."""

    def refuse() -> object:
        raise BindError(f"this object of CPU {index} was left behind by a later run_on({index}); use that one's")

    return refuse


def detached(index: int) -> Callable[[], object]:
    """Return what refuses the calls of a Cpu whose CPU was detached.

    => It refuses for good. A call may have looked before the CPU comes back, and go on after.
    """

    def refuse() -> object:
        raise BindError(f"CPU {index} is detached; attach({index}) brings it back")

    return refuse

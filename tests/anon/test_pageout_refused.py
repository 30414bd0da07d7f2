"""Every call that takes uvm_pageout_lock is refused once that is asked for, as in the child of a fork."""

from collections.abc import Callable

import pytest

from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.uvmexp import Watermarks

MARKS = Watermarks(reserve_pagedaemon=1, reserve_kernel=5, freemin=10, freetarg=14)
CALLS: dict[str, Callable[[Pageout], object]] = {
    "kick": lambda pageout: pageout.kick(),
    "kick_if_short": lambda pageout: pageout.kick_if_short(0),
    "wait": lambda pageout: pageout.wait(0.001),
    "start": lambda pageout: pageout.start(1),
    "done": lambda pageout: pageout.done(1),
    "daemon_sleep": lambda pageout: pageout.daemon_sleep(),
    "daemon_pass_over": lambda pageout: pageout.daemon_pass_over(),
    "daemon_died": lambda pageout: pageout.daemon_died(ValueError()),
    "close": lambda pageout: pageout.close(),
}


class Refused(Exception):
    """What is raised."""


def refuse() -> None:
    raise Refused


@pytest.mark.parametrize("call", CALLS)
def test_it_is_refused_and_takes_no_lock(call: str) -> None:
    machine = ThreadsMachine()
    pageout = Pageout(
        machine, machine.counters(("paging", "pdpending")), lambda: MARKS, lambda: 0, *[lambda: False] * 2
    )
    pageout.start(1)
    pageout.kick()  # so that the daemon would not sleep
    pageout.refuse(refuse)
    with pytest.raises(Refused):
        CALLS[call](pageout)
    assert pageout.mutex.comes_free(0.05)
    assert pageout.paging == 1

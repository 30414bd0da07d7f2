"""A call that was just about to take its lock when another thread took the CPU over, or closed the system.

=> Such a call works on what was left behind: were it let in, a page could land on a list that nobody has any more.
"""

from collections.abc import Callable, Iterator

import pytest

import uvmfree
from tests.uvm.machines import InterposingMachine
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs import traits_of
from uvmfree.uvm.page import VmPage

CALLS: dict[str, Callable[[Cpu, VmPage], object]] = {
    "pagefree": lambda cpu, pg: cpu.pagefree(pg),
    "pagealloc": lambda cpu, pg: cpu.pagealloc(),
    "pagealloc zero": lambda cpu, pg: cpu.pagealloc(zero=True),
    "pagealloc color": lambda cpu, pg: cpu.pagealloc(color=1),
    "pagealloc only": lambda cpu, pg: cpu.pagealloc(strat="only"),
}

SYSTEM_CALLS: dict[str, Callable[[uvmfree.Uvm], object]] = {
    "pglistalloc": lambda uvm: uvm.pglistalloc(2),
    "pglistalloc some": lambda uvm: uvm.pglistalloc(2, nsegs=2),
    "pglistalloc waitok": lambda uvm: uvm.pglistalloc(2, nsegs=2, waitok=True, timeout_s=1),
    "recolor": lambda uvm: uvm.recolor(4),
    "detach": lambda uvm: uvm.detach(1),
    "attach": lambda uvm: uvm.attach(1),
    "audit": lambda uvm: uvm.audit(),
    "counter_lag": lambda uvm: uvm.counter_lag(),
}


class Late:
    """A system whose CPU 0 has, or has not, free pages of its own, and a page that it holds."""

    def __init__(self, design: str, cached: bool) -> None:
        self.machine = InterposingMachine()
        self.uvm = uvmfree.boot(self.machine, npages=64, ncpus=2, ncolors=2, design=design)
        self.lock = self.uvm.design.guard(0).name
        self.cpu = self.uvm.cpus[0]
        pages = [pg for pg in (self.cpu.pagealloc() for _ in range(6)) if pg is not None]
        self.held = pages.pop()
        for pg in pages:
            self.uvm.cpus[0 if cached else 1].pagefree(pg)

    def meanwhile(self, then: Callable[[], object]) -> None:
        """Let this happen between the next call's decision to take its lock and its taking it."""
        self.machine.at = self.lock
        self.machine.then = lambda: then() and None


@pytest.fixture(params=[True, False], ids=["with-cache", "no-cache"])
def late(request: pytest.FixtureRequest, design: str) -> Iterator[Late]:
    made = Late(design, request.param)
    yield made
    made.uvm.close()


@pytest.fixture(params=list(uvmfree.DESIGNS))
def design(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_a_new_player_overtakes_is_refused_and_changes_nothing(late: Late, call: str) -> None:
    """R3: every page is in exactly one place, whoever was overtaken."""

    def rebind() -> None:
        with late.uvm.run_on(0):
            pass

    before = late.uvm.cpu_stats(), late.uvm.uvmexp.snapshot()
    late.meanwhile(rebind)
    with pytest.raises(uvmfree.BindError, match="CPU 0 was left behind"):
        CALLS[call](late.cpu, late.held)
    assert late.machine.at == ""  # it did happen
    assert (late.uvm.cpu_stats(), late.uvm.uvmexp.snapshot()) == before
    late.uvm.audit()
    late.uvm.cpus[0].pagefree(late.held)
    assert late.uvm.cpus[0].pagealloc() is not None
    late.uvm.audit()


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_the_end_of_the_system_overtakes_is_refused(late: Late, call: str) -> None:
    late.meanwhile(late.uvm.close)
    with pytest.raises(uvmfree.ClosedError):
        CALLS[call](late.cpu, late.held)
    assert late.machine.at == ""
    assert late.uvm.cached_pages() == (0, 0)


@pytest.mark.parametrize("call", SYSTEM_CALLS)
def test_a_call_of_the_whole_system_that_its_end_overtakes_is_refused(design: str, call: str) -> None:
    """R25 and Q13: it had looked whether the system was open, and waits for its first lock when that is closed.

    Found by tests/explore: pglistalloc() then stumbled over pages that were gone.
    """
    machine = InterposingMachine()
    uvm = uvmfree.boot(machine, npages=64, ncpus=2, ncolors=2, design=design)
    if call == "counter_lag" and not uvm.design.shared_locks:
        uvm.close()
        pytest.skip("it takes no lock")
    if call == "attach":
        uvm.detach(1)
    first = {"attach": uvm.design.guard(1), "counter_lag": [*uvm.design.shared_locks, uvm.design.guard(0)][0]}
    machine.at = first.get(call, uvm.design.guard(0)).name
    machine.then = uvm.close
    with pytest.raises(uvmfree.ClosedError):
        SYSTEM_CALLS[call](uvm)
    assert machine.at == ""


@pytest.mark.parametrize("design", [name for name in uvmfree.DESIGNS if traits_of(uvmfree.Param(design=name)).zeros])
def test_idle_zeroing_that_the_end_of_the_system_overtakes_is_refused(design: str) -> None:
    """R16: the page that it was about to fill is gone. Found by tests/explore, as a ValueError of the RAM's view."""
    uvm = uvmfree.boot(npages=64, ncpus=2, ncolors=2, design=design)
    cpu = uvm.cpus[0]
    for pg in [cpu.pagealloc() for _ in range(6)]:
        assert pg is not None
        cpu.pagefree(pg)
    asked: list[None] = []

    def runnable() -> bool:
        asked.append(None)
        if len(asked) == 3:  # before the first page, before its first piece, before its second
            uvm.close()
        return False

    with pytest.raises(uvmfree.ClosedError):
        cpu.pageidlezero(runnable)
    assert len(asked) == 3

"""Idle zeroing that is broken off: the page comes back, and the audit knows one that does not (R3, R16)."""

from collections.abc import Callable, Iterator

import pytest

import uvmfree
from tests.mechanism.rig import BOTH
from uvmfree.uvm.cpu import Cpu


class BrokenOffError(Exception):
    """What `runnable()` raises."""


@pytest.fixture(params=BOTH)
def uvm(request: pytest.FixtureRequest) -> Iterator[uvmfree.Uvm]:
    """A system whose CPU 0 has pages of its own to zero."""
    made = uvmfree.boot(npages=64, ncpus=2, ncolors=2, design=request.param)
    for pg in [made.cpus[0].pagealloc() for _ in range(8)]:
        assert pg is not None
        made.cpus[0].pagefree(pg)
    yield made
    made.close()


def raises_when_asked(times: int) -> Callable[[], bool]:
    """Return a `runnable` that raises when it is asked for the so many-th time."""
    left = times

    def runnable() -> bool:
        nonlocal left
        left -= 1
        if left == 0:
            raise BrokenOffError
        return False

    return runnable


@pytest.mark.parametrize("asked", [1, 2, 4, 10])
def test_the_page_goes_back_when_runnable_raises(uvm: uvmfree.Uvm, asked: int) -> None:
    """R16: before the first page, before its first piece, in its midst, and before the next page."""
    cpu = uvm.cpus[0]
    with pytest.raises(BrokenOffError):
        cpu.pageidlezero(raises_when_asked(asked))
    assert cpu.zeroing() == ()
    assert uvm.uvmexp.free + sum(uvm.cached_pages()) == uvm.param.npages
    uvm.audit()
    assert cpu.stats().zeroaborts == (asked in (2, 4))


def test_it_goes_back_by_way_of_a_later_player(uvm: uvmfree.Uvm) -> None:
    def runnable() -> bool:
        if cpu.zeroing():
            with uvm.run_on(0):
                raise BrokenOffError
        return False

    cpu = uvm.cpus[0]
    with pytest.raises(BrokenOffError):
        cpu.pageidlezero(runnable)
    assert uvm.cpus[0].zeroing() == ()
    uvm.audit()


@pytest.mark.parametrize("move", [lambda uvm: None, lambda uvm: uvm.run_on(0).__enter__(), lambda uvm: uvm.detach(0)])
def test_a_page_that_nobody_zeroes_any_more_is_found(
    uvm: uvmfree.Uvm, move: Callable[[uvmfree.Uvm], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R3: it is on no free list and has no holder, whoever its CPU was left to."""
    cpu = uvm.cpus[0]
    with monkeypatch.context() as broken:
        broken.setattr(Cpu, "_zeroed", lambda *_: None)  # as if the call had ended without putting the page back
        with pytest.raises(BrokenOffError):
            cpu.pageidlezero(raises_when_asked(4))
    (pg,) = cpu.zeroing()
    entered = move(uvm)
    with pytest.raises(uvmfree.AuditError, match=f"page {pg.pfn:#x} is being zeroed by CPU .* it is lost"):
        uvm.audit()
    del entered


def test_a_page_that_is_being_zeroed_is_not_lost(uvm: uvmfree.Uvm) -> None:
    def runnable() -> bool:
        uvm.audit()
        return False

    assert uvm.cpus[0].pageidlezero(runnable) > 0
    uvm.audit()


def test_a_second_call_beside_a_lost_page_does_not_hide_it(uvm: uvmfree.Uvm) -> None:
    """Each page has a call of its own."""
    cpu = uvm.cpus[0]
    taken = cpu._idle_take()
    assert taken is not None
    seen: list[bool] = []

    def runnable() -> bool:
        for pg in cpu.zeroing():
            seen.append(cpu.lost(pg))
        return len(seen) > 3

    cpu.pageidlezero(runnable)
    assert True in seen
    assert False in seen
    with pytest.raises(uvmfree.AuditError, match="it is lost"):
        uvm.audit()

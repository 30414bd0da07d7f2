"""The checking mutex: each misuse of a lock is an error that names the locks, before anything can hang."""

import pytest

from tests.kern.tasks import run_all
from uvmfree.errors import LockError
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockrank import UVM_CPU, UVM_FPAGEQLOCK, UVM_PAGEOUT_LOCK, XCALL, LockRank
from uvmfree.machine.threads import ThreadsMachine


class Locks:
    """Makes handles of checked mutexes of one machine."""

    def __init__(self) -> None:
        self._machine = ThreadsMachine(lockdebug=True)

    def __call__(self, rank: LockRank, index: int | None = None) -> LockHandle:
        return self._machine.mutex(rank, index).handle("here")


@pytest.fixture
def locks() -> Locks:
    return Locks()


def refused(handle: LockHandle) -> str:
    with pytest.raises(LockError) as refusal:
        handle.acquire()
    return str(refusal.value)


def test_the_right_order_is_let_pass(locks: Locks) -> None:
    cpu0, cpu2, page = locks(UVM_CPU, 0), locks(UVM_CPU, 2), locks(UVM_FPAGEQLOCK)
    xcall, pageout = locks(XCALL), locks(UVM_PAGEOUT_LOCK)
    for _ in range(2):
        with cpu0, cpu2, page, xcall:
            pass
        with xcall, pageout:
            pass


def test_the_pageout_lock_is_never_taken_with_a_page_lock_held(locks: Locks) -> None:
    """P2: it is a leaf of its own, though the page locks come before it in rank."""
    for outer in (locks(UVM_CPU, 0), locks(UVM_FPAGEQLOCK)):
        with outer:
            assert "uvm_pageout_lock is taken while" in refused(locks(UVM_PAGEOUT_LOCK))


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ((UVM_FPAGEQLOCK, None), (UVM_CPU, 0)),
        ((UVM_PAGEOUT_LOCK, None), (XCALL, None)),
        ((XCALL, None), (UVM_FPAGEQLOCK, None)),
        ((UVM_CPU, 1), (UVM_CPU, 0)),
        ((UVM_CPU, 1), (UVM_CPU, 1)),
        ((XCALL, None), (XCALL, None)),
    ],
    ids=str,
)
def test_a_wrong_order_is_refused_and_names_both_locks(
    locks: Locks, held: tuple[LockRank, int | None], wanted: tuple[LockRank, int | None]
) -> None:
    outer, inner = locks(*held), locks(*wanted)
    with outer:
        said = refused(inner)
        for rank, index in (held, wanted):
            assert (rank.name if index is None else f"{rank.name}[{index}]") in said
            assert f"rank {rank.rank}" in said
    with inner:  # the refusal took nothing
        pass


def test_the_order_is_checked_against_every_lock_held_not_only_the_last(locks: Locks) -> None:
    page, cpu = locks(UVM_FPAGEQLOCK), locks(UVM_CPU, 0)
    with page:
        assert cpu.try_acquire()
        assert "uvm_fpageqlock" in refused(locks(UVM_CPU, 1))
        cpu.release()


def test_a_trylock_may_be_out_of_order_but_not_a_re_entry(locks: Locks) -> None:
    page, cpu = locks(UVM_FPAGEQLOCK), locks(UVM_CPU, 0)
    with page:
        assert cpu.try_acquire()
        with pytest.raises(LockError, match=r"uvm_cpu\[0\] is taken again"):
            cpu.try_acquire()
        cpu.release()
        assert cpu.try_acquire()
        cpu.release()


def test_a_trylock_that_fails_leaves_no_trace(locks: Locks) -> None:
    page = locks(UVM_FPAGEQLOCK)

    def elsewhere() -> None:
        assert not page.try_acquire()
        with pytest.raises(LockError):
            page.release()

    with page:
        run_all(elsewhere)


def test_re_entry_is_refused_through_any_handle_and_names_both_locks() -> None:
    machine = ThreadsMachine(lockdebug=True)
    outer, mutex = machine.mutex(UVM_CPU, 0).handle("a"), machine.mutex(UVM_FPAGEQLOCK)
    first, second = mutex.handle("b"), mutex.handle("c")
    with outer, first:
        said = refused(second)
    assert "uvm_fpageqlock" in said
    assert "uvm_cpu[0]" in said


def test_re_entry_with_nothing_else_held_says_so(locks: Locks) -> None:
    page = locks(UVM_FPAGEQLOCK)
    with page:
        assert refused(page) == "uvm_fpageqlock is taken again by its holder; it also holds no other lock"


def test_who_holds_what_another_one_releases_is_named(locks: Locks) -> None:
    page, cpu, me = locks(UVM_FPAGEQLOCK), locks(UVM_CPU, 0), ThreadsMachine().me()

    def stranger() -> None:
        with pytest.raises(LockError, match=rf"which holds no lock; it is held by thread {me}$"):
            page.release()

    with page:
        run_all(stranger)
    with cpu, pytest.raises(LockError, match=r"which holds uvm_cpu\[0\]; it is held by nobody$"):
        page.release()


def test_only_the_holder_may_release_and_the_error_names_both_locks(locks: Locks) -> None:
    page, cpu = locks(UVM_FPAGEQLOCK), locks(UVM_CPU, 0)

    def stranger() -> None:
        with cpu, pytest.raises(LockError, match="uvm_fpageqlock is released by") as refusal:
            page.release()
        assert "uvm_cpu[0]" in str(refusal.value)

    with page:
        run_all(stranger)
        assert "uvm_fpageqlock" in refused(page)  # it is still held, by its holder
    with pytest.raises(LockError, match="held by nobody"):
        page.release()


def test_a_holder_may_release_in_any_order(locks: Locks) -> None:
    page, cpu = locks(UVM_FPAGEQLOCK), locks(UVM_CPU, 0)
    cpu.acquire()
    page.acquire()
    cpu.release()
    assert "uvm_fpageqlock" in refused(cpu)
    page.release()
    with cpu, page:
        pass


def test_what_one_thread_holds_binds_no_other(locks: Locks) -> None:
    page, cpu = locks(UVM_FPAGEQLOCK), locks(UVM_CPU, 0)

    def elsewhere() -> None:
        with cpu:
            pass

    with page:
        run_all(elsewhere)


def test_checking_and_counting_go_together() -> None:
    machine = ThreadsMachine(lockdebug=True, lockstat=True)
    mutex = machine.mutex(UVM_CPU, 0)
    handle = mutex.handle("here")
    with handle:
        refused(handle)
    (record,) = mutex.snapshot()
    assert record.acquired == 1

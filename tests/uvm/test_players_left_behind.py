"""Who plays which CPU, after what went wrong: a wait that raised, and a fork while somebody held each leaf lock."""

import pytest

import uvmfree
from tests.kern.tasks import begin, finish
from uvmfree.errors import ClosedError, DeadlockError
from uvmfree.kern.lock import RawLock
from uvmfree.machine.threads import ThreadsMachine


class LeafMachine(ThreadsMachine):
    """Remembers the raw locks that it made."""

    def __init__(self) -> None:
        super().__init__()
        self.leaves: list[RawLock] = []

    def raw_lock(self) -> RawLock:
        self.leaves.append(super().raw_lock())
        return self.leaves[-1]


def test_a_player_whose_wait_raised_runs_again() -> None:
    """An idle thread would zero pages beside it."""
    with uvmfree.boot(npages=64, ncpus=2) as uvm, uvm.run_on(1, "pagedaemon"):
        assert uvm._players.is_busy(1)
        with pytest.raises(DeadlockError):
            uvm.wait(timeout_s=5)
        assert uvm._players.is_busy(1)
        assert not uvm._players.is_busy(0)


def test_a_child_leaves_its_cpu_whoever_had_the_locks_when_it_was_forked() -> None:
    """Whose locks are held there for ever: their holders are threads of the parent."""
    machine = LeafMachine()
    uvm = uvmfree.boot(machine, npages=64, ncpus=1)

    def child() -> None:
        with uvm.run_on(0) as cpu:
            for leaf in list(machine.leaves):
                leaf.acquire(False)
            uvm.forked()
            with pytest.raises(ClosedError):
                cpu.pagealloc()

    finish(begin(child))

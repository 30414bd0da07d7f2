"""A mutex that is wrested from a holder that has gone has none any more, in the view of who looks for a hang, too."""

from tests.kern.tasks import begin, finish
from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.kern.lockwatch import LockState
from uvmfree.machine.threads import ThreadsMachine


def test_nobody_is_shown_as_its_holder() -> None:
    machine = ThreadsMachine(lockwatch=True, lockdebug=True)
    assert machine.lockwatch is not None
    mutex = machine.mutex(UVM_FPAGEQLOCK)
    gone, here = mutex.handle("uvm_pagealloc"), mutex.handle("uvm_close")
    finish(begin(gone.acquire))
    (state,) = machine.lockwatch.states()
    assert state.holder is not None
    mutex.wrest()
    assert machine.lockwatch.states() == (LockState("uvm_fpageqlock", None, ()),)
    with here:
        assert machine.lockwatch.held_by(machine.me()) == ("uvm_fpageqlock",)

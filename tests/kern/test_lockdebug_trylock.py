"""A rule that forbids a lock beside others holds for who only tries for it, too: it is no matter of order."""

import pytest

from uvmfree.errors import LockError
from uvmfree.kern.lockrank import UVM_CPU, UVM_FPAGEQLOCK, UVM_PAGEOUT_LOCK, LockRank
from uvmfree.machine.threads import ThreadsMachine


@pytest.mark.parametrize("held", [UVM_CPU, UVM_FPAGEQLOCK], ids=lambda rank: rank.name)
def test_a_leaf_is_not_tried_for_under_a_page_lock(held: LockRank) -> None:
    machine = ThreadsMachine(lockdebug=True)
    under, leaf = machine.mutex(held).handle("here"), machine.mutex(UVM_PAGEOUT_LOCK).handle("here")
    with under, pytest.raises(LockError, match="which its rule forbids"):
        leaf.try_acquire()
    assert leaf.try_acquire()
    leaf.release()

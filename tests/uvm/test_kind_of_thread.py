"""What kind of thread plays a CPU holds while it does; who plays a second one is afterwards what it was before."""

import pytest

import uvmfree
from uvmfree.uvm.state import Lwp


@pytest.mark.parametrize(("lwp", "gets"), [("user", False), ("kernel", True), ("pagedaemon", True)])
def test_a_thread_is_again_what_it_was(lwp: Lwp, gets: bool) -> None:
    """R5: of the kernel's reserve a page is for a kernel thread, and for the pagedaemon."""
    with uvmfree.boot(npages=64, ncpus=2, design="fpageqlock") as uvm:
        with uvm.run_on(0, lwp) as cpu:
            spare = uvm.uvmexp.free - uvm.uvmexp.reserve_kernel
            uvm.pglistalloc(spare, nsegs=spare)
            for other in ("pagedaemon", "user"):
                with uvm.run_on(1, other):
                    pass
                pg = cpu.pagealloc()
                assert (pg is not None) is gets
                if pg is not None:
                    cpu.pagefree(pg)
        with uvm.run_on(0) as cpu:
            assert cpu.pagealloc() is None
        uvm.audit()

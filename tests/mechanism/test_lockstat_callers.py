"""What lockstat calls the places from which locks are taken: the kernel's own functions, so that users find them.

=> uvm_redistribute is the one that NetBSD does not have; it is the proposal's (P8).
"""

import uvmfree
from tests.kern.tasks import WAIT_S, begin, finish
from tests.mechanism.rig import SMALL, take_everything
from uvmfree.uvm.page import VmPage

LEAF = {
    ("uvm_pageout_lock", "uvm_pageout"),
    ("uvm_pageout_lock", "uvm_wait"),
    ("uvm_pageout_lock", "uvm_kick_pdaemon"),
    ("uvm_pageout_lock", "uvm_pageout_done"),
    ("xcall", "xc_broadcast"),
    ("xcall", "xc_thread"),
}
LISTS = {"uvm_pagealloc", "uvm_pagefree", "uvm_pglistalloc", "uvm_cpu_attach"}
OWN = {*LISTS, "uvm_pageidlezero"}
SPLIT = {"uvm_redistribute", "uvm_close"}
CALLERS = {
    "fpageqlock": LEAF | {("uvm_fpageqlock", caller) for caller in {*OWN, "uvm_close"}},
    "percpu": LEAF
    | {(lock, caller) for lock in ("uvm_cpu[0]", "uvm_cpu[1]") for caller in OWN | SPLIT}
    | {("uvm_fpageqlock", caller) for caller in LISTS | SPLIT},
}
"""Which lock is taken by whom, in each design."""


def test_callers_go_by_the_names_of_the_kernels_functions(design: str) -> None:
    """P3: every lock is taken from where the design says, and from nowhere else."""
    with uvmfree.boot(**SMALL | {"design": design, "lockstat": True}) as uvm:
        for index in (0, 1):
            with uvm.run_on(index) as cpu:
                pages = [pg for pg in (cpu.pagealloc() for _ in range(12)) if pg is not None]
                for pg in pages:
                    cpu.pagefree(pg)
                uvm.redistribute(index)
                pages = [pg for pg in (cpu.pagealloc(color=0) for _ in range(12)) if pg is not None]
                for pg in pages:
                    cpu.pagefree(pg)
                cpu.pageidlezero()
        free_globally_by_frame(uvm)
        uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), WAIT_S)
        finish(begin(lambda: uvm.wait(0.001)))
        uvm.kick_pdaemon()
        uvm.pageout.start(1)
        uvm.pageout.done(1)
        uvm.recolor(2)
    callers = {(each.name, each.caller) for each in uvm.lockstat(by_caller=True)}
    assert callers == CALLERS[design]


def free_globally_by_frame(uvm: uvmfree.Uvm) -> None:
    """Take all pages, and free them as the daemon does: past the caches, each accounted to some CPU."""
    pages: list[VmPage] = take_everything(uvm)
    for pg in pages:
        uvm.design.pagefree_global(pg)

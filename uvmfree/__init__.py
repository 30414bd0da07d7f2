"""uvmfree: NetBSD's page allocator before and after splitting uvm_fpageqlock, on real threads.

import uvmfree

with uvmfree.boot(npages=4096, ncpus=2, design="percpu") as uvm, uvm.run_on(0) as cpu:
    pg = cpu.pagealloc(zero=True)
    cpu.pagefree(pg)
    uvm.audit()
"""

from uvmfree.errors import (
    ArgumentError,
    AuditError,
    BindError,
    ClosedError,
    DoubleFree,
    ForeignPage,
    HangError,
    LockError,
    OutOfPages,
    ParamError,
    TraceError,
    UvmError,
    XcallError,
    XcallTimeout,
)
from uvmfree.param import Param
from uvmfree.uvm.boot import boot
from uvmfree.uvm.boot import designs as _designs
from uvmfree.uvm.page import Place, VmPage
from uvmfree.uvm.system import Uvm

DESIGNS = _designs()
"""What boot(design=...) takes: the name of each design, with a one-line description."""

__all__ = [
    "DESIGNS",
    "ArgumentError",
    "AuditError",
    "BindError",
    "ClosedError",
    "DoubleFree",
    "ForeignPage",
    "HangError",
    "LockError",
    "OutOfPages",
    "Param",
    "ParamError",
    "Place",
    "TraceError",
    "Uvm",
    "UvmError",
    "VmPage",
    "XcallError",
    "XcallTimeout",
    "boot",
]

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
    DeadlockError,
    DoubleFree,
    ForeignPage,
    ForkError,
    HangError,
    LockError,
    OutOfPages,
    ParamError,
    TraceError,
    UvmError,
    XcallError,
    XcallTimeout,
)

TYPE_CHECKING = False  # type checkers take it for true; importing `typing` would take longer than all of this
if TYPE_CHECKING:
    from typing import Any

    from uvmfree.machine.virtual.machine import VirtualMachine
    from uvmfree.param import Param
    from uvmfree.uvm.boot import boot
    from uvmfree.uvm.page import Place, VmPage
    from uvmfree.uvm.system import Uvm
    from uvmfree.uvm.traits import Traits

    DESIGNS: dict[str, str]
    """What boot(design=...) takes: the name of each design, with a one-line description."""

__all__ = [
    "DESIGNS",
    "ArgumentError",
    "AuditError",
    "BindError",
    "ClosedError",
    "DeadlockError",
    "DoubleFree",
    "ForeignPage",
    "ForkError",
    "HangError",
    "LockError",
    "OutOfPages",
    "Param",
    "ParamError",
    "Place",
    "TraceError",
    "Traits",
    "Uvm",
    "UvmError",
    "VirtualMachine",
    "VmPage",
    "XcallError",
    "XcallTimeout",
    "boot",
]

_HOMES = {
    "Param": "uvmfree.param",
    "Place": "uvmfree.uvm.page",
    "Traits": "uvmfree.uvm.traits",
    "Uvm": "uvmfree.uvm.system",
    "VirtualMachine": "uvmfree.machine.virtual.machine",
    "VmPage": "uvmfree.uvm.page",
    "boot": "uvmfree.uvm.boot",
}
"""Where the names stand that are imported when they are first asked for: with `atomics` they take a tenth of a
second, which a command line that only prints its help should not."""


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name == "DESIGNS":
        value: Any = import_module("uvmfree.uvm.boot").designs()
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'uvmfree' has no attribute {name!r}")
    globals()[name] = value  # asked for once: two threads that ask at the same time find the same
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

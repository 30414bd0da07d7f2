"""NetBSD's page allocator before and after splitting uvm_fpageqlock, on real threads or in virtual time.

>>> import uvmfree
>>> with uvmfree.boot(npages=4096, ncpus=2, design="percpu") as uvm, uvm.run_on(0) as cpu:
...     pg = cpu.pagealloc(zero=True)
...     cpu.pagefree(pg)
...     uvm.audit()

=> All that users need is here: boot(), the types that its calls return, and every error. All errors are UvmErrors.
=> Durations are in the unit that the name ends in: `_ns` or `_s`. Memory is in pages.
"""

from uvmfree.errors import (
    ArgumentError,
    AuditError,
    BindError,
    ClosedError,
    CounterFileError,
    DeadlockError,
    DoubleFree,
    ExtraError,
    ForeignPage,
    ForkError,
    HangError,
    LockError,
    OutOfPages,
    OutputError,
    ParamError,
    RecordError,
    TraceError,
    UvmError,
    WorkerLostError,
    XcallError,
    XcallTimeout,
)

TYPE_CHECKING = False  # type checkers take it for true; importing `typing` would take longer than all of this
if TYPE_CHECKING:
    from typing import Any

    from uvmfree.kern.eventlog import Event, EventLog
    from uvmfree.kern.lockstat import LockStat
    from uvmfree.kern.xcall import Ticket, Xcall
    from uvmfree.machine.face import Machine
    from uvmfree.machine.threads import ThreadsMachine
    from uvmfree.machine.virtual.machine import VirtualMachine
    from uvmfree.param import Param
    from uvmfree.uvm.anon import AnonMemory
    from uvmfree.uvm.anonpage import AnonState, AnonStats, StampError, SwapReadError
    from uvmfree.uvm.boot import boot
    from uvmfree.uvm.cpu import Cpu
    from uvmfree.uvm.page import Place, Stand, VmPage
    from uvmfree.uvm.pageout import Pageout
    from uvmfree.uvm.pdaemon import Pagedaemon
    from uvmfree.uvm.physmem import PhysMem, PhysSeg
    from uvmfree.uvm.system import Uvm
    from uvmfree.uvm.traits import Traits
    from uvmfree.uvm.uvmexp import CpuStats, DaemonStats, UvmExp, UvmExpSnapshot, Watermarks

    __version__: str
    """The version of the package that is installed."""

    DESIGNS: dict[str, str]
    """What boot(design=...) takes: the name of each design, with a one-line description."""

__all__ = [
    "DESIGNS",
    "AnonMemory",
    "AnonState",
    "AnonStats",
    "ArgumentError",
    "AuditError",
    "BindError",
    "ClosedError",
    "CounterFileError",
    "Cpu",
    "CpuStats",
    "DaemonStats",
    "DeadlockError",
    "DoubleFree",
    "Event",
    "EventLog",
    "ExtraError",
    "ForeignPage",
    "ForkError",
    "HangError",
    "LockError",
    "LockStat",
    "Machine",
    "OutOfPages",
    "OutputError",
    "Pagedaemon",
    "Pageout",
    "Param",
    "ParamError",
    "PhysMem",
    "PhysSeg",
    "Place",
    "RecordError",
    "StampError",
    "Stand",
    "SwapReadError",
    "ThreadsMachine",
    "Ticket",
    "TraceError",
    "Traits",
    "Uvm",
    "UvmError",
    "UvmExp",
    "UvmExpSnapshot",
    "VirtualMachine",
    "VmPage",
    "Watermarks",
    "WorkerLostError",
    "Xcall",
    "XcallError",
    "XcallTimeout",
    "__version__",
    "boot",
]

_HOMES = {
    "AnonMemory": "uvmfree.uvm.anon",
    "AnonState": "uvmfree.uvm.anonpage",
    "AnonStats": "uvmfree.uvm.anonpage",
    "Cpu": "uvmfree.uvm.cpu",
    "CpuStats": "uvmfree.uvm.uvmexp",
    "DaemonStats": "uvmfree.uvm.uvmexp",
    "Event": "uvmfree.kern.eventlog",
    "EventLog": "uvmfree.kern.eventlog",
    "LockStat": "uvmfree.kern.lockstat",
    "Machine": "uvmfree.machine.face",
    "Pagedaemon": "uvmfree.uvm.pdaemon",
    "Pageout": "uvmfree.uvm.pageout",
    "Param": "uvmfree.param",
    "PhysMem": "uvmfree.uvm.physmem",
    "PhysSeg": "uvmfree.uvm.physmem",
    "Place": "uvmfree.uvm.page",
    "StampError": "uvmfree.uvm.anonpage",
    "Stand": "uvmfree.uvm.page",
    "SwapReadError": "uvmfree.uvm.anonpage",
    "ThreadsMachine": "uvmfree.machine.threads",
    "Ticket": "uvmfree.kern.xcall",
    "Traits": "uvmfree.uvm.traits",
    "Uvm": "uvmfree.uvm.system",
    "UvmExp": "uvmfree.uvm.uvmexp",
    "UvmExpSnapshot": "uvmfree.uvm.uvmexp",
    "VirtualMachine": "uvmfree.machine.virtual.machine",
    "VmPage": "uvmfree.uvm.page",
    "Watermarks": "uvmfree.uvm.uvmexp",
    "Xcall": "uvmfree.kern.xcall",
    "boot": "uvmfree.uvm.boot",
}
"""Where the names stand that are imported when they are first asked for: with `atomics` they take a tenth of a
second, which a command line that only prints its help should not."""


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name == "DESIGNS":
        value: Any = import_module("uvmfree.uvm.boot").designs()
    elif name == "__version__":
        value = import_module("importlib.metadata").version("uvmfree")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'uvmfree' has no attribute {name!r}")
    globals()[name] = value  # asked for once: two threads that ask at the same time find the same
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What a design of the allocator is written with, in one place: `from uvmfree.design import Cpu, Design, ...`.

docs/write-a-design.md builds one; the designs of this package (uvm/designs/) are written with the same.
"""

from uvmfree.kern.lockrank import CPU_OFF, UVM_CPU, UVM_FPAGEQLOCK, LockRank, shared_lock
from uvmfree.param import Param, tunable, whole
from uvmfree.uvm.cpu import QUEUES, Cpu, Found, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.freelist import Bucket, GlobalFreelist, Walked
from uvmfree.uvm.page import FRESH, FRESH_ZERO, UNKNOWN, ZEROS, PageList, Place, Stand, VmPage
from uvmfree.uvm.stackcpu import StackCpu
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.traits import Traits

__all__ = [
    "CPU_OFF",
    "FRESH",
    "FRESH_ZERO",
    "QUEUES",
    "UNKNOWN",
    "UVM_CPU",
    "UVM_FPAGEQLOCK",
    "ZEROS",
    "Bucket",
    "Cpu",
    "Design",
    "Found",
    "GlobalFreelist",
    "LockRank",
    "PageList",
    "Param",
    "Place",
    "StackCpu",
    "Stand",
    "Traits",
    "UvmState",
    "VmPage",
    "Walked",
    "Want",
    "shared_lock",
    "tunable",
    "whole",
]

"""Linux: the zone under the page sets: its flags, and one page at a time for calls that find their set locked.

Source: rmqueue_buddy, free_one_page in mm/page_alloc.c of Linux 6.7 to 6.19.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from uvmfree.kern.lock import LockHandle
from uvmfree.uvm.cpu import Cpu, Want
from uvmfree.uvm.freelist import GlobalFreelist
from uvmfree.uvm.page import FRESH, FRESH_ZERO, UNKNOWN, VmPage
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.uvmexp import CpuStats

BELOW_HIGH: Final = 1
"""A flag of the zone: an allocation found it below its high watermark, and no free has found it above since."""

RECLAIM_ACTIVE: Final = 2
"""A flag of the zone: the pagedaemon is at work."""


class Passed:
    """The calls of one CPU that went past its set; guarded by uvm_fpageqlock.

    => `zone` is the calling Cpu's handle of that lock; none may be held.
    """

    def __init__(self, state: UvmState, store: GlobalFreelist) -> None:
        self._store, self._free = store, state.counters.adder("free")
        self._system, self._uvmexp, self._pageout = state.physmem.system, state.uvmexp, state.pageout
        self.allocs = self.frees = self.colormiss = self.zeromiss = 0

    def alloc(self, cpu: Cpu, zone: LockHandle, want: Want, color: int | None) -> VmPage | None:
        """Allocate one page (rmqueue_buddy)."""
        found, start = None, cpu._start_color(color)
        with zone:
            cpu.check_running()
            free = self._store.free
            for row in want.freelists if cpu.allows(free, want) else ():
                if (popped := self._store.pop(row, start, want.queues, self._uvmexp.ncolors)) is not None:
                    pg = popped[0]
                    pg.flags = FRESH_ZERO if want.zero else FRESH
                    self.allocs += 1
                    self.colormiss += pg.color != start
                    self.zeromiss += want.zero
                    self._free.add(-1)
                    found = (*popped, False)
                    break
        return cpu._finish(want, found, free, color)

    def free(self, cpu: Cpu, zone: LockHandle, pg: VmPage) -> None:
        """Free one page (free_one_page)."""
        with zone:
            cpu.check_running()
            if not isinstance(pg, VmPage) or pg.on is not self._system:
                raise cpu._refuse_free(pg)
            self._store.push(pg, UNKNOWN)
            self.frees += 1
            self._free.add(1)
        self._pageout.wake_waiters()

    def added_to(self, stats: CpuStats) -> CpuStats:
        """Return what the CPU counted under its own lock, and this."""
        both: dict[str, int] = {
            "allocs": self.allocs,
            "cpumiss": self.allocs,
            "colormiss": self.colormiss,
            "colorhit": self.allocs - self.colormiss,
            "zeromiss": self.zeromiss,
            "filled": self.allocs,
            "frees": self.frees,
            "drained": self.frees,
            "atomics": self._free.operations,
        }
        return replace(stats, **{name: getattr(stats, name) + more for name, more in both.items()})


class Zone(GlobalFreelist):
    """The store.

    => `flags`: a word, read by all without a lock; set under `_flagging`, a leaf that is held for a store.
    => `passed[i]`: by which calls of CPU i go past its set.
    """

    def __init__(self, state: UvmState) -> None:
        self._uvmexp = state.uvmexp
        self.flags, self._flagging = state.machine.counters(("flags",)), state.machine.raw_lock()
        self.passed = tuple(Passed(state, self) for _ in range(state.param.ncpus))
        super().__init__(state.physmem.system, state.param.nfreelists, state.param.ncolors)

    def flag(self, flag: int, on: bool) -> None:
        """Set or clear a flag."""
        words = self.flags.unlocked()
        with self._flagging:
            words[0] = words[0] & ~flag | (flag if on else 0)

    def check_high(self) -> None:
        """Note if there are more pages than the high watermark again, after a spill."""
        if self.flags.load("flags") & BELOW_HIGH and self._uvmexp.free > self._uvmexp.freetarg:
            self.flag(BELOW_HIGH, False)

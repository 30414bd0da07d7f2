"""What changes a running system as a whole: CPUs that come and go, pages that change their colours (Q13).

=> Done with every lock of the design held: no page is between two lists, no counter lags, nobody is in a call.
=> No page is lost. What a departing CPU has cached goes to the global list; a page that it is zeroing is finished
   by its heir, the attached CPU of the lowest number.

Source: uvm_page_recolor, uvm_cpu_attach in sys/uvm/uvm_page.c of NetBSD 9; cpu_setstate in sys/kern/kern_cpu.c.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from uvmfree.errors import ArgumentError, BindError, ParamError
from uvmfree.kern.xcall import Xcall
from uvmfree.uvm.binding import refusal
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.design import Design
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.uvmexp import tune


class Hotplug:
    """Attach, detach and recolour for one system.

    => `_changes` keeps two changes from mixing; it is taken before all other locks, by nobody else.
    => `attached` is replaced whole, with all locks held; a reader without one sees the old set or the new.
    """

    def __init__(self, state: UvmState, design: Design[Any], xcall: Xcall[Cpu]) -> None:
        self._state = state
        self._design = design
        self._xcall = xcall
        self._changes = state.machine.raw_lock()
        self.attached = frozenset(range(state.param.ncpus))

    def check_attached(self, index: int) -> None:
        """Refuse a CPU that is detached: BindError."""
        if index not in self.attached:
            raise BindError(_detached(index))

    def detach(self, index: int) -> None:
        """Take a CPU out of the system; ArgumentError if it is the last, BindError if it is detached already."""
        with self._changes:
            self.check_attached(index)
            rest = self.attached - {index}
            if not rest:
                raise ArgumentError(f"detach({index}): it is the last CPU")
            self._xcall.set_online(index, False)
            with self._design.stopped("uvm_cpu_attach"):
                self.attached = rest
                self._design.detach(index, min(rest), refusal(_detached(index)))
                self._retune()

    def attach(self, index: int) -> None:
        """Bring a CPU back, with an empty cache; ArgumentError if it is attached."""
        with self._changes:
            if index in self.attached:
                raise ArgumentError(f"attach({index}): CPU {index} is attached already")
            self._design.bind(index, attach=True)
            with self._design.stopped("uvm_cpu_attach"):
                self.attached |= {index}
                self._retune()
            self._xcall.set_online(index, True)

    def pagefree(self, pg: VmPage) -> None:
        """Free a page to the attached CPU of the lowest number, for a thread that plays none."""
        while True:
            # Another thread may take the CPU over, or detach it, before the call has its lock.
            with suppress(BindError):
                self._design.cpus[min(self.attached)].pagefree(pg)
                return

    def recolor(self, ncolors: int) -> None:
        """Give all pages new colours; ArgumentError unless Param would take `ncolors`."""
        try:
            replace(self._state.param, ncolors=ncolors)
        except ParamError as error:
            raise ArgumentError(str(error)) from None
        with self._changes, self._design.stopped("uvm_cpu_attach"):
            self._design.recolor(ncolors)

    def _retune(self) -> None:
        param = self._state.param
        self._state.uvmexp.marks = tune(param.npages, len(self.attached), param.pagesize)


def _detached(index: int) -> str:
    return f"CPU {index} is detached; attach({index}) brings it back"

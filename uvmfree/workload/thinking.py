"""Work outside of the allocator: what a CPU does between two of its operations.

With nothing in between, a load asks for pages as fast as it can, which no program does. On a machine in virtual time
the time outside is charged. Real threads would have to do real work, so they have none.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import Body, Lane

THINK_NS: Final = 1000
"""Work outside of the allocator after each operation of a synthetic load: about a page fault's worth."""


class PageCpu(Protocol):
    """What a load asks of a CPU."""

    def pagealloc(self, zero: bool = False) -> VmPage | None:
        """Allocate a page, or return None."""

    def pagefree(self, pg: VmPage) -> None:
        """Free a page."""


PageLoad = Callable[[PageCpu, Lane], None]
"""A body (workload/driver.py) that asks a CPU for nothing else."""


class Thinking:
    """A CPU that works outside of the allocator for `think_ns` after each operation; `charge` as Machine.charge."""

    def __init__(self, cpu: PageCpu, charge: Callable[[int], None], think_ns: int) -> None:
        self._pagealloc, self._pagefree = cpu.pagealloc, cpu.pagefree
        self._charge, self._think_ns = charge, think_ns

    def pagealloc(self, zero: bool = False) -> VmPage | None:
        """Allocate as the CPU does, then work."""
        pg = self._pagealloc(zero)
        self._charge(self._think_ns)
        return pg

    def pagefree(self, pg: VmPage) -> None:
        """Free as the CPU does, then work."""
        self._pagefree(pg)
        self._charge(self._think_ns)


def thinking(bodies: Sequence[PageLoad], charge: Callable[[int], None], think_ns: int) -> list[Body]:
    """Let the CPUs of these bodies work after each operation; with `think_ns` 0 they are as they were."""

    def thoughtful(body: PageLoad) -> Body:
        return lambda cpu, lane: body(Thinking(cpu, charge, think_ns), lane)

    return [thoughtful(body) if think_ns else body for body in bodies]

"""Scene of the kernel reserve: allocations on two CPUs that meet at its edge, each of them an ordinary thread's (R6).

The global list has three pages above the reserve, and the caches have none. Whoever takes a page that the reserve
should keep has judged by a count that was not the list's when he took it.
"""

from typing import ClassVar

from tests.explore.pages import DepotPages, Pages, SocketPages
from tests.model.operations import do
from tests.model.page_operations import Run
from tests.model.ranged import scattered

ABOVE = 3
"""Pages above the reserve at the start."""


class Reserves(Pages):
    """Two threads that allocate, and one that hands pages back."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("alloc", "zalloc"),
        ("alloc", "zalloc"),
        ("give", "redistribute"),
    )
    cached = 0

    def __init__(self) -> None:
        super().__init__()
        spare = self.uvm.uvmexp.free - self.uvm.uvmexp.reserve_kernel - ABOVE
        do(Run(scattered(spare)), self.table.hands[2])

    def do(self, thread: int, word: str) -> None:
        super().do(thread, word)
        with self.machine.atomic():  # of two stores, the pages at one moment
            on_list, reserve = sum(self.uvm.design.stock()), self.uvm.uvmexp.reserve_kernel
        assert on_list >= reserve, f"{on_list} pages are on the global list, {reserve} are the kernel's"


class RefillReserves(Reserves):
    """As above; a miss fetches more than one page."""

    tunables: ClassVar[dict[str, object]] = {"design": "percpu", "remote_drain": True, "refill": 3}


class DepotReserves(Reserves):
    """As above; a miss takes units."""

    tunables = DepotPages.tunables


class SocketReserves(DepotReserves):
    """The two CPUs take from a store each, under a lock each, and the reserve is kept from both together."""

    tunables = SocketPages.tunables

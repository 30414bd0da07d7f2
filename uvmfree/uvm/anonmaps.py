"""The anon maps of a system: what its pagedaemon reclaims pages from, each with a swap file and an I/O thread.

=> Made before the system starts, since the daemon is given all that it reclaims from before it runs.
=> The daemon and the I/O threads free pages to the global list, whatever the design (Design.pagefree_global).
"""

from collections.abc import Callable
from typing import Any

from uvmfree.errors import HangError
from uvmfree.kern.mutex import Mutex
from uvmfree.uvm.anon import PATIENCE_S, AnonMemory
from uvmfree.uvm.design import Design
from uvmfree.uvm.pdaemon import Pagedaemon
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.swap import SwapFile, SwapIO


class AnonMaps:
    """The maps of one system. Written by the thread that boots it, before it starts; then only read."""

    def __init__(
        self, state: UvmState, design: Design[Any], pagedaemon: Pagedaemon, wait: Callable[[float], bool]
    ) -> None:
        self._state, self._design, self._pagedaemon, self._wait = state, design, pagedaemon, wait
        self._maps: list[tuple[AnonMemory, SwapIO]] = []

    def add(self, npages: int, swap_pages: int, *, patience_s: float = PATIENCE_S, **how: Any) -> AnonMemory:
        """Make a map; `how` goes to SwapFile."""
        state = self._state
        swap = SwapIO(state.machine, SwapFile(state.machine, swap_pages, state.param.pagesize, **how))
        try:
            anons = AnonMemory(
                state.machine,
                state.physmem,
                state.pageout,
                swap,
                npages=npages,
                owner=len(self._maps) + 1,
                pagefree=self._design.pagefree_global,
                wait=self._wait,
                patience_s=patience_s,
            )
        except BaseException:
            swap.file.close()
            raise
        self._maps.append((anons, swap))
        self._pagedaemon.add_reclaimer(anons)
        return anons

    def start(self, on_start: Callable[[], None]) -> None:
        """Start the I/O threads; `on_start()` runs first on each."""
        for _, swap in self._maps:
            swap.start(on_start)

    def refuse(self, refuse: Callable[[], object]) -> None:
        """Have every call of a map raise by `refuse` from now on, without a lock; for the child of a fork."""
        for anons, swap in self._maps:
            anons.refuse(refuse)
            swap.refuse(refuse)

    def close(self) -> list[HangError]:
        """Write what is queued, end the I/O threads, give the swap files up; return what was wrong with them.

        => Before the pages go, since who writes them frees them.
        """
        wrong = []
        for _, swap in self._maps:
            try:
                swap.close()
            except HangError as error:
                wrong.append(error)
            swap.file.close()
        return wrong

    def mutexes(self) -> list[Mutex]:
        """Return the locks of all maps, for lockstat."""
        return [mutex for anons, swap in self._maps for mutex in (anons.mutex, swap.mutex)]

    def pdfreed(self) -> int:
        """Pages that the daemon has freed; without a lock, and without a look at every page."""
        return sum(anons.pdfreed for anons, _ in self._maps)

    def pdpageouts(self) -> int:
        """Writes to swap that the daemon has begun; likewise."""
        return sum(anons.pdpageouts for anons, _ in self._maps)

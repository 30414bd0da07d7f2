"""A store of units for each socket of a machine, under a lock of its own: what CPUs of a socket exchange stays there.

=> Socket i's is guarded by uvm_fpageqlock[i]; what is done to all of them, by all these locks.
=> A page that nobody chained is put where its frame is: the sockets have a part of RAM each, in order.
=> The reserves are kept from all stores together (R5, R6), by who holds the lock of one. Of what it counts in the
   others an exchange can be on its way out, one for each: who took its lock later counts anew. So as much is left to
   them (`sure`): by the count of whoever counts last, the reserve is there when all that are on their way have taken.
   What is left so is taken with everything stopped, when all else has failed (`lift`).
"""

from collections.abc import Iterable, Iterator, Sequence

from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.mutex import Mutex
from uvmfree.uvm.cpu import Want
from uvmfree.uvm.design import C, Design
from uvmfree.uvm.page import PageList, VmPage
from uvmfree.uvm.units import Units


class Sockets:
    """The stores. `parts[i]`: socket i's. `socket_of[i]`: CPU i's socket; immutable."""

    def __init__(
        self, system: str, nfreelists: int, unit: int, most: int, socket_of: Sequence[int], end: int
    ) -> None:
        """Make them for frames before `end`; an exchange takes `most` pages at most."""
        self.socket_of, self._end = socket_of, end
        self.parts = [Units(system, nfreelists, unit) for _ in range(max(socket_of) + 1)]
        self._on_their_way = most * (len(self.parts) - 1)

    @property
    def free(self) -> int:
        """Pages in all of them; with the lock of one, what the others' were a moment ago."""
        return sum(part.free for part in self.parts)

    @property
    def sure(self) -> int:
        """Those that others cannot have taken before who holds the lock of one has; less than none, it may be."""
        return self.free - self._on_their_way

    @property
    def stock(self) -> tuple[int, int]:
        """Pages on the UNKNOWN and on the ZEROS queues; under all locks."""
        unknown, zeros = (sum(pages) for pages in zip(*(part.stock for part in self.parts), strict=True))
        return unknown, zeros

    def push(self, pg: VmPage, queue: int) -> None:
        """Put one page into the store of its frame."""
        self.parts[pg.pfn * len(self.parts) // self._end].push(pg, queue)

    def splice(self, unit: PageList) -> None:
        """Put a unit into the store of the CPU that chained it."""
        assert unit.owner is not None
        self.parts[self.socket_of[unit.owner]].splice(unit)

    def remove(self, pages: Sequence[VmPage]) -> None:
        """Take pages out of their units; under all locks. O(units)."""
        part_of = {id(unit): part for part in self.parts for unit in part.lists()}
        for pg in pages:
            part_of[id(pg.on)].unlink(pg)
        for part in self.parts:
            part.drop_empty()

    def lists(self) -> Iterator[PageList]:
        """Walk all units."""
        for part in self.parts:
            yield from part.lists()

    def clear(self) -> None:
        """Let go of all pages."""
        for part in self.parts:
            part.clear()

    def recolor(self, ncolors: int) -> None:
        """Make new stacks, empty ones."""
        for part in self.parts:
            part.recolor(ncolors)

    def check(self, where: str) -> Iterator[str]:
        """Check each."""
        for socket, part in enumerate(self.parts):
            yield from part.check(f"{where} of socket {socket}")


class UnitsDesign(Design[C]):
    """A design whose store is of units: one, or with its tunable `per_socket` one for each socket."""

    store: Units | Sockets

    def how_many(self, rank: LockRank) -> int:
        """Have a lock for each store."""
        return max(self._sockets()) + 1

    def socket_of(self, index: int) -> int:
        """Return which store is a CPU's."""
        return self._sockets()[index]

    def _sockets(self) -> list[int]:
        state = self.state
        apart = state.tunables.per_socket
        return [state.machine.socket_of(index) if apart else 0 for index in range(state.param.ncpus)]

    def make_store(self) -> Units | Sockets:
        """Have a stack of units for a store, or one for each socket."""
        system, nfreelists, unit = self.state.physmem.system, self.state.param.nfreelists, self.tunables.unit
        sockets = self._sockets()
        if not any(sockets):
            return Units(system, nfreelists, unit)
        most = unit * self.tunables.exchange
        return Sockets(system, nfreelists, unit, most, sockets, self.state.physmem.end)

    def lift(self, index: int, want: Want, room: int) -> list[PageList]:
        """Take a unit out of any store for CPU `index`, with everything stopped; what the reserve keeps stays (R6).

        => One page is for the caller; `room`: for how many more there is room. Returns none if there is no page.
        """
        most = max(1, min(self.tunables.unit, room + 1, self.store.free - self.state.uvmexp.reserve_kernel))
        each = ((part, free_list) for free_list in want.freelists for part in self.store.parts)
        found = (part.units(index, free_list, want.queues, most, 1) for part, free_list in each)
        return next(filter(None, found), [])

    def guarded(self) -> Iterable[tuple[Mutex, Units]]:
        """Each lock guards a store."""
        return zip(self.shared_locks, self.store.parts, strict=True)

    def remove(self, pages: Sequence[VmPage]) -> None:
        """Take pages out of their units, and units that are empty then off their stacks."""
        self.store.remove(pages)

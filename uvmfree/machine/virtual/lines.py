"""Cache lines: where each is, what fetching it takes, and the pages and the memory that consist of them.

=> A line is with the CPU that wrote it last, or in memory. Another CPU's write fetches it first.
=> A strand of no CPU has no cache: it fetches nothing and takes nothing away.
=> With `cold_after_pages` a page's struct drops out of a cache: of the CPU that touched it last, as soon as that CPU
   has touched so many other pages. It then comes from memory, for whoever touches it next. A page that is allocated
   and freed is stored to twice, and brings its own bytes along: hence pages, and not structs, are what fills a cache.
=> Words that CPUs share, also for reading: virtual/words.py.
"""

from __future__ import annotations

import mmap
from operator import attrgetter
from typing import Any, Final, TypeVar, cast

from uvmfree.kern.lockholds import Touched
from uvmfree.machine.virtual.scheduler import Scheduler

T = TypeVar("T")

PAGE_BYTES: Final = 4096
"""What `zero_page` is the cost of."""

STORES_A_PAGE: Final = 2
"""How often a page is stored to while it is allocated and freed once."""


class Lines:
    """The lines of one machine; `moves` as in virtual/topology.py. `cold_after_pages`: 0 is never.

    => `waited_ns`: how long words that were busy were waited for, by all strands.
    """

    def __init__(self, scheduler: Scheduler, moves: list[list[int]], cold_after_pages: int = 0) -> None:
        self._scheduler, self.moves = scheduler, moves
        self.waited_ns = 0
        self._keeps = STORES_A_PAGE * cold_after_pages
        # Of each CPU: how often it has stored to pages.
        self._stores = [0] * (len(moves) - 1)
        self._levels: dict[int, list[tuple[int, int]]] = {}

    def farthest(self, cpu: int, cpus: int) -> int:
        """Return how long a line takes between a CPU and the farthest of some: a bit each, at least one."""
        levels = self._levels.get(cpu)
        if levels is None:
            masks: dict[int, int] = {}
            for other, ns in enumerate(self.moves[cpu]):
                masks[ns] = masks.get(ns, 0) | 1 << other
            levels = self._levels[cpu] = sorted(masks.items(), reverse=True)
        return next(ns for ns, mask in levels if mask & cpus)

    def lined(self, cls: type[T], field: str) -> type[T]:
        """Return a subclass of `cls` whose objects are a line each, fetched by who stores to `field`."""
        scheduler, moves = self._scheduler, self.moves
        members: dict[str, Any] = {"__doc__": cls.__doc__, "stored_there": cls.__dict__[field]}
        made: Any = cls.__init__

        def begin(one: Any, *how: Any) -> None:
            one.line = -1
            made(one, *how)

        def store(one: Any, value: object) -> None:
            cpu = scheduler.cpu
            if one.line != cpu and cpu >= 0:
                scheduler.now += moves[one.line][cpu]
                one.line = cpu
            one.stored_there = value

        # With `stored`: how many stores its CPU had made when it stored last.
        def begin_cold(one: Any, *how: Any) -> None:
            one.line, one.stored = -1, 0
            made(one, *how)

        def store_cold(one: Any, value: object) -> None:
            if scheduler.cpu >= 0:
                scheduler.now += self._fetched(one, one.line, scheduler.cpu)
            one.stored_there = value

        # The slot under another name: found faster than through its methods.
        if self._keeps:
            stores = property(attrgetter("stored_there"), store_cold)
            members |= {"__slots__": ("line", "stored"), "__init__": begin_cold, field: stores}
        else:
            stores = property(attrgetter("stored_there"), store)
            members |= {"__slots__": ("line",), "__init__": begin, field: stores}
        return type(cls.__name__, (cls,), members)

    def _fetched(self, one: Any, last: int, cpu: int) -> int:
        """Bring a page's line from where it was last to a CPU's cache; return what that takes."""
        stores = self._stores
        if last >= 0 and stores[last] - one.stored > self._keeps:
            last = -1
        stores[cpu] += 1
        one.line, one.stored = cpu, stores[cpu]
        return self.moves[last][cpu]

    def touched(self, guarded: Touched, page_ns: int, item_ns: int) -> int:
        """Return what it took to touch what a list says was touched, and let it count anew."""
        ns = guarded.pages_touched * page_ns + guarded.items_touched * item_ns
        guarded.pages_touched = guarded.items_touched = 0
        if guarded.taken:
            cpu = self._scheduler.cpu
            if cpu >= 0 and self._keeps:
                ns += sum(self._fetched(one, one.line, cpu) for batch in guarded.taken for one in batch)
            elif cpu >= 0:
                for batch in guarded.taken:
                    for one in batch:
                        if one.line != cpu:
                            ns += self.moves[one.line][cpu]
                            one.line = cpu
            guarded.taken = ()
        return ns


class VirtualRam:
    """RAM: a mapping, each view of which charges stores by their length.

    => A machine may have more RAM than the host: pages that nobody has stored anything but zeros to take none of it.
    """

    def __init__(self, nbytes: int, scheduler: Scheduler, page_ns: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self._map = mmap.mmap(-1, nbytes, flags=flags)
        self._used = bytearray(-(-nbytes // PAGE_BYTES))
        self._scheduler, self._page_ns = scheduler, page_ns

    def view(self) -> memoryview:
        """Return a view of all of it."""
        view = ChargingView(memoryview(self._map), self._used, self._scheduler, self._page_ns)
        return cast("memoryview", view)


class ChargingView:
    """A memoryview whose stores take time: `page_ns` for PAGE_BYTES.

    => `used[page]`: whether the page may hold anything but zeros; of all views of one RAM.
    """

    def __init__(self, view: memoryview, used: bytearray, scheduler: Scheduler, page_ns: int) -> None:
        self._view, self._used, self._scheduler, self._page_ns = view, used, scheduler, page_ns

    def __len__(self) -> int:
        return len(self._view)

    def __getitem__(self, where: Any) -> Any:
        if isinstance(where, slice):  # whoever has it may store there
            self._use(where)
        return self._view[where]

    def __setitem__(self, where: Any, value: Any) -> None:
        nbytes = len(value) if isinstance(where, slice) else 1
        self._scheduler.now += self._page_ns * nbytes // PAGE_BYTES
        if nbytes == PAGE_BYTES and value == bytes(PAGE_BYTES):
            page, rest = divmod(where.start, PAGE_BYTES)
            if not rest and not self._used[page]:
                return
        self._use(where)
        self._view[where] = value

    def _use(self, where: Any) -> None:
        start, stop, _ = where.indices(len(self._view)) if isinstance(where, slice) else (where, where + 1, 1)
        pages = slice(start // PAGE_BYTES, -(-stop // PAGE_BYTES))
        self._used[pages] = b"\1" * len(self._used[pages])

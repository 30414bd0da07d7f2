"""The counter page: 64-bit counters that are updated atomically and read without any lock (P1).

=> One page of shared memory, one counter to a cache line, so that a store to one does not slow another.
=> Updates: by an Adder, through the package `atomics`; or plainly, by whoever holds the lock that guards the
   counter. Never both ways for one counter.
=> Reads: an aligned 8-byte load through a memoryview. It cannot be torn; it may be stale, which P1 allows.

The public `atomics` call takes microseconds, most of them in Python, and gives the GIL up each time; that
would pass for a cost of the design. So an Adder calls the same machine code through the library's own
function pointer (about a third of a microsecond, GIL kept). The pointer is a private attribute of the
library: its version is pinned, the first use checks that it adds, and if not, the public call is used.

A design without locks keeps all that CPUs share in words: SharedWords is an array of them, for compare-and-swap.
"""

import ctypes
import mmap
import weakref
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, Final, Protocol

import atomics

LINE: Final = 8
"""Words of eight bytes to a cache line of 64: counters stand a line apart."""

_RELAXED: Final = int(atomics.MemoryOrder.RELAXED)
_ORDERED: Final = int(atomics.MemoryOrder.SEQ_CST)

# PYFUNCTYPE keeps the GIL: the call is a single locked instruction, shorter than giving the GIL up. Made once, since
# each is a class of its own, and the free-threaded 3.13 never lets go of a class that was made while threads run.
_MachineAdd: Final = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_MachineSwap: Final = ctypes.PYFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int
)

Swap = Callable[[int, int, int], bool]
"""Compare-and-swap of one thread of control: (index, expected, new), and whether the word was what was expected."""


class Loaded(Protocol):
    """Words as one thread of control loads them, without a lock; a plain store is for who has them to himself."""

    def __getitem__(self, index: int, /) -> int:
        """Load a word; it cannot be torn, and may be stale."""

    def __setitem__(self, index: int, value: int, /) -> None:
        """Store a word plainly."""


class CounterPage:
    """Named 64-bit counters on one shared page.

    => `names` are at most 64, the lines of a page. All counters start at zero.
    => `close()` releases the atomic views, which otherwise keep the page mapped.
    """

    def __init__(self, names: tuple[str, ...], *, public_calls: bool = False) -> None:
        """Map the page; with `public_calls` every update goes through the documented call of `atomics`."""
        if len(names) * LINE * 8 > mmap.PAGESIZE:
            raise ValueError(f"{len(names)} counters do not fit a page of {mmap.PAGESIZE} bytes")
        self.names = names
        # Private: what a child process of fork() writes to it, the parent does not see.
        self._page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._words = memoryview(self._page).cast("q")
        self._slots = {name: line * LINE for line, name in enumerate(names)}
        self._views = ExitStack()
        # A page that nobody closed goes with its last adder; the library would complain of open views.
        weakref.finalize(self, self._views.close)
        self._atomic: dict[str, Any] = {}  # written once, below; then only read
        for name, slot in self._slots.items():
            line = memoryview(self._page)[slot * 8 : slot * 8 + 8]
            self._views.callback(_release, line)
            self._atomic[name] = self._views.enter_context(atomics.atomicview(line, atype=atomics.INT))
        self._direct = not public_calls and _direct_call_works()
        self.closed = False

    def slot(self, name: str) -> int:
        """Return the index of a counter in `view()`."""
        return self._slots[name]

    def view(self) -> memoryview:
        """Return a private view of the page as int64 words, for who holds the lock that guards a word, or watches."""
        # Made from the page, not sliced: slices of one view share a count, which 3.13t does not keep atomically.
        return memoryview(self._page).cast("q")

    def unlocked(self) -> Loaded:
        """Return the same, for who holds no lock: `[slot]` is an unlocked load, which a machine may charge."""
        return self.view()

    def load(self, name: str) -> int:
        """Read a counter without a lock; the value may be stale by the time it is used."""
        return self._words[self._slots[name]]

    def adder(self, name: str) -> "Adder":
        """Return an updater of one counter for one thread of control."""
        view = self._atomic[name]
        return Adder(_direct_add(view) if self._direct else view.add, self)

    @property
    def direct(self) -> bool:
        """Whether updates take the short way to the machine code."""
        return self._direct

    def close(self) -> None:
        """Release the atomic views; idempotent. Plain reads go on working on what was last there."""
        if not self.closed:
            self.closed = True
            self._views.close()


def _release(line: memoryview) -> None:
    """Release a counter's line; not if an interrupt left the library's view of it open: that keeps it."""
    with suppress(BufferError):
        line.release()


class Adder:
    """Adds to one counter, atomically; belongs to one thread of control at a time.

    => `operations` counts the read-modify-writes done. It is plain: only the owner writes it.
    """

    __slots__ = ("_add", "_page", "operations")

    def __init__(self, add: Callable[[int], object], page: CounterPage) -> None:
        self._add = add
        self._page = page  # `add` knows only an address: as long as it can be called, the page stays mapped
        self.operations = 0

    def add(self, n: int) -> None:
        """Add `n`, which may be negative."""
        self._add(n)
        self.operations += 1


class SharedWords:
    """Zeroed unsigned 64-bit words that any thread of control changes by compare-and-swap.

    => Eight words share a cache line; `apart`: each has one of its own.
    => Who knows that nobody swaps meanwhile, as with every CPU stopped, may store plainly.
    """

    def __init__(self, count: int, *, apart: bool = False, public_calls: bool = False) -> None:
        """Map the words; with `public_calls` every swap goes through the documented call of `atomics`."""
        self._step = LINE if apart else 1
        # Private: what a child process of fork() writes to it, the parent does not see.
        self._map = mmap.mmap(-1, max(count, 1) * self._step * 8, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._machine_swap = None if public_calls else _direct_swap()

    def view(self) -> Loaded:
        """Return a private view of the words."""
        return memoryview(self._map).cast("Q")[:: self._step]

    def read(self, first: int, end: int) -> list[int]:
        """Load the words from `first` to before `end`, in ascending order."""
        words = memoryview(self._map).cast("Q")
        return words[first * self._step : end * self._step : self._step].tolist()

    def swapper(self) -> Swap:
        """Return a compare-and-swap for one thread of control at a time."""
        machine_swap, stride = self._machine_swap, self._step * 8
        if machine_swap is None:
            return self._public_swap
        expected, new = ctypes.c_uint64(), ctypes.c_uint64()
        of_expected, of_new = (ctypes.c_void_p(ctypes.addressof(each)) for each in (expected, new))
        mapped = ctypes.c_char.from_buffer(self._map)  # as long as `swap` lives, the words stay mapped
        base = ctypes.addressof(mapped)

        def swap(index: int, was: int, becomes: int, mapped: object = mapped) -> bool:
            expected.value, new.value = was, becomes
            return bool(machine_swap(base + index * stride, of_expected, of_new, _ORDERED, _ORDERED))

        return swap

    def _public_swap(self, index: int, was: int, becomes: int) -> bool:
        start = index * self._step * 8
        with atomics.atomicview(memoryview(self._map)[start : start + 8], atype=atomics.UINT) as word:
            return bool(word.cmpxchg_strong(was, becomes).success)


def _direct_swap() -> Any:
    """Return the library's own compare-and-swap for eight bytes; None if it is not there, or does not swap."""
    cell = bytearray(8)
    with atomics.atomicview(cell, atype=atomics.UINT) as view:
        try:
            pointer = ctypes.cast(view._core._ops.xchg_ops.fp_cmpxchg_strong, ctypes.c_void_p).value
            address = view._core.address
        except AttributeError:
            return None
        if pointer is None:
            return None
        swap, operands = _MachineSwap(pointer), (ctypes.c_uint64 * 2)(0, 1 << 63)
        of_operands = ctypes.addressof(operands)
        swapped = [swap(address, of_operands, of_operands + 8, _ORDERED, _ORDERED) for _ in range(2)]
        return swap if [bool(each) for each in swapped] == [True, False] and view.load() == 1 << 63 else None


def _direct_add(view: Any) -> Callable[[int], None]:
    """Build a call of the library's own `fetch and add` for the counter under `view`.

    => The argument buffer belongs to the returned function, so two threads need two of them.
    """
    pointer = ctypes.cast(view._core._ops.signed_ops.fp_add, ctypes.c_void_p).value
    if pointer is None:
        raise AttributeError("atomics has no add for eight bytes on this machine")
    machine_add = _MachineAdd(pointer)
    operand = ctypes.c_int64()
    target = ctypes.c_void_p(view._core.address)
    argument = ctypes.c_void_p(ctypes.addressof(operand))

    def add(n: int) -> None:
        operand.value = n
        machine_add(target, argument, _RELAXED)

    return add


def _direct_call_works() -> bool:
    """Return whether the short way adds what the documented call reads back."""
    cell = bytearray(8)
    with atomics.atomicview(cell, atype=atomics.INT) as view:
        try:
            add = _direct_add(view)
        except AttributeError:
            return False
        add(5)
        add(-(1 << 40))
        return bool(view.load() == 5 - (1 << 40))

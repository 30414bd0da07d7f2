"""A fault of a stress run: what all kinds have in common. The kinds are in stress/faults.py.

=> A fault is *injected* when it was done to the system, and *survived* when what it promises was checked and every
   CPU has gone on since; one under way when a run ends is undone, and survived if nothing failed.
=> Its course is drawn from the seed and its name; when it strikes is the clock's affair.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from uvmfree.stress.program import draw
from uvmfree.stress.shared import Shared

FIRST_S: Final = 0.02
"""Before the first injection, or up to twice that: a short run shall see every fault."""

EVENTS: Final = 64
"""Injections of a fault that are remembered for the report of a failure."""


class Fault:
    """One kind of fault; subclasses inject it.

    Written by the fault's own thread, read by others as plain integers and when the run is over.

    => `injected`, `survived`: how often. `pause_s`: between two injections, from and to.
    => `events`: the last injections, as (time in ns, text).
    """

    name: ClassVar[str]
    pause_s: ClassVar[tuple[float, float]]

    def __init__(self) -> None:
        self.injected = self.survived = 0
        self.events: list[tuple[int, str]] = []
        self._bits: Callable[[int], int]

    def anon_memory(self) -> Mapping[str, Any]:
        """Return what the anon map of the run has to be made with for this fault (Uvm.anon_memory)."""
        return {}

    def run(self, shared: Shared) -> None:
        """Inject the fault again and again until the run is over."""
        self._bits = draw(shared.seed, self.name)
        self.begin(shared)
        low, high = self.pause_s
        over = shared.nap(FIRST_S * (1 + self._bits(16) / (1 << 16)))
        while not over:
            if self.inject(shared):
                shared.all_go_on()
                if not shared.failures():
                    self.survived += 1
            over = shared.nap(low + (high - low) * self._bits(16) / (1 << 16))

    def begin(self, shared: Shared) -> None:
        """Prepare on the fault's thread."""

    def inject(self, shared: Shared) -> bool:
        """Do it once, count and note it, check what it promises and undo it; False if it could not be done now."""
        raise AssertionError("a fault has an inject")

    def heal(self) -> None:
        """Stop what goes on without the fault's thread: the run is over; that thread has ended."""

    def finish(self, shared: Shared) -> None:
        """Check what can only be told at the end: all CPUs are at rest, and nothing is on its way to swap."""

    def details(self) -> dict[str, int]:
        """Return what else is counted, by name."""
        return {}

    def note(self, shared: Shared, what: str) -> None:
        """Count an injection and remember it."""
        self.injected += 1
        self.tell(shared, what)

    def tell(self, shared: Shared, what: str) -> None:
        """Remember how an injection went on."""
        self.events.append((shared.machine.clock_ns(), what))
        del self.events[:-EVENTS]

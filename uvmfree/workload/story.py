"""What `explain` plays: a short story that shows each way a page can take, or the first events of a trace.

=> Pages go by label: what one act allocates another frees, on whatever CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from uvmfree.workload.trace import ALLOC, Trace

NCPUS: Final = 4
"""CPUs of the story: one allocates, one frees what it did not allocate, one competes, one has its list to itself."""

BURST: Final = 300
"""Pages of a burst: more than any design here hands to a CPU's list at once, or lets it keep beyond its bound."""

FEW: Final = 20
"""Pages that come free when there are no others: fewer than a batch, so that they stay where designs leave them."""


@dataclass(frozen=True, slots=True)
class Act:
    """One step: what is done, and on which CPUs at once.

    => `scene`: a heading, or "". `kind`: "alloc", "free", or "wait" for `seconds` in which no CPU does anything.
    => `pages`: by each CPU; None: until an allocation fails, or until the label has no page left.
    """

    scene: str
    kind: Literal["alloc", "free", "wait"]
    cpus: tuple[int, ...] = ()
    pages: int | None = 1
    label: str = ""
    seconds: float = 0.0


STORY: Final = (
    Act("The first allocation", "alloc", (1,), label="one"),
    Act("Freed where it was allocated", "free", (1,), label="one"),
    Act("Allocated again", "alloc", (1,), label="one"),
    Act("Two CPUs at once", "alloc", (0, 2), label="two"),
    Act("A burst", "alloc", (0,), BURST, "burst"),
    Act("Freed on another CPU", "free", (3,), BURST, "burst"),
    Act("What that CPU freed is warm there", "alloc", (3,), label="warm"),
    Act("Idle", "wait", seconds=1.0),
    Act("Still idle", "wait", seconds=1.0),
    Act("Another burst", "alloc", (0,), BURST, "burst"),
    Act("Freed on another CPU", "free", (3,), BURST, "burst"),
    Act("Memory runs out", "alloc", (0,), None, "all"),
    Act("A moment later", "wait", seconds=0.02),
    Act("A few pages come free on one CPU", "free", (3,), FEW, "all"),
    Act("Another CPU wants one", "alloc", (2,), label="last"),
    Act("And once more", "alloc", (2,), label="last"),
    Act("All is freed", "free", (0,), None, "all"),
    Act("Idle", "wait", seconds=1.0),
)
"""A hit, a miss, a race, an overflow, the timer, pressure, and the last pages, wherever they are."""


def of_trace(trace: Trace, ncpus: int, steps: int) -> Iterator[Act]:
    """Yield the first `steps` acts of a trace on `ncpus` CPUs, which share the recorded ones; orders above 0 are not.

    => As when a trace is replayed by CPU: a recorded CPU's events are done by one CPU here, in their order.
    """
    done = 0
    for kind, cpu, alloc, order in zip(trace.kind, trace.cpu, trace.alloc, trace.order, strict=True):
        if done == steps:
            return
        if order == 0:
            done += 1
            yield Act("", "alloc" if kind == ALLOC else "free", (cpu % ncpus,), label=str(alloc))

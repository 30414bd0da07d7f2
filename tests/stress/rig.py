"""What the tests of stress runs share: short runs of either design, and what every one of them must come to."""

from collections.abc import Callable
from typing import Any

from uvmfree.stress.engine import Stress
from uvmfree.stress.fault import Fault
from uvmfree.stress.supervised import Options, StressRun, stress

SMALL: dict[str, Any] = {"ncpus": 3, "npages": 512, "seed": 7}
"""Memory so small that all that happens when it is short happens in half a second."""


def run(design: str, faults: tuple[str, ...] = (), *more: Fault, **how: Any) -> StressRun:
    """Stress a design for a short time."""
    patience_s = how.pop("patience_s", 5.0)
    return stress(Options(**SMALL | {"faults": faults} | how), design, more=more, patience_s=patience_s)


def run_until(
    design: str,
    faults: tuple[str, ...] = (),
    at_least_s: float = 0.0,
    seen: Callable[[Stress], object] = lambda run: True,
    **how: Any,
) -> StressRun:
    """Stress a design for some time, and until each fault was injected and `seen()`, however busy the host is.

    => `seen(run)` is asked by who supervises the run, and takes no mutex.
    """
    enough = False

    def look(run: Stress, elapsed_s: float) -> None:
        nonlocal enough
        enough = elapsed_s > at_least_s and all(fault.injected for fault in run.faults) and bool(seen(run))

    return stress(Options(**SMALL | {"faults": faults, "seconds": 30} | how), design, stop=lambda: enough, tick=look)


def fine(record: StressRun) -> None:
    """Check that a run found nothing, and did something."""
    assert record.errors == (), (record.errors, record.report)
    assert not record.hung
    assert record.file is None
    assert record.steps > 0
    assert record.seen is not None
    assert record.seen.samples > 0
    assert record.uvmexp is not None
    assert record.uvmexp.npages == SMALL["npages"]

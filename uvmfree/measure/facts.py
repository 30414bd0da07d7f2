"""Facts about a workload, kept with what was measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """What was run.

    => `page_operations`: pages that a run asks to allocate and to free, each page of a contiguous request counted;
       None where it has a length in time instead.
    => `linux_moved_per_op`: blocks of pages that Linux's own per-CPU lists moved per page operation, where a trace
       tells.
    => `skipped`: what of a trace is not run; `note`: what a reader of its figures should know; in words, or "".
       `lost_events`: how many the recording of it lost.
    """

    name: str
    ncpus: int
    page_operations: int | None
    linux_moved_per_op: float | None = None
    skipped: str = ""
    lost_events: int = 0
    note: str = ""

    @property
    def timed(self) -> bool:
        """Whether it is a fixed amount of work, so that its wall time says something."""
        return self.page_operations is not None

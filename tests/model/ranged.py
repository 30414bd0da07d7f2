"""uvm_pglistalloc in the plainest way: what a request gets, out of a set of pages that are free (R25 to R28)."""

from typing import NamedTuple


class Ranged(NamedTuple):
    """A request as a user writes it, all in pages."""

    size: int
    low: int
    high: int | None
    alignment: int
    boundary: int
    nsegs: int

    @property
    def contiguous(self) -> bool:
        """R26."""
        return self.nsegs < self.size or self.alignment > 1 or self.boundary != 0

    def has(self, pfn: int) -> bool:
        return self.low <= pfn and (self.high is None or pfn < self.high)

    def run_at(self, first: int) -> list[int] | None:
        """Return the run that begins at a frame, or None if none may begin there."""
        run = range(first, first + self.size)
        crosses = self.boundary != 0 and any(pfn % self.boundary == 0 for pfn in run[1:])
        return None if crosses or first % self.alignment or not all(map(self.has, run)) else list(run)

    def choose(self, free: set[int], segments: list[range], hints: dict[range, int]) -> list[int]:
        """Return the pages of a run, or all that would do if they need not be one; the best freelist first.

        => A run is looked for from where the last one of its segment ended, then from the segment's beginning.
        """
        if not self.contiguous:
            return [pfn for segment in segments for pfn in segment if pfn in free and self.has(pfn)]
        for segment in segments:
            runs = [run for run in map(self.run_at, segment) if run and set(run) <= free & set(segment)]
            if runs:
                found = next((run for run in runs if run[0] >= hints.get(segment, 0)), runs[0])
                hints[segment] = found[-1] + 1
                return found
        return []


def scattered(npages: int, low: int = 0) -> Ranged:
    """Ask for any pages."""
    return Ranged(npages, low, None, 1, 0, npages)


def one_run(npages: int, low: int = 0) -> Ranged:
    """Ask for a run of pages."""
    return Ranged(npages, low, None, 1, 0, 1)

"""The counting model of Linux' per-CPU page sets: 6.7 and later, with a fixed size, and before 6.7.

=> Order 0, one zone. `low`, `high`: the zone's watermarks, in pages.

Source: nr_pcp_alloc, nr_pcp_free, nr_pcp_high, decay_pcp_high, zone_batchsize and zone_highsize in mm/page_alloc.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tests.designs.reference import Reference


@dataclass(slots=True)
class PageSet:
    """What a CPU has: pages, how many it may have, and how far batches have grown."""

    high: int
    pages: int = 0
    alloc_factor: int = 0
    free_count: int = 0
    free_factor: int = 0


def batch_of(npages: int) -> int:
    """Return zone_batchsize(): 63 for zones of 1 GiB and more, 15 at 256 MiB."""
    most = max(1, min(npages >> 12, 64))
    return max(1, (1 << ((most + most // 2).bit_length() - 1)) - 1)


class Linux(Reference):
    """A set for each CPU, of a size that tunes itself ("auto"), is fixed, or does as before 6.7.

    => `chunked`: what is freed at once goes in holds of a batch each (6.19), else in one.
    """

    def __init__(
        self,
        low: int = 640,
        high: int = 768,
        *,
        tuned: Literal["auto", "fixed", "before"] = "auto",
        chunked: bool = False,
        scale_max: int = 5,
        **sizes: int,
    ) -> None:
        super().__init__(**sizes)
        self.batch = batch_of(self.free_pages)
        self.high_min = max(low // self.ncpus, 4 * self.batch)
        self.high_max = max(self.free_pages // 8 // self.ncpus, 4 * self.batch) if tuned == "auto" else self.high_min
        self.watermark, self.tuned, self.chunked, self.scale_max = high, tuned, chunked, scale_max
        self.below = self.reclaiming = False
        self.sets = [PageSet(self.high_min) for _ in range(self.ncpus)]

    def cached(self) -> int:
        return sum(own.pages for own in self.sets)

    def alloc(self, cpu: int, color: int | None = None) -> Any:
        own = self.sets[cpu]
        self.below = self.below or self.free_pages <= self.watermark
        own.free_count >>= 1
        own.free_factor >>= 1
        if not own.pages:
            own.pages = self.take(self.batch if self.tuned == "before" else self.to_take(own))
            self.atomics += 1
        own.pages -= 1

    def to_take(self, own: PageSet) -> int:
        """How many pages a miss takes; a miss after a miss takes twice as many."""
        high, pages = min(max(own.high, self.high_min), self.high_max), self.batch << own.alloc_factor
        if self.high_min != self.high_max and not self.below:
            high = own.high = min(high + pages, self.high_max)
        most = max(high - own.pages - self.batch, self.batch)
        if pages <= most and own.alloc_factor < self.scale_max:
            own.alloc_factor += 1
        return min(pages, most)

    def free(self, cpu: int, page: Any) -> None:
        own = self.sets[cpu]
        own.alloc_factor >>= 1
        own.pages += 1
        if own.free_count < self.batch << self.scale_max:
            own.free_count += 1
        limit = self.limit(own)
        if own.pages >= limit:
            self.spill(own, min(self.to_free(own, limit), own.pages))
            if self.below and self.free_pages > self.watermark:
                self.below = False

    def limit(self, own: PageSet) -> int:
        """From how many pages on some are freed; a CPU that frees may raise it."""
        high, most = min(max(own.high, self.high_min), self.high_max), max(own.free_count, self.batch)
        if self.reclaiming:
            own.high = max(high - most, self.high_min)
            return min(4 * self.batch, own.high)
        if self.high_min == self.high_max:
            return high
        if self.below:
            own.high = max(high - most, self.high_min)
            return max(own.pages, self.high_min)
        if own.pages >= high and own.high < own.free_count + self.batch:
            own.high = min(max(own.free_count + self.batch, self.high_min), self.high_max)
        return high

    def to_free(self, own: PageSet, limit: int) -> int:
        """How many pages are freed at once."""
        most = max(limit - self.batch, self.batch)
        if self.tuned != "before":
            return min(max(own.free_count, self.batch), most)
        pages = self.batch << own.free_factor
        if pages < most:
            own.free_factor += 1
        return min(max(pages, self.batch), most)

    def spill(self, own: PageSet, pages: int) -> None:
        """Free pages of a set to the zone: in one hold, or in chunks."""
        own.pages -= pages
        self.give(pages)
        self.store += -(-pages // self.batch) - 1 if self.chunked else 0
        self.atomics += 1

    def tick(self) -> None:
        for own in self.sets:
            if own.high > self.high_min:
                less = max(own.pages - (self.batch << self.scale_max), own.high - (own.high >> 3))
                own.high = max(less, self.high_min)
            if own.pages > own.high:
                self.spill(own, own.pages - own.high)

"""Thousands of random requests beside the naivest reference: a set of the frames that are free.

=> Between requests pages are allocated, freed, handed back, zeroed and recoloured, so that what is free stands
   anywhere: on the global list, in caches, among ghosts.
=> A failure's message has the seed and the number of the step that replay it.
"""

import random
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

import uvmfree
from tests.mechanism.rig import SMALL, VARIANTS, settle
from uvmfree.uvm.page import Place, VmPage

REQUESTS = 4096
NPAGES, NCPUS, NFREELISTS = 72, 3, 3
RESERVES = 5 * NCPUS + 1


@dataclass
class Asked:
    """A request as a user writes it."""

    size: int
    low: int
    high: int | None
    alignment: int
    boundary: int
    nsegs: int


class Reference:
    """What is free, as a set; segments as ranges, the best freelist first."""

    def __init__(self) -> None:
        third = NPAGES // NFREELISTS
        self.segments = [range(part * third, part * third + third) for part in reversed(range(NFREELISTS))]
        self.free = set(range(NPAGES))
        self.hints: dict[int, int] = {}  # a segment's start -> the frame after the run that was found there last

    def answer(self, asked: Asked, stored: set[int]) -> list[int] | None:
        """Return the frames of a run, or of pages that need not be one; None if the request cannot be met.

        => A run is looked for in the store, then wherever pages are free.
        """
        high = NPAGES if asked.high is None else asked.high
        contiguous = asked.nsegs < asked.size or asked.alignment > 1 or asked.boundary != 0
        if contiguous and (run := self.run(asked, high, stored)) and len(stored) > RESERVES:
            return run
        if len(self.free) <= RESERVES:
            return None
        if contiguous:
            return self.run(asked, high, self.free)
        fit = [pfn for seg in self.segments for pfn in seg if pfn in self.free and asked.low <= pfn < high]
        return fit if len(fit) >= asked.size else None

    def run(self, asked: Asked, high: int, free: set[int]) -> list[int] | None:
        """Return a run of these frames: from where the last one ended, then from the beginning of the segment."""
        for seg in self.segments:
            hint = self.hints.get(seg.start, 0)
            for first in sorted(seg, key=lambda pfn: pfn < hint):
                if self.fits(first, seg, asked, high, free):
                    self.hints[seg.start] = first + asked.size
                    return list(range(first, first + asked.size))
        return None

    def fits(self, first: int, seg: range, asked: Asked, high: int, free: set[int]) -> bool:
        """Whether a run may begin at this frame."""
        run = range(first, first + asked.size)
        if first % asked.alignment or (asked.boundary and any(pfn % asked.boundary == 0 for pfn in run[1:])):
            return False
        return all(pfn in free and pfn in seg and asked.low <= pfn < high for pfn in run)


def request(rng: random.Random) -> Asked:
    """Any request that R25 allows."""
    size = rng.choice((1, 1, 2, 2, 3, 4, 5, 8, 12, 16, 24))
    alignment = rng.choice((1, 1, 1, 2, 4, 8, 16))
    boundary = rng.choice((0, 0, 0, 4, 8, 16, 32))
    if boundary < size:
        boundary = 0
    low = rng.choice((0, 0, rng.randrange(NPAGES), rng.randrange(NPAGES)))
    rounded = -(-low // alignment) * alignment
    high = rng.choice((None, None, rounded + rng.randint(1, NPAGES)))
    nsegs = rng.choice((1, 1, 2, size, size, size + 1))
    return Asked(size, low, high, alignment, boundary, nsegs)


class Run:
    """One system and its reference, step by step."""

    def __init__(self, uvm: uvmfree.Uvm, rng: random.Random) -> None:
        self.uvm, self.rng = uvm, rng
        self.tells = uvm.design.store_tells and bool(uvm.design.cpu_locks)  # one lock for all is stopped at once
        self.reference = Reference()
        self.held: list[VmPage] = []
        self.met = self.refused = self.runs = 0

    def step(self) -> None:
        """Do something else a few times, then make one request."""
        for _ in range(self.rng.randint(0, 4)):
            self.rng.choice((self.alloc, self.alloc, self.free, self.free, self.free, self.rest))()
        self.ask()
        if sum(self.uvm.cached_pages()) + self.uvm.uvmexp.free != len(self.reference.free):
            raise AssertionError("pages went astray")

    def cpu(self) -> Any:
        return self.uvm.cpus[self.rng.randrange(NCPUS)]

    def alloc(self) -> None:
        for _ in range(self.rng.randint(1, 8)):
            pg = self.cpu().pagealloc(zero=self.rng.random() < 0.3, use_reserve=True)
            if pg is not None:
                self.reference.free.remove(pg.pfn)
                self.held.append(pg)

    def free(self) -> None:
        cpu, count = self.cpu(), self.rng.randint(1, 16)
        for _ in range(min(count, len(self.held))):
            pg = self.held.pop(self.rng.randrange(len(self.held)))
            cpu.pagefree(pg)
            self.reference.free.add(pg.pfn)

    def rest(self) -> None:
        what = self.rng.randrange(8)
        if what == 0:
            self.uvm.recolor(self.rng.choice((1, 2, 4, 8)))
        elif what < 4:
            self.uvm.redistribute(self.rng.choice((None, *range(NCPUS))))
        else:
            self.cpu().pageidlezero()

    def ask(self) -> None:
        asked = request(self.rng)
        stored = {pg.pfn for pg in self.uvm.physmem if self.tells and pg.place is Place.GLOBAL}
        wanted = self.reference.answer(asked, stored)
        try:
            pages = self.uvm.pglistalloc(**vars(asked))
        except uvmfree.OutOfPages:
            assert wanted is None, f"refused, and there is {wanted}: {asked}"
            self.refused += 1
            return
        got = [pg.pfn for pg in pages]
        assert wanted is not None, f"met with {got}, and there is nothing: {asked}"
        contiguous = asked.nsegs < asked.size or asked.alignment > 1 or asked.boundary != 0
        if contiguous:
            assert got == wanted, asked
        else:
            assert got == sorted(wanted[: asked.size]), asked
        assert {pg.place for pg in pages} == {Place.ALLOCATED}
        self.reference.free -= set(got)
        self.held += pages
        self.met += 1
        self.runs += contiguous and asked.size > 1


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", VARIANTS)
def test_thousands_of_requests_agree_with_a_set_of_free_frames(name: str) -> None:
    """R26, R27 and R28: 4,096 requests to each design, and a quarter of that to each variant of the proposal."""
    plain = name in uvmfree.DESIGNS
    seed = 28
    rng = random.Random(seed)
    sizes = {"npages": NPAGES, "ncpus": NCPUS, "nfreelists": NFREELISTS, "pagesize": 512}
    tunables = SMALL | sizes | VARIANTS[name] | {"redistribute_min_gap_s": 3600}
    with closing(uvmfree.boot(**tunables)) as uvm:  # not started: nothing moves by itself
        run = Run(uvm, rng)
        number = 0
        try:
            for number in range(REQUESTS if plain else REQUESTS // 4):
                run.step()
                if number % 64 == 0:
                    uvm.audit()
                    assert {pg.pfn for pg in uvm.physmem if pg.place is not Place.ALLOCATED} == run.reference.free
        except Exception as error:
            error.add_note(f"variant {name!r}, seed {seed}, request {number}")
            raise
        assert min(run.met, run.refused, run.runs) > number // 10
        uvm.pglistfree(run.held)
        settle(uvm)

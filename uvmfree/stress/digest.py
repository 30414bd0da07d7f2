"""One number for a whole stress run in virtual time: two runs of one command are equal to the byte, or differ here.

=> It covers what every CPU did last, with times and outcomes, all counters, faults, events and samples, what failed,
   and the order of the pages on every list and in everybody's hands when the CPUs had stopped.
=> A difference at any moment shows at the end: each later step has another time.
"""

import hashlib
from collections.abc import Iterator

from uvmfree.stress.engine import Stress


def order(run: Stress) -> str:
    """Return the hash of the order of all pages, to be asked when the CPUs have stopped."""
    shared = run.shared
    held = [held for player in run.players for held in (player.hands.mine, *player.hands.runs)]
    hands = [[pg.pfn for pg, _ in pages] for pages in (*held, *shared.trays, shared.loose)]
    return hashlib.sha256(repr((run.uvm.free_frames(), hands)).encode()).hexdigest()


def digest(run: Stress, order_of_pages: str) -> str:
    """Return the hash of a run that has ended."""
    sum_of_all = hashlib.sha256(order_of_pages.encode())
    for part in _parts(run):
        sum_of_all.update(repr(part).encode())
    return sum_of_all.hexdigest()[:16]


def _parts(run: Stress) -> Iterator[object]:
    uvm = run.uvm
    yield uvm.machine.clock_ns(), run.wall_ns, run.phase, run.progress()
    yield run.uvmexp, run.anons, run.operations(), run.failed()
    for player in run.players:
        yield player.last()
    for fault in run.faults:
        yield fault.name, fault.injected, fault.survived, fault.details(), fault.events
    yield uvm.events.snapshot(), uvm.events.dropped
    yield [(who, str(error)) for who, error in run.shared.failures()]

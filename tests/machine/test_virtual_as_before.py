"""Random runs are to the nanosecond what they were: every figure that was published in virtual time rests on that.

=> A change that is meant to change schedules, or costs, changes these sums too; `python -m tests.oracle.digests` says
   then which runs it touches.
"""

import random
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.machine.virtual_rig import BIG, OWN, costs, machine_of, run
from uvmfree.machine.virtual.machine import VirtualMachine

NCPUS, STEPS = 8, 80


def holds(lock: str, quantum_ns: int, seed: int) -> tuple[int, int, int]:
    """Return when a run ends, how many holds it had, and a sum over all of them.

    => CPUs that want one lock, own ones and foreign ones, kernel threads of CPUs, a strand of no CPU, and timeouts.
    """
    machine = machine_of(
        VirtualMachine, lock, seed=seed, quantum_ns=quantum_ns, costs=costs(jitter_percent=20, line_memory=40)
    )
    shared, owns = machine.mutex(BIG), [machine.mutex(OWN, cpu) for cpu in range(NCPUS)]
    words, event, raw = machine.counters(("n",)), machine.event(), machine.raw_lock()

    def work(cpu: int | None, kernel: bool) -> None:
        drawn = random.Random(f"{seed}/{cpu}/{kernel}")
        big, handles, adder = shared.handle("a"), [own.handle("uvm_pagealloc") for own in owns], words.adder("n")
        for _ in range(STEPS // (1 + 3 * kernel)):
            what = drawn.randrange(20)
            machine.charge(drawn.randrange(1, 600))
            if kernel:
                machine.sleep(drawn.randrange(1, 6000) / 1e9)
            if what < 9:
                with big:
                    if what == 0:
                        machine.sleep(drawn.randrange(1, 400) / 1e9)
            elif what < 15:
                with handles[drawn.randrange(NCPUS) if what == 9 or cpu is None else cpu]:
                    machine.charge(drawn.randrange(1, 90))
            elif what < 17:
                adder.add(1)
            elif what == 17:
                if raw.acquire(timeout=drawn.randrange(1, 900) / 1e9):
                    machine.sleep(drawn.randrange(1, 900) / 1e9)
                    raw.release()
            elif what == 18:
                event.notify()
            else:
                event.sleep_until(iter((False, True)).__next__, drawn.randrange(1, 5000) / 1e9)

    bodies: list[tuple[int | None, Callable[[], Any]]] = [(cpu, partial(work, cpu, False)) for cpu in range(NCPUS)]
    bodies += [(2, partial(work, 2, True)), (5, partial(work, 5, True)), (None, partial(work, None, True))]
    run(machine, bodies)
    return machine.clock_ns(), len(machine.journal.holds), zlib.crc32(repr(machine.journal.holds).encode())


WERE = {
    ("ttas", 0): [(279542, 518, 1089901783), (291528, 532, 1182596898)],
    ("ttas", 2000): [(266241, 517, 2706368000), (283208, 532, 1780642558)],
    ("ticket", 0): [(221991, 518, 2046782848), (228450, 532, 1110537553)],
    ("ticket", 2000): [(227812, 518, 3073882551), (223780, 532, 567222310)],
    ("mcs", 0): [(325286, 518, 428731230), (346506, 532, 4087498973)],
    ("mcs", 2000): [(333067, 518, 4071230171), (351678, 532, 3305501528)],
    ("sleep", 0): [(261688, 518, 618998951), (278416, 532, 990670156)],
    ("sleep", 2000): [(290165, 517, 812835713), (271710, 532, 2865658209)],
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("lock", "quantum_ns"), WERE)
def test_holds_are_what_they_were(lock: str, quantum_ns: int) -> None:
    assert [holds(lock, quantum_ns, seed) for seed in (1, 2)] == WERE[lock, quantum_ns]

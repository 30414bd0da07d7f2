"""The program of a stress run, one step at a time beside the naive model, in the words of the tests' vocabulary.

=> What the product draws on threads, at random and unobserved, is held here to the page and to the last counter.
=> A kind of step that is added there has to be said here, or to be named among those that the model does not know.
"""

from collections.abc import Callable
from itertools import cycle, islice
from typing import Final

import pytest

from tests.model.beside import NCPUS
from tests.model.machine import VARIANTS, machine_for
from tests.model.operations import Op
from tests.model.page_operations import Alloc, Free, How, IdleZero, Run
from tests.model.ranged import Ranged
from tests.model.system_operations import Ask, Recolor, Redistribute, Wait
from uvmfree.stress.program import KIND_BITS, KINDS, kind_of, program

STEPS: Final = 1000
IN_HAND_MAX: Final = 60
"""Of 96 pages: memory is short now and then, and not always."""


def _alloc(how: int) -> Op:
    variant, zero, use_reserve, which = how & 7, how >> 3 & 3 == 0, how >> 5 & 15 == 0, how >> 9
    if variant < 5:
        return Alloc(how=How(zero, use_reserve))
    if variant == 5:
        return Alloc(how=How(zero, use_reserve, color=which & 31))
    return Alloc(how=How(zero, use_reserve, "only" if variant == 6 else "fallback", which & 7))


def _run(how: int) -> Op:
    size = 1 << (how & 3)
    nsegs, alignment = size if how >> 2 & 1 else 1, 1 << (how >> 3 & 1)
    return Run(Ranged(size, 0, None, alignment, 16 if how >> 4 & 3 == 0 else 0, nsegs), waitok=how >> 6 & 3 == 0)


SAID: Final[dict[str, Callable[[int], Op]]] = {
    "alloc": _alloc,
    "free": lambda how: Free(at=how),
    "hand over": lambda how: Free(at=how, by="list"),  # by one who plays no CPU
    "pglistalloc": _run,
    "pglistfree": lambda how: Free(1 << (how & 3), at=how >> 2, by="list"),
    "idle zero": lambda how: IdleZero(how & 255),
    "redistribute": lambda how: Redistribute(None if how % (NCPUS + 1) == NCPUS else how % (NCPUS + 1)),
    "wait": lambda how: Wait(0),
    "kick": lambda how: Ask("kick"),
    "recolour": lambda how: Recolor(1 << how % 5),
}
UNSAID: Final = {
    *("write", "take over", "free nonsense", "look"),  # change nothing that the model knows
    *("let go", "touch", "touch, write", "discard"),  # are about the pagedaemon and its maps (tests/anon)
    *("xcall", "xc_wait"),  # need threads that go on (tests/kern)
}


def test_every_kind_of_step_is_said_or_known_not_to_be() -> None:
    assert {*SAID, *UNSAID} == set(KINDS)
    assert not SAID.keys() & UNSAID


@pytest.mark.parametrize("variant", ["fpageqlock", "percpu", "percpu, bounded, refill, colour", "percpu, idle"])
def test_steps_of_a_stress_run_give_what_the_model_gives(variant: str) -> None:
    """R1 to R16, R24 to R28, Q13, P8: all CPUs in turn, each by its own program; audited on the way."""
    state = machine_for(VARIANTS[variant])()
    state.boot(ncolors=4, nfreelists=2, spread=[(0, 12), (1, 6)], held=0)
    try:
        programs = cycle(enumerate([program(1, cpu) for cpu in range(NCPUS)]))
        for number, (cpu, steps) in enumerate(islice(programs, STEPS)):
            step = next(step for step in steps if kind_of(step) in SAID)
            kind, how = kind_of(step), step >> KIND_BITS
            if kind in ("alloc", "pglistalloc") and state.nheld > IN_HAND_MAX:
                kind = "free"
            state.do(SAID[kind](how), cpu)
            if number % 8 == 0:
                state.check()
        state.check()
    finally:
        state.teardown()

"""The programs of a stress run: the same for the same seed, on every interpreter; and what is drawn how often."""

import itertools
from collections import Counter

from tests.stress.rig import SMALL
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.param import Param
from uvmfree.stress.engine import Plan, Stress
from uvmfree.stress.program import WEIGHTS, described, draw, kind_of, listing, program

PINNED = ["write 0xae465894e80e8", "write 0xf33c3ae2619bc", "free 0x1a8eb8a1707f5", "alloc 0x4088cbdf71fac"]
"""The first steps of CPU 0 for seed 1."""


def test_a_program_is_its_seed_and_its_cpu() -> None:
    assert listing(7, 2, 500) == listing(7, 2, 500)
    assert listing(7, 2, 500) != listing(7, 1, 500)
    assert listing(7, 2, 500) != listing(8, 2, 500)
    assert draw(7, "stall")(64) != draw(7, "storm")(64)


def test_a_program_is_the_same_on_every_interpreter() -> None:
    """What one build found, another can look at: these numbers are written down."""
    assert listing(1, 0, 4) == PINNED


def test_every_operation_is_drawn_as_often_as_its_weight_says() -> None:
    steps = 40_000
    drawn = Counter(kind_of(step) for step in itertools.islice(program(3, 0), steps))
    assert set(drawn) == set(WEIGHTS)
    for kind, weight in WEIGHTS.items():
        expected = steps * weight / sum(WEIGHTS.values())
        assert abs(drawn[kind] - expected) < 5 * expected**0.5 + 1, kind


def test_a_cpu_does_the_steps_of_its_program_in_order() -> None:
    """Whatever the other CPUs do: what a ring of last operations shows is where the program says that it is."""
    machine = ThreadsMachine(lockwatch=True)
    assert machine.lockwatch is not None
    steps, param = 300, Param(ncpus=SMALL["ncpus"], npages=SMALL["npages"])
    stress = Stress(Plan(param=param, seed=7, seconds=30, steps=steps), machine, machine.lockwatch)
    stress.run()
    assert stress.shared.failures() == ()
    assert stress.phase == "over"
    for player in stress.players:
        wanted = listing(7, player.index, steps)
        assert player.done == steps == sum(player.counts)
        for number, at_ns, step, outcome in player.last():
            assert described(step) == wanted[number]
            assert at_ns > 0
            assert outcome != "under way"
        assert [one[0] for one in player.last()] == list(range(steps - 256, steps))

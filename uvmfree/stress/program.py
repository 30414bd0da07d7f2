"""The program of one CPU in a stress run: an endless sequence of operations, the same for the same seed.

A step is a number of 64 bits: the low ones say what to do, the others how (which page, which size, whether zeroed).
What they refer to depends on what the CPU has at hand then, and that on the other threads; the sequence does not.

=> Drawing a step costs one call and a table look-up, so that a run spends its time in the allocator.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Final

WEIGHTS: Final = {
    "alloc": 1000,
    "free": 880,
    "write": 300,
    "hand over": 240,
    "take over": 160,
    "let go": 140,
    "touch": 420,
    "touch, write": 440,
    "discard": 60,
    "pglistalloc": 32,
    "pglistfree": 40,
    "idle zero": 100,
    "redistribute": 40,
    "wait": 6,
    "kick": 40,
    "xcall": 30,
    "xc_wait": 40,
    "free nonsense": 60,
    "look": 67,
    "recolour": 1,
}
"""Operations, and how many of 4096 steps each is. More is allocated and accessed than given back, so that memory is
short; what stops every CPU (recolour, pglistalloc) or sleeps (wait) is rare enough to leave time for the rest."""

KINDS: Final = tuple(WEIGHTS)

_STEPS: Final = sum(WEIGHTS.values())
KIND_BITS: Final = _STEPS.bit_length() - 1
"""The low bits of a step, which are an index into TABLE."""

assert 1 << KIND_BITS == _STEPS, "the weights add up to a power of two, so that a mask finds the operation"

MASK: Final = _STEPS - 1
TABLE: Final = bytes(kind for kind, weight in enumerate(WEIGHTS.values()) for _ in range(weight))
"""What to do, an index of KINDS, by the low bits of a step."""


def draw(seed: int, who: object) -> Callable[[int], int]:
    """Return what draws the numbers of one CPU, or of one fault, for a seed: a function of a count of bits.

    => The same in every process and on every interpreter here: seeding by a text does not go by hash().
    """
    return random.Random(f"{seed}/{who}").getrandbits


def program(seed: int, cpu: int) -> Iterator[int]:
    """Yield the steps of a CPU's program."""
    bits = draw(seed, cpu)
    while True:
        yield bits(64)


def kind_of(step: int) -> str:
    """Return what a step does."""
    return KINDS[TABLE[step & MASK]]


def listing(seed: int, cpu: int, steps: int) -> list[str]:
    """Return the first steps of a program as text."""
    return [described(step) for step in itertools.islice(program(seed, cpu), steps)]


def described(step: int) -> str:
    """Return a step as text: what it does, and the number that says how."""
    return f"{kind_of(step)} {step >> KIND_BITS:#x}"

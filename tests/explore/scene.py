"""What a model is: a scene in which a few threads do short programs to the shipped code, and what must hold then.

=> A program is text: the threads' operations, `alloc.free/redistribute/timer`. Each scene says which operations each
   of its threads may do; tests let hypothesis write the programs, the explorer decides who runs when.
=> A scene is built anew for every schedule, with no switch point in its set-up and in its final checks.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from tests.explore.machine import ExploreMachine

Program = tuple[tuple[str, ...], ...]
"""The operations of each thread, in order."""

Spawn = Callable[..., object]
"""The explorer's spawn(function, *arguments, name=...): a thread that it schedules."""

IDLE_S = 1.0
"""Of the explorer's own time, which passes only when no thread can run."""

IDLE_MAX = 20
"""How often the world may have to help; a program has a tenth of the operations that this could be needed for."""


class Scene:
    """One run of a model: made, played by a thread for each part of the program, checked.

    => `PARTS`: for each thread the operations that it may do: words, each a method, called with the thread's
       number.
    """

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = ()

    machine: ExploreMachine

    def do(self, thread: int, word: str) -> None:
        """Do one operation of a thread's part."""
        getattr(self, word)(thread)

    def begin(self) -> None:
        """Start the threads of the system itself, if it has any."""

    def idle(self) -> bool:
        """Do what the world outside does when no thread can run; False: nothing, whoever sleeps sleeps for ever."""
        return False

    def end(self) -> None:
        """End them; all parts are over."""

    def drop(self) -> None:
        """Let go of what a run that failed has left open; no lock may be asked for."""

    def check(self) -> None:
        """Check what must hold in the end."""
        raise AssertionError("a scene checks something")

    def play(self, program: Program, spawn: Spawn) -> None:
        """Let every thread do its part; returns when all are done."""
        playing = [thread for thread, ops in enumerate(program) if ops]
        left = len(playing)
        over = threading.Event()

        def part(thread: int) -> None:
            nonlocal left
            for op in program[thread]:
                self.do(thread, op)
            left -= 1
            if left == 0:
                over.set()

        self.begin()
        for thread in playing:
            spawn(part, thread, name=f"part/{thread}")
        for _ in range(IDLE_MAX if playing else 0):
            if over.wait(IDLE_S) or not self.idle():
                break
        if playing:
            over.wait()  # if it never comes, the explorer reports the deadlock
        self.end()

    def at_rest(self) -> None:
        """Return when no other thread can run."""
        threading.Event().wait(IDLE_S)


@dataclass(frozen=True)
class Model:
    """A scene with a name, and how it is explored.

    => `programs` are the ones that a person would try. `ops_max`: the longest part that is written for a thread.
    => `exhaust`: programs that are small enough to try every schedule with two preemptions.
    => `grain`: between what threads switch, "locks", "lines" or "instructions" (tests/explore/explorer.py), in the
       files and folders `traced`.
    """

    name: str
    scene: Callable[[], Scene]
    parts: tuple[tuple[str, ...], ...]
    programs: tuple[str, ...]
    exhaust: tuple[str, ...] = ()
    ops_max: int = 3
    grain: str = "lines"
    traced: tuple[str, ...] = ("uvmfree",)

    def random_program(self, rng: random.Random) -> Program:
        """Write a program at random."""
        lengths = [rng.randint(1, self.ops_max) if ops else 0 for ops in self.parts]
        return tuple(tuple(rng.choices(ops, k=k)) for ops, k in zip(self.parts, lengths, strict=True))


def parsed(model: Model, text: str) -> Program:
    """Read a program; ValueError names what the model does not know."""
    program = tuple(tuple(filter(None, part.split("."))) for part in text.split("/"))
    if len(program) != len(model.parts):
        raise ValueError(f"{text!r}: {model.name} has {len(model.parts)} threads, divided by '/'")
    for part, ops in zip(program, model.parts, strict=True):
        for op in part:
            if op not in ops:
                raise ValueError(f"{text!r}: no operation is called {op!r} there; there are {', '.join(ops)}")
    return program


def written(program: Program) -> str:
    """Return a program as text."""
    return "/".join(".".join(part) for part in program)

"""The watchdog of a stress run: tells that nothing gets on any more, and what everybody is doing then.

=> It is asked by a thread that takes none of the system's locks, so that a hang does not reach it.
=> Time counts as far as threads could do something in it. The watchdog's own thread waits for its turns as all others
   do: where one comes late, on a host or behind a GIL that many want, all came late, and no more of it counts than it
   was to take. Where all threads wait for each other every turn is in time.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from uvmfree.kern.lockwatch import LockState
from uvmfree.machine.threads import ThreadStack

PATIENCE_S: Final = 5.0
"""Without any progress for so long a run hangs: fifty times the longest stall, and longer than an access waits."""

ONE_CPU: Final = 4
"""A single CPU may stand still for so many times as long: it waits for pages that others have."""

FRAMES_MAX: Final = 40
"""Frames of a stack that are shown, the innermost."""


class Watchdog:
    """Looks at numbers that go up as long as anything gets on.

    => `total()` is for all together; `each()` has one number for each CPU, or none while CPUs may rest.
    => `turn_s`: how much of the time between two questions counts at most.
    """

    def __init__(
        self,
        clock_ns: Callable[[], int],
        total: Callable[[], int],
        each: Callable[[], Sequence[int]],
        patience_s: float = PATIENCE_S,
        turn_s: float = math.inf,
    ) -> None:
        self._clock_ns, self._total, self._each = clock_ns, total, each
        self._patience_s, self._turn_s = patience_s, turn_s
        self._asked_ns = clock_ns()
        self._counted_s = 0.0  # the time that counts, since the beginning
        self._seen, self._seen_s = total(), 0.0
        self._cpus: dict[int, tuple[int, float]] = {}  # CPU -> its number, and when it last changed

    def still(self) -> str | None:
        """Return what stands still, in words, or None; to be asked now and then."""
        now_s = self._count()
        if (total := self._total()) != self._seen:
            self._seen, self._seen_s = total, now_s
        if now_s - self._seen_s > self._patience_s:
            return f"no progress for {self._patience_s:g} s"
        each = self._each()
        if not each:
            self._cpus = {}
        for cpu, done in enumerate(each):
            before, since_s = self._cpus.get(cpu, (-1, now_s))
            if done != before:
                self._cpus[cpu] = (done, now_s)
            elif now_s - since_s > ONE_CPU * self._patience_s:
                return f"CPU {cpu} has stood still for {ONE_CPU * self._patience_s:g} s"
        return None

    def _count(self) -> float:
        now_ns = self._clock_ns()
        self._counted_s += min((now_ns - self._asked_ns) / 1e9, self._turn_s)
        self._asked_ns = now_ns
        return self._counted_s


def lock_lines(states: Sequence[LockState], names: dict[int, str]) -> Iterator[str]:
    """Yield a line for each lock that is held or waited for; `names`: of threads."""
    for state in states:
        if state.holder is None and not state.waiters:
            continue
        holder = "nobody" if state.holder is None else _who(*state.holder, names)
        waiters = ", ".join(_who(thread, caller, names) for thread, caller in state.waiters) or "nobody waits"
        yield f"{state.name}: held by {holder}; waiting: {waiters}"


def stack_lines(stacks: Sequence[ThreadStack]) -> Iterator[str]:
    """Yield the lines of every thread's stack, the outermost frame first."""
    for stack in sorted(stacks, key=lambda stack: stack.name):
        yield f"thread {stack.name} ({stack.ident}):"
        for frame in stack.frames[-FRAMES_MAX:]:
            yield from ("  " + line for line in frame.rstrip().splitlines())


def _who(thread: int, caller: str, names: dict[int, str]) -> str:
    return f"{names.get(thread, thread)} ({caller})"

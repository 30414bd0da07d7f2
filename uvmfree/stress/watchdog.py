"""The watchdog of a stress run: tells that nothing gets on any more, and what everybody is doing then.

=> It is asked by a thread that takes none of the system's locks, so that a hang does not reach it.
=> Time counts as far as threads could do something in it. Threads of the host are asked, while nothing gets on, what
   they got of its processors: time in which none of them waited for one counts, and else the share that they got of
   what they wanted; but a half at least, so that a hang is reported however busy the host is. A thread that has
   started or ended since is progress.
=> Where the system does not tell, and in virtual time, the watchdog's own turns have to do: where one comes late, all
   came late, and no more of it counts than it was to take. It does not tell enough: who sleeps for long is woken
   before those who are always ready.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from uvmfree.kern.lockwatch import LockState
from uvmfree.machine.face import Stack
from uvmfree.stress.turns_got import Got

PATIENCE_S: Final = 5.0
"""Without any progress for so long a run hangs: fifty times the longest stall, and longer than an access waits."""

LEAST: Final = 0.5
"""The share of the host's time that counts however little the threads got: of many, one gets on in so long."""

ONE_CPU: Final = 4
"""A single CPU may stand still for so many times as long: it waits for pages that others have."""

ASKED: Final = 10
"""How often in the time of its patience the watchdog asks what the threads got, while nothing gets on."""

CPU_STEPS_S: Final = 10.0
"""Steps a second of each CPU, on average, with which time counts in full for one that stands still: 128 CPUs do four
times as many on two processors of their own. Where the others get on less, it has less of its turns."""

FRAMES_MAX: Final = 40
"""Frames of a stack that are shown, the innermost."""


class Watchdog:
    """Looks at numbers that go up as long as anything gets on.

    => `total()` is for all together; `each()` has one number for each CPU, or none while CPUs may rest.
    => `turn_s`: how much of the time between two questions counts at most.
    => `got()`: what the threads got of the host's processors, or None where nobody knows.
    """

    def __init__(
        self,
        clock_ns: Callable[[], int],
        total: Callable[[], int],
        each: Callable[[], Sequence[int]],
        patience_s: float = PATIENCE_S,
        turn_s: float = math.inf,
        got: Callable[[], Got | None] = lambda: None,
    ) -> None:
        self._clock_ns, self._total, self._each = clock_ns, total, each
        self._patience_s, self._turn_s = patience_s, turn_s
        self._got = got
        self._asked_ns = clock_ns()
        self._knows = got() is not None
        self._counted_s = 0.0  # the time that counts for a single CPU, since the beginning
        self._seen, self._still_s = total(), 0.0  # and the time that has counted since anything got on
        self._since: Got | None = None  # what the threads had got when they were last asked; None: not since then
        self._owed_s = 0.0  # time since then
        self._cpus: dict[int, tuple[int, float]] = {}  # CPU -> its number, and when it last changed
        self._steps = 0  # of all CPUs

    def still(self) -> str | None:
        """Return what stands still, in words, or None; to be asked now and then."""
        now_ns = self._clock_ns()
        passed_s, self._asked_ns = (now_ns - self._asked_ns) / 1e9, now_ns
        if (total := self._total()) != self._seen:
            self._seen = total
            self._got_on()
        elif self._knows:
            self._ask(passed_s)
        else:
            self._still_s += min(passed_s, self._turn_s)
        if self._still_s > self._patience_s:
            return f"no progress for {self._patience_s:g} s"
        each = self._each()
        now_s = self._count(passed_s, each)
        if not each:
            self._cpus = {}
        for cpu, done in enumerate(each):
            before, since_s = self._cpus.get(cpu, (-1, now_s))
            if done != before:
                self._cpus[cpu] = (done, now_s)
            elif now_s - since_s > ONE_CPU * self._patience_s:
                return f"CPU {cpu} has stood still for {ONE_CPU * self._patience_s:g} s"
        return None

    def _got_on(self) -> None:
        self._still_s = self._owed_s = 0.0
        self._since = None

    def _ask(self, passed_s: float) -> None:
        """Count what the threads could have done since they were last asked, if that was long ago."""
        self._owed_s += passed_s
        if self._owed_s < self._patience_s / ASKED or (got := self._got()) is None:
            return
        before, owed_s = self._since, self._owed_s
        if before is not None and got.threads != before.threads:
            self._got_on()
        elif before is None:
            self._still_s += LEAST * owed_s
        else:
            waited_s = max(0.0, (got.waited_ns - before.waited_ns) / 1e9)
            ran_s = max(0.0, (got.ran_ns - before.ran_ns) / 1e9)
            # Threads that wake and sleep again want processors too: what gets on has the same share as they have.
            share = ran_s / (ran_s + waited_s) if waited_s else 1.0
            self._still_s += max(owed_s - waited_s, max(share, LEAST) * owed_s)
        self._since, self._owed_s = got, 0.0

    def _count(self, passed_s: float, each: Sequence[int]) -> float:
        """Return the time that counts for a CPU that stands still while others get on."""
        counts_s = min(passed_s, self._turn_s)
        steps = sum(each)
        if self._knows and each:
            counts_s = min(counts_s, max(0, steps - self._steps) / (CPU_STEPS_S * len(each)))
        self._steps = steps
        self._counted_s += counts_s
        return self._counted_s


def lock_lines(states: Sequence[LockState], names: dict[int, str]) -> Iterator[str]:
    """Yield a line for each lock that is held or waited for; `names`: of threads."""
    for state in states:
        if state.holder is None and not state.waiters:
            continue
        holder = "nobody" if state.holder is None else _who(*state.holder, names)
        waiters = ", ".join(_who(thread, caller, names) for thread, caller in state.waiters) or "nobody waits"
        yield f"{state.name}: held by {holder}; waiting: {waiters}"


def stack_lines(stacks: Sequence[Stack]) -> Iterator[str]:
    """Yield the lines of every thread's stack, the outermost frame first."""
    for stack in sorted(stacks, key=lambda stack: stack.name):
        yield f"thread {stack.name} ({stack.ident}):"
        for frame in stack.frames[-FRAMES_MAX:]:
            yield from ("  " + line for line in frame.rstrip().splitlines())


def _who(thread: int, caller: str, names: dict[int, str]) -> str:
    return f"{names.get(thread, thread)} ({caller})"

"""The watchdog of a stress run: tells that nothing gets on any more, and what everybody is doing then.

=> It is asked by a thread that takes none of the system's locks, so that a hang does not reach it.
"""

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
    """

    def __init__(
        self,
        clock_ns: Callable[[], int],
        total: Callable[[], int],
        each: Callable[[], Sequence[int]],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._clock_ns, self._total, self._each = clock_ns, total, each
        self._patience_s = patience_s
        self._seen = total()
        self._seen_ns = clock_ns()
        self._cpus: dict[int, tuple[int, int]] = {}  # CPU -> its number, and when it last changed

    def still(self) -> str | None:
        """Return what stands still, in words, or None; to be asked now and then."""
        now_ns = self._clock_ns()
        if (total := self._total()) != self._seen:
            self._seen, self._seen_ns = total, now_ns
        if now_ns - self._seen_ns > self._patience_s * 1e9:
            return f"no progress for {self._patience_s:g} s"
        each = self._each()
        if not each:
            self._cpus = {}
        for cpu, done in enumerate(each):
            before, since_ns = self._cpus.get(cpu, (-1, now_ns))
            if done != before:
                self._cpus[cpu] = (done, now_ns)
            elif now_ns - since_ns > ONE_CPU * self._patience_s * 1e9:
                return f"CPU {cpu} has stood still for {ONE_CPU * self._patience_s:g} s"
        return None


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

"""Time that counts for the threads of a stress run: as far as they had a processor, they could do something in it.

=> On a host that others use, a thread may be ready for seconds and get a processor for milliseconds. From Linux 6.18
   on that is so beside one busy loop for each processor: a free-threaded interpreter yields some forty times before
   it sleeps for a lock, and each sched_yield() gives the rest of a slice away.
"""

from collections.abc import Callable
from typing import Final

LEAST: Final = 0.25
"""The share of the host's time that counts however little the threads got: so every wait has its end."""


class TimeThatCounts:
    """Adds up what counts of a machine's time, since it was made.

    => `processor_ns()`: the processor time that the threads got, all together; None on a machine of its own time,
       which counts in full.
    => `least`: what share counts at least. `turn_ns`: how much counts at most between two questions.
    """

    def __init__(
        self,
        clock_ns: Callable[[], int],
        processor_ns: Callable[[], int] | None,
        least: float = LEAST,
        turn_ns: int | None = None,
    ) -> None:
        self._clock_ns, self._processor_ns, self._least, self._turn_ns = clock_ns, processor_ns, least, turn_ns
        self._asked_ns, self._got_ns = clock_ns(), processor_ns() if processor_ns else 0
        self._counted_ns = 0

    def ns(self) -> int:
        """Return the time that has counted until now; to be asked now and then."""
        now_ns = self._clock_ns()
        passed_ns = now_ns - self._asked_ns
        counts_ns, self._asked_ns = passed_ns, now_ns
        if self._processor_ns is not None:
            got_ns = self._processor_ns()
            counts_ns = min(passed_ns, max(got_ns - self._got_ns, round(self._least * passed_ns)))
            self._got_ns = got_ns
        if self._turn_ns is not None:
            counts_ns = min(counts_ns, self._turn_ns)
        self._counted_ns += counts_ns
        return self._counted_ns

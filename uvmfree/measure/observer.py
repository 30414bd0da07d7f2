"""The observer: a thread that looks at a running system now and then, as an administrator would.

=> Reads lengths and counters without a lock; only the lag of uvmexp.free is read under uvm_fpageqlock, which
   lockstat counts under the caller `observer` so that it can be left out of a run's figures.
=> What it reports are peaks over its samples, and the samples (measure/samples.py). A peak between two samples is
   missed, so they are lower bounds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from uvmfree.errors import HangError
from uvmfree.measure.counterfile import CounterFile
from uvmfree.measure.host import gil_enabled
from uvmfree.measure.machine_facts import VIRTUAL
from uvmfree.measure.samples import Sampler, look
from uvmfree.uvm.pageout import WAIT_BUCKETS
from uvmfree.uvm.system import Uvm

INTERVAL_S: Final = 0.004
"""Time between samples: at most 250 a second."""

GIL_INTERVAL_S: Final = 0.020
"""The same with the GIL: each sample stops the CPUs for some 0.2 ms, most of which is the way from one thread to the
other and back; every 4 ms that would cost 2.5 % of what local hits do (bench/observer_cost.py)."""

VIRTUAL_INTERVAL_S: Final = 0.001
"""The same in virtual time, where looking costs no CPU anything."""

_JOIN_S: Final = 10.0


def interval_s(*, gil: bool, virtual: bool = False) -> float:
    """Return how far samples are apart, in seconds; a busy machine takes them later."""
    if virtual:
        return VIRTUAL_INTERVAL_S
    return GIL_INTERVAL_S if gil else INTERVAL_S


@dataclass(slots=True)
class Seen:
    """What an observer saw; written by its thread, to be read after `watch` has ended.

    => `stranded_pages_max`: the most pages that some CPU could not reach, in the caches of the others.
    => `cached_pages_max`: the most pages in all caches together.
    => `lag_pages_max`: the largest gap between uvmexp.free and the pages on the global list, either way.
    => `beside_free_ns_max`, `beside_free_hist`: spells in which somebody waited for pages while the global list had
       some above the kernel reserve (Q6): the longest, and bucket b counts spells s with s.bit_length() == b, in ns.
       A spell ends when the waiters are woken, or the pages are gone. One that began after a sample is counted from
       the next, so that up to interval_s() is missing.
    => `gap_pages_max`: the largest gap between uvmexp.free and all free pages, cached ones included.
    """

    samples: int = 0
    stranded_pages_max: int = 0
    cached_pages_max: int = 0
    lag_pages_max: int = 0
    gap_pages_max: int = 0
    beside_free_ns_max: int = 0
    beside_free_hist: list[int] = field(default_factory=lambda: [0] * WAIT_BUCKETS)

    def add(self, cached: tuple[int, ...], lag: int) -> None:
        """Note one sample."""
        self.samples += 1
        self.cached_pages_max = max(self.cached_pages_max, sum(cached))
        self.stranded_pages_max = max(self.stranded_pages_max, sum(cached) - min(cached))
        self.lag_pages_max = max(self.lag_pages_max, abs(lag))
        self.gap_pages_max = max(self.gap_pages_max, abs(sum(cached) - lag))


class Waiters:
    """Follows those who wait for pages while there are some, from sample to sample."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._spell: tuple[int, int] | None = (
            None  # the spell that goes on: its beginning, and the wakeups until then
        )

    def sample(self, uvm: Uvm) -> None:
        """Look once."""
        now_ns, wakeups = uvm.machine.clock_ns(), uvm.pageout.wakeups
        beside = uvm.pageout.waiters > 0 and uvm.uvmexp.free > uvm.uvmexp.reserve_kernel
        if self._spell is not None and (not beside or self._spell[1] != wakeups):
            spell_ns, self._spell = now_ns - self._spell[0], None
            self._seen.beside_free_ns_max = max(self._seen.beside_free_ns_max, spell_ns)
            self._seen.beside_free_hist[min(spell_ns.bit_length(), WAIT_BUCKETS - 1)] += 1
        if beside and self._spell is None:
            self._spell = (now_ns, wakeups)


class Observation:
    """What an observer has: the peaks, and the samples; to be read after `watch` has ended."""

    def __init__(self, uvm: Uvm, counterfile: CounterFile | None) -> None:
        self.seen = Seen()
        self._counterfile = counterfile
        self.samples = Sampler(uvm.machine.clock_ns(), uvm.param.ncpus)
        self._waiters = Waiters(self.seen)

    def look(self, uvm: Uvm) -> None:
        """Take one sample."""
        self._waiters.sample(uvm)
        seen = look(uvm)
        self.seen.add(seen.cached, seen.lag)
        self.samples.add(seen)
        if self._counterfile is not None:
            self._counterfile.publish(uvm, seen.cached, seen.lag)


@contextmanager
def watch(uvm: Uvm, counterfile: CounterFile | None = None) -> Iterator[Observation]:
    """Observe a system for the length of a `with` block, and once more at its end.

    => `counterfile`: where others can see what is observed; the caller closes it.
    => HangError if the observer does not end.
    """
    observation = Observation(uvm, counterfile)
    over = uvm.machine.raw_lock()
    over.acquire()

    def body() -> None:
        every_s = interval_s(gil=gil_enabled(), virtual=uvm.machine.name == VIRTUAL)
        while not over.acquire(True, every_s):
            observation.look(uvm)

    task = uvm.machine.spawn("observer", body)
    try:
        yield observation
    finally:
        over.release()
        if not task.join(_JOIN_S):
            raise HangError(f"the observer did not end within {_JOIN_S:.0f} s")
    if task.error is not None:
        raise task.error
    observation.look(uvm)

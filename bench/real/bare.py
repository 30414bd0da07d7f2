"""A bare lock in virtual time: CPUs that work, and take and drop one lock."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from uvmfree.kern.lockrank import LockRank
from uvmfree.machine.costs import Costs
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.scheduler import NEVER

BARE: Final = LockRank(2, "bare", "nothing", "")


@dataclass(frozen=True, slots=True)
class Bare:
    """What a bare lock came to after the warm-up; times are virtual nanoseconds.

    => `longer`: acquisitions that waited longer than bare_lock() was told.
    """

    locks: int
    waited_ns: float
    elapsed_ns: float
    ncpus: int
    longer: int = 0

    @property
    def per_us(self) -> float:
        """Acquisitions in a microsecond, of all CPUs."""
        return 1000 * self.locks / self.elapsed_ns

    @property
    def mean_wait_ns(self) -> float:
        """Of an acquisition; the transfer of the line is no wait."""
        return self.waited_ns / self.locks

    @property
    def per_lock_ns(self) -> float:
        """Of a CPU, from one acquisition to its next."""
        return self.ncpus * self.elapsed_ns / self.locks

    @property
    def longer_share(self) -> float:
        """Of the acquisitions, those that waited longer."""
        return self.longer / self.locks

    @property
    def wait_share(self) -> float:
        """Of all CPUs' time, what went into waiting."""
        return self.waited_ns / (self.elapsed_ns * self.ncpus)


def bare_lock(
    policy: str,
    ncpus: int,
    outside: Callable[[random.Random], float],
    costs: Costs,
    locks: int,
    seed: int = 1,
    longer_ns: int = NEVER,
) -> Bare:
    """Let CPUs work for a drawn time, and take and drop one lock, until it was taken so often after a warm-up."""
    machine = VirtualMachine(ncpus=ncpus, costs=costs, lock=policy, seed=seed)
    mutex, dice = machine.mutex(BARE), random.Random(seed)
    warm, move_ns = min(200 * ncpus, 20_000), costs.ns("line_socket")
    done, last, waited, began, ended, longer = 0, -1, 0, 0, 0, 0

    def player(cpu: int) -> None:
        nonlocal done, last, waited, began, ended, longer
        handle = mutex.handle("player")
        while done < warm + locks:
            machine.charge(round(outside(dice)))
            came = machine.clock_ns()
            handle.acquire()
            granted = machine.clock_ns() - (0 if last == cpu else move_ns)
            last, done = cpu, done + 1
            if done == warm:
                began = granted
            if warm < done <= warm + locks:
                waited += granted - came
                longer += granted - came > longer_ns
                ended = granted
            handle.release()

    tasks = [machine.spawn(f"cpu{cpu}", partial(player, cpu), cpu) for cpu in range(ncpus)]
    machine.wait_for(tasks, lambda: False)
    return Bare(locks, waited, ended - began, ncpus, longer)

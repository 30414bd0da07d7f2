"""What the threads of this process got of the host's processors, and how long they were ready and got none.

=> Source: /proc/PID/task/TID/schedstat of Linux (Documentation/scheduler/sched-stats.rst).
"""

import os
from dataclasses import dataclass
from typing import Final

TASKS: Final = "/proc/self/task"
ME: Final = "/proc/thread-self"
"""A link to PID/task/TID of whoever reads it."""


@dataclass(frozen=True, slots=True)
class Got:
    """The sums over all threads but the main one and the one that asks: those only look.

    => `threads`: which they were. `ran_ns`: on a processor. `waited_ns`: ready, and on none.
    """

    threads: frozenset[int]
    ran_ns: int
    waited_ns: int


def got(tasks: str = TASKS) -> Got | None:
    """Read it; None where the system does not tell.

    => Opens a file for each thread: some milliseconds with hundreds of them.
    """
    threads, ran_ns, waited_ns = set(), 0, 0
    try:
        only_look = {os.getpid(), int(os.readlink(ME).rpartition("/")[2])}
        listed = [int(name) for name in os.listdir(tasks)]
    except OSError:
        return None
    for thread in listed:
        if thread in only_look:
            continue
        try:
            with open(f"{tasks}/{thread}/schedstat", "rb", buffering=0) as file:
                ran, waited, _ = file.read(128).split()
        except FileNotFoundError:
            if os.path.exists(f"{tasks}/{thread}"):
                return None  # a kernel that keeps no such statistics
            continue  # it has ended since
        except (OSError, ValueError):
            continue
        threads.add(thread)
        ran_ns += int(ran)
        waited_ns += int(waited)
    return Got(frozenset(threads), ran_ns, waited_ns)

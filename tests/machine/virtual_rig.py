"""A small virtual machine for hand-computed schedules: round figures, no jitter, two levels of distance.

=> Everything takes the machine's class as an argument, so that it runs on a scheduler with a bug in it, too.
"""

from collections.abc import Callable, Iterable
from typing import Any

from uvmfree.kern.lockrank import LockRank
from uvmfree.machine.costs import Costs, costs_for

BIG = LockRank(2, "big", "nothing", "")
OWN = LockRank(1, "own", "nothing", "", kind="cpu")
OUTER = LockRank(0, "outer", "nothing", "")

ACQUIRE, RELEASE, LINE, HOLD = 10, 5, 100, 200
UNDER = HOLD + RELEASE
"""What a hold takes beside the transfers: one of the lock's line before it, one of the data's under it."""


def costs(**more: float) -> Costs:
    """Return figures that are easily added up."""
    figures = {
        "sockets": 2,
        "socket_cores": 4,
        "complex_cores": 4,
        "core_threads": 1,
        "line_complex": LINE,
        "line_socket": LINE,
        "line_remote": 3 * LINE,
        "line_memory": 0,
        "lock_acquire": ACQUIRE,
        "lock_release": RELEASE,
        "other_hold": HOLD,
        "other_lines": 1,
        "atomic": 20,
        "wakeup": 1000,
        "spin_pause": 10,
        "backoff_min": 4,
        "backoff_max": 16,
        "ticket_spinner": 7,
        "sleep_spin": 50,
        "sleep_wake": 30,
        "jitter_percent": 0,
    }
    return costs_for("xeon-2s", **{**figures, **more})


def machine_of(cls: Callable[..., Any], lock: str = "mcs", **more: Any) -> Any:
    return cls(**{"ncpus": 8, "costs": costs(), "lock": lock, "check": True, **more})


def run(machine: Any, bodies: Iterable[tuple[int | None, Callable[[], None]]]) -> None:
    """Run one strand for each body, on its CPU; raise what one of them raised."""
    tasks = [machine.spawn(f"s{number}", body, cpu) for number, (cpu, body) in enumerate(bodies)]
    for task in tasks:
        assert task.join(10.0), f"{task.name} has not ended"
    for task in tasks:
        if task.error is not None:
            raise task.error


def schedule(machine: Any, arrivals: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Let each (CPU, time) take one shared lock once; return (CPU, came into the hold, dropped), as it happened."""
    mutex = machine.mutex(BIG)
    seen: list[tuple[int, int, int]] = []

    def body(cpu: int, at: int) -> Callable[[], None]:
        handle = mutex.handle(f"cpu{cpu}")

        def take() -> None:
            machine.charge(at)
            handle.acquire()
            inside = machine.clock_ns()
            handle.release()
            seen.append((cpu, inside, machine.clock_ns()))

        return take

    run(machine, [(cpu, body(cpu, at)) for cpu, at in arrivals])
    return sorted(seen, key=lambda one: one[1])

"""Claim: the virtual machine tells what two threads of native code do, from what one thread does.

bench/native.c measures what a line transfer, a lock pair, an atomic add, PAUSE, a page of zeros, a struct that
no cache holds and a wakeup cost on this host. It runs the lock and list steps of the two designs: one lock around
everything (fpageqlock); a list and a lock for each thread, filled from the global one (percpu). The virtual machine
then plays the same steps on two CPUs.

How: fitted are figures of one thread, and the transfer of a line between two: outside, hold, what a miss takes.
Nothing that two threads did at a lock is fitted. Series are interleaved, configuration by configuration. A series'
value is the median of short windows; what is judged is the median of the series.

What could fool it: a busy host: windows in which the kernel took a processor away are left out, but what others do to
caches and clock is in them. Two processors that are threads of one core share an L1: then no line is transferred, and
nothing here can be judged; the script says which it is. The hypervisor may hide either.

`--toml FILE` writes the measured costs as a set for `uvmfree costs FILE` and `--costs FILE`.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.harness import Claim, Record, main, spread
from uvmfree.kern.lockrank import UVM_CPU, UVM_FPAGEQLOCK
from uvmfree.machine.costs import Costs, costs_for
from uvmfree.machine.virtual.machine import VirtualMachine

SOURCE: Final = Path(__file__).resolve().with_suffix(".c")

LOCKS: Final = ("ttas", "ticket", "mcs")

WITHIN: Final = Claim(
    "native-2-threads-off-percent", "two native threads, predicted from one: the largest difference", "percent", 15.0
)

BURST: Final = 64
"""Pages that a thread takes before it frees them again."""

OPS, WARM_OPS = 6000, 400
"""Operations of a virtual CPU that count, and those before them that do not."""


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration; nanoseconds. `refill`: of percpu, whose misses it sets; shared has none."""

    design: str
    lock: str
    hold_ns: int
    outside_ns: int
    refill: int = 1
    burst: int = BURST

    def __str__(self) -> str:
        what = "one lock" if self.design == "shared" else f"percpu, refill {self.refill}"
        return f"{what}, {self.lock}, hold +{self.hold_ns}, outside {self.outside_ns}"

    @property
    def alone(self) -> "Point":
        """The same work outside, and lists and a lock that nobody else has, and no miss."""
        return Point("percpu", "ttas", 0, self.outside_ns, 8, 8)


IDLE: Final = Point("percpu", "ttas", 0, 0, 8, 8)

POINTS: Final = tuple(
    point
    for lock in LOCKS
    for point in (
        *(Point("shared", lock, hold, outside) for hold, outside in ((50, 200), (200, 1000))),
        *(Point("percpu", lock, 0, 300, refill) for refill in (1, 32)),
    )
)

SMOKE_POINTS: Final = (Point("shared", "mcs", 200, 1000),)


class Native:
    """The built program, in a folder that goes with it."""

    def __init__(self) -> None:
        cc = shutil.which("cc")
        if cc is None:
            raise FileNotFoundError("no C compiler called cc")
        self._folder = tempfile.TemporaryDirectory()
        self._program = str(Path(self._folder.name) / "steps")
        subprocess.run([cc, "-std=gnu11", "-O2", "-pthread", "-o", self._program, str(SOURCE)], check=True)

    def close(self) -> None:
        """Remove it."""
        self._folder.cleanup()

    def costs(self) -> dict[str, float]:
        """Measure what single steps cost, in nanoseconds."""
        pairs = (line.split() for line in self._run("costs"))
        return {name: float(value) for name, value in pairs}

    def steps(self, point: Point, threads: int) -> float:
        """Return nanoseconds an operation and thread."""
        numbers = (threads, point.hold_ns, point.outside_ns, point.refill, point.burst)
        return statistics.median(float(line) for line in self._run("run", point.design, point.lock, *numbers))

    def _run(self, *args: object) -> list[str]:
        ran = subprocess.run(
            [self._program, *map(str, args)], capture_output=True, text=True, timeout=120, check=False
        )
        if ran.returncode:
            raise OSError(ran.stderr.strip())
        return ran.stdout.splitlines()


def siblings() -> str:
    """Say whether the first two processors share a core, as far as the kernel knows."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return "one processor: nothing of two threads can be measured"
    file = Path(f"/sys/devices/system/cpu/cpu{allowed[0]}/topology/thread_siblings_list")
    listed = file.read_text().strip() if file.exists() else ""
    if not listed:
        return "it is not known whether the two processors are threads of one core"
    return (
        "the two processors are THREADS OF ONE CORE: they share an L1, and no line is transferred between them"
        if str(allowed[1]) in listed.replace("-", ",").split(",")
        else "the two processors are cores of their own, as far as the (perhaps virtual) host says"
    )


class Struct:
    """A page of the model; who stores to `list` fetches its line."""

    __slots__ = ("list",)

    def __init__(self) -> None:
        self.list: object = None


def modelled(point: Point, threads: int, costs: Costs, seed: int = 1) -> tuple[float, float]:
    """Play the steps on virtual CPUs; return ns an operation and CPU, and shared acquisitions an operation."""
    machine = VirtualMachine(ncpus=threads, costs=costs, lock=point.lock, seed=seed, lockstat=True)
    page = machine.lined(Struct, "list")
    shared, lock = [page() for _ in range(4096)], machine.mutex(UVM_FPAGEQLOCK)
    spent: list[int] = []
    done: list[int] = []
    over = False

    def player(index: int) -> None:
        nonlocal over
        take, give = lock.handle("uvm_pagealloc"), lock.handle("uvm_pagefree")
        own_lock = machine.mutex(UVM_CPU, index)
        own_take, own_give = own_lock.handle("uvm_pagealloc"), own_lock.handle("uvm_pagefree")
        own: list[Struct] = []
        held: list[Struct] = []
        freeing, ops, began = False, 0, 0

        def move(to: list[Struct], out: list[Struct], pages: int) -> None:
            for _ in range(pages):
                one = out.pop()
                one.list = to
                to.append(one)

        while ops < WARM_OPS + OPS and not over:
            if ops == WARM_OPS:
                began = machine.clock_ns()
            if point.design == "shared":
                handle = give if freeing else take
                handle.acquire()
                move(*((shared, held) if freeing else (held, shared)), 1)
                handle.release()
            elif freeing:
                own_give.acquire()
                move(own, held, 1)
                if len(own) > 2 * point.refill:
                    give.acquire()
                    move(shared, own, point.refill)
                    give.release()
                own_give.release()
            else:
                own_take.acquire()
                if not own:
                    take.acquire()
                    move(own, shared, point.refill)
                    take.release()
                move(held, own, 1)
                own_take.release()
            freeing = len(held) == point.burst or (freeing and bool(held))
            machine.charge(costs.ns("other_hold"))
            ops += 1
        over = True
        spent.append(machine.clock_ns() - began)
        done.append(ops - WARM_OPS)

    tasks = [machine.spawn(f"cpu{index}", partial(player, index), index) for index in range(threads)]
    machine.wait_for(tasks, lambda: False)
    for task in tasks:
        if (error := getattr(task, "error", None)) is not None:
            raise error
    taken = sum(one.acquired for one in lock.snapshot())
    return sum(spent) / sum(done), taken / (sum(done) + WARM_OPS * threads)


def figures(costs: Mapping[str, float]) -> dict[str, float]:
    """Turn what was measured into figures of a table of costs."""
    return {
        "sockets": 1,
        "socket_cores": 2,
        "complex_cores": 2,
        "core_threads": 1,
        "line_complex": costs["line_cas"],
        "line_socket": costs["line_cas"],
        "line_remote": costs["line_cas"],
        "line_memory": costs["line_memory"],
        "lock_acquire": round(costs["pair_ttas"] * 3 / 4, 2),
        "lock_release": round(costs["pair_ttas"] / 4, 2),
        "atomic": costs["atomic"],
        "spin_pause": costs["spin_pause"],
        "wakeup": costs["wakeup"],
        "zero_page": costs["zero_page"],
    }


def fitted(point: Point, one: Mapping[Point, float], costs: Mapping[str, float]) -> Costs:
    """Return a table for a configuration, from what one thread took in it, alone, and without work outside."""
    pair = costs["pair_ttas"]
    step = max(0.0, one[IDLE] - pair)
    outside = max(0.0, one[point.alone] - one[IDLE])
    base = {
        **figures(costs),
        "global_outside": 0,
        "page_moved": 0,
        "cached_alloc": step,
        "cached_free": step,
        "other_hold": outside,  # what modelled() charges between operations
        "global_lines": 1,  # the line of the list's head and the counters
        "global_alloc": 0,
        "global_free": 0,
    }
    table = costs_for("one-socket").with_figures(base, "measured")
    if point.design == "shared":
        hold = one[point] - one[point.alone] + step
    else:
        _, misses = modelled(point, 1, table)
        hold = (one[point] - one[point.alone]) / misses - costs[f"pair_{point.lock}"] if misses else 0.0
    return table.with_figures({"global_alloc": max(0.0, hold), "global_free": max(0.0, hold)}, "fitted on one thread")


@dataclass(frozen=True, slots=True)
class Predicted:
    """What two threads did and were said to do, in nanoseconds an operation and thread, of all series."""

    point: Point
    measured: tuple[float, ...]
    predicted: tuple[float, ...]

    @property
    def off_percent(self) -> float:
        """How far the prediction lies beside the measurement, medians."""
        return 100 * (statistics.median(self.predicted) / statistics.median(self.measured) - 1)


def predictions(
    native: Native, costs: Mapping[str, float], points: Sequence[Point], series: int
) -> Iterator[Predicted]:
    """Measure one and two threads in all configurations, series by series; yield what the virtual machine says."""
    ones: list[dict[Point, float]] = []
    twos: list[dict[Point, float]] = []
    for _ in range(series):
        wanted = dict.fromkeys([IDLE, *(point.alone for point in points), *points])
        ones.append({point: native.steps(point, 1) for point in wanted})
        twos.append({point: native.steps(point, 2) for point in points})
    middle = {point: statistics.median(one[point] for one in ones) for point in ones[0]}
    for point in points:
        table = fitted(point, middle, costs)
        said = tuple(modelled(point, 2, table, seed)[0] for seed in range(1, series + 1))
        yield Predicted(point, tuple(two[point] for two in twos), said)


def toml(costs: Mapping[str, float]) -> str:
    """Write the measured costs as a set that lies over another one."""
    said = f"measured on {_model()} by bench/native.py"
    lines = [f"{name} = [{value:g}, {json.dumps(said)}]" for name, value in figures(costs).items()]
    return "\n".join(['base = "one-socket"', "[costs]", *lines, ""])


def _model() -> str:
    file = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in _lines(file) if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(names) or os.cpu_count()} processors"


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def bench(smoke: bool, toml_file: Path | None = None) -> list[Record]:
    """Measure and predict."""
    print(f"\n{_model()}: {siblings()}")
    if len(os.sched_getaffinity(0)) < 2:
        print("skipped: it needs two processors")
        return [WITHIN.unmeasured()]
    try:
        native = Native()
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"skipped: {error}")
        return [WITHIN.unmeasured()]
    try:
        costs = native.costs()
        print("\nmeasured on one thread, lines and wakeups on two; ns")
        for name, value in costs.items():
            print(f"  {name:<14} {value:>10,.1f}")
        if toml_file is not None:
            toml_file.write_text(toml(costs))
        print("\npredicted from one thread; ns an operation and thread, medians of series [min-max]")
        print(f"  {'configuration':<46} {'predicted':>22} {'measured':>22} {'off %':>7}")
        off: list[float] = []
        for one in predictions(native, costs, SMOKE_POINTS if smoke else POINTS, 1 if smoke else 5):
            off.append(one.off_percent)
            print(f"  {one.point!s:<46} {spread(one.predicted):>22} {spread(one.measured):>22} {off[-1]:>+7.1f}")
    except OSError as error:
        print(f"skipped: {error}")
        return [WITHIN.unmeasured()]
    finally:
        native.close()
    within = sum(abs(one) <= WITHIN.bound for one in off if WITHIN.bound is not None)
    print(f"\nwithin 15 %: {within} of {len(off)}")
    return [WITHIN.record([max(map(abs, off))], judged=not smoke and "ONE CORE" not in siblings())]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--toml", type=Path)
    mine, others = parser.parse_known_args()
    sys.argv[1:] = others
    sys.exit(main(__doc__, lambda smoke: bench(smoke, mine.toml)))

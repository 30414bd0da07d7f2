"""The net under a change that must change no behaviour: digests of virtual runs, taken before it and compared after.

    python -m tests.oracle.digests before.json            take them down
    python -m tests.oracle.digests before.json --check    compare; exit status 1 and the differing runs, if any

=> A run in virtual time is the same to the byte as long as nothing that it depends on changed: locks and who took
   them, counters, the order in which pages are handed out, and time, which is charged for each of these.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from uvmfree.machine.face import Task
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure import workloads
from uvmfree.uvm.boot import boot
from uvmfree.workload.driver import drive
from uvmfree.workload.trace import bundled_trace, read_trace

DESIGNS: Final[dict[str, dict[str, Any]]] = {
    "fpageqlock": {"design": "fpageqlock"},
    "percpu": {"design": "percpu"},
    "percpu refill=32": {"design": "percpu", "refill": 32},
    "percpu hoard_max=512": {"design": "percpu", "refill": 4, "hoard_max": 512},
    "percpu options": {"design": "percpu", "search": "colour", "drain_retry": True, "count_cached": True},
    "percpu remote": {"design": "percpu", "remote_drain": True, "idlezero": True},
    "fpageqlock idle": {"design": "fpageqlock", "idlezero": True},
}

CPUS: Final = (1, 2, 8)
SEEDS: Final = (1, 2)
THINK_NS: Final = 100
LONG_S: Final = 3600.0

TRACE: Final = read_trace(bundled_trace())
Made = Callable[[int], workloads.Workload]

WORKLOADS: Final[dict[str, Made]] = {
    "pingpong": lambda ncpus: workloads.pingpong(ncpus, THINK_NS),
    "handoff": lambda ncpus: workloads.handoff(2 * max(1, ncpus // 2), THINK_NS),
    "forkexit": lambda ncpus: workloads.forkexit(ncpus, THINK_NS),
    "pressure": lambda ncpus: workloads.pressure(ncpus, 0.02),
    "trace": lambda ncpus: workloads.from_trace(TRACE, ncpus=ncpus, by="task", gaps=True),
    "short trace": lambda ncpus: workloads.from_trace(TRACE, ncpus=ncpus, by="task", memory=0.5),
}

workloads.PINGPONG_PAGES, workloads.HANDOFF_PAGES, workloads.FORKEXIT_ROUNDS = 8000, 8000, 100
workloads.PRESSURE_NPAGES = 2048

SLOW: Final = ("pressure", "short trace")
"""Played with one seed."""


class _Machine(VirtualMachine):
    """A machine whose main strand does not look up now and then by the host's clock: others may sleep by that."""

    def wait_for(self, tasks: Sequence[Task], stop: Callable[[], bool]) -> bool:
        return all(task.join(LONG_S) for task in tasks)


class _Noting:
    """A Cpu that notes which pages come out of it, in the order in which they do."""

    def __init__(self, cpu: Any, note: Callable[[bytes], None]) -> None:
        self._cpu, self._note = cpu, note

    def pagealloc(self, *how: Any, **named: Any) -> Any:
        pg = self._cpu.pagealloc(*how, **named)
        self._note(b"-," if pg is None else b"%d," % pg.pfn)
        return pg

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cpu, name)


def _noting(body: Any, note: Callable[[bytes], None]) -> Any:
    return lambda cpu, lane: body(_Noting(cpu, note), lane)


def digest(how: dict[str, Any], made: Made, ncpus: int, seed: int) -> dict[str, str]:
    """Run once; return a digest of the locks, one of the counters, one of the order of the pages."""
    workload = made(ncpus)
    machine, order = _Machine(ncpus=workload.ncpus, seed=seed, lockstat=True), hashlib.sha256()
    npages = workload.npages or max(4096, workload.live_pages + 1024 * workload.ncpus)
    uvm = boot(machine, npages=npages, ncpus=workload.ncpus, lockstat=True, **how)
    load = workload.load(uvm)
    with uvm:
        drove = drive(uvm, [_noting(body, order.update) for body in load.bodies], lambda: False)
        ended_ns = machine.clock_ns()
        locks = sorted(
            (lock.name, lock.caller, astuple(lock)[2:])
            for lock in uvm.lockstat(by_caller=True)
            if lock.caller not in ("uvm_cpu_attach", "observer")
        )
        counters = (uvm.uvmexp.snapshot(), uvm.cpu_stats(), uvm.redistributions(), uvm.cached_pages(), drove.failed)
        left = [(pg.pfn, pg.place.name, pg.owner, pg.flags) for pg in uvm.physmem]
        load.settle()
        load.release()
        uvm.audit()
    said = {"locks": (ended_ns, locks), "counters": counters, "order": (order.hexdigest(), left)}
    return {name: hashlib.sha256(repr(what).encode()).hexdigest()[:16] for name, what in said.items()}


def runs(quick: bool) -> Iterator[tuple[str, Callable[[], dict[str, str]]]]:
    """Name every run, and what makes it."""
    for design, how in DESIGNS.items():
        for name, made in WORKLOADS.items():
            for ncpus in CPUS[:2] if quick else CPUS:
                for seed in SEEDS[:1] if quick or name in SLOW else SEEDS:
                    yield (
                        f"{design} / {name} / {ncpus} CPUs / seed {seed}",
                        lambda how=how, made=made, ncpus=ncpus, seed=seed: digest(how, made, ncpus, seed),  # type: ignore[misc]
                    )


def main(arguments: list[str]) -> int:
    """Take digests down, or compare with those taken."""
    file, check = Path(arguments[0]), "--check" in arguments
    kept = json.loads(file.read_text()) if check else {}
    found, different = {}, 0
    for name, made in runs("--quick" in arguments):
        found[name] = made()
        if check and kept[name] != found[name]:
            different += 1
            parts = [part for part in found[name] if kept[name].get(part) != found[name][part]]
            print(f"{name}: another {', another '.join(parts)}", flush=True)
    if not check:
        file.write_text(json.dumps(found, indent=1))
    print(f"{len(found)} runs, {different} different" if check else f"{len(found)} runs taken down")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

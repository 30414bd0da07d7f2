"""Plays a story on a small machine in virtual time, and notes of each act where pages went and what locks it took.

=> All that is noted comes from outside of the design: where each page stands, as audit() sees it; what the traced
   locks kept (kern/locktrace.py); the design's own counts; the event log. Nothing is known of any design by name.
=> Nothing else runs meanwhile but what the system itself does: xc threads and the pagedaemon.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from uvmfree.kern.eventlog import Event
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.param import Param
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import Place, VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.story import Act

SETTLE_S: Final = 100e-6
"""Time after an act in which its echoes come, as a kick of the pagedaemon: ten wakeups, and no timer."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where a page is. => `owner`: the CPU on whose list it stands, or None; it may be in the store as well."""

    place: Place
    owner: int | None


@dataclass(frozen=True, slots=True)
class Taken:
    """One hold of a lock by a thread of control.

    => `kind`: as kern/lockrank.py has it; "other" if the lock is none of the design's. `cpu`: whose it is, or None.
    => `depth`: locks that the thread held already.
    """

    thread: str
    lock: str
    kind: str
    cpu: int | None
    caller: str
    depth: int
    held_ns: int
    waited_ns: int


@dataclass(frozen=True, slots=True)
class Step:
    """What one act did.

    => `done`: pages allocated or freed. `failed`: allocations that returned None. `hits`, `misses`, and `atomics`,
       updates of words that CPUs share: by the design's own count, of the acting CPUs. `was`, `standing`: pages at
       each place, before and after. `moves`: pages that stand elsewhere now than before, by from and to. `lists`:
       whether CPUs have lists.
       `by_color`: whether a page of the next colour is looked for everywhere before one of another colour (R9).
    => `taken`: in the order in which the locks were granted. `events`: redistributions and passes of the pagedaemon.
    => `reserve`: free pages that only the kernel may take (R5).
    """

    number: int
    act: Act
    done: int
    failed: int
    hits: int
    misses: int
    atomics: int
    was: Counter[Where]
    standing: Counter[Where]
    moves: Counter[tuple[Where, Where]]
    lists: bool
    by_color: bool
    taken: tuple[Taken, ...]
    events: tuple[Event, ...]
    reserve: int

    def document(self) -> dict[str, Any]:
        """Return it as plain values for JSON: what is counted by place as a list, places by their names."""
        moves = [
            {"from": _plain(then), "to": _plain(now), "pages": pages} for (then, now), pages in self.moves.items()
        ]
        return {
            **{
                name: getattr(self, name)
                for name in ("number", "done", "failed", "hits", "misses", "atomics", "reserve")
            },
            "act": asdict(self.act),
            "was": [_plain(where) | {"pages": pages} for where, pages in self.was.items()],
            "standing": [_plain(where) | {"pages": pages} for where, pages in self.standing.items()],
            "moves": moves,
            "taken": [asdict(each) for each in self.taken],
            "events": [asdict(each) for each in self.events],
        }


def _plain(where: Where) -> dict[str, Any]:
    return {"place": where.place.name.lower(), "owner": where.owner}


class Stage:
    """A booted system, and what of its pages the story holds."""

    def __init__(self, param: Param, costs: str, seed: int) -> None:
        """Boot; ParamError."""
        self._machine = VirtualMachine(ncpus=param.ncpus, costs=costs, seed=seed, lockstat=True, locktrace=True)
        tunables = {name: getattr(param, name) for name in param.__dataclass_fields__}
        self.uvm: Uvm = boot(self._machine, **tunables | {"lockstat": True})
        design = self.uvm.design
        self._locks = {mutex.name: mutex for mutex in (*design.cpu_locks, *design.shared_locks)}
        self._held: dict[str, list[VmPage]] = {}
        self._done = self._failed = 0

    def play(self, acts: Iterable[Act]) -> Generator[Step, None, None]:
        """Do the acts, one for each step that is asked for; AuditError at the end if anything is wrong then.

        => To be closed, if it is not played to its end: the system closes with it.
        """
        with self.uvm:
            self._machine.sleep(SETTLE_S)
            for number, act in enumerate(acts, 1):
                yield self._step(number, act)
            self.uvm.audit()

    def _step(self, number: int, act: Act) -> Step:
        machine, uvm = self._machine, self.uvm
        before = self._where()
        counts = self._counts(act.cpus)
        since_ns, events = machine.clock_ns(), len(uvm.events.snapshot())
        self._done = self._failed = 0
        if act.kind == "wait":
            machine.sleep(act.seconds)
        else:
            do = self._alloc if act.kind == "alloc" else self._free
            tasks = [machine.spawn(f"CPU {index}", partial(do, uvm.cpus[index], act), index) for index in act.cpus]
            machine.wait_for(tasks, lambda: False)
            for task in tasks:
                if task.error is not None:
                    raise task.error
        machine.sleep(SETTLE_S)
        after = self._where()
        hits, misses, atomics = (now - then for then, now in zip(counts, self._counts(act.cpus), strict=True))
        return Step(
            number=number,
            act=act,
            done=self._done,
            failed=self._failed,
            hits=hits,
            misses=misses,
            atomics=atomics,
            was=Counter(before),
            standing=Counter(after),
            moves=Counter((then, now) for then, now in zip(before, after, strict=True) if then != now),
            lists=any(True for cpu in uvm.cpus for _ in cpu.lists()),
            by_color=uvm.traits.colors == "system",
            taken=self._taken(since_ns),
            events=uvm.events.snapshot()[events:],
            reserve=uvm.uvmexp.marks.reserve_kernel,
        )

    def _alloc(self, cpu: Cpu, act: Act) -> None:
        held, left = self._held.setdefault(act.label, []), act.pages
        while left is None or left > 0:
            pg = cpu.pagealloc()
            if pg is None:
                self._failed += 1
                return
            held.append(pg)
            self._done += 1
            left = left and left - 1

    def _free(self, cpu: Cpu, act: Act) -> None:
        held = self._held.get(act.label, [])
        for _ in range(len(held) if act.pages is None else min(act.pages, len(held))):
            cpu.pagefree(held.pop())
            self._done += 1

    def _where(self) -> list[Where]:
        """Return where each page is, by frame number; at rest."""
        known: dict[tuple[Place, int | None], Where] = {}
        return [known.setdefault(at, Where(*at)) for at in ((pg.place, pg.owner) for pg in self.uvm.physmem)]

    def _counts(self, cpus: tuple[int, ...]) -> tuple[int, int, int]:
        stats = [cpu.stats() for cpu in self.uvm.cpus if cpu.index in cpus]
        return sum(one.cpuhit for one in stats), sum(one.cpumiss for one in stats), sum(one.atomics for one in stats)

    def _taken(self, since_ns: int) -> tuple[Taken, ...]:
        """Return the holds since then, of every thread, each with what it waited for it."""
        trace = self._machine.locktrace
        assert trace is not None
        slices = [each for each in trace.slices() if each.began_ns >= since_ns]
        waits = {(each.thread, each.lock, each.ended_ns): each for each in slices if not each.held}
        found: list[Taken] = []
        open_until: dict[str, list[int]] = {}
        # Of two that were granted at the same moment the outer one is dropped later.
        for each in sorted((one for one in slices if one.held), key=lambda one: (one.began_ns, -one.ended_ns)):
            around = [end for end in open_until.get(each.thread, []) if end > each.began_ns]
            open_until[each.thread] = [*around, each.ended_ns]
            lock, wait = self._locks.get(each.lock), waits.get((each.thread, each.lock, each.began_ns))
            kind = "other" if lock is None else lock.rank.kind
            cpu = lock.index if lock is not None and kind in ("cpu", "off") else None
            found.append(
                Taken(
                    thread=each.thread,
                    lock=each.lock,
                    kind=kind,
                    cpu=cpu,
                    caller=each.caller,
                    depth=len(around),
                    held_ns=each.ended_ns - each.began_ns,
                    waited_ns=0 if wait is None else wait.ended_ns - wait.began_ns,
                )
            )
        return tuple(found)

"""Seeded bugs of concurrency: a line or two of the shipped code, changed for a while, that a model must catch.

=> They show that the models can fail. Each is a race, a lost wakeup or a deadlock: no single thread would notice it.
=> Replay with one: `--patch tests.explore.bugs:NAME`.
"""

import __future__

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from unittest import mock

from uvmfree.kern.mutex import Condvar
from uvmfree.kern.xcall import Xcall
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.binding import Bound
from uvmfree.uvm.design import Design
from uvmfree.uvm.designs.fpageqlock import FpageqlockCpu
from uvmfree.uvm.designs.percpu import PercpuCpu
from uvmfree.uvm.hotplug import Hotplug
from uvmfree.uvm.idlezero import IdleZero
from uvmfree.uvm.pageout import Pageout

Bug = Callable[[], AbstractContextManager[None]]


def changed(owner: type, name: str, *edits: tuple[str, str]) -> Bug:
    """Return the context manager that has a method say something else: in its text, each `old` becomes `new`.

    => AssertionError unless each occurs once: a bug that no longer fits the code is no bug.
    """

    @contextmanager
    def seed() -> Iterator[None]:
        method = getattr(owner, name)
        lines, first = inspect.getsourcelines(method)
        source = textwrap.dedent("".join(lines))
        for old, new in edits:
            assert source.count(old) == 1, f"{owner.__name__}.{name}: {old!r} occurs {source.count(old)} times"
            source = source.replace(old, new)
        made: dict[str, Any] = {}
        # Under the file's own name and lines, so that there are switch points in it.
        flags = __future__.annotations.compiler_flag
        code = compile("\n" * (first - 1) + source, inspect.getsourcefile(method) or "", "exec", flags)
        exec(code, method.__globals__, made)
        with mock.patch.object(owner, name, made[name]):
            yield

    return seed


redistribution_without_the_cpu_lock = changed(
    Design, "redistribute", ("with self.guarding(index) as cpu:", "for cpu in self.cpus[index : index + 1]:")
)
splice_without_the_global_lock = changed(
    Design, "redistribute_guarded", ("chopped, self._redistribute[1]", "chopped, ()")
)
redistribution_counted_without_the_cpu_lock = changed(
    Design,
    "redistribute_guarded",
    ("    pages = cpu.hand_back(", "    self._redistribute[0][cpu.index].release()\n    pages = cpu.hand_back("),
    ("    self.state.events", "    self._redistribute[0][cpu.index].acquire()\n    self.state.events"),
)
spill_without_the_global_lock = changed(PercpuCpu, "_overflow", ("[self._fpageqlock])", "[])"))
spill_counted_after_others_can_take = changed(
    Bound, "hand_back", ("self.gave(pages,", "self.gave(sum(map(len, parts)),")
)
run_taken_without_the_cpu_locks = changed(
    Design, "stopped", ("with first:", "if True:"), ("with held(inner[:-1]):", "if True:")
)
locks_of_cpus_in_descending_order = changed(Design, "all_locks", ("*self.cpu_locks,", "*self.cpu_locks[::-1],"))
global_lock_before_the_cpu_lock = changed(
    Design,
    "pagefree_global",
    ("with held(inner):", "with outer[index]:"),
    ("with outer[index]:\n            cpu", "with held(inner):\n            cpu"),
)
waiter_counted_before_the_lock = changed(
    Pageout,
    "wait",
    ("        self.waiters += 1\n", ""),
    ("    with self._wait_handle:\n", "    self.waiters += 1\n    with self._wait_handle:\n"),
)
waiter_tells_nobody = changed(Pageout, "wait", ("        self._kicked = True\n        self._daemon.signal()\n", ""))
kick_signals_before_it_says_why = changed(
    Pageout,
    "kick",
    (
        "    self._kicked = True\n        self._daemon.signal()\n",
        "    self._daemon.signal()\n    self._kicked = True\n",
    ),
)
pageout_done_without_the_lock = changed(Pageout, "done", ("with self._done_handle:", "if True:"))
sleeper_listed_after_the_unlock = changed(
    Condvar,
    "wait",
    (
        "    self._waiters.append(parked)\n    signalled = False\n    try:\n        handle.release()\n",
        "    signalled = False\n    try:\n        handle.release()\n        self._waiters.append(parked)\n",
    ),
)
ticket_satisfied_early = changed(
    Xcall, "_wait", ("while ticket.pending:", "while len(ticket.pending) == ticket.ncpus:")
)
call_marked_as_run_before_it_runs = changed(
    Xcall,
    "_xc_thread",
    ("            error = self._call(function, index)\n", "            error = None\n"),
    (
        "                self._finish(ticket, index, error)\n",
        "                self._finish(ticket, index, error)\n            self._call(function, index)\n",
    ),
)
xc_thread_looks_before_it_locks = changed(
    Xcall,
    "_await_work",
    (
        "    with handle:\n        while not self._queues[index]:",
        "    empty = not self._queues[index]\n    with handle:\n        while empty:",
    ),
    (
        "self._work[index].wait(handle, left_s)",
        "self._work[index].wait(handle, left_s); empty = not self._queues[index]",
    ),
)
detach_without_the_locks = changed(Hotplug, "detach", ('with self._design.stopped("uvm_cpu_attach"):', "if True:"))
detached_cpu_that_answers_again = changed(
    Hotplug, "detach", ("refusal(_detached(index))", "lambda: self.check_attached(index)")
)
zeroed_page_given_to_whoever_played_before = changed(
    IdleZero, "_zeroed", ("if pg.on is cpu._zeroing and not cpu.stopped:", "if True:")
)
run_taken_from_a_closed_system = changed(Design, "stopped", ("self.state.check_open()", "pass"))
busy_page_reclaimed = changed(
    AnonMemory, "_is_victim", ("if anon.state in BUSY:", "if anon.state is AnonState.PAGEIN:")
)
todays_count_updated_before_the_lock = changed(
    FpageqlockCpu,
    "pagefree",
    ("        self._words[self._free_slot] += 1\n", ""),
    ("    self._acquire_free()\n", "    self._words[self._free_slot] += 1\n    self._acquire_free()\n"),
)

CAUGHT_BY: Final = {
    "redistribution_without_the_cpu_lock": "redistribute",
    "splice_without_the_global_lock": "counters",
    "redistribution_counted_without_the_cpu_lock": "redistribute",
    "run_taken_without_the_cpu_locks": "redistribute",
    "spill_without_the_global_lock": "counters-bounded",
    "spill_counted_after_others_can_take": "redistribute-bounded",
    "locks_of_cpus_in_descending_order": "everything",
    "global_lock_before_the_cpu_lock": "redistribute",
    "waiter_counted_before_the_lock": "waiting",
    "waiter_tells_nobody": "waiting-system",
    "kick_signals_before_it_says_why": "waiting",
    "pageout_done_without_the_lock": "waiting",
    "sleeper_listed_after_the_unlock": "xcall-one",
    "ticket_satisfied_early": "xcall",
    "call_marked_as_run_before_it_runs": "xcall",
    "xc_thread_looks_before_it_locks": "xcall-one",
    "detach_without_the_locks": "hotplug",
    "detached_cpu_that_answers_again": "comings",
    "zeroed_page_given_to_whoever_played_before": "hotplug-fpageqlock",
    "run_taken_from_a_closed_system": "closing-fpageqlock",
    "busy_page_reclaimed": "anon",
    "todays_count_updated_before_the_lock": "counters-fpageqlock",
}
"""The model that catches each, within BUG_SCHEDULES of tests/explore/test_bugs.py."""

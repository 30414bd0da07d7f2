"""Seeded bugs of the kernel's own tools and of anonymous memory: cross-calls, condition variables, counters, swap."""

from typing import Final

from tests.mutants.mutation import Mutant, after, become, before, forget
from tests.mutants.suites import programs, schedules

_XCALL, _MUTEX = "uvmfree.kern.xcall", "uvmfree.kern.mutex"
_AMAP, _ANON, _SWAP = "uvmfree.uvm.amap", "uvmfree.uvm.anon", "uvmfree.uvm.swap"

BUGS: Final = (
    Mutant(
        "ticket satisfied early",
        f"{_XCALL}:Xcall._wait",
        (become("while ticket.pending:", "while len(ticket.pending) == ticket.ncpus:"),),
        "xc_wait returns when the call has run on one CPU",
        "the caller goes on as if every cache were empty (R30)",
        schedules("xcall"),
    ),
    Mutant(
        "call marked as run before it runs",
        f"{_XCALL}:Xcall._xc_thread",
        (
            forget("self._finish(ticket, index, error)"),
            before("error = self._call(function, index)", "with handle:", "    self._finish(ticket, index, None)"),
        ),
        "a ticket is satisfied when its call begins",
        "the caller goes on while caches are being handed back (R30)",
        schedules("xcall"),
    ),
    Mutant(
        "swallowed xcall error",
        f"{_XCALL}:Xcall._call",
        (become("return error", "return None"),),
        "a call that raised ends like one that did not",
        "the caller believes that it was done (R31)",
        schedules("xcall"),
    ),
    Mutant(
        "xcall error kills the thread",
        f"{_XCALL}:Xcall._call",
        (become("except BaseException as error", "except OSError as error"),),
        "an error of a called function ends the xc thread",
        "its CPU never answers again (R31)",
        schedules("xcall"),
    ),
    Mutant(
        "call run under the xcall lock",
        f"{_XCALL}:Xcall._xc_thread",
        (become("error = self._call(function, index)\n", "with handle: error = self._call(function, index)\n"),),
        "the queue stays locked while a called function runs",
        "a function that takes a page lock, or sends a call, deadlocks",
        schedules("everything"),
    ),
    Mutant(
        "calls starve the timer",
        f"{_XCALL}:Xcall._xc_thread",
        (become("if due_ns is not None and", "if call is None and due_ns is not None and"),),
        "the timer of an xc thread fires only when no call is queued",
        "on a busy machine nothing is handed back (P9)",
        "kern/test_xcall.py::test_the_timer_fires_while_calls_never_cease",
    ),
    Mutant(
        "waiter parked after unlock",
        f"{_MUTEX}:Condvar.wait",
        (
            forget("self._waiters.append(parked)"),
            after("handle.release()", "self._waiters.append(parked)"),
        ),
        "a thread puts itself on the list of waiters when it has dropped the mutex",
        "a signal in between finds nobody: a lost wakeup",
        schedules("waiting"),
    ),
    Mutant(
        "swap slot reused while in use",
        f"{_SWAP}:SwapFile.allocate",
        (become("self._free.popleft()", "self._free[0]"), after("self._used[slot] = True", "self._free.rotate(-1)")),
        "a slot that is taken stays on the list of free ones",
        "a page is written over another one's copy, which may be being written",
        schedules("anon"),
    ),
    Mutant(
        "page freed while dirty",
        f"{_AMAP}:Amap.reclaim_one",
        (become("dirty = anon.dirty", "dirty = False"),),
        "a page that was written to is evicted without being written to swap",
        "what its owner wrote is lost",
        programs("percpu"),
    ),
    Mutant(
        "write not noted as dirty",
        f"{_ANON}:AnonMemory._unbusy",
        (forget("anon.dirty = True"),),
        "a page that was written to is taken for clean",
        "it is evicted, and an older copy is read back",
        programs("percpu"),
    ),
    Mutant(
        "busy page taken",
        f"{_AMAP}:Amap._is_victim",
        (become("if anon.state in BUSY:", "if anon.state in ():"),),
        "the daemon evicts a page that somebody is at work on",
        "who writes to it writes to the next holder's page",
        schedules("anon"),
    ),
    Mutant(
        "page freed after the pageout is done",
        f"{_AMAP}:Amap._written",
        (
            become(
                "    if error is None:\n        self._pagefree(pg)\n    self._pageout.done(1)",
                "    self._pageout.done(1)\n    if error is None:\n        self._pagefree(pg)",
            ),
        ),
        "waiters are told that a page was paged out before it is free",
        "they find nothing and sleep again beside a free page (R22)",
        "anon/test_pageout_wakeups.py::test_who_waits_for_a_pageout_is_woken_when_its_page_is_free",
    ),
)

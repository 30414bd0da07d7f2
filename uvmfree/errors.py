"""Every error that uvmfree raises on purpose.

=> All derive from UvmError, so that one `except` separates what the allocator says from what is broken.
=> A message is one line: what was wrong, and what would be right.
=> Whoever raises one of these has changed nothing, unless the class says otherwise.

>>> with uvmfree.boot(npages=64, ncpus=1) as uvm, uvm.run_on(0) as cpu:
...     pg = cpu.pagealloc()
...     cpu.pagefree(pg)
...     cpu.pagefree(pg)
Traceback (most recent call last):
uvmfree.errors.DoubleFree: ...
"""


class UvmError(Exception):
    """The base of all errors of this package."""


class ParamError(UvmError, ValueError):
    """A tunable given to boot() is out of range; names the field, the value and the limit.

    >>> uvmfree.boot(npages=-1)
    Traceback (most recent call last):
    uvmfree.errors.ParamError: ...
    """


class ArgumentError(UvmError, ValueError):
    """An argument of a call is out of range; names the argument, the value and what would be right."""


class ClosedError(UvmError):
    """The system was closed before, or while, it was asked for something."""


class ForkError(ClosedError):
    """The system belongs to a parent process, and this is a child that fork() made of it."""


class BindError(UvmError):
    """A CPU is played by another thread, or its object was left behind by a later run_on()."""


class DoubleFree(UvmError):
    """A page that stands on a free list was freed again (R13); names the page. Nothing has changed."""


class ForeignPage(UvmError):
    """Something that is no page of this system was freed into it (R13)."""


class OutOfPages(UvmError):
    """A contiguous or ranged allocation cannot be met (R26, R27).

    >>> with uvmfree.boot(npages=64, ncpus=1) as uvm:
    ...     uvm.pglistalloc(65)
    Traceback (most recent call last):
    uvmfree.errors.OutOfPages: ...
    """


class DeadlockError(UvmError):
    """A wait that nothing could ever end (R18); refused."""


class LockError(UvmError):
    """A lock was taken out of order, twice, or released by a stranger; names the locks (lockdebug)."""


class XcallError(UvmError):
    """A cross-call raised; the original error is the cause (R31)."""


class XcallTimeout(XcallError, TimeoutError):
    """xc_wait() gave up before the call had run everywhere; the call stays queued."""


class HangError(UvmError):
    """A thread of the system did not end within its bound; names the thread."""


class AuditError(UvmError):
    """The walked truth contradicts the counters or the rules; a line for each finding in `findings`, a tuple.

    >>> AuditError(["uvmexp.free is 3, pages on the list 2", "page 7 is in no place"])
    AuditError('uvmexp.free is 3, pages on the list 2 (and 1 more)')
    """

    def __init__(self, findings: list[str]) -> None:
        self.findings = tuple(findings)
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        super().__init__(findings[0] + more)


class TraceError(UvmError, ValueError):
    """A trace is missing, empty, truncated, not text, or not what perf script prints; names file and line."""


class RecordError(UvmError, ValueError):
    """A record is missing, truncated, newer than this program, or no record; names the file and the place in it."""


class ExtraError(UvmError):
    """A package that is not in a core install is needed; names it and the extra that has it."""


class WorkerLostError(UvmError):
    """What measured the cells of a sweep has gone; what was measured before is saved."""


class CounterFileError(UvmError):
    """The counter page of a run is not there, has vanished, or is something else; names the file."""


class OutputError(UvmError):
    """stdout, or another `where`, cannot be written to; says why. `reader_gone`: a pipe's other end was closed."""

    def __init__(self, why: str, *, reader_gone: bool = False, where: str = "stdout") -> None:
        self.reader_gone = reader_gone
        super().__init__(f"{where}: {why}")

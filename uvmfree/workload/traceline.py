"""One line of a trace's text: the forms that perf script, ftrace and trace-cmd print a page event in, and the rest.

    COMM PID [CPU] TIME: kmem:EVENT: FIELDS              perf script; `-F +pid` prints PID/TID, `-F +period` a number
                                                         before the event, `-F +misc` a letter before the time
    COMM-PID [CPU] FLAGS TIME: EVENT: FIELDS             tracefs' file `trace`; FLAGS (irqs-off and the four after it)
                                                         and (TGID) are options: trace_print_context() in
                                                         kernel/trace/trace_output.c, Documentation/trace/ftrace.rst
    COMM-PID [CPU] TIME: EVENT: FIELDS                   trace-cmd report: trace_show_data() in tracecmd/trace-read.c

COMM is whatever a task called itself: up to 15 bytes, of which none is NUL and all else may be, brackets, colons and
line ends among it. So a line is told by what follows COMM, and what cannot fit into 15 bytes tells an event apart
from a name that looks like one. Bytes that are no UTF-8 arrive here as `\\xNN` (tracefile.py).

Between page events stand, and are passed over: other events, comments, call chains (perf record -g; ftrace's option
stacktrace), and the beginning of a task's name that has a line end in it; the task goes by the rest of its name.
"""

import re
from typing import Final

CPU_MAX: Final = 4095  # above any machine that is traced whole; a number beyond it is a damaged line
COMM_MAX_BYTES: Final = 15  # TASK_COMM_LEN of include/linux/sched.h, less its NUL

ORDER_MAX: Final = 17
"""The largest order that a Linux was ever set up to allocate: ia64's sn2_defconfig, FORCE_MAX_ZONEORDER 18, which was
one more. MAX_PAGE_ORDER is 10 today, and 13 with the 64 kB pages of arm64 (arch/arm64/Kconfig)."""

FREED_ORDER_MAX: Final = 22
"""A gigantic page is freed as a whole, whatever the free lists can hold: 16 GB of 4 kB on powerpc."""

# Seconds stop short of 9e9, so that nanoseconds fit an int64. Fields that later kernels may add are let pass. What is
# taken is not given back (`++`): that makes up for the forms beside perf's, and a line that is none fails at once. No
# group is marked so: up to Python 3.11.4, one that does not match loses what stood before it (CPython's gh-106052).
PAGE_EVENT: Final = re.compile(
    r"((?:[^[]*+\[)+?\d{1,9}+\]) ++(?:[^ \d]\S{0,7}+ ++)?(\d{1,9}+|[0-8]\d{9})\.(\d{1,9}+): ++(?:\d{1,20}+ ++)?"
    r"(?:kmem:)?mm_page_(alloc|free|alloc_zone_locked|pcpu_drain): ++"
    r"page= *+(?:(?:0x)?[0-9a-f]++|\(nil\)|\(null\)) ++pfn=(0x[0-9a-f]{1,16}+|\d{1,20}+) ++order=(\d{1,3}+)"
    r"(?: ++migratetype=-?\d++ ++gfp_flags=(\S++))?(?: ++[a-z_]++=\S++)* *+",
    re.ASCII | re.DOTALL,
)
_PAGE_EVENT_NAME = re.compile(r"(?:kmem:|\d: +)mm_page_(?:alloc|free|alloc_zone_locked|pcpu_drain):", re.ASCII)
_NAMED_PAGE_EVENT = re.compile(r"(?<![a-z_])mm_page_(?:alloc|free|alloc_zone_locked|pcpu_drain):")
_PAGE_EVENT_FIELDS = re.compile(r"page=\S+ +pfn=\S+ +order=")

_WHEN = r"(?:\([\d -]{5,12}\) +)?\[\d{1,9}\] +(?:[^ \d]\S{0,7} +)?\d{1,10}\.\d{1,9}: +"
# Perf's own records have no colon; events of the hardware have their count before the name.
_PERF_EVENT = re.compile(
    rf".*?\d{{1,10}} +{_WHEN}(?:\d{{1,20}} +)?((?:PERF_RECORD_[A-Z_]+|[a-zA-Z_][^ ]*:)(?: .*)?)", re.ASCII | re.DOTALL
)
_FTRACE_EVENT = re.compile(rf".*?-\d{{1,10}} +{_WHEN}(.+)", re.ASCII | re.DOTALL)
_EVENT_MIN_CHARS = len("a 1 [0] 1.0: b:")
# A frame of perf, its source line (-F +srcline), and a frame of ftrace.
_STACK_FRAME = re.compile(
    r"\t *[0-9a-f]+(?: .*)?|  \S+(?::\d+|\[[0-9a-f]{1,16}\])(?: \([^)]*\))?|[ \t]*=> .*", re.ASCII | re.DOTALL
)
_HEADER = re.compile(r"(?:cpus=\d+|version = \S+|CPU \d+ is empty) *", re.ASCII)  # of trace-cmd report

# Of events that were lost tell perf script --show-lost-events; the ring buffer of ftrace, print_trace_line() in
# kernel/trace/trace.c; trace-cmd; perf trace. A place that does not say how many counts as one.
_PERF_LOST = re.compile(r".*: +PERF_RECORD_LOST(?:_SAMPLES)? +lost +(\d{1,18}) *", re.ASCII | re.DOTALL)
_LOST = re.compile(
    r"CPU:\d+ \[(?:LOST (?:(\d{1,18}) )?EVENTS|(?:(\d{1,18}) )?EVENTS DROPPED)\] *|LOST (\d{1,18}) events!? *",
    re.ASCII,
)
# ftrace.rst: the difference of the two is the number of entries lost because the buffer filled up.
_BUFFER = re.compile(r"# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18}) .*", re.ASCII)

_ESCAPED = re.compile(r"\\x[0-9a-f]{2}")
_PID = re.compile(r"(?:-?\d{1,10}/)?(-?\d{1,10})", re.ASCII)
_FTRACE_TASK = re.compile(r"(.*)-(\d{1,10})", re.ASCII | re.DOTALL)
_TGID = re.compile(r" +\([\d -]{5,12}\)$", re.ASCII)

_PERF_HINT = "print it with perf script -F comm,tid,cpu,time,event,trace"
_FTRACE_HINT = (
    "of ftrace, lines of COMM-PID [CPU] SECONDS: EVENT: FIELDS are read: not the latency-format, and no trace_clock "
    "that counts otherwise"
)


class LineError(Exception):
    """What is wrong with a line; the reader adds which line of which file.

    => `line_number`, `line`: of the line that is meant, where that is not the one at hand.
    """

    def __init__(self, what: str, line_number: int = 0, line: str = "") -> None:
        super().__init__(what)
        self.line_number = line_number
        self.line = line


class Whos(dict[str, tuple[str, int]]):
    """`COMM PID [CPU]`, as printed -> ("comm/pid", CPU number). A trace has few, each is taken apart once."""

    def __missing__(self, who: str) -> tuple[str, int]:
        """Take it apart; LineError where that cannot be done."""
        head, _, cpu_text = who[:-1].rpartition("[")
        comm, _, pid_text = _TGID.sub("", head.rstrip(" ")).rpartition(" ")
        if _PAGE_EVENT_FIELDS.search(head):
            raise LineError("malformed: two events in one line")
        pid = _PID.fullmatch(pid_text)
        # A PID below 0 is perf's, of ":-1"; in ftrace a task may have no name before the dash.
        if (pid is None or not comm) and (task := _FTRACE_TASK.fullmatch(pid_text)):
            comm, pid = f"{comm} {task[1]}", _PID.fullmatch(task[2])
        if pid is None or not head.endswith(" "):
            raise LineError(f"malformed: no PID before [CPU]; {_PERF_HINT}")
        if int(cpu_text) > CPU_MAX:
            raise LineError(f"CPU {int(cpu_text)} is beyond {CPU_MAX}")
        found = self[who] = (f"{comm.strip(' ')}/{pid[1]}", int(cpu_text))
        return found


class IsZero(dict[str, int]):
    """gfp_flags, as printed -> 1 if the page is to be zeroed. Kernels before 4.6 print the flag without `__`."""

    def __missing__(self, flags: str) -> int:
        """Look for the flag."""
        found = self[flags] = int(not {"__GFP_ZERO", "GFP_ZERO"}.isdisjoint(flags.split("|")))
        return found


def order_of(text: str, order_max: int = ORDER_MAX) -> int:
    """Return the order that is written there; LineError if no machine has it."""
    order = int(text)
    if order > order_max:
        raise LineError(f"no machine has pages of order {order}; Linux stops at {order_max} at the most")
    return order


def _malformed(line: str) -> LineError:
    by_ftrace = "mm_page_" in line and "kmem:" not in line
    return LineError(f"malformed page event; {_FTRACE_HINT if by_ftrace else _PERF_HINT}")


class OtherLines:
    """The lines between page events, each shown to `add`: counts what they say, and finds what is no trace.

    => `ignored_events`: other events. `lost_events`: those that were lost, as the lines tell.
    """

    __slots__ = ("_name", "_name_begins", "_name_ends", "_name_line", "ignored_events", "lost_events")

    def __init__(self) -> None:
        self.ignored_events = 0
        self.lost_events = 0
        # The lines before the next event that can only be the beginning of its task's name, "" for none:
        self._name = self._name_line = ""  # together, and the first as it was
        self._name_begins = self._name_ends = 0  # their numbers

    def add(self, line_number: int, line: str) -> None:
        """Take a line that is no page event.

        => Lines come in order; a number that was left out is that of a page event.
        => LineError for what is no line of a trace, and for a page event that is not as it should be.
        """
        if self._name:
            if line_number > self._name_ends + 1 or self._is_event(line):
                self._name = ""  # an event had the rest of it
            else:
                self._begin_name(line_number, line)
                return
        if not line or line.isspace() or (line[0] == "\t" and _STACK_FRAME.fullmatch(line)):
            return
        if self._is_event(line):
            self.ignored_events += 1
            if lost := _PERF_LOST.fullmatch(line):
                self.lost_events += int(lost[1])
        elif line[0] == "#":
            if buffer := _BUFFER.fullmatch(line):
                self.lost_events += max(0, int(buffer[2]) - int(buffer[1]))
        elif lost := _LOST.fullmatch(line):
            self.lost_events += int(next(filter(None, lost.groups()), 1))
        elif not (_STACK_FRAME.fullmatch(line) or _HEADER.fullmatch(line)):
            if _PAGE_EVENT_FIELDS.search(line):
                raise _malformed(line)
            self._begin_name(line_number, line)

    def end(self, line_number: int) -> None:
        """Take note of the number of the last line: LineError if a task's name is left without its rest."""
        if self._name and self._name_ends == line_number:
            raise self._unknown()

    def _is_event(self, line: str) -> bool:
        """Tell whether it is an event, but none of a page; LineError for one of a page, which is malformed then."""
        if len(line) < _EVENT_MIN_CHARS:
            return False
        event = _PERF_EVENT.fullmatch(line) or _FTRACE_EVENT.fullmatch(line)
        if "mm_page_" in line and (
            _PAGE_EVENT_NAME.search(line) or (event and _NAMED_PAGE_EVENT.search(line, event.start(1)))
        ):
            raise _malformed(line)
        return event is not None

    def _begin_name(self, line_number: int, line: str) -> None:
        if self._name:
            self._name += f"\n{line}"
        else:
            self._name, self._name_line, self._name_begins = line.lstrip(" "), line, line_number
        self._name_ends = line_number
        if len(_ESCAPED.sub("?", self._name).encode()) > COMM_MAX_BYTES:
            raise self._unknown()

    def _unknown(self) -> LineError:
        return LineError("malformed (not a line of perf script)", self._name_begins, self._name_line)

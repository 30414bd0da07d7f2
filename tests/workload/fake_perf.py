"""A stand-in for perf(1), run as a process of its own: as much of `perf record` and `perf script` as is needed.

=> It says what perf 6.1 says, with the same exit codes, and prints lines of a recorded trace. What goes wrong is told
   by the environment: FAKE_PERF_EVENTS (those of the kernel), FAKE_PERF_RECORD, FAKE_PERF_SCRIPT (see below).
=> FAKE_PERF_LOG: a file that gets the command line of each call.
"""

import json
import lzma
import os
import re
import signal
import subprocess
import sys
from itertools import islice, pairwise
from pathlib import Path

TRACE = Path(__file__).resolve().parents[2] / "uvmfree/workload/data/cc-j4-cut.perf.xz"
LINES = 3000
MOVED = "kmem:mm_page_alloc_zone_locked"
MAGIC = "PERFILE2"
USAGE = "\nRun 'perf list' for a list of valid events\n\n Usage: perf record [<options>] [<command>]\n"


def refuse(event: str, why: str, more: str) -> int:
    print(f"event syntax error: '{event}'\n                     \\___ {why}\n\n{more}{USAGE}", file=sys.stderr)
    return 129


def record(args: list[str]) -> int:
    split = args.index("--")
    options, command = args[:split], args[split + 1 :]
    events = [value for flag, value in pairwise(options) if flag == "-e"]
    data = Path(options[options.index("-o") + 1])
    how = os.environ.get("FAKE_PERF_RECORD", "")
    if how == "denied":
        more = "Error:\tNo permissions to read /sys/kernel/tracing/events/kmem/mm_page_alloc\nHint:\tTry 'sudo ...'\n"
        return refuse(events[0], "can't access trace events", more)
    if how == "broken":
        print("\nWARNING: perf not found for kernel 9.9\n\n  You may need to install ...", file=sys.stderr)
        return 2
    known = os.environ.get("FAKE_PERF_EVENTS")
    for event in events:
        if known is not None and event not in known.split():
            return refuse(event, "unknown tracepoint", f"Error:\tFile .../{event} not found.\n")
    stopped = []
    signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number))
    with subprocess.Popen(command) as child:
        while child.poll() is None:
            try:
                child.wait(0.02)
            except subprocess.TimeoutExpired:
                if stopped:
                    child.terminate()
    data.write_text(MAGIC + json.dumps(events))
    print(f"[ perf record: Captured and wrote 0.1 MB {data} ({LINES} samples) ]", file=sys.stderr)
    code = -signal.SIGINT if stopped else child.returncode
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    return code


def script(args: list[str]) -> int:
    recorded = Path(args[args.index("-i") + 1]).read_text()
    assert recorded.startswith(MAGIC)
    events = json.loads(recorded.removeprefix(MAGIC))
    how = os.environ.get("FAKE_PERF_SCRIPT", "")
    if how == "fails":
        print("incompatible file format (rerun with -v to learn more)", file=sys.stderr)
        return 255
    if how == "old" and "--show-lost-events" in args:
        print("  Error: unknown option `show-lost-events'\n\n Usage: perf script [<options>]\n", file=sys.stderr)
        return 129
    if how == "lost":
        print("perf-exec   892 [000]     0.000001: PERF_RECORD_LOST lost 49")
        print("Warning:\nProcessed 3000 events and lost 2 chunks!\n\nCheck IO/CPU overload!\n", file=sys.stderr)
    if how == "garbage":
        print("what is this, then")
    if how == "odd names":
        for name, pid in ((b"caf\xe9 \xff", b"7"), (b"new\nline\r\t\x1b", b"8")):
            fields = b"page=0x1 pfn=0x1 order=0 migratetype=0 gfp_flags=GFP_KERNEL"
            sys.stdout.buffer.write(b"%16s %5s [000]     0.000001: kmem:mm_page_alloc: %s\n" % (name, pid, fields))
        sys.stdout.buffer.flush()
    if how == "nothing":
        return 0
    with lzma.open(TRACE, "rt") as lines:
        for line in islice(lines, LINES // 2 if how == "interrupted" else LINES):
            if MOVED in events:  # the trace has some, but only where Linux's lists ran empty
                print(
                    re.sub(r"kmem:mm_page_\w+:(.* order=\d+).*", rf"{MOVED}:\1 migratetype=1 percpu_refill=1", line),
                    end="",
                )
            print(line, end="")
    if how == "interrupted":
        os.kill(os.getppid(), signal.SIGINT)
    return 0


if __name__ == "__main__":
    if log := os.environ.get("FAKE_PERF_LOG"):
        with open(log, "a") as calls:
            calls.write(" ".join(sys.argv[1:]) + "\n")
    sys.exit({"record": record, "script": script}[sys.argv[1]](sys.argv[2:]))

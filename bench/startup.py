"""Claims, on Python 3.11: importing uvmfree takes at most 60 ms, and `uvmfree --help` at most 150 ms.

How: whole processes, from their start to their end, as a shell sees them, so that the interpreter's own start is in
both figures. In turn with them runs `python -c pass`, which is that start and nothing else; what uvmfree adds is the
difference. The first round, which may have to compile the modules, is thrown away.

What could fool it: another load on the machine, for which these processes wait; the processor time that they took
stands beside. Modules that are found quickly because the last process had just read them: so it is with every tool
that is called twice. On other interpreters the times are measured and not judged: the claims speak of 3.11.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter_ns

from bench.harness import Claim, Record, interleaved, main, spread

IMPORT = Claim("startup-import-ms", "a process that imports uvmfree and ends, Python 3.11", "ms", 60.0)
HELP = Claim("startup-help-ms", "a process that prints `uvmfree --help` and ends, Python 3.11", "ms", 150.0)

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "import uvmfree": ("-c", "import uvmfree"),
    "uvmfree --help": ("-m", "uvmfree", "--help"),
}
REPETITIONS = 21
PROCESS_S = 60.0
"""Bound for one process on a busy machine."""


def process_ms(args: tuple[str, ...], used_ms: list[float]) -> float:
    """Run one process to its end; return how long it took, and note how much processor time."""
    before, began_ns = getrusage(RUSAGE_CHILDREN), perf_counter_ns()
    subprocess.run([sys.executable, *args], cwd=ROOT, stdout=subprocess.DEVNULL, timeout=PROCESS_S, check=True)
    took_ns, after = perf_counter_ns() - began_ns, getrusage(RUSAGE_CHILDREN)
    used_ms.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3)
    return took_ns / 1e6


def bench(smoke: bool) -> list[Record]:
    """Start the three processes in turn."""
    used: dict[str, list[float]] = {name: [] for name in COMMANDS}
    took = interleaved(
        {name: partial(process_ms, args, used[name]) for name, args in COMMANDS.items()}, 2 if smoke else REPETITIONS
    )
    bare = took["python -c pass"]
    for name, values in took.items():
        added = [whole - start for whole, start in zip(values, bare, strict=True)]
        beyond = "" if values is bare else f", {spread(added, 1)} ms beyond it"
        print(f"  {name:<16} {spread(values, 1)} ms, of processor time {spread(used[name][1:], 1)} ms{beyond}")
    is_311 = sys.version_info[:2] == (3, 11)
    if not is_311:
        print("  not judged: the claims speak of Python 3.11")
    return [
        claim.record(took[name], judged=is_311 and not smoke)
        for name, claim in (("import uvmfree", IMPORT), ("uvmfree --help", HELP))
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))

"""What a store for each socket buys on two sockets, counted and not judged; a first look at NUMA.

How: copies of cc-j4 keep all CPUs of two sockets busy in virtual time, as `uvmfree scale` plays them; `depot` with
one store, and with one for each socket (`per_socket`). On 64 CPUs a socket has half of its cores.
A smoke run plays the trace of the package on 4.

What could fool it: the table of costs decides, and knows how far a cache line is, not how far RAM is: a page of the
other socket is as good as one of this one. Copies are independent of each other; a load that hands pages from one
socket to the other moves units through the stores of both.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from bench.harness import TRACES, Claim, Record, main
from uvmfree.measure.scale import Case, Point, Traffic, measured
from uvmfree.workload.trace import bundled_trace

CPUS: Final = (64, 128)
SMOKE: Final = 4
SOCKETS: Final = 2

WORK: Final = Claim("numa-work", "work of a store for each socket, of that of one store, the least", "ratio", None)
WAITS: Final = Claim(
    "numa-waits", "waiting with a store for each socket, of that with one store, the most", "ratio", None
)


def points(trace: Path, ncpus: int) -> tuple[Point, Point]:
    """Measure with one store, and with one for each socket."""
    cores = min(ncpus // SOCKETS, 64)
    changed = {"socket_cores": float(cores), "complex_cores": float(cores)}
    one, each = (
        measured(
            Case("depot", ncpus, Traffic("trace", str(trace)), changed=changed, settings=(f"per_socket={apart}",))
        )
        for apart in (False, True)
    )
    if one is None or each is None:
        raise KeyboardInterrupt
    return one, each


def bench(smoke: bool) -> list[Record]:
    """Measure and print both."""
    trace = Path(bundled_trace()) if smoke else TRACES / "cc-j4.perf.xz"
    print(f"  {'CPUs':>4} {'stores':>6} {'ops/us':>8} {'waiting %':>9} {'busy %':>7} {'locks/op':>9}")
    work, waits = [], []
    for ncpus in (SMOKE,) if smoke else CPUS:
        one, each = points(trace, ncpus)
        for stores, point in ((1, one), (SOCKETS, each)):
            rate, taken = point.operations / point.window_ns * 1e3, point.shared_acquired / point.operations
            shares = f"{point.wait_share_percent:>9.3f} {point.busy_percent:>7.2f}"
            print(f"  {ncpus:>4} {stores:>6} {rate:>8.3f} {shares} {taken:>9.5f}", flush=True)
        work.append((each.operations / each.window_ns) / (one.operations / one.window_ns))
        waits.append(each.wait_share_percent / max(one.wait_share_percent, 1e-9))
    return [WORK.record([min(work)], judged=not smoke), WAITS.record([max(waits)], judged=not smoke)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))

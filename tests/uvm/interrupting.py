"""A program whose main thread plays a CPU, interrupted again and again: `python -m tests.uvm.interrupting`.

=> Arguments: whose handler SIGINT has (`python`, `own`), the design, `plain` or a tunable to set, seconds.
=> Garbage is collected between tries only: it has threads of earlier systems in it, for which Python calls back, and
   what a handler raises in such a call Python prints and forgets. No program would notice the interrupt.
=> Prints one JSON object of counts. A try that hangs ends the program with all stacks after HANG_S, and exit 1.
"""

import faulthandler
import gc
import json
import random
import signal
import sys
import threading
import time
from types import FrameType

import uvmfree

HANG_S = 25.0
"""Far more than close() ever takes."""

LATEST_S = 0.003
"""An interrupt comes at a random moment up to here: while the CPU is taken, in hundreds of calls, and in none."""


def own_handler(signum: int, frame: FrameType | None) -> None:
    """Be a handler that an application installs, and that raises wherever the program is."""
    raise KeyboardInterrupt


def work(cpu: "uvmfree.uvm.cpu.Cpu") -> None:
    """Allocate and free in bursts, for ever."""
    while True:
        held = [pg for pg in (cpu.pagealloc(zero=number % 7 == 0) for number in range(40)) if pg is not None]
        for pg in held:
            cpu.pagefree(pg)


def one(counts: dict[str, int], delay_s: float, audited: bool, **how: object) -> None:
    """Be interrupted once."""
    main, over = threading.get_ident(), threading.Event()

    def interrupt() -> None:
        over.wait(delay_s)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    try:
        with uvmfree.boot(npages=512, ncpus=2, **how) as uvm:
            try:
                with uvm.run_on(0) as cpu:
                    thread.start()
                    work(cpu)
            except KeyboardInterrupt:
                counts["interrupted"] += 1
                if audited:
                    try:
                        uvm.audit()
                    except uvmfree.AuditError:
                        counts["found by audit"] += 1
    except uvmfree.HangError:
        counts["left held"] += 1
    finally:
        thread.join()


def main() -> None:
    """Go on until the time is up."""
    handler, design, kind, seconds = sys.argv[1:]
    how = {"design": design} | ({} if kind == "plain" else {kind: True})
    if handler == "own":
        signal.signal(signal.SIGINT, own_handler)
    counts = dict.fromkeys(("tries", "interrupted", "found by audit", "left held"), 0)
    random.seed(1)
    gc.disable()
    until_s = time.monotonic() + float(seconds)
    while time.monotonic() < until_s:
        counts["tries"] += 1
        gc.collect()
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        # An audit of a lock that was left held takes long; that it ends is tested elsewhere.
        one(counts, random.random() * LATEST_S, handler == "python", **how)
        faulthandler.cancel_dump_traceback_later()
    print(json.dumps(counts))


if __name__ == "__main__":
    main()

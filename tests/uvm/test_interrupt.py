"""Ctrl-C in a program whose main thread plays a CPU: it never hangs, and with Python's handler it breaks nothing.

=> At many moments, in a process of its own, since the signal is real; `pytest -m long` does it for longer.
"""

import json
import re
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

import uvmfree
from tests.kern.tasks import run_all
from tests.uvm.interrupting import HANG_S
from uvmfree.kern.lock import RawLock
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.mutex import Mutex
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm import leftheld

SHORT_S, LONG_S = 0.5, 60.0


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    return LONG_S if "long" in str(request.config.getoption("-m")) else SHORT_S


def interrupted(handler: str, design: str, kind: str, seconds: float) -> dict[str, int]:
    """Run the program, and return what it counts."""
    command = [sys.executable, "-m", "tests.uvm.interrupting", handler, design, kind, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 2 * HANG_S, check=False)
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout)
    assert counts["tries"] == counts["interrupted"] > 0
    return counts


@pytest.mark.sampled(4)
@pytest.mark.timeout(LONG_S + 3 * HANG_S)
@pytest.mark.parametrize("kind", ["plain", "lockstat", "lockdebug"])
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_ctrl_c_breaks_nothing(design: str, kind: str, seconds: float) -> None:
    """No lock is left held, and audit() finds every page and count where it should be."""
    counts = interrupted("python", design, kind, seconds)
    assert counts["left held"] == counts["found by audit"] == 0


@pytest.mark.sampled(1)
@pytest.mark.timeout(LONG_S + 3 * HANG_S)
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_handler_that_raises_anywhere_hangs_nothing(design: str, seconds: float) -> None:
    """It may leave a lock held; then close() says so."""
    interrupted("own", design, "plain", 2 * seconds)


class _Struck:
    """A lock after whose taking an interrupt strikes, once: between acquire and the `try` that would release it."""

    def __init__(self, machine: "StrikingMachine", name: str, lock: RawLock) -> None:
        self._machine, self._name, self._lock = machine, name, lock
        self.release, self.locked = lock.release, lock.locked

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        taken = self._lock.acquire(blocking, timeout)
        if taken and self._machine.at == self._name and threading.current_thread() is threading.main_thread():
            self._machine.at = ""
            raise KeyboardInterrupt
        return taken


class StrikingMachine(ThreadsMachine):
    """Interrupts the main thread when it takes the mutex named `at` next, and no thread of the system's own."""

    at = ""

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        made = super().mutex(rank, index)
        made._raw = _Struck(self, made.name, made._raw)  # type: ignore[assignment]
        return made


CALLS: dict[str, Any] = {
    "uvm_cpu[0]": lambda uvm, cpu: cpu.pagealloc(),
    "uvm_fpageqlock": lambda uvm, cpu: cpu.pagealloc(),
    "xcall": lambda uvm, cpu: uvm.xcall.broadcast(lambda cpu: None),
    "uvm_pageout_lock": lambda uvm, cpu: uvm.kick_pdaemon(),
    "uvm_pageqlock": lambda uvm, cpu: uvm.anons.touch(cpu, 0, write=True),
    "swapio": lambda uvm, cpu: uvm._anon_maps._maps[0][1].allocate(),
}


@pytest.fixture
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftheld, "CLOSE_LOCK_S", 0.1)
    monkeypatch.setattr(leftheld, "AUDIT_LOCK_S", 0.1)


@pytest.fixture(params=["plain", "lockdebug", "lockwatch", "lockstat"])
def machine(request: pytest.FixtureRequest) -> StrikingMachine:
    return StrikingMachine(**({} if request.param == "plain" else {request.param: True}))


@pytest.mark.sampled(12)
@pytest.mark.usefixtures("_short_waits")
@pytest.mark.parametrize("lock", CALLS)
def test_a_lock_that_is_left_held_is_named_by_audit_and_by_close(machine: StrikingMachine, lock: str) -> None:
    """Nothing waits for it for ever: neither who closes, nor the system's own threads."""
    uvm: Any = uvmfree.boot(machine, npages=256, ncpus=2, redistribute_interval_s=0.001)
    uvm.anons = uvm.anon_memory(16, 16)
    uvm.__enter__()
    pg = uvm.cpus[0].pagealloc() if lock == "uvm_cpu[0]" else None
    machine.at = lock
    with pytest.raises(KeyboardInterrupt):
        CALLS[lock](uvm, uvm.cpus[0])
    with pytest.raises(uvmfree.AuditError) as audit:
        uvm.audit()
    assert lock in {finding.split(" is held for good")[0] for finding in audit.value.findings}
    with pytest.raises(uvmfree.HangError, match=f"^{re.escape(lock)}: not released"):
        uvm.close()
    for call in (uvm.cpus[0].pagealloc, uvm.audit, uvm.redistribute, lambda: uvm.cpus[0].pagefree(pg)):
        with pytest.raises(uvmfree.ClosedError):
            call()
    uvm.close()


@pytest.mark.usefixtures("_short_waits")
def test_a_lock_that_a_thread_holds_and_gives_back_is_nobodys_fault() -> None:
    """close() waits for it."""
    machine = StrikingMachine()
    uvm = uvmfree.boot(machine, npages=256, ncpus=2)
    held = uvm.design.cpu_locks[1].handle("somebody")
    held.acquire()
    run_all(uvm.close, held.release)


def test_the_handler_is_there_while_a_cpu_is_played_and_no_longer() -> None:
    """One that an application has installed stays."""
    uvm = uvmfree.boot(npages=64, ncpus=2)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with uvm.run_on(0), uvm.run_on(1):
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with uvm.run_on(0):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
        uvm.close()

"""The virtual machine: schedules computed by hand, invariants, determinism over strands, processes and hash seeds."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.machine.virtual_checks import CHECKS, random_run
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.strands import greenlets_work


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("strands", ["greenlet", "baton"])
def test_checks(check: Callable[..., None], strands: str) -> None:
    if strands == "greenlet" and not greenlets_work():
        pytest.skip("no greenlet here")
    check(lambda **how: VirtualMachine(**{**how, "strands": strands}))


@pytest.mark.skipif(not greenlets_work(), reason="no greenlet here")
@pytest.mark.parametrize("lock", ["ttas", "ticket", "mcs", "sleep"])
def test_strand_kinds_agree(lock: str) -> None:
    digests = {random_run(VirtualMachine, 7, lock, strands=strands) for strands in ("greenlet", "baton")}
    assert len(digests) == 1


def test_running_ahead_changes_nothing_where_nobody_else_takes_a_cpus_lock() -> None:
    digests = {random_run(VirtualMachine, 7, quantum_ns=quantum_ns) for quantum_ns in (0, 1000, 50_000)}
    # The order of the releases differs between strands that do not meet; the holds do not.
    assert len(digests) == 1


def test_processes_and_hash_seeds_agree() -> None:
    program = (
        "from tests.machine.virtual_checks import random_run\n"
        "from uvmfree.machine.virtual.machine import VirtualMachine\n"
        "print(random_run(VirtualMachine, 7))\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": seed}
        ).stdout.strip()
        for seed in ("0", "1", "4711")
    }
    assert digests == {random_run(VirtualMachine, 7)}

"""What every test of this folder is run over: each design, with plain and with checked locks."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import uvmfree

Boot = Callable[..., uvmfree.Uvm]


@pytest.fixture(params=list(uvmfree.DESIGNS))
def design(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["", "lockdebug", "virtual"])
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def boot(design: str, machine: str) -> Iterator[Boot]:
    """Boot small systems of one design; each that is still open is audited and closed after the test."""
    booted: list[uvmfree.Uvm] = []

    def boot(**tunables: Any) -> uvmfree.Uvm:
        small = {"npages": 64, "ncpus": 2, "ncolors": 4, "redistribute_interval_s": 3600}
        how: dict[str, Any] = {**small, **tunables, "design": design, "lockdebug": bool(machine)}
        if machine == "virtual":
            how["machine"] = uvmfree.VirtualMachine(
                ncpus=how["ncpus"], lockstat=how.get("lockstat", False), lockdebug=True, check=True
            )
        booted.append(uvmfree.boot(**how))
        return booted[-1]

    yield boot
    try:
        for uvm in booted:
            with suppress(uvmfree.ClosedError):
                uvm.audit()
    finally:
        for uvm in booted:
            uvm.close()

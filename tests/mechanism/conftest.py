"""What every test of this folder is run over: each design, and the proposal with its options."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import uvmfree
from tests.mechanism.rig import BOTH, SMALL, VARIANTS, Boot


@pytest.fixture(params=BOTH)
def design(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    return VARIANTS[request.param]


@pytest.fixture
def boot() -> Iterator[Boot]:
    """Boot small systems with checked locks; each that is still open is audited and closed after the test."""
    booted: list[uvmfree.Uvm] = []

    def boot(*machine: Any, **tunables: Any) -> uvmfree.Uvm:
        booted.append(uvmfree.boot(*machine, **SMALL | {"lockdebug": True} | tunables))
        return booted[-1]

    yield boot
    try:
        for uvm in booted:
            with suppress(uvmfree.ClosedError):
                uvm.audit()
    finally:
        for uvm in booted:
            uvm.close()

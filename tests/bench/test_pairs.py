"""The pair of each design is that of a full cache: bench/pairs.py."""

from __future__ import annotations

import pytest

from bench.floor import CACHED_PAGES
from tests.bench.scripted import Script, Scripts
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.uvm.boot import boot


@pytest.fixture
def pairs(script: Scripts) -> Script:
    """The script on a virtual machine, where minutes pass at once."""
    return script("pairs").has(boot=lambda **how: boot(VirtualMachine(ncpus=2), **how))


def test_a_run_of_minutes_has_the_cache_with_which_it_began(pairs: Script) -> None:
    with pairs.module.warm("percpu") as (uvm, cpu):
        uvm.machine.sleep(600)
        assert cpu.cached() == CACHED_PAGES


def test_pairs_with_a_cache_that_was_handed_back_are_an_error(pairs: Script) -> None:
    pairs.has(PUT_OFF_S=1.0)
    with pytest.raises(RuntimeError, match="percpu: the cache was handed back"):  # noqa: SIM117
        with pairs.module.warm("percpu") as (uvm, _):
            uvm.machine.sleep(2)

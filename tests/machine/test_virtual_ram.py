"""RAM in virtual time: what is stored can be read, storing takes time, and zeros take none of the host's memory."""

import resource

import pytest

from uvmfree.machine.virtual.lines import PAGE_BYTES
from uvmfree.machine.virtual.machine import VirtualMachine

ZEROS = bytes(PAGE_BYTES)


def test_stores_are_read_by_every_view_and_take_time() -> None:
    machine = VirtualMachine(ncpus=1)
    ram = machine.ram(4 * PAGE_BYTES)
    one, other = ram.view(), ram.view()
    began_ns = machine.clock_ns()
    one[0:PAGE_BYTES] = ZEROS
    assert machine.clock_ns() - began_ns == machine.costs.ns("zero_page")
    one[PAGE_BYTES : 2 * PAGE_BYTES] = b"\7" * PAGE_BYTES
    one[2 * PAGE_BYTES + 5] = 9
    lent = other[3 * PAGE_BYTES : 4 * PAGE_BYTES]
    lent[1] = 3
    assert (other[PAGE_BYTES], other[2 * PAGE_BYTES + 5], one[3 * PAGE_BYTES + 1]) == (7, 9, 3)
    for page in range(4):
        other[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = ZEROS
    assert bytes(one[0 : 4 * PAGE_BYTES]) == bytes(4 * PAGE_BYTES)


@pytest.mark.parametrize("at", [1, 3 * PAGE_BYTES + 5])
def test_a_page_of_zeros_that_lies_across_two_pages_is_stored(at: int) -> None:
    ram = VirtualMachine(ncpus=1).ram(8 * PAGE_BYTES)
    view = ram.view()
    view[at + PAGE_BYTES - 1] = 1
    view[at : at + PAGE_BYTES] = ZEROS
    assert view[at + PAGE_BYTES - 1] == 0


def test_zeroed_pages_take_no_memory_of_the_host() -> None:
    npages = 1 << 16  # 256 MiB
    view = VirtualMachine(ncpus=1).ram(npages * PAGE_BYTES).view()
    held_kib = _resident_kib()
    for page in range(npages):
        view[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = ZEROS
    assert _resident_kib() - held_kib < 32 << 10


def _resident_kib() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 10


@pytest.mark.parametrize("nbytes", [0, 1, PAGE_BYTES // 4, PAGE_BYTES, 3 * PAGE_BYTES])
def test_storing_takes_time_by_the_byte(nbytes: int) -> None:
    machine = VirtualMachine(ncpus=1)
    view, page_ns = machine.ram(4 * PAGE_BYTES).view(), machine.costs.ns("zero_page")
    began_ns = machine.clock_ns()
    view[8 : 8 + nbytes] = b"\1" * nbytes
    assert machine.clock_ns() - began_ns == page_ns * nbytes // PAGE_BYTES
    began_ns = machine.clock_ns()
    view[0] = 1
    assert machine.clock_ns() - began_ns == page_ns // PAGE_BYTES

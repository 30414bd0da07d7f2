"""The topology of a virtual machine: how far one CPU is from another, as the time that a cache line takes.

=> CPUs fill a socket's cores before the next socket's; with all cores in use they go on as second threads of them.
=> `move[a][b]`: nanoseconds until a line that CPU a wrote last is in CPU b's cache. Row -1, the last one, is memory:
   a line that no cache holds. The last column is a strand of no CPU, which stands outside of time: 0.
"""

from __future__ import annotations

from typing import Final

from uvmfree.errors import ParamError
from uvmfree.machine.costs import Costs


def socket_of(costs: Costs, cpu: int) -> int:
    """Return the number of the socket that a CPU is in."""
    cores = costs.count("socket_cores")
    return cpu % (cores * costs.count("sockets")) // cores


PLACES_MAX: Final = 1 << 16
"""Far more than a virtual machine can have CPUs."""


def moves(costs: Costs, ncpus: int) -> list[list[int]]:
    """Return the table of transfers; ParamError if there are more CPUs than places."""
    socket_cores, complex_cores = costs.count("socket_cores"), costs.count("complex_cores")
    cores = socket_cores * costs.count("sockets")
    places = cores * costs.count("core_threads")
    if places > PLACES_MAX:
        raise ParamError(
            f"{places} places for CPUs: at most {PLACES_MAX}; see sockets, socket_cores and core_threads"
        )
    if ncpus > places:
        raise ParamError(
            f"ncpus={ncpus}: the topology of {costs.name} has places for {places}; "
            "see sockets, socket_cores and core_threads"
        )
    core, near, socket, remote = (costs.ns(f"line_{level}") for level in ("core", "complex", "socket", "remote"))
    rows: list[list[int]] = []
    for a in range(ncpus):
        at = a % cores
        mine = at // socket_cores * socket_cores
        row = [remote] * cores
        row[mine : mine + socket_cores] = [socket] * socket_cores
        near_from = mine + (at - mine) // complex_cores * complex_cores
        near_to = min(near_from + complex_cores, mine + socket_cores)
        row[near_from:near_to] = [near] * (near_to - near_from)
        row[at] = core
        row = (row * costs.count("core_threads"))[:ncpus]
        row[a] = 0
        rows.append([*row, 0])
    rows.append([costs.ns("line_memory")] * ncpus + [0])
    return rows

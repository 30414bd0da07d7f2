"""Which socket a CPU is in, and how far CPUs are apart: two statements about one machine, which have to agree."""

import pytest

from uvmfree.errors import ParamError
from uvmfree.machine.costs import SETS, Costs, costs_for
from uvmfree.machine.virtual.topology import PLACES_MAX, moves, socket_of


def places(costs: Costs) -> int:
    """Return how many CPUs there can be, second threads of cores among them."""
    return costs.count("socket_cores") * costs.count("sockets") * costs.count("core_threads")


def small(**counts: float) -> Costs:
    """Return a machine whose costs of lines tell the levels apart."""
    apart: dict[str, float] = {"line_core": 1, "line_complex": 2, "line_socket": 3, "line_remote": 4}
    return costs_for("xeon-2s").with_figures(apart | counts, "--cost")


SMALL = [
    dict(zip(("sockets", "socket_cores", "complex_cores", "core_threads"), counts, strict=True))
    for counts in ((1, 4, 2, 2), (2, 3, 2, 2), (2, 4, 4, 1), (3, 5, 2, 2), (4, 2, 1, 2))
]


@pytest.mark.parametrize("name", SETS)
def test_a_line_from_another_socket_takes_longest(name: str) -> None:
    costs = costs_for(name)
    remote = costs.ns("line_remote")
    table = moves(costs, places(costs))
    for a in range(0, places(costs), 3):
        for b in range(places(costs)):
            other = socket_of(costs, a) != socket_of(costs, b)
            assert (table[a][b] == remote) == other or remote == costs.ns("line_socket")


@pytest.mark.parametrize("counts", SMALL, ids=str)
def test_each_level_is_where_it_belongs(counts: dict[str, float]) -> None:
    """By a naive walk: thread, core, complex, socket; a complex at the end of a socket may be smaller."""
    costs = small(**counts)
    cores = int(counts["sockets"] * counts["socket_cores"])
    table = moves(costs, places(costs))

    def address(cpu: int) -> tuple[int, int, int]:
        """Return socket, complex and core of a CPU."""
        socket, core = divmod(cpu % cores, int(counts["socket_cores"]))
        return socket, core // int(counts["complex_cores"]), core

    for a in range(places(costs)):
        assert socket_of(costs, a) == address(a)[0]
        for b in range(places(costs)):
            one, other = address(a), address(b)
            if a == b:
                distance = 0
            elif one == other:
                distance = 1
            elif one[:2] == other[:2]:
                distance = 2
            else:
                distance = 3 if one[0] == other[0] else 4
            assert table[a][b] == distance
        assert table[a][-1] == 0
    assert table[-1] == [costs.ns("line_memory")] * places(costs) + [0]


def test_there_are_at_most_so_many_places_and_as_many_cpus_as_places() -> None:
    most = small(sockets=2, socket_cores=PLACES_MAX // 4, complex_cores=64, core_threads=2)
    assert places(most) == PLACES_MAX
    assert len(moves(most, 1)) == 2
    beyond = small(sockets=2, socket_cores=PLACES_MAX // 4 + 1, complex_cores=64, core_threads=2)
    with pytest.raises(ParamError, match=f"{PLACES_MAX + 4} places for CPUs: at most {PLACES_MAX}"):
        moves(beyond, 1)
    few = small(sockets=1, socket_cores=2, complex_cores=2, core_threads=2)
    assert len(moves(few, 4)) == 5
    with pytest.raises(ParamError, match="ncpus=5: the topology of xeon-2s has places for 4"):
        moves(few, 5)

"""How long an epoch of a plan was when it was recorded: by its first CPU, whose gaps begin at the first event."""

from array import array

from uvmfree.workload.replay_plan import Plan, Program


def test_it_is_the_mean_of_the_first_cpus_gaps() -> None:
    programs = tuple(
        Program(array("B", [0, 2]), array("I", [0, 0]), array("Q", gaps), array("I", [1, 2, 2, 2]), 1)
        for gaps in ([3000, 5000], [100, 40])
    )
    assert Plan(programs, 0, (), 2, 2, 4, 2, 0).epoch_ns == 2000

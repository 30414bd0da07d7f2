"""What one measured point of a scaling curve has counted, on runs in which the answer is plain."""

from uvmfree.measure.scale import COUNTED_OPS, Case, Point, Traffic, measured

NCPUS = 4


def point(design: str) -> Point:
    found = measured(Case(design, NCPUS, Traffic("pingpong")))
    assert found is not None
    assert found.operations >= NCPUS * COUNTED_OPS
    return found


def test_while_caches_serve_everything_no_shared_lock_is_held() -> None:
    """Each CPU takes its own lock for each of its operations: that is no hold of a shared one."""
    found = point("percpu")
    assert (found.shared_acquired, found.held_ns, found.busy_percent) == (0, 0, 0)


def test_where_one_lock_is_all_there_is_it_is_held_for_every_operation() -> None:
    found = point("fpageqlock")
    assert abs(found.shared_acquired - found.operations) <= NCPUS
    assert 0 < found.held_ns <= found.window_ns

"""At the end of an executor the cell under way is told to give up, and is waited for."""

import threading

from uvmfree.measure.cell import Worker
from uvmfree.measure.executors import local

TICK_S = 0.01


def given_up() -> bool:
    """Go on until told to give up; in a process of its own. False if that was for too long."""
    pause = threading.Event()
    for _ in range(1000):
        if Worker.stop():
            return True
        pause.wait(TICK_S)
    return False


def test_a_cell_under_way_is_given_up_at_the_end() -> None:
    with local() as (executor, at_once):
        under_way = executor.submit(given_up)
        for _ in range(1000):
            if under_way.running():
                break
            threading.Event().wait(TICK_S)
    assert at_once == 1
    assert under_way.done()
    assert under_way.result(timeout=0)

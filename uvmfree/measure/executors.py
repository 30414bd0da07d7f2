"""Where the cells of a sweep are measured: in a process of this machine, or by the workers of a scheduler."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from uvmfree.errors import ArgumentError
from uvmfree.measure.cell import Worker
from uvmfree.measure.extras import needs

REACH_S: Final = 10.0
"""How long a scheduler may take to answer."""


@contextmanager
def local() -> Iterator[tuple[Executor, int]]:
    """Yield an executor of one process, and 1: how many cells it can measure at once.

    => A process of its own, begun anew: threads of this one, and what it has imported, do not disturb it. At the end
       a cell that is still being measured is given up.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    executor = ProcessPoolExecutor(1, mp_context=context, initializer=Worker.begin, initargs=(stop,))
    try:
        yield executor, 1
    finally:
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def scheduled(address: str) -> Iterator[tuple[Executor, int]]:
    """Yield the executor of a dask scheduler, and on how many machines it has workers: so many cells go at once.

    => ArgumentError if it cannot be reached within REACH_S or has no workers; ExtraError without `distributed`.
    """
    distributed: Any = needs("distributed", "cluster", "--scheduler")
    try:
        client = distributed.Client(address, timeout=REACH_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise ArgumentError(f"--scheduler {address}: cannot be reached within {REACH_S:.0f} s: {why}") from None
    try:
        machines = {worker["host"] for worker in client.scheduler_info()["workers"].values()}
        if not machines:
            raise ArgumentError(f"--scheduler {address}: has no workers")
        yield client.get_executor(pure=False), len(machines)
    finally:
        client.close(timeout=REACH_S)

"""Runs that do not need each other, spread over the processors."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from uvmfree.measure.executors import local

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def spread(runs: Mapping[K, Callable[[], T]]) -> dict[K, T]:
    """Return what each run comes to, in their order; a run is a partial() of a function of a module.

    => The last one begins first: name small machines before large ones, so that no large one is left to the end.
    => What a run raises is raised here. Runs look at Worker.stop() (measure/cell.py), so that Ctrl-C ends them.
    """
    with local(min(len(runs), len(os.sched_getaffinity(0)))) as (executor, _):
        under_way = {name: executor.submit(runs[name]) for name in reversed(list(runs))}
        return {name: under_way[name].result() for name in runs}

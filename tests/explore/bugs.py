"""Seeded bugs: the product changed for as long as a context lasts, so that tests see the models fail.

=> Each is what a hurried hand might write. Replay with one: `--patch tests.explore.bugs:NAME`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from uvmfree.uvm.designs.percpu import Percpu, PercpuCpu
from uvmfree.uvm.page import ZEROS


def _seeded(owner: type, name: str, broken: Callable[..., Any]) -> Callable[[], Any]:
    """Return the context manager that puts `broken` in the place of a method."""

    @contextmanager
    def seed() -> Iterator[None]:
        with mock.patch.object(owner, name, broken):
            yield

    return seed


def _redistribute_unlocked(self: Percpu, index: int, cause: str) -> int:
    cpu = self._cpu(index)
    chopped = cpu.chop()
    if not chopped:
        return 0
    self._causes[index][cause] += 1
    pages = sum(map(len, chopped))
    with self._fpageqlock:
        for part in chopped:
            self._global.splice(part, part[0].free_list, part[0].color)
    cpu.put_back(pages, sum(len(part) for part in chopped if part.queue == ZEROS))
    return pages


def _free_counted_late(self: PercpuCpu, pg: Any) -> None:
    self._acquire_free()
    try:
        unknown = self._unknown_lists[pg.free_list][pg.color]
        pg.list = unknown
        unknown.append(pg)
    finally:
        self._release_free()
    self.frees += 1


redistribute_without_the_cpu_lock = _seeded(Percpu, "redistribute", _redistribute_unlocked)
free_counted_outside_the_lock = _seeded(PercpuCpu, "pagefree", _free_counted_late)

"""Counts in words."""

import pytest

from uvmfree.workload.plural import plural


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 CPUs"), (1, "1 CPU"), (2, "2 CPUs"), (1024, "1,024 CPUs"), (-1, "-1 CPUs")]
)
def test_a_noun_takes_an_s_unless_there_is_one(count: int, said: str) -> None:
    assert plural(count, "CPU") == said

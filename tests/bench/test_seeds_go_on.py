"""Seeds that were broken off: those that were played by the same code are not played again."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.scripted import Scripts


@pytest.mark.parametrize(
    ("change", "begins"),
    [({}, 3), ({"code": ["other"]}, 1), ({"failure": "uvmfree stress --seed 2"}, 1), ({"seeds": "2-2"}, 1)],
)
def test_seeds_that_were_broken_off_go_on_where_they_were(
    script: Scripts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: dict[str, object], begins: int
) -> None:
    """By the same code, from the same first seed, and with nothing found."""
    played: list[int] = []

    @contextmanager
    def local(_: int) -> Iterator[tuple[None, int]]:
        yield None, 1

    def play_seeds(seen: Any, left: range, *_: object) -> Iterator[Any]:
        played.append(left.start)
        for seed in left[:2]:
            seen.last, seen.runs, seen.host_s = seed, seen.runs + 1, seen.host_s + 1.0
            yield SimpleNamespace(design="percpu")

    seeds = script("seeds").has(
        local=local,
        play_seeds=play_seeds,
        first_signal_asks=lambda: nullcontext(lambda: False),
        SEEDS_FILE=(file := tmp_path / "seeds.json"),
    )
    monkeypatch.setattr(sys, "argv", ["seeds.py", "--seeds", "1-10"])
    assert seeds.module.main() == 0
    kept = json.loads(file.read_text())
    assert (kept["seeds"], kept["last"], kept["runs"], kept["host_s"]) == ("1-2", 2, 2, 2.0)
    file.write_text(json.dumps(kept | change))
    assert seeds.module.main() == 0
    again = json.loads(file.read_text())
    assert played == [1, begins]
    assert (again["seeds"], again["runs"], again["host_s"]) == (f"1-{begins + 1}", begins + 1, begins + 1.0)
    assert again["wall_s"] > (kept["wall_s"] if begins == 3 else 0)

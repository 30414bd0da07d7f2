"""The limits of every number that the command line takes, as a table that was written by hand."""

from collections.abc import Iterator
from typing import Any

import click
import pytest

from uvmfree.cli import cli
from uvmfree.cli.scale import counts_for
from uvmfree.errors import ArgumentError
from uvmfree.measure.scale import Traffic

LIMITS: dict[str, tuple[float, float | None]] = {
    "bench --repetitions": (1, None),
    "bench --think": (0, 10_000_000),
    "bench --copies": (1, 512),
    "bench --warm-up": (0, 100),
    "bench --seed": (0, 4_611_686_018_427_387_904),
    "bench --unpacked-mib": (1, 16_777_216),
    "explain --cpus": (1, 64),
    "explain --npages": (1024, 65_536),
    "explain --steps": (1, 10_000),
    "explain --speed": (0.05, 50),
    "scale --think": (0, 10_000_000),
    "scale --seed": (0, 4_611_686_018_427_387_904),
    "scale --seeds": (1, 100),
    "sweep --repetitions": (1, None),
    "sweep --unpacked-mib": (1, 16_777_216),
    "top -c": (1, None),
    "top -w": (0.05, 3600),
    "trace info --unpacked-mib": (1, 16_777_216),
}


def numbers(command: Any = cli, name: str = "") -> Iterator[tuple[str, click.Option]]:
    """Yield the options of all commands that take a number within limits."""
    for below, other in getattr(command, "commands", {}).items():
        yield from numbers(other, f"{name} {below}".strip())
    for option in command.params:
        if isinstance(option.type, click.IntRange | click.FloatRange):
            yield f"{name} {option.opts[0]}", option


OPTIONS = dict(numbers())


def test_each_option_has_its_row() -> None:
    assert OPTIONS.keys() == LIMITS.keys()


@pytest.mark.parametrize("name", LIMITS)
def test_both_ends_are_taken_and_what_is_beyond_is_refused(name: str) -> None:
    option, (low, high) = OPTIONS[name], LIMITS[name]
    whole = isinstance(option.type, click.IntRange)
    step: float = 1 if whole else 0.01
    taken = option.type.convert
    for end in (low, 10**18 if high is None else high):
        assert taken(str(end), option, None) == end
    for wrong in (low - step, *([] if high is None else [high + step])):
        with pytest.raises(ArgumentError, match=rf"{option.opts[0]} .*: must be a .* from {low} (on|to)") as refusal:
            taken(str(wrong), option, None)
        ends = {4_611_686_018_427_387_904: "2^62", 16_777_216: "2^24"}
        assert high is None or str(refusal.value).endswith(f"to {ends.get(high, high)}")


def test_cpu_counts_of_a_curve() -> None:
    """From 1 to 512, and a multiple of what the workload needs."""
    assert counts_for("512,1,1", Traffic("pingpong")) == [1, 512]
    assert counts_for("2,512", Traffic("handoff")) == [2, 512]
    for wrong in ("0", "513", "-1"):
        with pytest.raises(ArgumentError, match=f"--cpus {wrong}: must be from 1 to 512$"):
            counts_for(wrong, Traffic("pingpong"))
    with pytest.raises(ArgumentError, match=r"--cpus 3: must be from 1 to 512, a multiple of 2$"):
        counts_for("2,3", Traffic("handoff"))

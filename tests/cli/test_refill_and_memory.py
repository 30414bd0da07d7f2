"""What `uvmfree bench` makes of --refill and --memory, before anything is measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Said
from tests.workload.perf_lines import line
from uvmfree.errors import ArgumentError
from uvmfree.measure import bench, workloads

Run = Callable[..., Said]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "--memory and --npages both"),  # percpu is among the designs that are shown by default
        (("--design", "depot", "--design", "percpu"), "--memory and --npages both"),
        (("--design", "depot"), "--refill 4: is of percpu, which is not among the designs"),
    ],
)
def test_a_refill_is_of_percpu(run: Run, args: tuple[str, ...], said: str) -> None:
    found = run("bench", "--refill", "4", "--memory", "0.5", "--npages", "256", *args)
    assert found.status == 2
    assert said in found.err


@pytest.mark.parametrize(
    ("args", "checked"),
    [
        (("--machine", "virtual"), True),
        (("--machine", "virtual", "--workload", "pingpong"), True),
        (("--machine", "virtual", "--memory", "0.5"), False),
        (("--machine", "virtual", "--workload", "pressure"), False),
        ((), False),
    ],
)
def test_in_virtual_time_there_is_memory_enough_unless_it_is_to_be_short(
    run: Run, args: tuple[str, ...], checked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*given: object, sleeps: bool = False) -> None:
        if sleeps:
            raise ArgumentError("was checked")

    def begin(*given: object) -> Any:
        raise ArgumentError("was not checked")

    file = tmp_path / "t"
    file.write_text("".join(line("alloc", hex(page), us=page) for page in range(1, 200)))
    monkeypatch.setattr(workloads, "check_fits", check)
    monkeypatch.setattr(bench, "new_record", begin)
    trace = () if "--workload" in args else ("--trace", str(file))
    found = run("bench", *trace, *args)
    assert (found.status, found.err) == (2, f"uvmfree: {'was checked' if checked else 'was not checked'}\n")

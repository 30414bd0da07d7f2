"""Designs and traces that are named, and are none: one line, exit 2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

BROKEN = {
    "torn": ("class Torn(\n", "SyntaxError: "),
    "unknown": ("from nowhere_at_all import Design\n", "No module named 'nowhere_at_all'"),
    "failing": ("raise RuntimeError('no luck')\n", "RuntimeError: no luck"),
    "dividing": ("Design = 1 / 0\n", "ZeroDivisionError: division by zero"),
    "ending": ("raise SystemExit\n", "SystemExit as it was imported, with None"),
    "script": ("import sys\nsys.exit(3)\n", "SystemExit as it was imported, with 3"),
}


@pytest.mark.parametrize("module", BROKEN)
def test_a_module_that_cannot_be_imported_says_why(
    run: Run, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, says = BROKEN[module]
    (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    said = run("bench", "--design", f"{module}:Design")
    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(f"uvmfree: design='{module}:Design': {says}")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (".:x", "TypeError: the 'package' argument is required"),
        ("os:path", "path is no design; it must be a class derived from Design"),
        ("uvmfree.uvm.design:Design", "Design is no whole design; it has no name, summary, cpu_class"),
    ],
)
@pytest.mark.parametrize(
    "command", [("bench", "--design"), ("stress", "--design"), ("scale", "--design"), ("explain",)]
)
def test_what_is_no_design_is_one_line(run: Run, command: tuple[str, ...], name: str, says: str) -> None:
    said = run(*command, name)
    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
    assert says in said.err


@pytest.mark.parametrize("command", [("bench",), ("scale", "--cpus", "2"), ("sweep", "-o", "new.json")])
def test_a_trace_without_a_name_is_not_the_one_that_ships(
    run: Run, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell hands it on where a variable was empty."""
    monkeypatch.chdir(tmp_path)
    said = run(*command, "--trace", "")
    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err == "uvmfree: --trace '': is empty\n"
    assert not list(tmp_path.iterdir())

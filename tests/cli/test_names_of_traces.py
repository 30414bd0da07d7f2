"""A trace whose file has a name that a terminal would obey, or that is no text: what is printed, and what is kept."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Said
from tests.workload.perf_lines import line
from uvmfree.measure.record import load

Run = Callable[..., Said]
QUICK = ("--npages", "256", "--repetitions", "1", "--design", "percpu")
NAMES = {
    "escape sequence": (b"a\x1b[2Jb", "a\\x1b[2Jb"),
    "line end": (b"a\nb", "a\\nb"),
    "byte that is no text": (b"a\xe9b", "a\\udce9b"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_is_written_out_and_the_record_can_be_read(run: Run, tmp_path: Path, kind: str) -> None:
    name, shown = NAMES[kind]
    file, out = os.path.join(tmp_path, os.fsdecode(name)), str(tmp_path / "out.json")
    Path(file).write_text(line("alloc", "0x7", us=1) + line("free", "0x7", us=2))
    for more, called in (((), shown), (("--by", "task"), f"{shown}, by task")):
        said = run("bench", *QUICK, "--trace", file, "--json", out, *more)
        assert (said.status, said.err) == (0, "")
        assert f"workload:    {called}, 1 CPU\n" in said.out
        assert all(each.isprintable() for each in said.out.split("\n"))
        record = load(out)
        assert record.workload.name == called
        assert f"{tmp_path}/{shown}" in record.command
        assert f"workload:    {called}, 1 CPU\n" in run("compare", out, out).out


def test_a_sweep_keeps_the_name_or_refuses_it_before_any_work(run: Run, tmp_path: Path) -> None:
    """Its file names the trace, for whoever goes on."""
    out = tmp_path / "sweep.json"
    for name, shown in NAMES.values():
        file = os.path.join(tmp_path, os.fsdecode(name))
        Path(file).write_text(line("alloc", "0x7", us=1) + line("free", "0x7", us=2))
        asked = ("-o", str(out), "--repetitions", "1", "--design", "percpu", "--set", "npages=256", "--trace", file)
        said = run("sweep", *asked)
        if "\\ud" in shown:
            says = f"--trace {tmp_path}/{shown}: the name is not UTF-8; give it one that is, as by a link"
            assert said == Said(2, "", f"uvmfree: {says}\n")
            assert not out.exists()
            continue
        assert (said.status, said.err) == (0, "")
        assert all(each.isprintable() for each in said.out.split("\n"))
        assert json.loads(out.read_text())["cells"][0]["trace"] == file
        out.unlink()

"""`uvmfree compare`: a gate that cannot be passed by having nothing to compare, and text that a terminal may have."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Said
from tests.report.made import record
from uvmfree.measure.record import THREAD_TIMES, Record

Run = Callable[..., Said]
HOSTILE = "\x1b[2J[/bold]\r\n\u202e:smile:"
SHOWN = "\\x1b[2J[/bold]\\r\\n\\u202e:smile:"


def written(folder: Path, name: str, made: Record) -> str:
    (folder / name).write_text(json.dumps(made.document()))
    return str(folder / name)


def empty(made: Record) -> Record:
    return replace(made, runs=[])


def stressed(made: Record) -> Record:
    return replace(made, kind="stress", seconds=1.0, runs=[])


@pytest.mark.parametrize("bare", [empty, stressed])
def test_nothing_to_compare_is_no_pass(run: Run, tmp_path: Path, bare: Callable[[Record], Record]) -> None:
    good, bad = written(tmp_path, "good.json", record()), written(tmp_path, "bad.json", bare(record()))
    for files, which in (((good, bad), "second"), ((bad, good), "first")):
        said = run("compare", *files, "--json", str(tmp_path / "out.json"))
        assert said == Said(2, "", f"uvmfree: nothing to compare: the {which} record has no runs\n")
    assert not (tmp_path / "out.json").exists()


def test_no_escape_sequence_of_a_record_gets_to_the_terminal(run: Run, tmp_path: Path) -> None:
    one = record(designs=(HOSTILE,), workload=HOSTILE)
    other = replace(one, host=replace(one.host, kernel=HOSTILE + "2"))
    worse = replace(
        other, runs=[replace(r, cpus=tuple(replace(c, atomics=c.atomics + 10**6) for c in r.cpus)) for r in one.runs]
    )
    said = run("compare", "--all", *(written(tmp_path, f"{n}.json", each) for n, each in enumerate((one, worse))))
    assert said.status == 1
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    assert SHOWN in said.out
    assert f"kernel: {one.host.kernel} before, {SHOWN}2 after" in " ".join(said.out.split())
    assert said.err.startswith("uvmfree: worse by more than 5 %: ")
    assert f"atomics_per_op of {SHOWN}" in said.err
    elsewhere = written(tmp_path, "2.json", record(designs=(HOSTILE,), workload="other"))
    said = run("compare", str(tmp_path / "0.json"), elsewhere)
    assert said == Said(
        2, "", f"uvmfree: the records are of different workloads: {SHOWN} on 2 CPUs and other on 2 CPUs\n"
    )


def test_with_the_gil_times_of_threads_are_left_out_and_it_is_said(run: Run, tmp_path: Path) -> None:
    file, out = written(tmp_path, "gil.json", record(gil=True)), tmp_path / "out.json"
    said = run("compare", "--all", file, file, "--json", str(out))
    assert (said.status, said.err) == (0, "")
    assert not [figure for figure in THREAD_TIMES if figure in said.out]
    assert "shared_locks_per_op" in said.out
    assert said.out.split("\n\n")[1].startswith("With the GIL, threads take turns, so wait share,")  # above the table
    assert "free-threaded Python" in said.out
    document = json.loads(out.read_text())
    assert document["left_out"] == sorted(THREAD_TIMES)
    assert not THREAD_TIMES & {change["figure"] for change in document["changes"]}
    said = run("compare", "--all", written(tmp_path, "free.json", record()), str(tmp_path / "free.json"))
    assert "wait_share_percent" in said.out
    assert "GIL" not in said.out


def test_the_table_fits_80_columns_and_a_pipe_gets_no_padding(run: Run, tmp_path: Path) -> None:
    """A row for each figure below the name of its design, and ASCII; no number has an exponent."""
    one = record(designs=("fpageqlock", "percpu"), repetitions=3, rows=0)
    runs = [replace(each, seen=replace(each.seen, stranded_pages_max=27_534)) for each in one.runs]
    one = replace(one, runs=runs)
    file = written(tmp_path, "one.json", one)
    said = run("compare", file, file)
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line != line.rstrip()] == []
    assert said.out.isascii()
    assert [each.split()[0] for each in lines[:4]] == ["workload:", "tunables:", "machine:", "interpreter:"]
    assert lines[5].split() == ["before", "after", "ratio,", "95", "%", "interval"]
    assert [line for line in lines if line in ("fpageqlock", "percpu")] == ["fpageqlock", "percpu"]
    stranded = [line.split() for line in run("compare", "--all", file, file).out.splitlines() if "stranded" in line]
    assert stranded[0][:3] == ["stranded_pages_max", "27,534", "27,534"]
    row = next(line for line in lines if line.startswith(" shared_locks_per_op "))
    assert row.split()[-5:] == ["1.000", "1.000", "to", "1.000", "same"]


def test_the_head_is_of_both_records(run: Run, tmp_path: Path) -> None:
    """A tunable that only the second has changed is no default."""
    one = record()
    other = record(refill=4)
    file, second = written(tmp_path, "one.json", one), written(tmp_path, "other.json", other)
    npages = one.param.npages
    assert f"\ntunables:    npages={npages}, percpu.refill=1 before, 4 after\n" in run("compare", file, second).out
    assert f"\ntunables:    npages={npages}, percpu.refill=4 before, 1 after\n" in run("compare", second, file).out
    assert f"\ntunables:    npages={npages}, percpu.refill=4\n" in run("compare", second, second).out
    assert f"\ntunables:    npages={npages}, others at their defaults\n" in run("compare", file, file).out
    own = written(tmp_path, "own.json", replace(one, param=replace(one.param, own=(("lazy.batch", 3),))))
    assert "npages=65536, lazy.batch=its default before, 3 after\n" in run("compare", file, own).out
    smaller = replace(one, param=replace(one.param, npages=512), host=replace(one.host, kernel="Linux 1"))
    said = run("compare", file, written(tmp_path, "smaller.json", smaller)).out
    assert f"\ntunables:    npages={npages} before, 512 after, others at their defaults\n" in said
    assert [line.split(";")[-1] for line in said.splitlines() if line.startswith("machine:")] == [
        f" {each.host.kernel}" for each in (one, smaller)
    ]

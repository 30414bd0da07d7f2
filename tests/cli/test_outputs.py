"""What commands write: every output of every command, in places that are files, links, devices and pipes.

The rules of one place are tests/test_outfile.py's; here is that each command goes by them, before its work.
"""

import json
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workload.perf_lines import line
from uvmfree.measure import workloads
from uvmfree.measure.bench import measure, new_record
from uvmfree.measure.counterfile import CounterFile
from uvmfree.param import Param

Run = Callable[..., Any]
BOUND_S = 20
QUICK = ("bench", "--workload", "pressure", "--seconds", "0.02", "--npages", "512", "--repetitions", "1")
BENCH = (*QUICK, "--cpus", "1", "--design", "percpu")
TIMED = ("bench", "--npages", "256", "--repetitions", "1", "--design", "percpu", "--trace")
FAKE = Path(__file__).resolve().parents[1] / "workload/fake_perf.py"


def node(path: Path, minor: int) -> str:
    """Make a character device of our own: 3 is another /dev/null, 7 another /dev/full."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
    except PermissionError:
        pytest.skip("needs the right to make device nodes")
    return str(path)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A record of a short run."""
    file = tmp_path_factory.mktemp("record") / "record.json"
    workload = workloads.pressure(1, 0.02)
    made = new_record(workload, Param(npages=512, ncpus=1), ("percpu",))
    assert len(list(measure(made, workload, 1, lambda what: None))) == 1
    file.write_text(json.dumps(made.document()))
    return str(file)


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """A trace of one page."""
    file = tmp_path / "one.perf"
    file.write_text(line("alloc", "0x7", us=1) + line("free", "0x7", us=2))
    return str(file)


@pytest.fixture
def perf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for perf on PATH; what it recorded is left in the working folder if a test is broken off."""
    monkeypatch.chdir(tmp_path)
    perf = tmp_path / "perf"
    perf.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{FAKE}' \"$@\"\n")
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_PERF_LOG", str(tmp_path / "perf.log"))


def commands(record: str, trace: str) -> dict[str, tuple[str, ...]]:
    """Each command with an output, without the name of the output."""
    return {
        "bench --json": (*BENCH, "--json"),
        "bench --pyperf": (*TIMED, trace, "--pyperf"),
        "bench --perfetto": (*TIMED, trace, "--perfetto"),
        "stress --json": ("stress", "--seconds", "0.1", "--npages", "256", "--design", "percpu", "--json"),
        "compare --json": ("compare", record, record, "--json"),
        "report -o": ("report", record, "-o"),
        "trace record -o": ("trace", "record", "--", "true"),
    }


def words(command: tuple[str, ...], file: str) -> tuple[str, ...]:
    """Add the name of the output."""
    return ("trace", "record", "-o", file, "--", "true") if command[0] == "trace" else (*command, file)


@pytest.mark.parametrize("output", commands("", ""))
def test_devices_stay_and_links_lead_on(
    run: Run, record: str, trace: str, perf: None, tmp_path: Path, output: str
) -> None:
    for package, option in (("pyperf", "--pyperf"), ("perfetto", "--perfetto"), ("plotly", "report")):
        if option in output:
            pytest.importorskip(package, reason="an extra is not installed")
    command = commands(record, trace)[output]
    null = node(tmp_path / "null", 3)
    assert run(*words(command, null)).status == 0
    assert stat.S_ISCHR(os.stat(null).st_mode)
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    assert run(*words(command, str(link))).status == 0
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.read_bytes() not in (b"old", b"")
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("output", ["compare --json", "trace record -o"])
def test_a_fifo_is_written_to(run: Run, record: str, trace: str, perf: None, tmp_path: Path, output: str) -> None:
    fifo, found = tmp_path / "fifo", list[bytes]()
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: found.append(fifo.read_bytes()), daemon=True)
    reader.start()
    said = run(*words(commands(record, trace)[output], str(fifo)))
    reader.join(BOUND_S)
    assert said.status == 0
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert (b'"schema"' if "json" in output else b"kmem:mm_page_alloc") in found[0]


def test_names_that_were_predictable_are_not_written_to(run: Run, record: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("out.json", "counters"):
        (tmp_path / f"{name}.{os.getpid()}.new").symlink_to(victim)
    assert run("compare", record, record, "--json", str(tmp_path / "out.json")).status == 0
    assert run(*BENCH, "--counters", str(tmp_path / "counters")).status == 0
    assert victim.read_text() == "precious"


def test_a_name_of_any_length_is_written_or_refused_before_the_work(
    run: Run, record: str, trace: str, perf: None, tmp_path: Path
) -> None:
    most = os.pathconf(tmp_path, "PC_NAME_MAX")
    fits, too_long = str(tmp_path / ("x" * (most - 5))), str(tmp_path / ("x" * (most + 1)))
    said = run(*BENCH, "--json", fits, "--counters", fits[:-1])
    assert (said.status, said.err) == (0, "")
    assert run(*words(commands(record, trace)["trace record -o"], fits[:-2])).status == 0
    for option in ("--json", "--counters"):
        said = run(*BENCH, "--seconds", "3600", option, too_long)  # an hour's work, if it were done
        assert (said.status, said.out) == (2, "")
        assert said.err == f"uvmfree: {option} {too_long}: File name too long\n"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--json", "a", "--perfetto", "./a"), "--perfetto ./a: is where --json writes to"),
        (("--json", "a", "--counters", "link"), "--counters link: is where --json writes to"),
        (("--pyperf", "there", "--perfetto", "hard"), "--perfetto hard: is where --pyperf writes to"),
        (("--json", "-", "--perfetto", "stdout"), "--perfetto stdout: is where --json writes to"),
        (("--json", "stdout", "--format", "json"), "--json stdout and --format json both write to stdout"),
        (("--json", "-", "--format", "json"), "--json - and --format json both write to stdout"),
        (("--json", "printed"), "--json printed: is where stdout goes to"),
        (("--counters", "null"), "--counters null: must be a file that can be replaced"),
        (("--counters", "fifo"), "--counters fifo: must be a file that can be replaced"),
        (("--counters", "-"), "--counters -: must be a file"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_the_work(
    run: Run, tmp_path: Path, args: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("a")
    Path("stdout").symlink_to("/proc/self/fd/1")  # as /dev/stdout is; a link of our own, if it should be replaced
    Path("there").touch()
    os.link("there", "hard")
    os.mkfifo("fifo")
    node(tmp_path / "null", 3)
    printed = os.open("printed", os.O_WRONLY | os.O_CREAT)
    before = os.dup(1)
    if "printed" in args:
        os.dup2(printed, 1)
    try:
        said = run(*BENCH, "--seconds", "3600", *args)
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(printed)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"uvmfree: {says}")
    assert said.err.count("\n") == 1


def test_a_sweep_goes_on_in_a_file_only(run: Run, tmp_path: Path) -> None:
    null = node(tmp_path / "null", 3)
    said = run("sweep", "-o", null, *BENCH[1:5])
    assert (said.status, said.err) == (2, f"uvmfree: -o {null}: must be a file that can be replaced\n")


def test_an_output_that_fails_takes_nothing_else_with_it(run: Run, trace: str, tmp_path: Path) -> None:
    """The measurement is printed, and what can be written is written."""
    pytest.importorskip("pyperf", reason="an extra is not installed")
    full, other = node(tmp_path / "full", 7), tmp_path / "pyperf.json"
    said = run(*TIMED, trace, "--json", full, "--pyperf", str(other))
    assert (said.status, said.err) == (2, f"uvmfree: --json {full}: No space left on device\n")
    assert "page operations" in said.out
    assert json.loads(other.read_text())["benchmarks"]


def test_a_second_run_on_a_counter_file_is_refused_before_its_work(run: Run, tmp_path: Path) -> None:
    """Whatever it would write there."""
    path = str(tmp_path / "counters")
    first = CounterFile(path)
    first.begin(Param(npages=512))
    for command in ((*BENCH, "--seconds", "3600"), ("stress", "--seconds", "3600")):
        said = run(*command, "--counters", path)
        assert (said.status, said.out) == (2, "")
        assert said.err == f"uvmfree: --counters {path}: another run keeps its counters there; name another file\n"
    image = Path(path).read_bytes()
    said = run(*BENCH, "--seconds", "3600", "--json", path)
    assert (said.status, said.out) == (2, "")
    assert said.err == f"uvmfree: --json {path}: another run keeps its counters there; name another file\n"
    assert Path(path).read_bytes() == image
    first.close()


@pytest.mark.parametrize(
    ("option", "package", "extra"), [("pyperf", "pyperf", "report"), ("perfetto", "perfetto", "trace")]
)
def test_an_output_whose_package_is_missing_is_refused_before_the_work(
    option: str, package: str, extra: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("uvmfree.measure.bench.new_record", None)  # the work cannot be begun
    file = tmp_path / "out"
    said = run(*TIMED, str(tmp_path / "gone"), f"--{option}", str(file))
    assert (said.status, said.out) == (2, "")
    assert said.err.endswith(f"--{option} needs {package}: pip install 'uvmfree[{extra}]'\n")
    assert not file.exists()

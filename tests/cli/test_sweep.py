"""`uvmfree sweep`: in a process of this machine, on a cluster of two workers, broken off and gone on with."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Said
from tests.cli.waiting import until
from uvmfree.analyse.sweep import alone
from uvmfree.errors import WorkerLostError
from uvmfree.measure.executors import local
from uvmfree.workload.plural import plural

Run = Callable[..., Said]

BOUND_S = 55
SWEEP = (sys.executable, "-m", "uvmfree", "sweep")
QUICK = ("--workload", "pressure", "--set", "npages=512", "--repetitions", "1")
PAIR = ("--design", "fpageqlock", "--design", "percpu")


def sweep(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*SWEEP, *args], capture_output=True, text=True, timeout=BOUND_S, check=False, encoding="utf-8"
    )


def test_a_sweep_is_measured_and_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "sweep.json"
    args = ("-o", str(file), *QUICK, *PAIR, "--seconds", "0.05", "--cpus", "1,2", "--set", "refill=1,4")
    said = sweep(*args)
    assert (said.returncode, said.stderr) == (0, "")
    assert "pressure, 2 CPUs, percpu, npages=512, refill=4" in " ".join(said.stdout.split())
    document = json.loads(file.read_text())
    assert len(document["measured"]) == 6
    assert "fpageqlock does not use refill, so it was measured once for all values." in said.stdout
    document["measured"] = document["measured"][:4]  # as if it had been broken off
    file.write_text(json.dumps(document))
    said = sweep(*args)
    assert said.returncode == 0
    assert said.stderr == f"uvmfree: 4 of 6 cells are in {file} already\n"
    assert json.loads(file.read_text())["measured"][:4] == document["measured"]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.rotated(2)
def test_ctrl_c_ends_it_soon_and_keeps_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "sweep.json"
    command = [*SWEEP, "-o", str(file), *QUICK, "--seconds", "1", "--cpus", "1,2,3", "--design", "percpu"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until(file.exists, running)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does it: the measuring process hears it too
    _, said = running.communicate(timeout=BOUND_S / 2)
    measured = len(json.loads(file.read_text())["measured"])
    if measured < 3:  # it may just have been done
        assert running.returncode == 130
        assert f"goes on with the {plural(3 - measured, 'cell')} left" in said
    assert measured >= 1


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("-o", "-"), "-o -: must be a file"),
        (("-o", "/nowhere/at/all"), "there is no folder /nowhere/at"),
        (("-o", "x", "--cpus", "1,two"), "--cpus 1,two: must be whole numbers"),
        (("-o", "x", "--set", "refill"), "--set refill: must be NAME=VALUE,VALUE"),
        (("-o", "x", "--set", "refill="), "--set refill=: must be NAME=VALUE,VALUE"),
        (("-o", "x", "--set", "refill=1", "--set", "refill=2"), "refill has values already"),
        (("-o", "x", "--set", "refill=4,8,4"), "--set refill=4,8,4: 4 is given twice"),
        (("-o", "x", "--cpus", "1,2,1"), "--cpus 1,2,1: 1 is given twice"),
        (("-o", "x", "--design", "percpu", "--design", "percpu"), "--design: percpu is given twice"),
        (("-o", "x", "--workload", "handoff", "--workload", "handoff"), "--workload: handoff is given twice"),
        (("-o", "x", "--set", "refill=0"), "refill=0: must be from 1 to 4096"),
        (("-o", "x", "--design", "best"), "design='best': must be one of"),
        (("-o", "x", "--trace", "y"), "--trace goes with --workload trace, not with --workload pressure"),
        (
            ("-o", "x", "--unpacked-mib", "1"),
            "--unpacked-mib goes with --workload trace, not with --workload pressure",
        ),
    ],
)
def test_bad_input_is_one_clear_line(run: Run, args: tuple[str, ...], says: str) -> None:
    said = run("sweep", *QUICK, *args)
    assert (said.status, said.out) == (2, "")
    assert says in said.err
    assert said.err.count("\n") == 1


def test_how_long_a_trace_lasts_is_not_asked(run: Run, tmp_path: Path) -> None:
    said = run("sweep", "-o", str(tmp_path / "x"), "--seconds", "1")
    assert (said.status, said.out) == (2, "")
    assert said.err == "uvmfree: --seconds goes with --workload pressure, not with --workload trace\n"


def test_a_file_that_is_no_sweep_is_left_alone(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    file.write_text("{}")
    said = run("sweep", "-o", str(file), *QUICK)
    assert said.status == 2
    assert "is no sweep of uvmfree" in said.err
    assert file.read_text() == "{}"


def test_a_second_sweep_into_one_file_is_refused_at_once(run: Run, tmp_path: Path) -> None:
    """By whatever name, and whether there is a file yet or not; when the first has ended it goes on."""
    file, link = tmp_path / "sweep.json", tmp_path / "link"
    link.symlink_to(file)
    args = (*QUICK, "--seconds", "0.02", "--cpus", "1", "--design", "percpu")
    for there in (False, True):
        before = file.read_bytes() if there else b""
        with alone(str(file)):
            for name in (file, link):
                said = run("sweep", "-o", str(name), *args)
                refused = f"uvmfree: -o {name}: another sweep writes there; name another file\n"
                assert said == Said(2, "", refused)
            assert (file.read_bytes() if there else file.exists()) == (before or False)
            with alone(str(tmp_path / "other.json")):
                pass
        assert run("sweep", "-o", str(link), *args).status == 0
        assert len(json.loads(file.read_text())["measured"]) == 1
    assert sorted(tmp_path.iterdir()) == [link, file]


@contextlib.contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """Yield the address of somebody on loopback who takes calls, and answers that or nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def answering() -> None:
            calls = []
            server.settimeout(0.1)
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    calls.append(server.accept()[0])
                    calls[-1].sendall(answer)
            for call in calls:
                call.close()

        thread = threading.Thread(target=answering)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join(BOUND_S)


DEAD = "tcp://127.0.0.1:9"
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 3
NO_MESSAGE = bytes([1, *[0] * 7, 4, *[0] * 7]) + b"\xc1abc" * 200


ANSWERS = {
    "nonsense": "cannot be reached: missing port number in address 'nonsense'",
    DEAD: "cannot be reached: Connection refused",
    b"": "does not answer within 4 s",
    HTTP: "is no dask scheduler: ",
    NO_MESSAGE: "is no dask scheduler: ",
}
"""An address that is none, one where nobody is; and what answers at one: somebody mute, a web server, garbage."""

ONE_AFTER_THE_OTHER = """
import sys, time, distributed, uvmfree.cli
for address in sys.argv[1:]:
    sys.argv = ["uvmfree", "sweep", "-o", "x", *QUICK, "--scheduler", address]
    began_s = time.monotonic()
    try:
        uvmfree.cli.main()
    except SystemExit as ended:
        print(ended.code, time.monotonic() - began_s)
""".replace("QUICK", repr(QUICK))


@pytest.mark.rotated(3)
def test_a_scheduler_that_cannot_be_reached_is_named_soon(tmp_path: Path) -> None:
    """Each address in one process: what a sweep on a cluster imports takes longer than the answer."""
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    with contextlib.ExitStack() as stack:
        addresses = [one if isinstance(one, str) else stack.enter_context(listening(one)) for one in ANSWERS]
        said = subprocess.run(
            [sys.executable, "-c", ONE_AFTER_THE_OTHER, *addresses],
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=True,
            cwd=tmp_path,
        )
    lines, ends = said.stderr.splitlines(), [line.split() for line in said.stdout.splitlines()]
    for address, says, line, (status, took_s) in zip(addresses, ANSWERS.values(), lines, ends, strict=True):
        assert line.startswith(f"uvmfree: --scheduler {address}: {says}")
        assert status == "2"
        assert float(took_s) < 4 + 10
    assert list(tmp_path.iterdir()) == []


def test_a_port_at_which_nobody_listens_is_refused_at_once() -> None:
    """Without what takes seconds to import, and without a second try."""
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    script = f"""
import sys
from uvmfree.errors import ArgumentError
from uvmfree.measure.executors import scheduled
try:
    with scheduled({DEAD!r}):
        pass
except ArgumentError as error:
    print(error, "distributed" in sys.modules)
"""
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=BOUND_S, check=True, encoding="utf-8"
    )
    assert said.stdout == f"--scheduler {DEAD}: cannot be reached: Connection refused False\n"


def test_without_the_extra_it_is_named(tmp_path: Path) -> None:
    blocker = (
        "import sys; sys.modules['distributed'] = None; sys.argv[0] = 'uvmfree'; from uvmfree.cli import main; main()"
    )
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            blocker,
            "sweep",
            "-o",
            str(tmp_path / "x"),
            *QUICK,
            "--scheduler",
            "tcp://127.0.0.1:9",
        ],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
        encoding="utf-8",
    )
    assert said.returncode == 2
    assert said.stderr == "uvmfree: --scheduler needs distributed: pip install 'uvmfree[cluster]'\n"


CLUSTER = """
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as cluster:
        print(cluster.scheduler_address, cluster.workers[0].worker_address, flush=True)
        input()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, str, int]]:
    """The addresses of a scheduler on loopback and of one of its two workers, and the group of their processes."""
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    running = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    try:
        scheduler, worker = running.stdout.readline().split()  # ends when the process does
        yield scheduler, worker, running.pid
        with contextlib.suppress(BrokenPipeError):
            running.communicate("\n", timeout=BOUND_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


@pytest.mark.timeout(180)
@pytest.mark.rotated(3)
def test_a_cluster_measures_a_grid_and_when_it_goes_that_is_told_in_a_line(
    cluster: tuple[str, str, int], tmp_path: Path
) -> None:
    """Both workers are on one machine, so that one cell at a time is measured all the same."""
    scheduler, worker, group = cluster
    file = tmp_path / "sweep.json"
    said = sweep("-o", str(file), *QUICK, "--scheduler", worker)
    assert (said.returncode, file.exists()) == (2, False)
    assert said.stderr == f"uvmfree: --scheduler {worker}: is a dask Worker; give the address of its scheduler\n"
    said = sweep("-o", str(file), *QUICK, *PAIR, "--seconds", "0.05", "--cpus", "1,2", "--scheduler", scheduler)
    assert said.returncode == 0, said.stderr
    document = json.loads(file.read_text())
    assert len(document["measured"]) == 4
    assert {each["record"]["runs"][0]["design"] for each in document["measured"]} == {"fpageqlock", "percpu"}

    other = tmp_path / "other.json"
    args = ("-o", str(other), *QUICK, "--seconds", "1", "--cpus", "1,2,3", "--scheduler", scheduler)
    running = subprocess.Popen([*SWEEP, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(other.exists, running)
    os.killpg(group, signal.SIGKILL)
    _, told = running.communicate(timeout=BOUND_S)
    assert running.returncode == 1
    assert told.startswith(f"uvmfree: --scheduler {scheduler}: is lost: ")
    assert told.count("\n") == 1
    assert json.loads(other.read_text())["measured"]


def test_a_measuring_process_that_is_killed_is_told() -> None:
    with pytest.raises(WorkerLostError, match="the process that measured was killed"), local() as (executor, _):
        executor.submit(os._exit, 1).result(timeout=BOUND_S)

"""`uvmfree trace record`, with a stand-in for perf: what is written, what is said, and that nothing else is left."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uvmfree.workload import perfrecord
from uvmfree.workload.trace import read_trace

Run = Callable[..., Any]
FAKE = Path(__file__).resolve().parents[1] / "workload/fake_perf.py"


@pytest.fixture
def perf_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the stand-in on PATH; return the file in which it notes how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    perf = folder / "perf"
    perf.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{FAKE}' \"$@\"\n")
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    log = tmp_path / "perf.log"
    monkeypatch.setenv("FAKE_PERF_LOG", str(log))
    return log


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The folder in which the trace is to be."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def recording_of(log: Path, command: str) -> str:
    """Return how perf was called to record the command, which is once."""
    (call,) = (line for line in log.read_text().splitlines() if line.startswith("record") and line.endswith(command))
    return call


@pytest.mark.parametrize(("name", "magic"), [("t.perf", b""), ("t.perf.gz", b"\x1f\x8b"), ("t.perf.xz", b"\xfd7zXZ")])
def test_a_trace_is_recorded_and_can_be_read(run: Run, perf_log: Path, out: Path, name: str, magic: bytes) -> None:
    """All four events, packed as the name says, described as `trace info` does; nothing else is left."""
    file = out / name
    said = run("trace", "record", "-o", str(file), "--", "echo", "-n", "hello ")
    assert said.status == 0
    assert said.out.startswith("hello ")  # the command's own, before what is said of the trace
    assert said.out == "hello " + run("trace", "info", str(file)).out
    assert f"\n{name}\n" in f"\n{said.out.removeprefix('hello ')}"
    assert "uvmfree:" not in said.err
    assert os.listdir(out) == [name]
    assert file.read_bytes().startswith(magic)
    counts = read_trace(file).counts
    assert counts.allocs + counts.frees + counts.frees_unknown == counts.linux_moved == 3000
    call = recording_of(perf_log, "echo -n hello ")
    assert call.startswith("record -a -e kmem:mm_page_alloc -e kmem:mm_page_free -e kmem:mm_page_alloc_zone_locked")


def test_what_linux_did_is_left_out_where_the_kernel_cannot_tell(
    run: Run, perf_log: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PERF_EVENTS", "kmem:mm_page_alloc kmem:mm_page_free kmem:mm_page_pcpu_drain")
    assert run("trace", "record", "-o", str(out / "t"), "echo").status == 0
    assert recording_of(perf_log, "echo").split()[:8] == [
        *("record", "-a", "-e", "kmem:mm_page_alloc", "-e", "kmem:mm_page_free", "-e", "kmem:mm_page_pcpu_drain")
    ]
    monkeypatch.setenv("FAKE_PERF_EVENTS", "kmem:mm_page_alloc kmem:mm_page_free")
    said = run("trace", "record", "-o", str(out / "t"), "pwd")
    assert said.status == 0
    assert "not recorded" in said.out
    assert "pcpu_drain" not in recording_of(perf_log, "pwd")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"PATH": "/nowhere"}, "perf is not on PATH"),
        ({"FAKE_PERF_RECORD": "denied"}, "perf may not trace the whole machine; be root"),
        ({"FAKE_PERF_EVENTS": ""}, "the kernel has no events kmem:mm_page_alloc"),
        ({"FAKE_PERF_EVENTS": "kmem:mm_page_alloc"}, "the kernel has no events kmem:mm_page_alloc"),
        ({"FAKE_PERF_RECORD": "broken"}, "perf record fails here: WARNING: perf not found for kernel 9.9"),
    ],
)
def test_what_is_missing_is_said_and_the_command_not_run(
    run: Run, perf_log: Path, out: Path, settings: dict[str, str], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    said = run("trace", "record", "-o", str(out / "t"), "--", "/bin/sh", "-c", f"echo ran >'{out}/ran'")
    assert (said.status, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert said.err.startswith("uvmfree: ")
    assert word in said.err
    assert os.listdir(out) == []


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["-o", "t", "no-such-command"], "no-such-command: there is no such command"),
        (["-o", "t.zst", "echo"], "-o t.zst: a trace may be packed as .gz or .xz"),
        (["-o", "-", "echo"], "-o -: "),
        (["-o", "nowhere/t", "echo"], "-o nowhere/t: there is no folder"),
        (["-o", ".", "echo"], "is a folder"),
        (["-o", "t"], "COMMAND"),
        (["echo"], "-o FILE: has to be given"),
    ],
)
def test_bad_input_gets_one_clear_line(
    run: Run, perf_log: Path, out: Path, args: list[str], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(out)
    said = run("trace", "record", *args)
    assert (said.status, said.out) == (2, "")
    assert word in said.err.splitlines()[-1]
    assert not perf_log.exists()
    assert os.listdir(out) == []


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("fails", "perf script fails: incompatible file format"),
        ("garbage", "t: line 1: malformed (not a line of perf script): 'what is this, then'"),
        ("nothing", "t: empty"),
    ],
)
def test_a_trace_that_cannot_be_read_is_not_put_into_its_place(
    run: Run, perf_log: Path, out: Path, how: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = out / "t"
    file.write_text("what was there before")
    monkeypatch.setenv("FAKE_PERF_SCRIPT", how)
    said = run("trace", "record", "-o", str(file), "true")
    assert (said.status, said.out) == (2, "")
    assert said.err.splitlines()[-1].startswith("uvmfree: ")
    assert word in said.err.splitlines()[-1]
    assert said.err.endswith(f"; what perf recorded is kept in {out / 'perf.data'}\n")
    assert sorted(os.listdir(out)) == ["perf.data", "t"]
    assert (out / "perf.data").read_text().startswith("PERFILE2")
    assert file.read_text() == "what was there before"


def test_a_trace_may_be_called_what_perf_calls_its_data(run: Run, perf_log: Path, out: Path) -> None:
    for name in ("perf.data", "perf.err"):
        said = run("trace", "record", "-o", str(out / name), "true")
        assert (said.status, said.out.splitlines()[0]) == (0, name), said.err
    assert sorted(os.listdir(out)) == ["perf.data", "perf.err"]


def test_perf_data_that_is_there_is_left_alone(
    run: Run, perf_log: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a file nor a link that leads nowhere is taken for a free place."""
    (out / "perf.data").write_text("mine")
    (out / "perf.data.1").symlink_to(out / "nowhere")
    monkeypatch.setenv("FAKE_PERF_SCRIPT", "garbage")
    said = run("trace", "record", "-o", str(out / "t"), "true")
    assert said.err.endswith(f"; what perf recorded is kept in {out / 'perf.data.2'}\n")
    assert sorted(os.listdir(out)) == ["perf.data", "perf.data.1", "perf.data.2"]
    assert (out / "perf.data").read_text() == "mine"


def test_what_a_disk_has_no_room_for_as_text_is_kept_as_data(
    run: Run, perf_log: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place of the trace becomes a folder while the command runs: the last step fails."""
    said = run("trace", "record", "-o", str(out / "t"), "--", "mkdir", "-p", f"{out}/t/full")
    assert said.status == 2
    assert said.err.splitlines()[-1].startswith(
        f"uvmfree: -o {out / 't'}: Is a directory; what perf recorded is kept"
    )
    assert sorted(os.listdir(out)) == ["perf.data", "t"]


def test_a_task_whose_name_is_no_text_costs_nothing(
    run: Run, perf_log: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PERF_SCRIPT", "odd names")
    said = run("trace", "record", "-o", str(out / "t"), "true")
    assert said.status == 0
    assert os.listdir(out) == ["t"]
    assert {r"caf\xe9 \xff/7", "line\r\t\x1b/8"} < set(read_trace(out / "t").tasks)


@pytest.mark.parametrize("how", ["lost", "old"])
def test_how_many_events_were_lost_is_asked_for_and_counted(
    run: Run, perf_log: Path, out: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A perf that does not know the option is asked without it: it has no number to tell."""
    monkeypatch.setenv("FAKE_PERF_SCRIPT", how)
    said = run("trace", "record", "-o", str(out / "t"), "true")
    assert said.status == 0
    assert read_trace(out / "t").counts.lost_events == (49 if how == "lost" else 0)
    assert ["--show-lost-events" in call for call in perf_log.read_text().splitlines() if "script" in call] == (
        [True] if how == "lost" else [True, False]
    )


def test_lost_events_are_told(run: Run, perf_log: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PERF_SCRIPT", "lost")
    said = run("trace", "record", "-o", str(out / "t"), "true")
    assert said.status == 0
    assert said.err.splitlines()[-1] == "uvmfree: perf: Processed 3000 events and lost 2 chunks!"


@pytest.mark.parametrize(
    ("command", "ended"),
    [
        ("exit 1", "ended with exit code 1"),
        ("exit 3", "ended with exit code 3"),
        ("kill -TERM $$", "was ended by signal 15"),
    ],
)
def test_the_trace_of_a_command_that_fails_is_kept(
    run: Run, perf_log: Path, out: Path, command: str, ended: str
) -> None:
    file = out / "t"
    said = run("trace", "record", "-o", str(file), "--", "sh", "-c", command)
    assert said.status == 1
    assert said.err.splitlines()[-1] == f"uvmfree: sh {ended}; its trace is kept in {file}"
    assert said.out == run("trace", "info", str(file)).out


def test_ctrl_c_keeps_what_was_recorded_and_says_so(run: Run, perf_log: Path, out: Path) -> None:
    """The signal reaches this process only: perf is told, and tells the command."""
    before = signal.getsignal(signal.SIGINT)
    file = out / "t"
    said = run("trace", "record", "-o", str(file), "--", "sh", "-c", f"kill -INT {os.getpid()}; exec sleep 30")
    assert said.status == 130
    assert said.err.splitlines()[-1] == f"uvmfree: interrupted; {file} holds what was recorded until then"
    assert said.out == run("trace", "info", str(file)).out
    assert os.listdir(out) == ["t"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("how", ["interrupted", "fails"])
def test_ctrl_c_while_the_trace_is_written_leaves_what_perf_recorded(
    run: Run, perf_log: Path, out: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """perf script hears a terminal's Ctrl-C, too: it stops halfway, and calls that a success."""
    monkeypatch.setenv("FAKE_PERF_SCRIPT", how)
    command = f"kill -INT {os.getpid()}; exec sleep 30" if how == "fails" else "true"
    said = run("trace", "record", "-o", str(out / "t"), "--", "sh", "-c", command)
    assert (said.status, said.out) == (130, "")
    assert said.err.splitlines()[-1] == f"uvmfree: interrupted; what perf recorded is kept in {out / 'perf.data'}"
    assert os.listdir(out) == ["perf.data"]


def test_a_perf_that_does_not_end_is_ended(
    run: Run, perf_log: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perfrecord, "_END_S", 0.3)
    hangs = f"trap '' TERM; kill -INT {os.getpid()}; while :; do sleep 1; done & echo $! >'{out}/pid'; wait; wait"
    said = run("trace", "record", "-o", str(out / "t"), "--", "sh", "-c", hangs)
    os.kill(int((out / "pid").read_text()), signal.SIGKILL)
    assert said.status == 130
    assert os.listdir(out) == ["pid"]

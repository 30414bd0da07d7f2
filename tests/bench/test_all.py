"""bench/all.py: every script is run, what it found is kept with its values, and what goes wrong with one is said.

=> With folders of small scripts of their own, which end as the real ones may.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.all import FIRST, FOLDER, VIRTUAL, Evidence, Outcome, build, main, run_all, scripts

ROOT = Path(__file__).resolve().parents[2]
BENCH = """
import sys
from bench.harness import Claim, main
def bench(smoke):
    print("  smoke" if smoke else "  in full")
    return [Claim({name!r}, "in words", "s", 2.0).record({values}, judged=True)]
sys.exit(main("doc", bench))
"""


def holds(name: str) -> str:
    return BENCH.format(name=name, values=[1.0, 1.5, 1.25])


FAILS = BENCH.format(name="too-slow", values=[3.0, 2.5, 9.0])


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Write scripts into a folder, which is returned; `a="text"` becomes a.py."""

    def make(**texts: str) -> Path:
        made = tmp_path / "bench"
        made.mkdir()
        for name, text in texts.items():
            (made / f"{name}.py").write_text(text)
        return made

    return make


def document(file: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(file.read_text())
    assert (read["schema"], read["version"]) == ("uvmfree.evidence", 1)
    return read


def test_the_scripts_of_this_project_are_all_but_two() -> None:
    names = {path.name for path in scripts(FOLDER)}
    assert names == {path.name for path in FOLDER.glob("*.py")} - {"all.py", "harness.py"}
    assert "floor.py" in names


def test_all_hold(folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name, whole, with host facts, values of the repetitions, and what was printed."""
    file = tmp_path / "all.json"
    made = folder(b=holds("second"), a=holds("first"), harness="raise SystemExit(9)", all="raise SystemExit(9)")
    assert main(["--smoke", "--json", str(file)], made) == 0
    out = capsys.readouterr().out
    assert out.index("first") < out.index("second")
    assert "1.25 [1-1.5]" in out
    read = document(file)
    assert (read["smoke"], read["interrupted"]) == (True, False)
    assert read["host"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert [one["script"] for one in read["scripts"]] == ["a.py", "b.py"]
    first = read["scripts"][0]
    assert (first["exit_code"], first["failure"]) == (0, None)
    assert first["records"][0]["values"] == [1.0, 1.5, 1.25]
    assert (first["records"][0]["id"], first["records"][0]["holds"]) == ("first", True)
    assert "  smoke" in first["output"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("all")] == ["all.json"]


def test_one_that_does_not_hold_and_those_that_break_do_not_stop_the_others(
    folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = folder(
        a=FAILS,
        b="raise RuntimeError('the allocator is wrong')",
        c="print('records? none')",
        d=holds("last"),
    )
    file = tmp_path / "all.json"
    assert main(["--json", str(file)], made) == 1
    said = capsys.readouterr()
    assert "b.py: wrote no records: RuntimeError: the allocator is wrong" in said.out
    assert "c.py: wrote no records: records? none" in said.out
    assert "does not hold: too-slow" in said.err
    rows = [line.split() for line in said.out.splitlines()]
    assert ["too-slow", "3", "[2.5-9]", "<=", "2", "NO"] in rows
    assert ["last", "1.25", "[1-1.5]", "<=", "2", "yes"] in rows
    outcomes = document(file)["scripts"]
    assert [one["exit_code"] for one in outcomes] == [1, 1, 0, 0]
    assert [len(one["records"]) for one in outcomes] == [1, 0, 0, 1]


def test_one_that_hangs_is_ended(
    folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "all.json"
    assert main(["--json", str(file)], folder(a="import threading; threading.Event().wait(60)"), bound_s=1.0) == 1
    assert "a.py: took over 1 s and was ended" in capsys.readouterr().out
    (outcome,) = document(file)["scripts"]
    assert (outcome["exit_code"], outcome["records"]) == (None, [])


@pytest.mark.parametrize("broken", ["raise SystemExit(2)", "print('no records')"])
def test_a_broken_script_alone_makes_the_exit_code_1(folder: Callable[..., Path], broken: str) -> None:
    assert main([], folder(a=holds("fine"), b=broken)) == 1


def test_json_without_a_file_is_stdout_and_the_table_stderr(
    folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--json"], folder(a=holds("first"))) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["scripts"][0]["script"] == "a.py"
    assert "1.25 [1-1.5]" in said.err


def test_a_wrong_place_for_the_document_is_said_before_anything_is_run(
    folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = folder(a=f"open({str(tmp_path / 'ran')!r}, 'w')")
    for place in (tmp_path, tmp_path / "nowhere" / "all.json"):
        with pytest.raises(SystemExit) as ended:
            main(["--json", str(place)], made)
        assert ended.value.code == 2
        assert str(place) in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("whom", ["os.getpid()", "os.getppid()", "0"], ids=["script", "all.py", "terminal"])
@pytest.mark.sampled(1)
def test_ctrl_c_keeps_what_was_done(folder: Callable[..., Path], tmp_path: Path, whom: str) -> None:
    """Whoever hears it first: the second script sends it, the third is not begun."""
    file, ran = tmp_path / "all.json", tmp_path / "ran"
    made = folder(
        a=holds("first"),
        b=f"""
import os, signal, sys, threading
try:
    os.kill({whom}, signal.SIGINT)
    threading.Event().wait(30)
except KeyboardInterrupt:
    sys.exit(130)
""",
        c=f"open({str(ran)!r}, 'w')",
    )
    program = "import sys; from pathlib import Path; from bench.all import main; "
    program += "sys.exit(main(['--json', sys.argv[1]], Path(sys.argv[2])))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(file), str(made)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        start_new_session=True,  # so that a signal to the group reaches no more than these
    )
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "interrupted after 1 scripts" in done.stdout
    read = document(file)
    assert read["interrupted"] is True
    assert [one["script"] for one in read["scripts"]] == ["a.py"]
    assert not ran.exists()


def runs(name: str, log: Path) -> str:
    """A script that says in a log that it ran."""
    return f"open({str(log)!r}, 'a').write({name!r})\n" + holds(name)


@pytest.mark.rotated(2)
def test_what_is_written_goes_on_where_it_was(folder: Callable[..., Path], tmp_path: Path) -> None:
    """The most valuable first; a script whose code has changed runs again, one that failed, too."""
    log, kept = tmp_path / "log", tmp_path / f"evidence-{build()}.json"
    made = folder(
        a=runs("a", log),
        probes=runs("p", log),
        questions=FAILS,
        z=f"open({str(log)!r}, 'a').write('z'); raise SystemExit(3)",
    )
    ask = ["--write", "--smoke"]
    assert main([*ask, "--only", "probes"], made, results=tmp_path) == 0
    assert main(ask, made, results=tmp_path) == 1
    assert log.read_text() == "paz"
    assert [one["script"] for one in document(kept)["scripts"]] == ["probes.py", "questions.py", "a.py", "z.py"]
    read = document(kept)
    read["scripts"][0]["code"] = "of another day"
    kept.write_text(json.dumps(read))
    main([*ask, "--only", "z"], made, results=tmp_path)
    assert [one["script"] for one in document(kept)["scripts"]] == ["probes.py", "questions.py", "a.py", "z.py"]
    assert log.read_text() == "pazz"  # what was not asked for stays, by whatever code
    assert main(ask, made, results=tmp_path) == 1
    assert log.read_text() == "pazzpz"


def test_a_script_keeps_its_figures_only_where_the_document_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else a look at one script would write over what the pages are made of."""
    told: list[Sequence[str]] = []

    def run_script(script: Path, *, smoke: bool, bound_s: float, more: Sequence[str]) -> Outcome:
        told.append(more)
        return Outcome(script.name, 1.0, 0, None, (), ())

    monkeypatch.setattr("bench.all.run_script", run_script)
    monkeypatch.setattr("bench.all.code_of_script", lambda name: "of today")
    for file in (None, tmp_path / "evidence.json"):
        run_all(Evidence(smoke=True, file=file), [FOLDER / "steps.py", FOLDER / "floor.py"], 1.0, 1.0)
    assert told == [(), (), ("--keep",), ()]


def test_no_script_is_begun_when_the_time_is_up(folder: Callable[..., Path], tmp_path: Path) -> None:
    assert main(["--write", "--minutes", "0"], folder(a=holds("first")), results=tmp_path) == 130
    assert not (tmp_path / f"evidence-{build()}.json").exists()


def test_what_all_py_orders_is_there() -> None:
    names = {path.name for path in scripts(FOLDER)}
    assert names >= {*FIRST, *VIRTUAL}

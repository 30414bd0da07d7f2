"""`.ci/run`: what its exit code and its last line say of parts that passed, failed, hung, or were skipped."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from uvmfree.uvm.designs import REGISTRY, SHOWN

CI = Path(__file__).resolve().parents[1] / ".ci/run"
BOUND_S = 60
HOW = ("passed", "skipped", "failed")
STRESS = "GIL: stress, 60 s"
DOCS = "GIL: docs"
NO_DOCS = "GIL: docs (the group docs cannot be installed here)"
OLDER = "GIL 3.13: exploration and mutants (no such interpreter here)"
NONE = "free-threaded (none here)"
LATE = tuple(f"GIL 3.13: {part} (too little time is left)" for part in ("exploration", "mutants"))
WRONG = "free-threaded (.ci/freethreaded went wrong)"

Names = tuple[str, ...]
SECONDS_IN_ALL = 60


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("says", "found", "whole_s", "passed", "skipped", "failed"),
    [
        ("pytest) exit 0", 3, 60, ("GIL: tests", STRESS, DOCS), (NONE, OLDER), ()),
        ("pytest) exit 5", 3, 60, (STRESS, DOCS), (NONE, OLDER), ("GIL: tests (exit 5)",)),
        ("pytest) sleep 60", 3, 60, (STRESS, DOCS), (NONE, OLDER), ("GIL: tests (over 3 s)",)),
        ("pytest) sleep 60", 3, 1, (STRESS, DOCS), (NONE, OLDER), ("GIL: tests (over 1 s)",)),
        ("pytest) exit 0", 1, 60, ("GIL: tests", STRESS, DOCS), (OLDER,), (WRONG,)),
        ("*import*) exit 1", 3, 60, ("GIL: tests", STRESS), (NO_DOCS, NONE, OLDER), ()),
        ("*test_site*) exit 2", 3, 60, ("GIL: tests", STRESS), (NONE, OLDER), ("GIL: docs (exit 2)",)),
    ],
    ids=[
        "all well",
        "a part fails",
        "a part hangs",
        "no time is left for it",
        "the interpreter's script fails",
        "no sphinx",
        "a warning",
    ],
)
def test_only_what_passed_passes(
    tmp_path: Path, says: str, found: int, whole_s: int, passed: Names, skipped: Names, failed: Names
) -> None:
    """On a machine with one interpreter, and a bound of 3 seconds for each part, and one for all."""
    told(tmp_path, says, found, whole_s, passed, skipped, failed)


def test_what_rarely_fails_is_skipped_for_want_of_time(tmp_path: Path) -> None:
    """Where there is a Python 3.13; a second is less than the three of either part."""
    told(tmp_path, "pytest) exit 0", 3, 1, ("GIL: tests", STRESS, DOCS), (NONE, *LATE), (), newer=0)


def told(
    tmp_path: Path,
    says: str,
    found: int,
    whole_s: int,
    passed: Names,
    skipped: Names,
    failed: Names,
    newer: int = 1,
) -> None:
    """Run it with interpreters and a `run` that are made up, and compare what it says at the end."""
    for name in (".ci", "bin"):
        (tmp_path / name).mkdir()
    copy = tmp_path / ".ci/run"
    bounded = re.sub(r"^(\w+_s)=\d+", r"\1=3", CI.read_text(), flags=re.MULTILINE)
    assert "whole_s=3 " in bounded
    copy.write_text(bounded.replace("whole_s=3 ", f"whole_s={whole_s} "))
    script(tmp_path / "run", f'case "$*" in {says} ;; esac')
    script(tmp_path / ".ci/freethreaded", f"echo 'freethreaded: skipped: none here' >&2; exit {found}")
    for version, code in (("3.11", 0), ("3.12", 1), ("3.13", newer)):
        script(tmp_path / f"bin/python{version}", f"cat >/dev/null; echo /an/interpreter; exit {code}")
    done = subprocess.run(
        ["bash", str(copy)],
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == bool(failed)
    ends = (f"{how}: {', '.join(names) or 'none'}" for how, names in zip(HOW, (passed, skipped, failed), strict=True))
    assert done.stdout.splitlines()[-1] == f"== CI {'; '.join(ends)}"


@pytest.mark.parametrize("day", range(20_785, 20_785 + len(REGISTRY) - len(SHOWN)))
def test_stress_takes_another_design_each_day_beside_those_of_a_command(tmp_path: Path, day: int) -> None:
    """In as many days as there are designs beside those, each once; for a minute in all."""
    script(tmp_path / "date", f"echo {86_400 * day + 7_000}")
    begin = CI.read_text().partition("\npart()")[0].partition("set -u\n")[2]
    said = subprocess.run(
        ["bash", "-c", f'cd() {{ :; }}; {begin}\necho "${{rest[@]}}"; echo "${{stress[@]}}"'],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=True,
    )
    rest, stress = (line.split() for line in said.stdout.splitlines())
    assert sorted(rest) == sorted(REGISTRY.keys() - set(SHOWN))
    designs = [word for before, word in pairwise(stress) if before == "--design"]
    assert designs == [*SHOWN, rest[day % len(rest)]]
    assert float(stress[stress.index("--seconds") + 1]) * len(designs) == SECONDS_IN_ALL

"""The house rules as tests, and every rule's checker shown what it must find.

=> `CHECKS` lists each checker of tests/tidy_checks.py with a tree that it lets pass and trees that it must find
   fault with; then each runs on the project itself. ruff, ruff format and mypy are parts of the same test command.
"""

import gc
import importlib
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.tidy_checks import (
    HOSTS,
    PLACES,
    UNFINISHED,
    Checker,
    Files,
    cycles,
    layers,
    lazy,
    lock_table,
    matching,
    named_in,
    narrow,
    only_in,
    parse,
    ranked,
    rules_named,
    short,
    sleepless,
    untracked_lock,
    walk,
)

ROOT = Path(__file__).resolve().parents[1]
TOOL_S = 120  # a cold mypy on a busy machine
# The contract that is to be kept: each of its rules has a test.
RULES = set(range(1, 32))


def mirrored(text: str) -> str:
    """Return the text backwards: how this file spells what no file may contain."""
    return text[::-1]


IN_KERN, IN_UVM, IN_CLI, IN_TESTS = "uvmfree/kern/a.py", "uvmfree/uvm/b.py", "uvmfree/cli.py", "tests/test_a.py"
LAZY_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from uvmfree.kern import a\n"
FROM_RANKS = "from uvmfree.kern.lockrank import XCALL\n"
# Each checker, a tree that it lets pass, and trees that it must find fault with.
THREADING = (
    "uvmfree/machine/threads.py",
    *(f"uvmfree/machine/virtual/{name}.py" for name in ("strands", "interrupt", "watchdog")),
    "uvmfree/measure/executors.py",
)
"""Real threads, what a virtual machine needs of the thread that it runs in, and who waits for an executor's own."""

CHECKS: dict[str, tuple[Checker, Files, list[Files]]] = {
    "layers": (
        layers,
        {
            IN_UVM: "from uvmfree.kern import a\nfrom uvmfree import errors\nfrom . import c",
            IN_KERN: "import os",
            "uvmfree/errors.py": "",
            "uvmfree/__init__.py": "from uvmfree.uvm.b import x",
            "uvmfree/uvm/c.py": "",
        },
        [
            {IN_KERN: "from uvmfree.uvm.b import x"},
            {IN_KERN: "from uvmfree.uvm import b", IN_UVM: ""},
            {IN_KERN: "def f():\n    from ..uvm import b", IN_UVM: ""},
            {IN_KERN: "import importlib\nimportlib.import_module('uvmfree.uvm.b')"},
            {IN_KERN: LAZY_TYPES.replace("kern", "uvm")},
            {IN_UVM: "import uvmfree"},
            {IN_CLI: "from uvmfree import boot"},
            {"uvmfree/machine/a.py": "import uvmfree.uvm.b"},
            {IN_KERN: "from uvmfree.machine.face import Machine"},
            {"uvmfree/errors.py": "import uvmfree.param"},
            {"uvmfree/errors.py": "import uvmfree.machine.a"},
            {"uvmfree/helpers.py": ""},
        ],
    ),
    "cycles": (
        cycles,
        {IN_KERN: "import uvmfree.kern.b", "uvmfree/kern/b.py": LAZY_TYPES},
        [
            {IN_KERN: "import uvmfree.kern.b", "uvmfree/kern/b.py": "from uvmfree.kern import a"},
            {IN_KERN: "from . import b", "uvmfree/kern/b.py": "def f():\n    from .a import x"},
            {IN_KERN: "from uvmfree.kern import x", "uvmfree/kern/__init__.py": "from uvmfree.kern.a import x"},
        ],
    ),
    "threading": (
        only_in(THREADING, {"threading", "_thread"}),
        {**dict.fromkeys(THREADING, "import threading"), IN_TESTS: "import threading"},
        [
            {"uvmfree/machine/virtual/locks.py": "import threading"},
            {IN_UVM: "import threading"},
            {IN_CLI: "from threading import Lock"},
            {IN_KERN: "import os, _thread"},
        ],
    ),
    "threads by default": (
        named_in(("uvmfree/machine/threads.py", "uvmfree/uvm/boot.py", "uvmfree/__init__.py"), "ThreadsMachine"),
        {
            "uvmfree/uvm/boot.py": "from uvmfree.machine.threads import ThreadsMachine\nThreadsMachine()",
            IN_CLI: "from uvmfree.uvm.boot import threads\nthreads()  # a ThreadsMachine",
            IN_TESTS: "from uvmfree import ThreadsMachine",
        },
        [
            {IN_UVM: "from uvmfree.machine.threads import ThreadsMachine as M"},
            {IN_CLI: "from uvmfree.machine import threads\nthreads.ThreadsMachine()"},
            {"bench/a.py": "import uvmfree\ndef f() -> uvmfree.ThreadsMachine: ..."},
        ],
    ),
    "atomics": (
        only_in(("uvmfree/machine/words.py",), {"atomics"}),
        {"uvmfree/machine/words.py": "import atomics"},
        [{IN_UVM: "import atomics.base"}, {IN_KERN: "def f():\n    from atomics import INT"}],
    ),
    "lazy": (
        lazy,
        {IN_CLI: "import click\ndef f():\n    import rich.table"},
        [{IN_CLI: "import rich.table"}, {IN_CLI: "try:\n    from numpy import int64\nexcept OSError:\n    pass"}],
    ),
    "ranked": (
        ranked,
        {IN_KERN: FROM_RANKS + "m.mutex(XCALL)\ndef f(r: LockRank):\n    m.mutex(rank=r, index=1)"},
        [
            {IN_UVM: "m.mutex(3)"},
            {IN_UVM: "m.mutex()"},
            {IN_UVM: FROM_RANKS + "self.machine.mutex(LockRank(9, 'x', 'y', 'z'), 1)"},
            {IN_UVM: "XCALL = 3\nm.mutex(XCALL)"},
        ],
    ),
    "short": (short, {IN_UVM: "#\n" * 400, "uv.md": "\n" * 999}, [{IN_UVM: "#\n" * 401}]),
    "sleepless": (
        sleepless,
        {IN_TESTS: "'time.sleep'", IN_UVM: "from time import sleep"},
        [{IN_TESTS: "import time\nnap = time.sleep"}, {IN_TESTS: "from time import sleep"}],
    ),
    "narrow": (
        narrow,
        {
            IN_UVM: "try:\n    f()\nexcept OSError:\n    pass\nexcept Exception:\n    g()\n    raise",
            IN_CLI: "try:\n    f()\nexcept Exception:  # noqa: BLE001 - shown to the user\n    pass",
        },
        [
            {IN_UVM: "try:\n    f()\nexcept:\n    pass"},
            {IN_TESTS: "try:\n    f()\nexcept (OSError, BaseException) as e:\n    raise ValueError from e"},
            {IN_CLI: "try:\n    f()\nexcept Exception:  # noqa: BLE001\n    pass"},
        ],
    ),
    "finished": (
        matching(UNFINISHED),
        {IN_UVM: "mktemp XXXXXX"},
        [{IN_UVM: f"# {mirrored(word)}: later"} for word in ("ODOT", "EMXIF", "X" * 3, "rorrEdetnemelpmItoN")],
    ),
    "placeless": (
        matching(PLACES),
        {"README.md": "uvmfree/workload/trace.py ~/work ./root"},
        [{"run": f"cd {mirrored(place)}"} for place in ("em/emoh/", "toor/", "'niam/krow/'")],
    ),
    "hostless": (
        matching(HOSTS),
        {"README.md": "https://www.netbsd.org/"},
        [{"a.md": f"https://{mirrored(host)}/"} for host in ("gro.ipyp", "gro.naibed.bed", "gro.detsohnohtyp.selif")],
    ),
    "lockless": (untracked_lock, {"pyproject.toml": ""}, [{"uv.lock": ""}]),
}


@pytest.fixture(scope="module", autouse=True)
def _trees() -> Iterator[None]:
    """Have no search for garbage go through the trees of all files; they are given up afterwards."""
    gc.disable()
    yield
    gc.enable()
    for kept in (parse, walk):
        kept.cache_clear()


@pytest.fixture(scope="session")
def tracked() -> Files:
    """Return every text file that is tracked, and every Python file of ours besides."""
    git = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False).stdout
    paths = {ROOT / name for name in listed.split("\0") if name}
    paths |= {path for folder in ("uvmfree", "tests", "bench") for path in (ROOT / folder).rglob("*.py")}
    files = {}
    for path in paths:
        if path.is_file() and b"\0" not in (raw := path.read_bytes()):
            files[path.relative_to(ROOT).as_posix()] = raw.decode()
    assert len(files) > 10
    return files


@pytest.mark.parametrize("name", CHECKS)
def test_checker_tells_good_from_bad(name: str) -> None:
    check, good, bad = CHECKS[name]
    assert check(good) == []
    assert [files for files in bad if not check(files)] == []


@pytest.mark.parametrize("name", CHECKS)
def test_tree(name: str, tracked: Files) -> None:
    assert CHECKS[name][0](tracked) == []


def test_lock_table_checker_tells_good_from_bad() -> None:
    outer, inner = (SimpleNamespace(rank=n, name=f"l{n}", guards="a b", rule="none") for n in (1, 2))
    head, one, two = "|rank|lock|\n|---|---|\n", "| 1 | `l1` | a b | none |\n", "| 2 | `l2` | a b | none |\n"
    assert lock_table(head + one + two, [outer, inner]) == []
    assert lock_table(head + two + one, [outer, inner])
    assert lock_table(head + one, [outer, inner])
    assert lock_table(head + one + two, [outer])
    assert lock_table(head + one.replace("a b", "a"), [outer])
    assert lock_table(head + two + one, [inner, outer])


def test_lock_table() -> None:
    ranks = importlib.import_module("uvmfree.kern.lockrank").RANKS
    assert lock_table((ROOT / "docs/locking.md").read_text(), ranks) == []


def test_rules_named_reads_names_and_docstrings() -> None:
    text = "def test_r12_zero():\n    'As R7 says, not XR9.'\nclass TestR24:\n    x = 'R3'\n"
    assert rules_named({IN_TESTS: text, IN_UVM: text.replace("12", "13")}) == {7, 12}


def test_every_rule_is_named_by_a_test(tracked: Files) -> None:
    others = {path: text for path, text in tracked.items() if path != "tests/test_tidy.py"}
    missing = [f"R{number}" for number in sorted(RULES - rules_named(others))]
    assert missing == []


# mypy has no build for a free-threaded 3.13. What these find does not depend on the interpreter that runs them.
tools = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="ruff and mypy run on the GIL builds"
)


def tool(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a tool of the dev group in the project, bounded."""
    return subprocess.run(
        [sys.executable, "-m", *args],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TOOL_S,
        check=False,
    )


def folders(*names: str) -> list[str]:
    """Return those of the folders that have Python files."""
    return [name for name in names if any((ROOT / name).rglob("*.py"))]


@tools
@pytest.mark.timeout(2 * TOOL_S)
@pytest.mark.parametrize("args", ["ruff check", "ruff format --check --diff"])
def test_ruff(args: str) -> None:
    seeded = tool(*args.split(), "--stdin-filename", "uvmfree/seeded.py", "-", stdin="import  os\n")
    assert seeded.returncode == 1, seeded.stdout + seeded.stderr
    done = tool(*args.split(), *folders("uvmfree", "tests", "bench", "docs"))
    assert done.returncode == 0, done.stdout + done.stderr


@tools
@pytest.mark.timeout(2 * TOOL_S)
def test_mypy(tmp_path: Path) -> None:
    """One run, in which the only findings are those that were seeded: starting takes as long as checking."""
    seeded = tmp_path / "seeded.py"
    # Untyped, which is found only if strict is on, and what boot() does not take.
    seeded.write_text(
        "from uvmfree import boot\n"
        "def f(x):\n    return x\n"
        "boot(npages=64, budget=None, own=(('batch', 8),)).cpus[0].pagealloc()\n"
        "boot(npages='64')\n"
        "boot(npage=64)\n"
    )
    done = tool("mypy", str(seeded), *folders("uvmfree", "bench", "docs"))
    assert done.returncode == 1, done.stdout + done.stderr
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.partition(": ")[0].rpartition("/")[2] for line in found] == [
        f"seeded.py:{line}" for line in (2, 5, 6)
    ], done.stdout + done.stderr


@pytest.mark.rotated(3)
def test_a_thread_left_running_fails_its_test(tmp_path: Path) -> None:
    """The fixture in conftest.py sees a daemon thread that outlives its test, and names it."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text().replace("END_S = 5", "END_S = 0"))
    (tmp_path / "test_leak.py").write_text(
        "import threading\n"
        "done = threading.Event()\n"
        "def test_leak():\n"
        "    threading.Thread(target=done.wait, args=(60,), name='astray', daemon=True).start()\n"
        "def test_clean():\n"
        "    done.set()\n"
    )
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "threads left running: astray" in done.stdout
    assert "2 passed, 1 error" in done.stdout

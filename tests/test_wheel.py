"""The package as others install it: a wheel with its types, against which a type checker reads a user's program.

=> The wheel is built and installed by uv, into an environment of its own; mypy is the one of this environment.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOUND_S = 240
UV = shutil.which("uv") or shutil.which(str(ROOT / ".uv/bin/uv"))
PROGRAM = """\
from typing import assert_type

import uvmfree

with uvmfree.boot(npages=64, ncpus=2, design="percpu") as uvm:
    assert_type(uvm, uvmfree.Uvm)
    with uvm.run_on(0) as cpu:
        assert_type(cpu, uvmfree.Cpu)
        pg = cpu.pagealloc(zero=True)
        assert_type(pg, uvmfree.VmPage | None)
        if pg is not None:
            cpu.pagefree(pg)
    assert_type(uvm.uvmexp.snapshot(), uvmfree.UvmExpSnapshot)
    assert_type(uvm.lockstat(), tuple[uvmfree.LockStat, ...])
    uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), timeout_s=5)
    try:
        uvm.audit()
    except uvmfree.AuditError as error:
        print(error.findings)
print(uvmfree.__version__)
"""


def call(*command: str, cwd: Path = ROOT) -> str:
    """Run a command to its end, bounded; return what it says."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build wheel and source archive."""
    if UV is None:
        pytest.skip("no uv here: ./run brings one")
    out = tmp_path_factory.mktemp("dist")
    call(UV, "build", "-q", "-p", sys.executable, "-o", str(out), str(ROOT))
    return out


@pytest.mark.timeout(2 * BOUND_S)
def test_both_archives_say_that_the_package_has_types_and_the_wheel_has_costs(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    (source,) = dist.glob("*.tar.gz")
    assert {"uvmfree/py.typed", "uvmfree/machine/sets/granite-2s.toml"} <= set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(source) as archive:
        assert [name for name in archive.getnames() if name.endswith("/uvmfree/py.typed")]


@pytest.mark.timeout(2 * BOUND_S)
@pytest.mark.rotated(3)
def test_a_users_program_is_checked_against_what_is_installed(dist: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not of this environment")
    (wheel,) = dist.glob("*.whl")
    assert UV is not None
    python = tmp_path / "env/bin/python"
    call(UV, "venv", "-q", "-p", sys.executable, str(tmp_path / "env"))
    call(UV, "pip", "install", "-q", "--no-deps", "-p", str(python), str(wheel))
    version = call(str(python), "-c", "import uvmfree; print(uvmfree.__version__)", cwd=tmp_path).strip()
    assert wheel.name.split("-")[1] == version
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    checker = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python)]
    assert "Success" in call(*checker, str(program), cwd=tmp_path)
    program.write_text(PROGRAM.replace("cpu.pagefree(pg)", "cpu.pagefree(pg.pfn)"))
    done = subprocess.run(
        [*checker, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert 'incompatible type "int"; expected "VmPage"' in done.stdout

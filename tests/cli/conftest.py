"""What the tests of single commands share: a command run in this process, and what it said."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

import uvmfree.cli


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    status: int
    out: str
    err: str


def without_notice(err: str) -> str:
    """Leave out what is said where greenlet is missing: that strands are slow."""
    return "".join(line for line in err.splitlines(True) if not line.startswith("uvmfree: no greenlet"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run `uvmfree ARGS...`; what its child processes say is heard, too."""

    def go(*args: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["uvmfree", *args])
        with pytest.raises(SystemExit) as ended:
            uvmfree.cli.main()
        said = capfd.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return go

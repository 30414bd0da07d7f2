"""A counter file that a later run cannot replace: the one before says that its run has ended, and is let go."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from uvmfree.errors import CounterFileError
from uvmfree.measure.counterfile import SYSTEM_WORDS, CounterFile, CounterReader, _packed
from uvmfree.param import Param
from uvmfree.uvm.uvmexp import COUNTERS

PARAM = Param(npages=512, ncpus=2)


def test_the_last_run_that_was_kept_says_that_it_has_ended(tmp_path: Path) -> None:
    path, kept = tmp_path / "counters", tmp_path / "kept"
    file = CounterFile(str(path))
    file.begin(PARAM)
    os.link(path, kept)
    path.unlink()
    path.mkdir()
    file.begin(PARAM)
    assert file.problem == f"--counters {path}: is a folder; name a file in it"
    assert CounterReader(str(kept)).read().ended
    with kept.open("r+b") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.begin(PARAM)  # the run after it goes on without, too
    assert file.problem == f"--counters {path}: is a folder; name a file in it"
    file.end()
    file.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"ncpus": 0},
        {"ncpus": 4097},
        {"ncpus": "2"},
        {"pid": None},
        {"run": 1.5},
        {"design": 3},
        {"param": []},
        {"param": {"npages": "512"}},
    ],
)
def test_a_header_with_one_thing_wrong_is_damaged(tmp_path: Path, wrong: dict[str, object]) -> None:
    path = tmp_path / "counters"
    file = CounterFile(str(path))
    file.begin(PARAM)
    whole = path.read_bytes()
    file.close()
    header = json.loads(whole[:4096].rstrip(b"\0"))
    words = _packed([0] * (1 + len(COUNTERS) + len(SYSTEM_WORDS))) if wrong == {"ncpus": 0} else whole[4096:]
    path.write_bytes(json.dumps(header | wrong).encode().ljust(4096, b"\0") + words)
    with pytest.raises(CounterFileError, match=r"is a counter page that is damaged$"):
        CounterReader(str(path))


def test_as_many_cpus_as_a_header_may_have_are_read_for(tmp_path: Path) -> None:
    """Their words are not there: the file was cut off behind them."""
    path = tmp_path / "counters"
    file = CounterFile(str(path))
    file.begin(PARAM)
    file.close()
    header = json.loads(path.read_bytes()[:4096].rstrip(b"\0")) | {"ncpus": 4096}
    path.write_bytes(json.dumps(header).encode().ljust(4096, b"\0"))
    with pytest.raises(CounterFileError, match=r"was truncated$"):
        CounterReader(str(path))

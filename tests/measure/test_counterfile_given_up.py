"""A counter file that a later run cannot replace: the one before says that its run has ended, and is let go."""

import fcntl
import os
from pathlib import Path

from uvmfree.measure.counterfile import CounterFile, CounterReader
from uvmfree.param import Param

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

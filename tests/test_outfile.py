"""Files that are written: what is there is replaced if it is a file, and else written to as it is."""

import os
import socket
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.errors import ArgumentError
from uvmfree.outfile import NEW, Outfile, _like

BOUND_S = 20


def write(file: Path | str, content: bytes = b"new") -> None:
    place = Outfile.find("-o", str(file))
    place.check()
    place.write(content)


def node(path: Path, minor: int) -> Path:
    """Make a character device of our own: 3 is another /dev/null, 7 another /dev/full."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
    except PermissionError:
        pytest.skip("needs the right to make device nodes")
    return path


def test_a_file_is_replaced_with_its_mode_and_owner(tmp_path: Path) -> None:
    """Whoever has the old one open goes on reading it: it is a new one, whole."""
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 1234, 4321)
    before = file.stat()
    with file.open("rb") as old:
        write(file)
        assert old.read() == b"old"
    after = file.stat()
    assert file.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    assert list(tmp_path.iterdir()) == [file]


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write(tmp_path / "file")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("there", [True, False])
def test_links_stay_and_what_they_lead_to_is_replaced(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    target, link, linked = folder / "target", tmp_path / "link", tmp_path / "linked"
    if there:
        target.write_bytes(b"old")
    link.symlink_to("folder/target")
    linked.symlink_to(link)
    write(linked)
    assert target.read_bytes() == b"new"
    assert (os.readlink(link), os.readlink(linked)) == ("folder/target", str(link))
    assert list(folder.iterdir()) == [target]


def test_a_device_stays_one(tmp_path: Path) -> None:
    null = node(tmp_path / "null", 3)
    before = null.stat()
    write(null)
    assert (null.stat().st_ino, null.stat().st_rdev, stat.S_ISCHR(null.stat().st_mode)) == (
        before.st_ino,
        before.st_rdev,
        True,
    )
    assert list(tmp_path.iterdir()) == [null]
    with pytest.raises(ArgumentError, match=r"-o .*full: No space left on device"):
        write(node(tmp_path / "full", 7))


def read_meanwhile(source: Callable[[], bytes], work: Callable[[], None]) -> bytes:
    """Read on another thread while something is written."""
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(source()))
    reader.start()
    work()
    reader.join(BOUND_S)
    return b"".join(found)


def test_a_fifo_is_written_to(tmp_path: Path) -> None:
    """More than a pipe holds, so that the reader has to be there."""
    fifo, content = tmp_path / "fifo", b"x" * 200_000
    os.mkfifo(fifo)
    assert read_meanwhile(fifo.read_bytes, lambda: write(fifo, content)) == content
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_an_open_file_of_this_process_is_written_to_where_it_stands(tmp_path: Path, name: str) -> None:
    """As for `-o >(gzip > x)` and /dev/stdout; opened anew it would be written over from the beginning."""
    file = tmp_path / "file"
    fd = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        os.write(fd, b"before ")
        (tmp_path / "link").symlink_to(f"/dev/fd/{fd}")
        write(tmp_path / "link" if name == "link" else name.format(fd))
        os.write(fd, b" after")
    finally:
        os.close(fd)
    assert file.read_bytes() == b"before new after"
    with pytest.raises(ArgumentError, match="Bad file descriptor"):
        Outfile.find("-o", f"/dev/fd/{fd}")


def test_an_open_file_that_is_only_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        with pytest.raises(ArgumentError, match="may not be written to"):
            Outfile.find("-o", f"/dev/fd/{fd}").check()
    finally:
        os.close(fd)


def test_names_of_every_length_are_written_or_refused_at_once(tmp_path: Path) -> None:
    most = os.pathconf(tmp_path, "PC_NAME_MAX")
    for length in (1, most - 10, most):
        write(tmp_path / ("x" * length))
    with pytest.raises(ArgumentError, match="File name too long"):
        Outfile.find("-o", str(tmp_path / ("x" * (most + 1))))
    assert sorted(len(path.name) for path in tmp_path.iterdir()) == [1, most - 10, most]


@pytest.mark.parametrize("make", ["folder", "circle", "under a file", "socket"])
def test_what_cannot_be_written_to_is_refused_before_the_work(tmp_path: Path, make: str) -> None:
    place = tmp_path / "place"
    if make == "folder":
        place.mkdir()
    elif make == "circle":
        place.symlink_to(place)
    elif make == "under a file":
        (tmp_path / "file").touch()
        place = tmp_path / "file" / "place"
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(place))
    with pytest.raises(ArgumentError, match=f"^-o {place}: "):
        Outfile.find("-o", str(place)).check()


def test_a_folder_that_takes_no_files_is_found_out_before_the_work() -> None:
    """Its permissions say that root may write there."""
    name = "/proc/out.json"
    with pytest.raises(ArgumentError, match=f"^--json {name}: "):
        Outfile.find("--json", name).check()


def test_who_checks_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("as it was")
    for name in ("old", "new"):
        Outfile.find("--json", str(tmp_path / name)).check()
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "as it was"


def test_nothing_that_was_planted_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if somebody could tell the random name: it has to be a new file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr(os, "urandom", lambda count: bytes(count))
    planted = tmp_path / (NEW + bytes(8).hex())
    planted.symlink_to(victim)
    with pytest.raises(ArgumentError, match="File exists"):
        write(tmp_path / "file")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "file").exists()


def test_what_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    """Nor does it touch what was there."""
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), Outfile.find("-o", str(file)).beside():
        raise KeyboardInterrupt
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_nobody_else_may_read_a_successor_that_is_being_written(tmp_path: Path) -> None:
    """It may hold what the old one's mode keeps from others; a file that is new has the mode of any new file."""
    file = tmp_path / "file"
    before = os.umask(0)
    try:
        with Outfile.find("-o", str(file)).beside() as (fd, _):
            assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o666
        file.touch(0o600)
        with Outfile.find("-o", str(file)).beside() as (fd, _):
            assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_file_whose_folder_is_closed_is_written_in_place() -> None:
    """It may be written to, and cannot be replaced: as another user, since root may do everything."""
    if os.geteuid() != 0:
        pytest.skip("needs the right to become another user")
    # Not where the other temporary files of tests are: nobody else may look in there.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = folder / "file"
        file.write_bytes(b"old and longer")
        file.chmod(0o666)
        before = file.stat().st_ino
        os.seteuid(4321)
        try:
            write(file)
            with pytest.raises(ArgumentError, match="may not be written to"):
                Outfile.find("-o", str(folder / "other")).check()
        finally:
            os.seteuid(0)
        assert (file.read_bytes(), file.stat().st_ino) == (b"new", before)


@pytest.mark.parametrize(("mode", "left"), [(0o674, 0o644), (0o640, 0o600), (0o666, 0o666), (0o2677, 0o677)])
def test_where_neither_owner_nor_group_can_be_given_the_group_gains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, left: int
) -> None:
    """The new file's group is another one, and may do what anybody may."""

    def chown(path: str, uid: int, gid: int) -> None:
        raise PermissionError

    file = tmp_path / "new"
    file.touch()
    there: Any = SimpleNamespace(st_mode=0o100000 | mode, st_uid=os.getuid() + 1, st_gid=os.getgid() + 1)
    monkeypatch.setattr(os, "chown", chown)
    _like(there, str(file))
    assert stat.S_IMODE(file.stat().st_mode) == left

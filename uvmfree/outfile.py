"""Files that are written: whole or not at all, and only a file is ever replaced.

=> A regular file, or one that is not there yet, is replaced at the end of all symbolic links; the links stay. The new
   one is written beside it under a random name, which nobody can have planted, and renamed. It has the mode of the
   old one, and its owner and group where the system allows that.
=> Anything else, a FIFO, a device, what /dev/stdout or /dev/fd/N stand for, is written to as it is. So is a regular
   file in a folder where it cannot be replaced.
=> ArgumentError names the option and what the system said; OutputError tells that a pipe's reader has gone.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import ArgumentError, OutputError

_LINKS_MAX: Final = 40
"""Symbolic links that are followed to a file, as many as the kernel follows."""

NEW: Final = ".uvmfree-"
"""How the random names begin. They are shorter than any name that a folder takes, however long the file's own is."""


@dataclass(frozen=True, slots=True)
class Outfile:
    """A place to write to.

    => `path`: where it is, behind all links. `there`: what is there, None if nothing is.
    => `descriptor`: what /dev/stdout, /dev/fd/N or '-' name, an open file of this process; else None.
    """

    option: str
    name: str
    path: str
    there: os.stat_result | None
    descriptor: int | None = None

    @classmethod
    def find(cls, option: str, name: str) -> "Outfile":
        """Find out what a name stands for now; '-' is stdout. ArgumentError if it cannot be the name of a file."""
        with _named(option, name):
            if name == "-":
                return cls(option, name, name, os.fstat(1), 1)
            path = name
            for _ in range(_LINKS_MAX):
                folder, last = os.path.split(path)
                folder = os.path.realpath(folder)
                path = os.path.join(folder, last)
                if folder == f"/proc/{os.getpid()}/fd" and last.isdecimal():
                    return cls(option, name, path, os.fstat(int(last)), int(last))
                try:
                    there = os.lstat(path)
                except FileNotFoundError:
                    return cls(option, name, path, None)
                if not stat.S_ISLNK(there.st_mode):
                    return cls(option, name, path, there)
                path = os.path.join(folder, os.readlink(path))
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    @property
    def replaceable(self) -> bool:
        """Whether a new file takes the place of what is there, if anything is."""
        if self.descriptor is not None or not (self.there is None or stat.S_ISREG(self.there.st_mode)):
            return False
        folder = os.stat(os.path.dirname(self.path))
        mine = self.there is None or os.geteuid() in (0, self.there.st_uid, folder.st_uid)
        return _allowed(os.path.dirname(self.path)) and (mine or not folder.st_mode & stat.S_ISVTX)

    @property
    def waits(self) -> bool:
        """Whether writing may wait for somebody to read: it is a FIFO, a pipe or a device."""
        return self.there is not None and not stat.S_ISREG(self.there.st_mode)

    @property
    def identity(self) -> tuple[object, ...]:
        """What two names of one place have in common."""
        return (self.path,) if self.there is None else (self.there.st_dev, self.there.st_ino)

    def check(self) -> None:
        """Refuse a place that cannot be written to before the work is done, not after: ArgumentError."""
        if self.descriptor is not None:
            with _named(self.option, self.name):
                allowed = fcntl.fcntl(self.descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        elif self.there is not None and stat.S_ISDIR(self.there.st_mode):
            raise ArgumentError(f"{self.option} {self.name}: is a folder; name a file in it")
        elif not os.path.isdir(os.path.dirname(self.path)):
            given = os.path.dirname(self.name)  # which is there where only a link leads to none
            missing = os.path.dirname(self.path) if os.path.isdir(given or ".") else given
            raise ArgumentError(f"{self.option} {self.name}: there is no folder {missing}")
        elif self.there is not None and stat.S_ISSOCK(self.there.st_mode):
            raise ArgumentError(f"{self.option} {self.name}: is a socket, which cannot be written to by name")
        else:
            allowed = _allowed(self.path) if self.there is not None else self.replaceable
        if not allowed:
            raise ArgumentError(f"{self.option} {self.name}: may not be written to")
        if self.replaceable:
            with self.beside():  # a folder may allow new files and take none, as /proc
                pass

    def write(self, content: bytes) -> None:
        """Write the file."""
        with _named(self.option, self.name):
            if self.replaceable:
                with self.beside() as (fd, path):
                    _write(fd, content)
                    self.put(path)
            else:
                with self._as_it_is() as fd:
                    _write(fd, content)

    def put(self, path: str) -> None:
        """Put a finished file, in the same folder or below it, into the place; copy it there if that is no file."""
        with _named(self.option, self.name):
            if self.replaceable:
                if self.there is not None:
                    _like(self.there, path)
                os.replace(path, self.path)
                return
            with open(path, "rb") as source, self._as_it_is() as fd, open(fd, "wb", closefd=False) as file:
                shutil.copyfileobj(source, file, 1 << 20)

    @property
    def folder(self) -> str | None:
        """Where to make ready what will be put; None where any folder will do."""
        return os.path.dirname(self.path) if self.replaceable else None

    @contextlib.contextmanager
    def beside(self) -> Iterator[tuple[int, str]]:
        """Yield a new file in the same folder, a descriptor and its path; whatever has that name then is removed."""
        path = os.path.join(os.path.dirname(self.path), NEW + os.urandom(8).hex())
        fd = -1
        with _named(self.option, self.name):
            try:
                # Nobody else may read what is there until it has the mode of what was there before.
                mode = 0o666 if self.there is None else 0o600
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
                yield fd, path
            finally:
                if fd >= 0:
                    os.close(fd)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)

    @contextlib.contextmanager
    def _as_it_is(self) -> Iterator[int]:
        if self.descriptor is not None:
            fd = os.dup(self.descriptor)
        else:
            fd = os.open(self.path, os.O_WRONLY | os.O_TRUNC | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)


@contextlib.contextmanager
def _named(option: str, name: str) -> Iterator[None]:
    """Make an ArgumentError of what the system says, an OutputError where a reader has gone."""
    try:
        yield
    except BrokenPipeError:
        raise OutputError(os.strerror(errno.EPIPE), reader_gone=True, where=f"{option} {name}") from None
    except OSError as error:
        raise ArgumentError(f"{option} {name}: {error.strerror}") from None


def _write(fd: int, content: bytes) -> None:
    with open(fd, "wb", closefd=False) as file:
        file.write(content)


def _allowed(path: str) -> bool:
    return os.access(path, os.W_OK, effective_ids=True)


def _like(there: os.stat_result, path: str) -> None:
    """Give a file the mode of another one, and its owner and group; without the group nobody gains by it."""
    mode = stat.S_IMODE(there.st_mode)
    new = os.stat(path)
    if (new.st_uid, new.st_gid) != (there.st_uid, there.st_gid):
        try:
            os.chown(path, there.st_uid, there.st_gid)
        except PermissionError:
            try:
                os.chown(path, -1, there.st_gid)
            except PermissionError:
                mode &= ~0o070 | (mode & 0o007) << 3
            mode &= 0o777
    os.chmod(path, mode)

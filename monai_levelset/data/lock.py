"""Let one process at a time write into a folder."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from monai_levelset.data.errors import DataError

__all__ = ["sole_writer"]

_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_FAR = 1 << 30  # Windows locks bytes, and what it has locked cannot be read: lock one behind the number


@contextmanager
def sole_writer(folder: str | Path, file: str | Path, *, what: str) -> Iterator[None]:
    """Hold a lock of the operating system, which ends with the block or with the process, however it ends.

    A lock file that an earlier process left behind means nothing. On a file system that knows no locks the
    block runs without one.

    Args:
        folder: what is protected, for the message.
        file: the lock file; made, with its folder, where it does not exist, and left there.
        what: the program that holds the lock, for the message.

    Raises:
        DataError: where another process, or another block of this one, holds the lock.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp())
        >>> with sole_writer(out, out / ".lock", what="prepare"):
        ...     with sole_writer(out, out / ".lock", what="prepare"):
        ...         pass
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: another prepare (process ...) is writing to ...; wait for it ...
    """
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with Path(file).open("a+b") as held:
        try:
            _lock(held)
        except OSError as error:
            if error.errno in _HELD:
                raise DataError(
                    f"another {what}{_holder(held)} is writing to {folder}; wait for it or give another --out"
                ) from error
        else:
            with suppress(OSError):  # a full disk; the name is only for the message
                held.truncate(0)
                os.write(held.fileno(), str(os.getpid()).encode())
        yield


if sys.platform == "win32":

    def _lock(file: BinaryIO) -> None:
        import msvcrt

        file.seek(_FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:

    def _lock(file: BinaryIO) -> None:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(file: BinaryIO) -> str:
    """The process that holds the lock, as far as it has said so."""
    file.seek(0)
    number = file.read(20).decode("ascii", "replace").strip()
    return f" (process {number})" if number.isdigit() else ""

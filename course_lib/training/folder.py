"""The folder of a run: made, found to be writable, and kept for one process at a time. Other people's files stay."""

import contextlib
import os
import platform
import re
import tempfile
from pathlib import Path

import filelock

PREFIX = "course_lib-"  # of every file of ours but checkpoint.json


class RunFolder:
    """A folder that one run has to itself while it trains.

    The lock on ``course_lib-lock`` is the operating system's and vanishes with the process, however that ends;
    ``course_lib-running.txt`` says who has it.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(f"checkpoint: expected the path of a folder, or None, found {folder!r}")
        if not os.fspath(folder):
            raise ValueError("checkpoint: expected the path of a folder, or None, found an empty path")
        self.path = Path(folder)
        self._who = self.path / f"{PREFIX}running.txt"
        self._lock = filelock.FileLock(self.path / f"{PREFIX}lock")

    def lock(self) -> None:
        """ValueError if it cannot be made, may not be written, or another run has it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except FileExistsError:
            raise ValueError(
                f"checkpoint: expected a folder, or a path where none is yet; {self.path} is a file"
            ) from None
        except OSError as error:
            raise ValueError(f"checkpoint: cannot write in {self.path} ({error}); choose another folder") from error
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            raise ValueError(
                f"checkpoint: {self.path} is in use by {self._user()}; wait until that run has ended, or choose "
                "another folder"
            ) from None
        self._who.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")

    def unlock(self) -> None:
        self._who.unlink(missing_ok=True)
        self._lock.release()

    def remove(self, pattern: str, keep: str) -> None:
        """Delete those of our files whose name matches ``pattern``, except ``keep``."""
        for path in self.path.iterdir():
            if path.name.startswith(PREFIX) and re.fullmatch(pattern, path.name) and path.name != keep:
                path.unlink()

    def _user(self) -> str:
        with contextlib.suppress(OSError):
            return self._who.read_text(encoding="utf-8")
        return "another run"

"""A process in the sandbox that runs steps one by one, and is ended when one takes too long or prints too much."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO, Any

from course_lib.homework import sandbox
from course_lib.homework.submission import Step

START_SECONDS = 120  # a slow machine needs some to import torch


@dataclass(frozen=True)
class Limits:
    """What a submission may use."""

    cell_seconds: int = 60
    seconds: int = 600  # all runs of one submission together
    memory: int = 6 * 2**30  # bytes of addresses: torch alone takes two thousand million
    disk: int = 64 * 2**20
    output: int = 10_000_000
    processes: int = 64
    restarts: int = 8

    def kernel(self) -> dict[str, int]:
        """What the process itself asks of the kernel."""
        return {"cpu": self.seconds, "memory": self.memory, "disk": self.disk, "processes": self.processes}


class Broken(Exception):
    """The process ended or was ended: ``kind`` is what it did, the message says it to the student."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Room:
    """A process in the sandbox that runs steps."""

    def __init__(self, limits: Limits, walled: bool) -> None:
        self.limits, self.walled = limits, walled

    def __enter__(self) -> "Room":
        self.folder = tempfile.TemporaryDirectory(prefix="homework-")
        answers, theirs = os.pipe()
        inner = [sys.executable, "-B", "-X", "faulthandler=0", "-c", _START, str(theirs)]
        limits = self.limits.kernel() | {"walled": int(self.walled)} if os.name == "posix" else {}
        self.process = subprocess.Popen(
            sandbox.command(inner, walled=self.walled, limits=self.limits.kernel()),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(theirs,),
            env=sandbox.environment(self.walled, self.folder.name), cwd=self.folder.name, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.printed, self.first = 0, b""
        self.answers: list[bytes] = []
        self.told = threading.Condition()
        self.ended = False
        self.readers = [
            threading.Thread(target=self._drain, args=(self.process.stdout,), daemon=True),
            threading.Thread(target=self._listen, args=(os.fdopen(answers, "rb"),), daemon=True),
        ]
        for reader in self.readers:
            reader.start()
        try:
            self._send(limits)
            self._answer(START_SECONDS, None)
        except Broken as broken:
            self.__exit__()
            said = self.first.decode(errors="replace").strip()[-500:]
            raise sandbox.NoWalls(f"the process did not start: {broken} It said: {said or 'nothing'}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, 9)
            except (ProcessLookupError, PermissionError):
                self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(timeout=5)
        for stream in (self.process.stdin, self.process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:  # what was still to be sent goes nowhere
                pass
        self.folder.cleanup()

    def run(self, step: Step, seconds: float) -> dict[str, Any]:
        """One step, within some seconds.

        Raises
        ------
        Broken : it took longer, printed too much, or ended the process.
        """
        nonce = secrets.token_hex(8)
        self._send({"nonce": nonce, "kind": step.kind, "name": step.name, "source": step.source})
        found = self._answer(seconds, nonce)  # of a process that is not trusted: anything may stand in it
        flags = {key: found.get(key) is True for key in ("ok", "tampered")}
        return flags | {key: _text(found.get(key)) for key in ("type", "message", "cell")} | {"line": found.get("line")}

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except (BrokenPipeError, OSError):
            raise Broken("ended Python", "it ended Python.") from None

    def _answer(self, seconds: float, nonce: str | None) -> dict[str, Any]:
        deadline = time.monotonic() + max(seconds, 0.1)
        with self.told:
            while True:
                while self.answers:
                    try:
                        found = json.loads(self.answers.pop(0))
                    except (ValueError, RecursionError):
                        continue
                    if isinstance(found, dict) and (nonce is None or found.get("nonce") == nonce):
                        return found
                if self.printed > self.limits.output:
                    raise Broken("printed too much", f"it printed more than {self.limits.output // 1_000_000} MB.")
                if self.ended:
                    raise Broken("ended Python", "it ended Python.")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Broken("ran too long", f"it ran longer than {seconds:.0f} s.")
                self.told.wait(min(left, 0.5))

    def _drain(self, stream: IO[bytes]) -> None:
        """Read what is printed and forget it, up to a limit: then the pipe fills, and the printing stops."""
        while part := stream.read1(65_536):  # type: ignore[attr-defined]
            with self.told:
                self.first = (self.first + part)[:4_000]
                self.printed += len(part)
                if self.printed > self.limits.output:
                    self.told.notify()
                    return  # unread, the pipe fills, and the printing stops

    def _listen(self, stream: IO[bytes]) -> None:
        while line := stream.readline(100_000):
            with self.told:
                self.answers = [*self.answers, line][-1_000:]
                self.told.notify()
        stream.close()
        with self.told:
            self.ended = True
            self.told.notify()


def _text(told: Any) -> str:
    """A text that a file can hold, and that is no book."""
    return told[:1_000].encode(errors="replace").decode() if isinstance(told, str) else ""


_START = "from course_lib.homework.runner import main; main()"

"""Download a public file once, check it against a recorded hash, and keep it.

A file in the cache is either whole or not there: each call downloads to a name of its own, and moves the file into
place in one step once its hash agreed. Several processes may ask for the same file at once.
"""

import contextlib
import logging
import os
import queue
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

import pooch
import requests

CACHE = Path(__file__).resolve().parents[2] / "data" / "cache"


class DownloadError(RuntimeError):
    """A file could not be had. The message names the address, the hash and where to put the file by hand."""


class _TooSlow(Exception):
    """The whole file had not come by the deadline."""


def is_plain_name(name: str) -> bool:
    """Does ``name`` stay in the folder it is joined to, on every system: no separator, no drive, not ``..``?"""
    return name not in ("", ".", "..") and PureWindowsPath(name).name == name  # / and \\ are separators to Windows


def fetch(
    url: str, known_hash: str, name: str, folder: Path = CACHE, timeout: float = 30.0, deadline: float = 1_800.0
) -> Path:
    """Return the path of ``folder/name``, downloading it from ``url`` if it is not there yet.

    Parameters
    ----------
    known_hash : ``"sha256:…"`` or ``"md5:…"``; a file is believed only if its content has this hash.
    name : the file's name in ``folder``, which is made if it does not exist.
    timeout : seconds to wait for the server to connect, and then for each further piece of the answer.
    deadline : seconds for the whole download, however steadily it trickles.

    Returns
    -------
    Path of a file whose hash was checked in this call.

    Raises
    ------
    ValueError : a hash of another kind, or a name that leads out of ``folder``.
    DownloadError : no network, a server that refuses, does not answer, answers with an error or takes too long, a body
        cut short, a file with another hash, or a folder that cannot be written. A file that was there before with
        another hash is replaced by the right one, and left as it is if that does not come; the message tells so.
    """
    if not re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", known_hash):
        raise ValueError(f"known_hash: expected sha256: or md5: and the digest in hexadecimal, found {known_hash!r}.")
    if not is_plain_name(name):
        raise ValueError(f"name: expected the name of a file, found {name!r}; name its folder with folder=….")
    folder = Path(folder)
    target = folder / name
    found = _hash_like(target, known_hash)
    if found == known_hash:
        return target
    history = f"A file is there with another hash, {found}; it is left as it is, and not used.\n" if found else ""

    def give_up(reason: str) -> DownloadError:
        return DownloadError(
            f"could not download {name}: {reason}\n{history}"
            f"  address:  {url}\n"
            f"  hash:     {known_hash}\n"
            f"To go on without this download, get the file with a browser or from a colleague and put it at\n"
            f"  {target}\n"
            "It is used from there if its hash agrees."
        )

    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise DownloadError(
            f"folder: expected one that can be written, found {folder} ({type(error).__name__}: {error}). Make it "
            f"writable; or get {name} from {url}, put it into a folder of yours and pass folder=…."
        ) from error

    def download(url: str, output_file: str, _pooch: object) -> None:
        with open(output_file, "wb") as file:
            for piece in _pieces(url, timeout, deadline):
                file.write(piece)

    part = f"{name}.{uuid.uuid4().hex}.part"  # not shared with another call that fetches the same
    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(url, known_hash, fname=part, path=folder, downloader=download)
        os.replace(folder / part, target)
    except _TooSlow as error:
        raise give_up(f"it had not come whole after {deadline:g} s; try again later, or pass deadline=….") from error
    except (requests.RequestException, OSError, ValueError) as error:  # ValueError: pooch's "hash does not match"
        (folder / part).unlink(missing_ok=True)
        if _hash_like(target, known_hash) != known_hash:  # another call may have had more luck meanwhile
            raise give_up(_reason(error, timeout)) from error
    return target


def _pieces(url: str, timeout: float, deadline: float) -> Iterator[bytes]:
    """The body of ``url`` piece by piece, read by a thread that can be left behind when the deadline passes.

    ``timeout`` starts anew with every byte, also within a header, so that it bounds nothing by itself.
    """
    arrived: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
    left_behind = threading.Event()

    def read() -> None:
        try:
            with requests.get(url, stream=True, timeout=timeout) as response:
                response.raise_for_status()
                for piece in response.iter_content(chunk_size=2**16):
                    arrived.put(piece)
                    if left_behind.is_set():
                        return
            arrived.put(None)
        except Exception as error:  # raised again where the file is waited for
            arrived.put(error)

    threading.Thread(target=read, daemon=True).start()
    end = time.monotonic() + deadline
    try:
        while True:
            piece = arrived.get(timeout=max(0.0, end - time.monotonic()))
            if piece is None:
                return
            if isinstance(piece, Exception):
                raise piece
            yield piece
    except queue.Empty:
        raise _TooSlow from None
    finally:
        left_behind.set()


def _reason(error: Exception, timeout: float) -> str:
    """One line in plain words for what a user can tell apart and act on."""
    if isinstance(error, requests.Timeout):
        return f"the server did not answer within {timeout:g} s; try again later."
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}."
    if isinstance(error, requests.exceptions.ChunkedEncodingError):  # urllib3 counted fewer bytes than announced
        return "the connection broke off before the whole file had come; try again."
    if isinstance(error, requests.ConnectionError):
        # requests wraps a body that stalls in a ConnectionError as well
        if "timed out" in str(error).lower():
            return f"the server stopped answering for {timeout:g} s; try again later."
        return "no connection to the server; is this machine on the network?"
    if isinstance(error, ValueError):
        return f"what came is not the recorded file. {error}"
    return f"{type(error).__name__}: {error}"


def _hash_like(path: Path, known_hash: str) -> str:
    """The hash of a file by the algorithm that ``known_hash`` names; empty if there is no file."""
    algorithm = known_hash.split(":", 1)[0]
    try:
        return f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"
    except OSError:
        return ""


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Silence pooch's notes on stderr for one call: they would stand in a notebook's committed output."""
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)

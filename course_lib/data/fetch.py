"""Download a public file once, check it against a recorded hash, and keep it.

A file in the cache is either whole or not there: pooch downloads to a temporary name and moves it into place only
after its hash agreed.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pooch
import requests

CACHE = Path(__file__).resolve().parents[2] / "data" / "cache"


class DownloadError(RuntimeError):
    """A file could not be had. The message names the address, the hash and where to put the file by hand."""


def fetch(url: str, known_hash: str, name: str, folder: Path = CACHE, timeout: float = 30.0) -> Path:
    """Return the path of ``folder/name``, downloading it from ``url`` if it is not there yet.

    Parameters
    ----------
    known_hash : ``"sha256:…"`` or ``"md5:…"``; a file is believed only if its content has this hash.
    name : the file's name in ``folder``, which is made if it does not exist.
    timeout : seconds to wait for the server to connect, and then for each further piece of the answer.

    Returns
    -------
    Path of a file whose hash was checked in this call.

    Raises
    ------
    ValueError : a hash of another kind.
    DownloadError : no network, a server that refuses, does not answer or answers with an error, a body cut short, or
        a file with another hash. A file that was there before with another hash is removed first, since nothing
        can say what it is; the message tells so.
    """
    if not known_hash.startswith(("sha256:", "md5:")):
        raise ValueError(f"known_hash: found {known_hash!r}; write sha256:… or md5:….")
    target = Path(folder) / name
    history = ""
    if target.exists():
        if pooch.hashes.hash_matches(str(target), known_hash):
            return target
        found = _hash_like(target, known_hash)
        target.unlink()
        history = f"A file was already there with another hash, {found}; it was removed and downloaded again.\n"

    target.parent.mkdir(parents=True, exist_ok=True)

    def download(url: str, output_file: str, _pooch: object) -> None:
        # in place of pooch.HTTPDownloader, which leaves the connection open when the body breaks off
        with requests.get(url, stream=True, timeout=timeout) as response, open(output_file, "wb") as file:
            response.raise_for_status()
            for chunk in response.iter_content(chunk_size=2**16):
                file.write(chunk)

    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(url, known_hash, fname=name, path=target.parent, downloader=download)
    except (requests.RequestException, OSError, ValueError) as error:  # ValueError: pooch's "hash does not match"
        raise DownloadError(
            f"could not download {name}: {_reason(error, timeout)}\n{history}"
            f"  address:  {url}\n"
            f"  hash:     {known_hash}\n"
            f"To go on without this download, get the file with a browser or from a colleague and put it at\n"
            f"  {target}\n"
            "It is used from there if its hash agrees."
        ) from error
    return target


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
    """The hash of a file by the algorithm that ``known_hash`` names."""
    algorithm = known_hash.split(":", 1)[0]
    return f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Silence pooch's notes on stderr for one call: they would stand in a notebook's committed output."""
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)

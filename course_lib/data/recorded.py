"""Are the data sets under ``data/`` the files that were recorded in ``data/hashes.json``, byte for byte?

A flipped byte may load as other counts, and a file cut short may fail deep inside a reader. Some ten milliseconds of
hashing before each load tell. The standard library is enough, so that the doctor can ask where nothing is installed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

DATA_FOLDER = Path(__file__).resolve().parents[2] / "data"
HASHES = "hashes.json"

HDF5 = b"\x89HDF\r\n\x1a\n"  # first bytes of every HDF5 file; its ends of lines are there to betray what converts them
LFS_POINTER = b"version https://git-lfs"


def record_of(path: Path) -> dict[str, str | int]:
    """What is recorded of a file beside the hash of its content."""
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def recorded(folder: Path = DATA_FOLDER) -> dict[str, dict[str, str | int]]:
    """For each data set its ``content`` (hash of names, labels and counts), ``bytes`` and ``sha256`` of the file."""
    path = folder / HASHES
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(
            f"{path}: expected the recorded hashes of the data sets, found a file that does not read ({error}). "
            f"Restore it: git checkout -- data/{HASHES}"
        ) from error


def what_is_wrong(name: str, folder: Path = DATA_FOLDER) -> tuple[str, str]:
    """What was found in place of the recorded ``<name>.h5ad``, and what to do; two empty texts if nothing is wrong."""
    path = folder / f"{name}.h5ad"
    restore = f"Restore it: git checkout -- data/{path.name}"
    if not path.is_file():
        return "no such file", restore
    content = path.read_bytes()
    record = recorded(folder).get(name)
    if record is None:
        return f"no record of it in data/{HASHES}", f"Restore that: git checkout -- data/{HASHES}"
    if hashlib.sha256(content).hexdigest() == record["sha256"]:
        return "", ""
    if not content:
        return "an empty file", restore
    if content.startswith(LFS_POINTER):
        return "a pointer of Git LFS in place of the data", "Fetch what it points to: git lfs pull"
    if not content.startswith(HDF5) and content[:16].replace(b"\r", b"").startswith(HDF5.replace(b"\r", b"")):
        return "a file whose ends of lines were converted as if it were text", restore
    if len(content) < int(record["bytes"]):
        return f"a file cut short, {len(content):,} of {record['bytes']:,} bytes", restore
    return "a damaged or changed file, whose sha256 is not the recorded one", restore

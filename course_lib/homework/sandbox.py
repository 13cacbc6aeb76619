"""The room in which a submission runs: a process with limits, no network, an empty folder, and nobody else's files.

The walls are bubblewrap's (https://github.com/containers/bubblewrap), which Flatpak uses: the process sees the system's
libraries, this Python and the course's code and data, all of them read-only, and a folder of its own in memory, which
goes when it ends. It has its own list of processes, so that all that it started end with it. Limits of time, memory and
processes are the kernel's (``setrlimit``).

What this does not do: it shares the kernel with the grader, so a flaw of the kernel opens it; and the tests run in the
process of the answers, so a clever answer may lie about them. Where grades matter, run the grader in a container or on
a machine of its own, as ``docs/instructor.md`` says, and look at what surprises you.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
OWN_FOLDER = "/tmp/own"
SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/etc/localtime",
    "/etc/ssl",
)


class NoWalls(RuntimeError):
    """This machine has no bubblewrap, or may not use it. The message says what to do."""


def walls() -> str:
    """The path of bubblewrap.

    Raises
    ------
    NoWalls : it is not there.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise NoWalls(
            "bubblewrap (bwrap) is not installed. On Debian and Ubuntu: apt install bubblewrap. Elsewhere grade in a "
            "Linux container; or, if you trust everybody who handed in, add --without-walls."
        )
    return found


def command(inner: Sequence[str], *, walled: bool, limits: Mapping[str, int]) -> list[str]:
    """The command line that runs ``inner`` behind walls, or without."""
    if not walled:
        return list(inner)
    line = [
        walls(),
        "--die-with-parent",
        "--new-session",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
    ]
    if os.getuid() == 0:  # becomes nobody in the room: a limit on processes does not bind root
        line += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        line += ["--unshare-user"]
    line += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for path in SYSTEM:
        line += _shown(path)
    shown = dict.fromkeys([sys.base_prefix, sys.prefix, str(ROOT / "course_lib"), str(ROOT / "data")])
    above = {str(folder): None for path in shown for folder in reversed(Path(path).parents) if folder != Path("/")}
    for folder in above:  # or they belong to root alone
        line += ["--perms", "0755", "--dir", folder]
    for path in shown:
        line += ["--ro-bind", path, path]
    cache = ROOT / "data" / "cache"
    line += ["--tmpfs", str(cache)] if cache.is_dir() else []
    line += ["--perms", "0777", "--size", str(limits["disk"]), "--tmpfs", OWN_FOLDER, "--chdir", OWN_FOLDER]
    return [*line, *inner]


def _shown(path: str) -> list[str]:
    if os.path.islink(path):
        return ["--symlink", os.readlink(path), path]
    return ["--ro-bind", path, path] if os.path.exists(path) else []


def environment(walled: bool, folder: str) -> dict[str, str]:
    """The few variables that the process gets: nothing of the grader's own."""
    own = OWN_FOLDER if walled else folder
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "SYSTEMROOT") if name in os.environ}
    return kept | {
        "HOME": own, "TMPDIR": own, "PATH": "/usr/bin:/bin", "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8", "IPYTHONDIR": own, "MPLCONFIGDIR": own,
        "NUMBA_CACHE_DIR": own, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT),
    }  # fmt: skip


def enter(limits: Mapping[str, int]) -> None:
    """Called by the process itself, before anything of the student's: take the limits, and be nobody."""
    import resource

    for what, value in (
        (resource.RLIMIT_CPU, limits["cpu"]), (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["disk"]), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 256),
    ):  # fmt: skip
        resource.setrlimit(what, (value, value))
    if limits["walled"] and os.getuid() == 0:  # without walls, nobody may not read this Python
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    resource.setrlimit(resource.RLIMIT_NPROC, (limits["processes"], limits["processes"]))

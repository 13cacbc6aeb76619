"""The command: the course as a site that needs no network.

    python -m course_lib.site [--to build/site]        needs the extras `site` and `classroom`

Sphinx reads one folder, made anew each time: notebooks as they are committed, guides, quizzes, students' homework and
pages for the modules of ``course_lib``. A warning is an error. To read it: ``python -m http.server -d build/site``.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from course_lib.console import say
from course_lib.site.gather import gather
from course_lib.tooling.files import INTERRUPTED, ROOT

OURS = ".course_site"  # a file in a folder that an earlier call made, whole or half: it may be replaced


def build(source: Path, to: Path) -> int:
    """Sphinx over a gathered folder; ``to`` is replaced. Returns its exit status: 1 if there was a warning.

    Raises
    ------
    ModuleNotFoundError : a package of the extra `site` is not installed; the message says how.
    ValueError : ``to`` holds what is no site of Sphinx's.
    """
    try:
        import myst_nb  # noqa: F401
        import sphinx_book_theme  # noqa: F401
        from sphinx.cmd.build import build_main
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; pip install -e '.[site]' brings what the site is made with.") from None
    if to.exists() and any(to.iterdir()) and not (to / OURS).is_file():
        raise ValueError(f"--to {to}: expected a site, or no folder, found other files in it; name another.")
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    (to / OURS).touch()
    quiet = ["-q", "--fail-on-warning", "--keep-going"]
    return int(build_main([*quiet, "-b", "html", "-d", str(source.with_name("doctrees")), str(source), str(to)]))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if Sphinx warned."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.site", description=__doc__.split("\n")[0])
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "site", metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="course-site-") as work:
            status = build(gather(Path(work) / "source"), options.to)
    except (ModuleNotFoundError, ValueError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    say(f"{options.to / 'index.html'}" if status == 0 else "The site has the warnings printed above: mend them.")
    return status


if __name__ == "__main__":
    sys.exit(main())

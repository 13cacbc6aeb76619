"""What Sphinx reads: the repository's pages in one folder, where they lie as in the repository, so that links hold.

Beside them stand pages that nothing is written for: a list of slides, and one for each room of ``course_lib``.
"""

import shutil
from pathlib import Path

import nbformat

from course_lib.homework.release import student_version
from course_lib.homework.sheet import read_sheet, sheet_names
from course_lib.tooling import talk
from course_lib.tooling.assets import MATHJAX, copy_assets
from course_lib.tooling.files import NOTEBOOKS, ROOT, find_notebooks, name_of, read
from course_lib.tooling.render import title, write_slides

# Pages, and what they link to or show.
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")
LINKED = ("LICENSE", "LICENSE-text", "CITATION.cff", ".github/course.png")


def gather(folder: Path) -> Path:
    """Write what Sphinx reads into ``folder``, which must not exist; returns it."""
    shutil.copytree(ROOT / "docs" / "site", folder)  # its settings, its first page
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("site", "*.toml"))
    shutil.copytree(NOTEBOOKS, folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    for name in (*PAGES, *LINKED):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    # What stands above the README's first section is the site's first page.
    before, start = (folder / "README.md").read_text(encoding="utf-8").split("## Start", 1)
    (folder / "first.md").write_text(before.partition("\n")[2], encoding="utf-8")
    (folder / "README.md").write_text(f"# Install and use it\n\n## Start{start}", encoding="utf-8")
    with (folder / "docs" / "quizzes" / "README.md").open("a", encoding="utf-8") as contents:
        contents.write("\n```{toctree}\n:hidden:\n:glob:\n\nself_test\n[0-9]*\n```\n")
    _homework(folder / "homework")
    _slides(folder)
    _reference(folder / "reference")
    copy_assets(MATHJAX, folder / "static")
    return folder


def _homework(folder: Path) -> None:
    """As students get it: what tells more must not be on a public page."""
    folder.mkdir(parents=True)
    for name in sheet_names():
        text = nbformat.writes(student_version(read_sheet(name)))
        (folder / f"{name}.ipynb").write_text(text + "\n", encoding="utf-8")


def _slides(folder: Path) -> None:
    lines = [
        "# Slides", "",
        "The talk in each notebook. Press S for a window with what you say, F to fill the screen, Esc for an overview.",
        "",
    ]  # fmt: skip
    for path in find_notebooks():
        notebook, name = read(path), name_of(path)
        if write_slides(notebook, name, folder / "beside" / "slides"):
            number = len(talk.slides(notebook, name))
            lines.append(f'- <a href="slides/{name}.slides.html">{title(notebook, name)}</a>, {number} slides')
    (folder / "slides.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def rooms() -> dict[str, list[str]]:
    """Every part of the library with its modules, by name."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "course_lib").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if parts[-1] != "__main__" and module != "course_lib":
            found.setdefault(".".join(module.split(".")[:2]), []).append(module)
    return found


def _reference(folder: Path) -> None:
    folder.mkdir(parents=True)
    for room, modules in rooms().items():
        lines = [f"# {room}"]
        for module in modules:
            if module != room:
                lines += ["", f"## {module.removeprefix(room + '.')}"]
            lines += ["", "```{eval-rst}", f".. automodule:: {module}", "   :members:", "   :ignore-module-all:", "```"]
        (folder / f"{room}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = "What the notebooks import. Each page is a part of `course_lib`; CONTRIBUTING says which may import which."
    first = ["course_lib.models", "course_lib.probability", "course_lib.networks", "course_lib.data"]
    first += ["course_lib.training", "course_lib.analysis", "course_lib.figures"]
    contents = "\n".join([*first, *(room for room in rooms() if room not in first)])
    (folder / "index.md").write_text(
        f"# The library\n\n{words}\n\n```{{toctree}}\n:maxdepth: 2\n\n{contents}\n```\n", encoding="utf-8"
    )

"""reveal.js and MathJax beside the pages and slides that need them: copied from installed packages, never fetched."""

import importlib.util
import shutil
from pathlib import Path

# Where a file stands in ``assets/``: the package that ships it, pinned in constraints.txt, and the path within. MathJax
# is the one file with all of TeX and its letters as outlines: it loads no other, and no font.
REVEAL = {
    "reveal/reveal.js": ("sphinx_revealjs", "_static/revealjs/dist/reveal.js"),
    "reveal/reveal.css": ("sphinx_revealjs", "_static/revealjs/dist/reveal.css"),
    "reveal/notes.js": ("sphinx_revealjs", "_static/revealjs/plugin/notes/notes.js"),
    "reveal/LICENSE": ("sphinx_revealjs", "_static/revealjs/LICENSE"),
}
MATHJAX = {
    "mathjax/tex-svg-full.js": ("mathjax", "static/mathjax/es5/tex-svg-full.js"),
    "mathjax/LICENSE": ("mathjax", "static/mathjax/LICENSE"),
}


def copy_assets(files: dict[str, tuple[str, str]], folder: Path) -> None:
    """Copy the files into ``folder/assets``, each with its licence.

    Raises
    ------
    ModuleNotFoundError : a package is not installed.
    """
    for name, (package, path) in files.items():
        target = folder / "assets" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_folder_of(package) / path, target)


def _folder_of(package: str) -> Path:
    found = importlib.util.find_spec(package)  # not imported: sphinx_revealjs would load Sphinx
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {package} is not installed; type: make env", name=package)
    return Path(found.submodule_search_locations[0])

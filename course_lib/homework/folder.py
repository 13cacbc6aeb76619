"""A folder of homework, graded: the table, ``grades/`` with a page for each, and what a second run goes on from.

Nothing that a person wrote into the table is written over: it is read first, so that a run which cannot keep it does
not begin, and again at the end, so that what was written meanwhile counts.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from course_lib.console import say
from course_lib.homework import report
from course_lib.homework.by_hand import ByHand, last_written, read_by_hand, separator_of
from course_lib.homework.grading import Grade, Limits, grade_file
from course_lib.homework.handed_in import HandedIn, look_through, neighbours, the_one_homework
from course_lib.homework.sheet import Sheet
from course_lib.homework.submission import MOST_BYTES

LONGEST = 200  # bytes of a file's name, which a page's name adds to; most file systems take 255


def grade_folder(
    folder: Path, to: Path, sheet: Sheet | None, limits: Limits, *, walled: bool, again: Sequence[str] | None = None
) -> list[Grade]:
    """Grade every submission of one homework, and write after each what a second run needs.

    Parameters
    ----------
    to : the table.
    sheet : the homework; None: the files tell. Files of another are left out, and named.
    again : words of names of submissions to grade anew although nothing changed; empty: all of them.

    Raises
    ------
    ValueError, FileNotFoundError, NotADirectoryError : files, table and homework do not go together. The message says
        what to do; the table is as it was.
    """
    check_place(to, folder)
    beside = to.with_suffix("")
    found = look_through(folder, [to, beside], sheet)
    sheet = sheet or the_one_homework(found)
    names = [name for name, homework in found.homework.items() if homework in ("", sheet.name)]
    others = found.others | of_others(found, sheet)
    called = {report.plain(name): name for name in names}
    forced = {name for name in names if again is not None and (not again or any(word in name for word in again))}
    for word in again or ():
        if not any(word in name for name in forced):
            raise ValueError(f"--again {word}: no submission has that in its name.")
    written = beside / "done" / "table.json"
    read_by_hand(to, sheet, called, last_written(written))
    say(f"{sheet.title}: {len(names)} submission{'' if len(names) == 1 else 's'} of {found.n_files} files", flush=True)
    (beside / "done").mkdir(parents=True, exist_ok=True)
    grades = _grade_each(names, found, sheet, limits, beside / "done", forced, walled=walled)
    hands = read_by_hand(to, sheet, called, last_written(written))
    grades = [hands[grade.name].added_to(grade) if grade.name in hands else grade for grade in grades]
    write_all(grades, sheet, hands, to, others, found.n_files)
    if others:
        say("not graded:")
        for name, why in others.items():
            say(f"  {name}: {why}")
    return grades


def of_others(found: HandedIn, sheet: Sheet) -> dict[str, str]:
    """A sentence on the notebooks of each other homework, by the first of their names."""
    files: dict[str, list[str]] = {}
    for name, homework in found.homework.items():
        if homework not in ("", sheet.name):
            files.setdefault(homework, []).append(name)
    return {
        f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if names[3:] else ''}": (
            f"of {homework}, and this is {sheet.name}; grade with --homework {homework}"
        )
        for homework, names in files.items()
    }


def check_place(to: Path, folder: Path) -> None:
    """Whether a table of what lies in the folder may be written there.

    Raises
    ------
    ValueError : it is a folder, no name of a table, or the folder beside it is the one of what was handed in.
    """
    if to.is_dir():
        raise ValueError(f"--to {to}: expected the table to write, found a folder; name {to / 'grades.csv'}.")
    if to.suffix.lower() != ".csv":
        raise ValueError(f"--to {to}: expected a name that ends in .csv, such as {to.with_suffix('.csv')}.")
    if folder.resolve().is_relative_to(to.with_suffix("").resolve()):
        raise ValueError(
            f"--to {to}: pages go into {to.with_suffix('')}, and there is what was handed in; name another table, such "
            f"as {to.with_name(f'{to.stem}_grades.csv')}."
        )


def _grade_each(
    names: Sequence[str], found: HandedIn, sheet: Sheet, limits: Limits, done: Path, forced: set[str], *, walled: bool
) -> list[Grade]:
    source = hashlib.sha256(json.dumps(sheet.notebook, sort_keys=True).encode()).hexdigest()
    remarks = neighbours(names)
    grades = []
    for place, name in enumerate(names, start=1):
        path = found.paths[name]
        say(f"{place:3d} of {len(names)}  {report.CONTROL.sub(' ', name)[:100]} … ", end="", flush=True)
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.stat().st_size < MOST_BYTES else "large"
        kept = done / f"{hashlib.sha256(name.encode()).hexdigest()[:12]}.json"
        digest = f"{source} {content} {asdict(limits)} {walled}"
        before, is_same = _kept(kept, digest)
        if before is not None and is_same and name not in forced:
            grade = before
        else:
            grade = grade_file(path, sheet, limits, walled=walled, name=name)
            grade.remarks += _rewritten(before, grade)
            _keep(kept, {"digest": digest, "grade": asdict(grade)})
        more = [remarks[name]] if name in remarks else []
        if grade.is_notebook and not found.homework[name]:
            more.append(f"it does not show which homework it is of, and was graded as {sheet.name}.")
        grade = replace(grade, remarks=[*grade.remarks, *more])
        grades.append(grade)
        odd = f"  ({report.CONTROL.sub(' ', grade.remarks[0])})" if grade.remarks else ""
        say(f"{grade.total:g} of {sheet.total}{odd}"[:160], flush=True)
    return grades


def _rewritten(before: Grade | None, now: Grade) -> list[str]:
    """A remark on each answer in words that is another than in the file which was graded before."""
    texts = before.texts if before else {}
    return [
        f"{answer}: handed in again, with another answer than on {before.date if before else ''}."
        for answer, text in now.texts.items()
        if texts.get(answer, "").strip() and texts[answer] != text
    ]


def _kept(path: Path, digest: str) -> tuple[Grade | None, bool]:
    """The grade of the last run, and whether it is of the same file, tests and limits."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Grade(**kept["grade"]), kept.get("digest") == digest
    except (OSError, ValueError, TypeError, KeyError):
        return None, False


def _keep(path: Path, content: object) -> None:
    """Whole or not at all."""
    _write(path, json.dumps(content, ensure_ascii=False))


def _write(path: Path, text: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name[:100] + ".part")
    part.write_text(text, encoding=encoding, newline="\n")
    part.replace(path)


def write_all(
    grades: Sequence[Grade], sheet: Sheet, hands: dict[str, ByHand], to: Path, others: dict[str, str], n_files: int
) -> None:
    """The table, a page for each submission, all words to read, and the class in a picture and in words."""
    import matplotlib.pyplot as plt

    from course_lib.homework.class_figure import class_figure

    beside = to.with_suffix("")
    pages = page_names([grade.name for grade in grades])
    shown = {name: f"{beside.name}/pages/{page}" for name, page in pages.items()}
    rows = report.table(grades, sheet, hands, shown)
    _write(to, report.as_csv(rows, separator_of(to)), encoding="utf-8-sig")  # spreadsheets look for the mark
    _keep(beside / "done" / "table.json", rows)
    fresh = beside / "pages.part"
    shutil.rmtree(fresh, ignore_errors=True)
    for grade in grades:
        _write(fresh / pages[grade.name], report.feedback(grade, sheet))
    shutil.rmtree(beside / "pages", ignore_errors=True)  # pages of files that are gone go too
    fresh.rename(beside / "pages")
    _write(beside / "to_read.html", report.to_read(grades, sheet, to.name))
    figure, words = class_figure(grades, sheet, n_files)
    figure.savefig(beside / "class.png")
    plt.close(figure)
    left_out = "".join(f"\nNot graded: {name}: {why}." for name, why in others.items())
    _write(beside / "class.txt", f"{words}{left_out}\n")


def page_names(names: Sequence[str]) -> dict[str, str]:
    """The page of each submission: in the same folders, the file's name and ``.html``."""
    pages: dict[str, str] = {}
    for name in names:
        folder, slash, file = name.rpartition("/")
        stem = file.encode()[:LONGEST].decode(errors="ignore")
        page = f"{folder}{slash}{stem}.html"
        if stem != file or page in pages.values():
            page = f"{folder}{slash}{stem}-{hashlib.sha256(name.encode()).hexdigest()[:6]}.html"
        pages[name] = page
    return pages

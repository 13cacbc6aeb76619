"""Rules over what a notebook is made of, from its opening to its references."""

import re

from course_lib.tooling.document import Document
from course_lib.tooling.rules.finding import Finding

FEWEST_PREDICTIONS, FEWEST_MISTAKES, FEWEST_EXERCISES, SUMMARY_LINES = 3, 2, 2, 5
FEWEST_HINTS = 2
OPENING = ("After this notebook you can", "What changed", "You need", "Minutes")
OPENING_OF_APPENDIX = ("What it is for", "For whom", "Minutes")


def opening(document: Document) -> list[Finding]:
    """A title, and within the first two cells what the reader will be able to do, what changed, needs and minutes.

    An appendix follows no lesson: it says what it is for, for whom, and the minutes.
    """
    rule, found = "opening", []
    texts = [cell.source for cell in document.nb.cells[:2] if cell.cell_type == "markdown"]
    if not texts or not texts[0].startswith("# "):
        found.append(Finding(rule, 0, "the notebook starts with its title: # 01 · …"))
    start = "\n".join(texts)
    parts = OPENING_OF_APPENDIX if document.is_appendix else OPENING
    missing = [part for part in parts if f"**{part}**" not in start]
    found += [Finding(rule, 0, f"**{part}** is missing from the first two cells") for part in missing]
    minutes = re.search(r"\*\*Minutes\*\*[\s|:]*([^|\n]*)", start)
    if minutes and len(re.findall(r"\d+", minutes.group(1))) < 2:
        found.append(Finding(rule, 0, "**Minutes** names two numbers: to read and to run"))
    titles = re.findall(r"^# .*", document.words, re.MULTILINE)
    if len(titles) > 1:
        found.append(Finding(rule, None, f"one title only, found {titles[1]!r} as well; sections start with ##"))
    return found


def predictions(document: Document) -> list[Finding]:
    """The reader is asked before told: ``> **Predict.**``, and code follows. An appendix need not ask."""
    places = [i for i, text in document.markdown for _ in re.findall(r"^> \*\*Predict\.\*\*", text, re.MULTILINE)]
    last_code = max((i for i, _ in document.code), default=-1)
    found = [Finding("predictions", i, "no code follows that gives the result") for i in places if i > last_code]
    if len(places) < FEWEST_PREDICTIONS and not document.is_appendix:
        message = f"{len(places)} lines '> **Predict.** …', expected {FEWEST_PREDICTIONS}"
        found.append(Finding("predictions", None, message))
    return found


def usual_mistakes(document: Document) -> list[Finding]:
    """The mistakes everyone makes are boxed: ``> **Usual mistake.**``. An appendix need not have any."""
    count = len(re.findall(r"^> \*\*Usual mistake\.\*\*", document.words, re.MULTILINE))
    if count >= FEWEST_MISTAKES or document.is_appendix:
        return []
    return [Finding("usual mistakes", None, f"{count} boxes '> **Usual mistake.** …', expected {FEWEST_MISTAKES}")]


def quiz_linked(document: Document) -> list[Finding]:
    """Who is done is sent to the lesson's own quiz, in the summary. An appendix has none."""
    link = f"](../docs/quizzes/{document.name}.md)"
    if document.is_appendix or document.section("Summary").count(link) == 1:
        return []
    return [
        Finding("quiz", None, f"## Summary has no link to its quiz, or several: […{link}, once, below the five lines")
    ]


def builds(document: Document) -> list[Finding]:
    """The last exercise starts from a blank cell: *Build it*, with graded hints and a check. An appendix has none."""
    rule = "build it"
    last = re.split(r"(?=\*\*Exercise \d+\.\*\*)", document.markdown_of("Exercises"))[-1]
    if document.is_appendix:
        return []
    if not re.match(r"\*\*Exercise \d+\.\*\* \*Build it\.\*", last):
        return [
            Finding(rule, None, "the last exercise begins '**Exercise n.** *Build it.* …', on data not used before")
        ]
    hints = re.findall(r"<summary>Hint (\d)</summary>", last)
    found = []
    if len(hints) < FEWEST_HINTS or hints != [str(n) for n in range(1, len(hints) + 1)]:
        message = f"hints {hints}, expected at least {FEWEST_HINTS} '<details><summary>Hint n</summary>…</details>'"
        found.append(Finding(rule, None, f"{message}, from 1, each saying more"))
    if "check(" not in last:
        found.append(Finding(rule, None, "its answer has no check(…) that a reader can hold their own result against"))
    return found


def ending(document: Document) -> list[Finding]:
    """Exercises with folded answers, a summary of five lines, references with DOIs, in this order.

    An appendix ends with its references; exercises and summary are its own choice, but no exercise lacks its answer.
    """
    rule, found = "ending", []
    headings = [line.strip() for line in re.findall(r"^## (.*)", document.words, re.MULTILINE)]
    if document.is_appendix and headings[-1:] != ["References"]:
        found.append(Finding(rule, None, "the last section of an appendix is ## References"))
    elif not document.is_appendix and headings[-3:] != ["Exercises", "Summary", "References"]:
        found.append(Finding(rule, None, "the last three sections are ## Exercises, ## Summary, ## References"))
    exercises = document.section("Exercises")
    questions = len(re.findall(r"\*\*Exercise \d+\.\*\*", exercises))
    folded = len(re.findall(r"<details>\s*\n?\s*<summary>Answer</summary>.*?</details>", exercises, re.DOTALL))
    fewest = 0 if document.is_appendix else FEWEST_EXERCISES
    if questions < fewest or folded != questions:
        message = f"{questions} '**Exercise n.**' and {folded} '<details><summary>Answer</summary>…</details>'"
        found.append(Finding(rule, None, f"{message}; expected at least {fewest}, one answer each"))
    items = re.findall(r"^(?:\d+\.|[-*]) ", document.section("Summary"), re.MULTILINE)
    if len(items) != SUMMARY_LINES and (items or not document.is_appendix):
        found.append(Finding(rule, None, f"## Summary has {len(items)} lines, expected {SUMMARY_LINES} list items"))
    references = re.findall(r"^(?:\d+\.|[-*]) .*", document.section("References"), re.MULTILINE)
    if not references:
        found.append(Finding(rule, None, "## References lists nothing"))
    found += [
        Finding(rule, None, f"reference without https://doi.org/…: {reference[:60]!r}")
        for reference in references
        if "https://doi.org/10." not in reference
    ]
    return found

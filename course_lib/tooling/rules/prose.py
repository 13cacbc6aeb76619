"""Rules over the words, in cells and on slides: no measured number, no filler."""

import re

from course_lib.tooling.document import Document, paragraphs, prose
from course_lib.tooling.rules.finding import Finding
from course_lib.tooling.talk import words_of

FILLER = ("simply", "just", "obviously", "basically", "trivially", "of course", "note that", "needless to say")
MEASURED = re.compile(
    r"(?<![\w.,])\d[\d.,]*\s*(?:\\?%|per ?cent\b)"  # 90 %   90 percent
    r"|(?<![\w.,])\d+(?:\.\d+|,\d{1,2}(?!\d))(?:[eE][-+−]?\d+)?"  # 3.14   3,1   2.5e-3
    r"|(?<![\w.])\.\d+"  # .93
    r"|(?<![\w.])\d+[eE][-+−]?\d+"  # 1e-5
)
INSTEAD = (
    "print it from the cell that measures it, name a setting in code (`effect=1.5`), or cite the DOI it stands under"
)
NOT_MEASURED = re.compile(r"\bPython 3\.\d+|\bCC BY 4\.0|\b(?:Eq\.|Equation|Fig\.|Figure|Section|§)\s*\d+\.\d+")


def no_measured_number(document: Document) -> list[Finding]:
    """Prose holds no decimal and no percentage, unless the paragraph cites the DOI it was published under.

    Whole numbers are free: they count and they set. A setting is named in code or in a formula (``effect=1.5``).
    """
    found = []
    for index, text in [*document.markdown, *words_of(document.nb)]:
        for paragraph in paragraphs(text):
            if "https://doi.org/" in paragraph:
                continue
            for match in MEASURED.finditer(NOT_MEASURED.sub(" ", prose(paragraph))):
                found.append(Finding("no measured number in Markdown", index, f"{match.group().strip()!r}: {INSTEAD}"))
    return found


def plain_prose(document: Document) -> list[Finding]:
    """No exclamation marks, no filler. The title of a cited work is its authors' own."""
    rule, found = "plain prose", []
    texts = [*document.markdown, *words_of(document.nb)]
    for index, paragraph in ((i, p) for i, text in texts for p in paragraphs(text)):
        if re.match(r"\s*(?:\d+\.|[-*]) .*https://doi\.org/", paragraph, re.DOTALL):
            continue
        words = prose(paragraph)
        if "!" in words:
            around = words[max(0, words.index("!") - 30) : words.index("!") + 1].split("\n")[-1].strip()
            found.append(Finding(rule, index, f"exclamation mark after {around!r}"))
        spoken = [filler for filler in FILLER if re.search(rf"\b{filler}\b", words, re.IGNORECASE)]
        found += [Finding(rule, index, f"{filler!r} says nothing; strike it") for filler in spoken]
    return found

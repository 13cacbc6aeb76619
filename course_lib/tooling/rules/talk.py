"""The rule over the talk in a notebook: its length, what a slide holds, and that an answer follows each question."""

from course_lib.tooling import talk
from course_lib.tooling.document import Document
from course_lib.tooling.rules.finding import Finding

FEWEST_SLIDES, MOST_SLIDES = 10, 20


def talk_holds(document: Document) -> list[Finding]:
    """A talk, if there is one, has 10 to 20 slides, each within its limits, and a slide after each question."""
    rule, found = "talk", []
    slides: list[talk.Slide] = []
    for index, cell in enumerate(document.nb.cells):
        try:
            slides += talk.slides_of(cell, index)
        except ValueError as error:
            found.append(Finding(rule, index, str(error)))
    if slides and not found and not FEWEST_SLIDES <= len(slides) <= MOST_SLIDES:
        message = f"{len(slides)} slides, expected {FEWEST_SLIDES} to {MOST_SLIDES}; give more cells a talk, or fewer"
        found.append(Finding(rule, None, message))
    for number, slide in enumerate(slides, start=1):
        if slide.asks and (number == len(slides) or slides[number].asks):
            found.append(Finding(rule, slide.cell, "a prediction without its result on the next slide; show it there"))
    return found

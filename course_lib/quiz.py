"""Quizzes: questions whose every option answers back, from one plain file each, for a notebook, a page or GitHub.

    python -m course_lib.quiz        writes a page, docs/quizzes/NAME.md, for each file, and README.md, a list

``docs/quizzes/source/NAME.toml`` holds a quiz, in a folder of its own: a reader who opens it has seen the answers::

    title = "03 · VAE and the ELBO"

    [[question]]
    ask = "Markdown, with $mathematics$."
    see = "03, *The bound, in four lines*"
    options = [
      { text = "…", right = true, says = "why it is right" },
      { text = "…", says = "what it mixes up" },
    ]

An ``end = "…"`` after the title stands below the questions: what to do with the result. No kernel is needed to answer:
an option unfolds what it says.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from IPython.display import Markdown, display

QUIZZES = Path(__file__).resolve().parents[1] / "docs" / "quizzes"
SOURCE = QUIZZES / "source"
HOW = (
    "Answer first, then unfold *I choose …* below your option: it says why it is right, or what it mixes up. Then "
    "unfold the others."
)
WHY = (
    "A quiz takes some ten minutes, and is worth most a day or a week after the lesson: being asked helps memory "
    "more than reading again does (Roediger & Karpicke 2006, https://doi.org/10.1111/j.1467-9280.2006.01693.x).\n\n"
    "In JupyterLab a double click shows a quiz as a page. If it shows Markdown's source instead, which tells "
    "what is right: right click, *Open With*, *Markdown Preview*. In a notebook of the course:\n\n"
    '```python\nfrom course_lib.quiz import quiz\n\nquiz("03")\n```'
)


@dataclass(frozen=True)
class Option:
    """One answer that a reader may choose, and what it says to that."""

    text: str
    says: str
    right: bool = False


@dataclass(frozen=True)
class Question:
    """One question; ``see`` is where in the course to look again."""

    ask: str
    see: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Quiz:
    """A title and its questions."""

    title: str
    questions: tuple[Question, ...]
    end: str = ""  # what to do with the result


def quiz_names() -> list[str]:
    """The quizzes that there are, in order."""
    return sorted(path.stem for path in SOURCE.glob("*.toml"))


def load_quiz(name: str | int) -> Quiz:
    """The quiz whose name begins so: ``03``, or 3.

    Raises
    ------
    FileNotFoundError : there is none, or several; the message names those there are.
    """
    wanted = f"{name:02d}" if isinstance(name, int) else name.replace("-", "_")
    found = [known for known in quiz_names() if known.startswith(wanted)]
    if len(found) != 1:
        raise FileNotFoundError(f"quiz {name!r}: expected the beginning of one of {', '.join(quiz_names())}.")
    written = tomllib.loads((SOURCE / f"{found[0]}.toml").read_text(encoding="utf-8"))
    questions = (
        Question(q["ask"].strip(), q["see"], tuple(Option(**option) for option in q["options"]))
        for q in written["question"]
    )
    return Quiz(written["title"], tuple(questions), written.get("end", ""))


def as_markdown(quiz: Quiz) -> str:
    """The quiz as Markdown: what an option says stands folded below it."""
    return f"**{quiz.title}**: {len(quiz.questions)} questions. {HOW}\n\n{body(quiz)}"


def body(quiz: Quiz) -> str:
    """The questions alone."""
    lines = []
    for number, question in enumerate(quiz.questions, start=1):
        lines += ["", f"**{number}.** {question.ask}"]
        for letter, option in zip("abcdef", question.options, strict=False):
            verdict = "✓ Right." if option.right else "✗ No."
            lines += [
                "", f"{letter}) {option.text}", "", f"<details><summary>I choose {number}{letter}</summary>", "",
                f"{verdict} {option.says}", "", "</details><br>",
            ]  # fmt: skip
        lines += ["", f"*Look again:* {question.see}"]
    return "\n".join([*lines[1:], *(["", quiz.end] if quiz.end else [])])


def pages() -> dict[Path, str]:
    """Every quiz as a page of Markdown, which GitHub and JupyterLab's preview show, and a list of all."""
    quizzes = {name: load_quiz(name) for name in quiz_names()}
    order = sorted(quizzes, key=lambda name: (name != "self_test", name))
    lists = [f"- [{quizzes[name].title}]({name}.md), {len(quizzes[name].questions)} questions" for name in order]
    texts = {QUIZZES / f"{name}.md": f"# {quiz.title}\n\n{HOW}\n\n{body(quiz)}\n" for name, quiz in quizzes.items()}
    return texts | {QUIZZES / "README.md": f"# Quizzes\n\n{HOW} {WHY}\n\n" + "\n".join(lists) + "\n"}


def quiz(name: str | int) -> None:
    """Show a quiz below the cell."""
    display(Markdown(as_markdown(load_quiz(name))))


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

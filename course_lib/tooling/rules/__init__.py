"""What every notebook of the course keeps to, one rule a function, each finding with its cell and what to do.

    python -m course_lib.tooling.rules [--answers] [notebook …]

A rule takes a `Document` and returns findings; an empty list means the rule is kept. `RULES` read the file (and render
it); `answers_run` executes the folded answers, which takes longer. An appendix (`Document.is_appendix`) keeps the same
rules, except where their docstrings say otherwise.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from course_lib.console import say
from course_lib.tooling.document import Document
from course_lib.tooling.files import each, run_command
from course_lib.tooling.rules.code import (
    answers_run,
    cell_length,
    claims_checked,
    imports_declared,
    no_network,
    plain_python,
    show_calls,
)
from course_lib.tooling.rules.file import file_size, no_trace_of_machine, normalised
from course_lib.tooling.rules.finding import Finding
from course_lib.tooling.rules.links import links_lead_somewhere
from course_lib.tooling.rules.outputs import (
    alt_in_pages,
    executed_in_order,
    figures_have_alt,
    no_error_output,
    no_stderr,
    sources_current,
)
from course_lib.tooling.rules.prose import no_measured_number, plain_prose
from course_lib.tooling.rules.sitting import one_sitting
from course_lib.tooling.rules.structure import builds, ending, opening, predictions, quiz_linked, usual_mistakes
from course_lib.tooling.rules.talk import talk_holds

RULES: tuple[Callable[[Document], list[Finding]], ...] = (
    executed_in_order,
    no_error_output,
    no_stderr,
    figures_have_alt,
    show_calls,
    alt_in_pages,
    plain_python,
    imports_declared,
    no_network,
    sources_current,
    no_measured_number,
    plain_prose,
    links_lead_somewhere,
    cell_length,
    one_sitting,
    talk_holds,
    opening,
    predictions,
    usual_mistakes,
    claims_checked,
    builds,
    ending,
    quiz_linked,
    normalised,
    no_trace_of_machine,
    file_size,
)


def examine(document: Document, *, answers: bool = False) -> list[Finding]:
    """Every finding of every rule; with ``answers`` the folded answers are executed too."""
    found = [finding for rule in RULES for finding in rule(document)]
    return found + (answers_run(document) if answers else [])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 if a notebook breaks a rule."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.tooling.rules", description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", help="names such as 03, or paths; the whole course without")
    parser.add_argument("--answers", action="store_true", help="execute the folded answers as well")
    options = parser.parse_args(arguments)

    def work(path: Path) -> bool:
        findings = examine(Document.read(path), answers=options.answers)
        say(f"{path.name}: {len(findings)} findings")
        for finding in findings:
            say(f"  {finding}")
        return not findings

    return run_command(parser, options.notebooks, lambda paths: each(paths, work))

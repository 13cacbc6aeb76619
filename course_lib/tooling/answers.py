"""Run the folded answers of a notebook: every fenced Python block alone, as a reader would paste it."""

import json
import subprocess
import sys

from course_lib.tooling.document import Document
from course_lib.tooling.files import ROOT

SECONDS_PER_ANSWER = 60

# Runs in a fresh interpreter: each answer in a namespace of its own; reports the first failure of each.
ANSWERS_RUNNER = """
import contextlib, io, json, sys, traceback
import matplotlib
matplotlib.use("agg")
failures = []
for number, source in enumerate(json.load(sys.stdin)):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, "answer", "exec"), {"__name__": "answer"})
    except BaseException as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "answer"]
        line = source.split("\\n")[lines[-1] - 1].strip() if lines else ""
        failures.append([number, f"{type(error).__name__}: {error}, at: {line}"])
sys.stdout.write("\\n" + json.dumps(failures))
"""


def run_answers(document: Document) -> list[tuple[int | None, str]]:
    """Run every answer in a namespace of its own, from the notebook's folder, all in one fresh interpreter.

    Returns
    -------
    One pair for each that fails: index of its cell (None if the interpreter itself failed), and the error.
    """
    answers = document.answers
    if not answers:
        return []
    limit = SECONDS_PER_ANSWER * len(answers)
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{ANSWERS_RUNNER}"],
            input=json.dumps([source for _, source in answers]),
            text=True,
            capture_output=True,
            timeout=limit,
            cwd=document.folder,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [(None, f"{len(answers)} answers take over {limit} s")]
    if done.returncode != 0:
        return [(None, f"the interpreter ended with {done.returncode}: {done.stderr.strip()[-300:]}")]
    failures = json.loads(done.stdout.rsplit("\n", 1)[-1])
    return [(answers[number][0], message) for number, message in failures]

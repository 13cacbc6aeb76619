"""A notebook that keeps every rule, and the ways to break one in it, for tests of the rules."""

import base64
import io

import matplotlib.pyplot as plt
import nbformat

from course_lib.notebook import check, source_text
from course_lib.tooling.normalise import normalise

ALT = "Line plot: the error falls from 4.0 at width 2 to 1.0 at width 64"

TITLE = """# 09 · A notebook that keeps the rules

| | |
|---|---|
| **After this notebook you can** | tell a good notebook from a bad one |
| **What changed** | nothing yet |
| **You need** | Python 3.11 |
| **Minutes** | 5 to read, 1 to run |"""

BODY = r"""## Rules

> **Predict.** Does a line rise?

> **Predict.** Do 2,000 genes fit into $\sigma = 0.1$, or into `effect=1.5`?

> **Predict.** Is $x! > 0$?

> **Usual mistake.** Writing `0 != 1` where `0 == 1` is meant.

> **Usual mistake.** Forgetting the *mean*, 32 numbers in 90 s.

scVI reached an NMI of 0.778 on cortex (https://doi.org/10.1038/s41592-018-0229-2)."""

EXERCISES = """## Exercises

**Exercise 1.** Add.

<details>
<summary>Answer</summary>

Like this:

```python
from course_lib.notebook import check
total = 0.5 + 0.5   # 100 %
check("a half and a half make one", total == 1)
```

</details>

**Exercise 2.** *Build it.* Say why, from a blank cell.

<details>
<summary>Hint 1</summary>

Think of two.

</details>
<details>
<summary>Hint 2</summary>

Think of a half.

</details>
<details>
<summary>Answer</summary>

Because addition is exact here.

```python
from course_lib.notebook import check
check("two halves make one", 2 * 0.5 == 1)
```

</details>"""

NAME = "09_scvi_tools"  # whose quiz the summary links to
SUMMARY = (
    f"## Summary\n\n1. One.\n2. Two.\n3. Three.\n4. Four.\n5. Five.\n\n[The quiz](../docs/quizzes/{NAME}.md) asks."
)
REFERENCES = (
    "## References\n\n- Lopez et al. (2018). Nature Methods 15, 1053–1058. https://doi.org/10.1038/s41592-018-0229-2"
)


QUESTION = "> **Predict.** Does a line rise?"
TALK = {
    0: {"slide": "# A notebook that keeps the rules"},
    1: [*({"slide": f"## Rule {n}"} for n in range(6)), {"slide": QUESTION}],
    4: {"show": "figure", "slide": "## A line"},
    7: {"slide": "## Summary"},
}


def figure_output(alt: str = ALT):
    fig, _ = plt.subplots(figsize=(1, 1))
    picture = io.BytesIO()
    fig.savefig(picture, format="png", dpi=20)
    plt.close(fig)
    data = {"image/png": base64.b64encode(picture.getvalue()).decode(), "text/plain": f"Figure: {alt}"}
    return nbformat.v4.new_output("display_data", data=data, metadata={"image/png": {"alt": alt}})


def good_notebook():
    source = source_text(check)
    printed = nbformat.v4.new_output(
        "display_data",
        data={"text/markdown": f"```python\n{source}\n```", "text/plain": source},
        metadata={"source_of": "course_lib.notebook.check", "doc": True},
    )
    checks = "\n".join(f'check("{n} is {n}", {n} == {n})' for n in range(5))
    stdout = nbformat.v4.new_output("stream", name="stdout", text="".join(f"✓ {n} is {n}\n" for n in range(5)))
    code = [
        ("import numpy as np\nfrom course_lib.figures.style import plt, show\nimport json", []),
        ("show_source(check)", [printed]),
        ('fig, ax = plt.subplots()\nshow(fig, alt=f"Line plot: the error falls from {4.0:.1f}")', [figure_output()]),
        (checks, [stdout]),
    ]
    cells = [nbformat.v4.new_markdown_cell(TITLE), nbformat.v4.new_markdown_cell(BODY)]
    for number, (text, outputs) in enumerate(code, start=1):
        cells.append(nbformat.v4.new_code_cell(text, execution_count=number, outputs=outputs))
    cells += [nbformat.v4.new_markdown_cell(text) for text in (EXERCISES, SUMMARY, REFERENCES)]
    for index, cell in enumerate(cells):
        cell.id = f"cell-{index}"
    for index, asked in TALK.items():
        cells[index].metadata["talk"] = nbformat.from_dict(asked)
    return normalise(nbformat.v4.new_notebook(cells=cells))


GOOD = good_notebook()
IMPORTS, SOURCE, FIGURE, CHECKS = 2, 3, 4, 5  # indices of the code cells


# Breaches: each takes the notebook and changes it.


def swap(old: str, new: str):
    """Replace text in Markdown cells; it must be there."""

    def breach(nb):
        assert any(old in cell.source for cell in nb.cells if cell.cell_type == "markdown"), old
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                cell.source = cell.source.replace(old, new)

    return breach


def say(sentence: str):
    return swap("## Rules", f"## Rules\n\n{sentence}")


def code(source: str, cell: int = IMPORTS):
    def breach(nb):
        nb.cells[cell].source = source

    return breach


def output(*outputs, cell: int = IMPORTS):
    def breach(nb):
        nb.cells[cell].outputs = list(outputs)

    return breach


def stream(name: str, text: str):
    return output(nbformat.v4.new_output("stream", name=name, text=text))


def written(markdown: str):
    """The output of a cell that writes Markdown."""
    return nbformat.v4.new_output("display_data", data={"text/markdown": markdown, "text/plain": "Markdown"})


def set_count(nb):
    nb.cells[FIGURE].execution_count = 7


def never_run(nb):
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.execution_count = None


def drop_alt(nb):
    del nb.cells[FIGURE].outputs[0].metadata["image/png"]


def drawn_elsewhere(nb):
    nb.cells[FIGURE].outputs[0].data["text/plain"] = "<Figure size 640x480 with 1 Axes>"


def svg(nb):
    nb.cells[FIGURE].outputs[0].data = nbformat.from_dict({"image/svg+xml": "<svg/>"})


def stale(nb):
    nb.cells[SOURCE].outputs[0].data["text/plain"] += "\n    return None"


def unknown_source(nb):
    nb.cells[SOURCE].outputs[0].metadata["source_of"] = "course_lib.notebook.gone"


def talk(index: int, asked):
    def breach(nb):
        nb.cells[index].metadata["talk"] = nbformat.from_dict(asked)

    return breach


def longer(what: str):
    """Sixty more cells, or twelve thousand more words."""

    def breach(nb):
        added = ["Word." for _ in range(60)] if what == "cells" else ["word " * 12_000]
        nb.cells[2:2] = [nbformat.v4.new_markdown_cell(text) for text in added]

    return breach


def kernel(nb):
    nb.metadata.kernelspec.name = "my-environment"


def timings(nb):
    nb.cells[FIGURE].metadata["execution"] = {"iopub.status.busy": "2024-01-01T00:00:00Z"}


def heavy(nb):
    nb.cells[CHECKS].outputs[0].text = "x" * 1_600_000

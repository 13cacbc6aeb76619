"""Rules over the file as it is committed: its form, its size, and no trace of the machine that wrote it."""

import re

from course_lib.tooling import normalise
from course_lib.tooling.document import Document
from course_lib.tooling.files import ROOT
from course_lib.tooling.rules.finding import Finding

MOST_BYTES = 1_500_000
TRACE = re.compile(rf"/home/|/root/|/Users/|/tmp/|[A-Z]:\\Users|\bat 0x[0-9a-f]{{6,}}|{re.escape(str(ROOT))}")


def normalised(document: Document) -> list[Finding]:
    """The file is in the form in which notebooks are committed."""
    target = normalise.normalise(document.nb)
    found = []
    if document.nb.metadata != target.metadata:
        found.append(Finding("normalised", None, "metadata of the notebook are not; run make notebooks"))
    found += [
        Finding("normalised", index, f"{', '.join(k for k in old if old[k] != new.get(k))} differ; run make notebooks")
        for index, (old, new) in enumerate(zip(document.nb.cells, target.cells, strict=True))
        if old != new
    ]
    return found


def no_trace_of_machine(document: Document) -> list[Finding]:
    """No path of this machine and no memory address in cells or outputs: they differ on every other."""
    found = []
    texts = [(i, cell.source) for i, cell in enumerate(document.nb.cells)]
    for index, output in document.outputs:
        texts.append((index, output.get("text", "")))
        texts += [(index, str(content)) for mime, content in output.get("data", {}).items() if mime.startswith("text/")]
    for index, text in texts:
        match = TRACE.search(text)
        if match:
            found.append(Finding("no trace of the machine", index, f"holds {text[match.start() : match.end() + 20]!r}"))
    return found


def file_size(document: Document) -> list[Finding]:
    """A notebook opens on GitHub and in a small browser."""
    size = len(normalise.to_text(document.nb).encode())
    if size <= MOST_BYTES:
        return []
    return [Finding("file size", None, f"{size:,} bytes, at most {MOST_BYTES:,}; fewer or smaller figures")]

"""Runs a submission's cells, one by one as they are told, and tells how each went. This process is not trusted.

Steps come as lines of JSON on standard input, answers go to a pipe of their own; both are moved out of the way of
``input()`` and ``print`` first. Cells run in IPython, so that what works in a notebook works here.
"""

import builtins
import json
import math
import os
import sys
import types
from typing import Any

TESTS = "<test>"


def main() -> None:
    """Take limits, then steps until there are no more."""
    steps = os.fdopen(os.dup(0), "r", encoding="utf-8")
    told = os.fdopen(os.dup(int(sys.argv[1])), "w", encoding="utf-8")
    os.close(int(sys.argv[1]))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    limits = json.loads(steps.readline())
    if limits:
        from course_lib.homework.sandbox import enter

        enter(limits)
    shell, kept = prepare()
    # What an answer may put in the place of these, in their modules, is not called.
    put_back, judge, run_cell, read, write, say = kept.put_back, test, run, json.loads, json.dumps, print
    say(write({"ready": True}), file=told, flush=True)
    for line in steps:
        step = read(line)
        if step["kind"] == "test":
            tampered = put_back()
            found = judge(step["source"], shell.user_ns) | {"tampered": tampered}
        else:
            found = run_cell(step["source"], shell, step["name"])
        say(write({"nonce": step["nonce"]} | found), file=told, flush=True)


def prepare() -> tuple[Any, "Kept"]:
    """An IPython shell, and what tests rely on as it is before a student's line has run."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance(colors="nocolor")
    if shell.history_manager is not None:
        shell.history_manager.enabled = False
    return shell, Kept()


def run(source: str, shell: Any, name: str) -> dict[str, Any]:
    """A cell of the student's, or one that is given. What it prints goes nowhere; errors call it ``<name>``."""
    shell.compile.get_code_name = lambda raw, transformed, number: f"<{name}>"
    result = shell.run_cell(source, store_history=False, silent=True)
    error = result.error_before_exec or result.error_in_exec
    return {
        "ok": error is None,
        "type": type(error).__name__ if error else "",
        "message": str(error)[:300] if error else "",
    }


def test(source: str, names: dict[str, Any]) -> dict[str, Any]:
    """A test, on the student's names.

    The message of a failed comparison is the test's own; of an error that the answer raised only the kind is told, and
    the last line outside of libraries, as a cell's name and a number: what it says might be a hidden test's.
    """
    try:
        exec(compile(source, TESTS, "exec"), names)
    except BaseException as error:
        traceback = error.__traceback__
        where, cell, line = TESTS, "", 0
        while traceback is not None:
            where = traceback.tb_frame.f_code.co_filename
            if where.startswith("<") and where != TESTS:
                cell, line = where[1:-1], traceback.tb_lineno
            traceback = traceback.tb_next
        ours = where == TESTS or where.endswith(("expect.py",))
        said = str(error)[:1_000] if ours and isinstance(error, AssertionError) else ""
        place = {"cell": cell[:100], "line": int(line)}
        return {"ok": False, "type": type(error).__name__, "message": said} | place
    return {"ok": True, "type": "", "message": ""}


class Kept:
    """Modules and classes as they were: tests compare by these, and an answer may have put others in their place."""

    def __init__(self) -> None:
        import numpy
        import scipy.special
        import scipy.stats
        import torch
        import torch._dynamo  # the first optimizer imports it, and it puts a wrapper in torch.manual_seed's place
        import torch.distributions
        import torch.nn.functional

        from course_lib.homework import expect

        self.modules = dict(sys.modules)
        inside = [m for name, m in self.modules.items() if name.startswith(("course_lib", "torch.distributions"))]
        holders = [
            builtins, math, json, numpy, torch, torch.Tensor, torch.nn.functional, scipy.special, scipy.stats, expect,
            sys.modules[__name__], Kept, *inside,
        ]  # fmt: skip
        self.content = [
            (holder, dict(vars(holder))) for holder in holders if isinstance(holder, types.ModuleType | type)
        ]
        self.strict = set(map(id, holders[: len(holders) - len(inside)]))  # the course's own modules may cache

    def put_back(self) -> bool:
        """Restore what was replaced; whether anything that tests compare by had been."""
        found = False
        for name, module in self.modules.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module
                found = True
        for holder, before in self.content:
            now = vars(holder)
            for name, value in before.items():
                if name.startswith("__") and name not in {"__eq__", "__bool__", "__import__"}:
                    continue
                if now.get(name, before) is not value:
                    setattr(holder, name, value)
                    found = found or (id(holder) in self.strict and name != "_")
        return found


if __name__ == "__main__":
    main()

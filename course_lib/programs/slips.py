"""The Pyro programs as a tired person would have written them: one line each, everything else as it is.

The mistakes circulate in re-implementations of scVI. They are kept as changes of text, so that the reader sees the very
line, and so that the right programs need no switches.
"""

import inspect
import types
from typing import NamedTuple

from course_lib.arguments import choice
from course_lib.programs import pyro_scvi


class Slip(NamedTuple):
    """One line of ``pyro_scvi``."""

    before: str
    after: str
    times: int = 1  # how often the line stands there: the model and the guide have some in common


PLATE = 'with pyro.plate("cells", self.n_cells, subsample=batch):'

SLIPS = {
    "no_log1p": Slip("y = torch.log1p(x)", "y = x"),
    "swapped": Slip("mu = log_library.exp() * self", "mu = self"),  # scvi-tools' "scale" ρ for its "rate" ℓρ
    "variance_for_sd": Slip("Normal(q.loc, q.scale)", "Normal(q.loc, q.scale**2)"),
    "no_library_in_guide": Slip(
        'pyro.sample("log_library", Normal(q_library.loc, q_library.scale).to_event(1))', "pass"
    ),
    "no_plate_scale": Slip(PLATE, 'with pyro.plate("cells", len(batch)):', 2),
    "scale_in_guide_only": Slip(f"{PLATE}  # log-prob", 'with pyro.plate("cells", len(batch)):  # log-prob'),
    "no_to_event": Slip("self.to_zi_logits(h)).to_event(1), obs", "self.to_zi_logits(h)), obs"),
}


def slipped(name: str) -> types.ModuleType:
    """``pyro_scvi`` with that slip: a module of its own, with ``SCVIModel`` and ``SCVIGuide``.

    Raises
    ------
    ValueError : no slip of that name, or a line that ``pyro_scvi`` no longer has.
    """
    slip = SLIPS[choice("name", name, tuple(SLIPS))]
    source = inspect.getsource(pyro_scvi)
    if source.count(slip.before) != slip.times:
        raise ValueError(
            f"SLIPS[{name!r}]: expected its line {slip.times} times in pyro_scvi, found {source.count(slip.before)}; "
            "bring it up to date."
        )
    module = types.ModuleType(f"{pyro_scvi.__name__}_{name}", doc=f"pyro_scvi with the slip {name}.")
    exec(compile(source.replace(slip.before, slip.after), module.__name__, "exec"), module.__dict__)
    return module

"""scVI on the mouse cortex by three ways: our loop, Lightning, and Pyro in Lightning; and what slips in a program cost.

    python -m course_lib.experiments.programs [--seeds 5] [--to data/results]        needs the extra `pyro`

Cells, genes, split, model, start, epochs and recipe are those of ``cortex``, and so is the bound on held-out cells.
A seed decides the split, the weights, the minibatches and the noise; ``fit`` and Lightning draw them otherwise.

``programs.csv``: one row for each seed and way. ``elbo`` and its terms are −ELBO per test cell in nats, exact KL and 25
draws for the reconstruction, of the same ``SCVI`` whoever trained it; ``cpu_s`` seconds of the processor for training
alone.
``programs_lines.csv``: lines of code, without comments and docstrings, that the course itself has for each part of a
way, beside the networks, the likelihood and the readers, which all ways share.
``programs_slips.csv``: one row for each seed and slip, all trained as ``pyro`` is, which is the row ``right``.
``elbo``: −ELBO per test cell of the right model with the weights that the slipped program learned. ``reported``: what
the slipped program itself calls its −ELBO per test cell. ``bound``: that of the model as the slip left it, in nats: the
reported one, or where only the scale of the plate is wrong, which is no part of the model, ``elbo``.

Axes: N cells, G genes, B batches.
"""

import inspect
import io
import time
import tokenize
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from course_lib.contexts import evaluating, seeded
from course_lib.data.cells import Cells
from course_lib.data.split import split_indices
from course_lib.experiments.cortex import (
    DRAWS,
    EPOCHS,
    EPS,
    LR,
    N_GENES,
    N_LATENT,
    SETTINGS,
    SPLIT,
    WEIGHT_DECAY,
    held_out_bound,
)
from course_lib.experiments.data_sets import cortex, counts_and_types
from course_lib.experiments.record import command_line, made_with, save
from course_lib.models.scvi import SCVI, Decoder, LibraryPrior, log_library_moments, start_at_profile
from course_lib.probability.bounds import ELBO
from course_lib.training.checkpoint import Checkpoint
from course_lib.training.fit import adam, fit, kl_weight_at, validation_terms
from course_lib.training.history import History
from course_lib.training.stopping import EarlyStopping

WAYS = ("fit", "lightning", "pyro", "pyro_mean_field")
PRIORS = ("prior_of_genes", "prior_of_totals")
PROGRAM_SLIPS = (
    "no_log1p", "swapped", "variance_for_sd", "no_library_in_guide", "no_plate_scale", "scale_in_guide_only",
)  # fmt: skip
SCALE_SLIPS = ("no_plate_scale", "scale_in_guide_only")
BATCH_SIZE = 128
RECIPE: dict[str, Any] = {"lr": LR, "one_cycle": True, "eps": EPS, "weight_decay": WEIGHT_DECAY}
SLIPS = ("right", *PRIORS, *PROGRAM_SLIPS)
SLIP_COLUMNS = ["seed", "slip", "bound", "elbo", "reported"]
COLUMNS = ["seed", "way", "elbo", "reconstruction", "kl_z", "kl_library", "cpu_s"]


def new_model(training: Cells, seed: int) -> SCVI:
    """The model of ``cortex.train``, before it has learned anything."""
    torch.manual_seed(seed)
    model = SCVI(training.genes, library_prior=log_library_moments(training), n_latent=N_LATENT)
    start_at_profile(model.decoder, training)
    return model


def train(way: str, training: Cells, seed: int, epochs: int) -> tuple[SCVI, float]:
    """The model as ``way`` trained it, and the processor's seconds."""
    model = new_model(training, seed)
    started = time.process_time()
    if way == "fit":
        fit(model, training, epochs=epochs, batch_size=BATCH_SIZE, seed=seed, progress=False, **RECIPE)
    else:
        by_lightning(lightning_module(way, model, training, seed), training, seed, epochs)
    return model, time.process_time() - started


def lightning_module(way: str, model: SCVI, training: Cells, seed: int) -> Any:
    """``model`` itself, or its programs, with the recipe of all."""
    from pyro.infer import Trace_ELBO, TraceMeanField_ELBO

    from course_lib.programs.lightning_scvi import LightningSCVI
    from course_lib.programs.pyro_lightning import LightningSVI
    from course_lib.programs.pyro_scvi import SCVIGuide, SCVIModel

    if way == "lightning":
        return LightningSCVI(model, seed=seed, **RECIPE)
    n_cells = len(training)
    elbo = TraceMeanField_ELBO() if way == "pyro_mean_field" else Trace_ELBO()
    return LightningSVI(SCVIModel(model, n_cells), SCVIGuide(model, n_cells), elbo, seed=seed, **RECIPE)


def by_lightning(module: Any, training: Cells, seed: int, epochs: int) -> None:
    """One process of Lightning."""
    from course_lib.programs.cells_data import CellsData
    from course_lib.programs.recipe import trainer

    trainer(epochs).fit(module, CellsData(training, batch_size=BATCH_SIZE, seed=seed))


def run_seed(cells: Cells, seed: int, *, epochs: int = EPOCHS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row for each way, and one for each slip."""
    training, _, test = (cells[index] for index in split_indices(len(cells), SPLIT, seed))
    ways: list[dict[str, object]] = []
    for way in WAYS:
        model, seconds = train(way, training, seed, epochs)
        ways.append({"way": way, **held_out_bound(model, test), "cpu_s": seconds})
    slips = [{"slip": slip, **slip_costs(slip, training, test, seed, epochs)} for slip in SLIPS]
    return (
        pd.DataFrame(ways).assign(seed=seed)[COLUMNS],
        pd.DataFrame(slips).assign(seed=seed)[SLIP_COLUMNS],
    )


def slip_costs(slip: str, training: Cells, test: Cells, seed: int, epochs: int) -> dict[str, float]:
    """``bound``, ``elbo`` and ``reported`` of a run with that slip, or of one without (``right``)."""
    from course_lib.programs import pyro_scvi
    from course_lib.programs.pyro_lightning import LightningSVI
    from course_lib.programs.slips import slipped

    scvi = new_model(training, seed)  # starts as the right one does: the cost is the slip's alone
    right = LibraryPrior(scvi.library_mean.clone(), scvi.library_sd.clone())
    if slip in PRIORS:
        set_prior(scvi, slipped_prior(slip, training))
    programs: Any = slipped(slip) if slip in PROGRAM_SLIPS else pyro_scvi
    model, guide = programs.SCVIModel(scvi, len(training)), programs.SCVIGuide(scvi, len(training))
    by_lightning(LightningSVI(model, guide, seed=seed, **RECIPE), training, seed, epochs)
    reported = reported_bound(scvi, model, guide, test)
    set_prior(scvi, right)
    elbo = held_out_bound(scvi, test)["elbo"]
    return {"bound": elbo if slip in SCALE_SLIPS else reported, "elbo": elbo, "reported": reported}


def slipped_prior(slip: str, training: Cells) -> LibraryPrior:
    """A prior for log ℓ, from moments of something else: log1p of every count, or the totals themselves."""
    values = training.x.log1p() if slip == "prior_of_genes" else training.x.sum(-1)
    return LibraryPrior(values.mean().reshape(1), values.std().reshape(1))


def set_prior(scvi: SCVI, prior: LibraryPrior) -> None:
    """Into the buffers, which the programs share."""
    scvi.library_mean.copy_(prior.mean)
    scvi.library_sd.copy_(prior.sd)


def reported_bound(scvi: SCVI, model: Any, guide: Any, cells: Cells) -> float:
    """−ELBO as a program's training would print it, nats per cell: of minibatches, averaged over cells and draws."""
    from pyro.infer import Trace_ELBO

    loss, total = Trace_ELBO()(model, guide), 0.0
    with evaluating(scvi), seeded(0, cells.device):
        for part in cells.parts(BATCH_SIZE):
            total += sum(float(loss(part.x, part.batch)) for _ in range(DRAWS)) / DRAWS * len(part)
    return total / model.n_cells / len(cells)


def code_lines(*parts: Any) -> int:
    """Lines of code of functions, classes, properties or modules: no comments, no docstrings, no empty lines."""
    return sum(len(_lines_with_code(inspect.getsource(getattr(part, "fget", None) or part))) for part in parts)


def _lines_with_code(source: str) -> set[int]:
    lines: set[int] = set()
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    begins = True  # a statement: a string that is one is a docstring
    for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc(source)).readline):
        if token.type in layout:
            begins = begins or token.type != tokenize.COMMENT
            continue
        if not (token.type == tokenize.STRING and begins):
            lines.update(range(token.start[0], token.end[0] + 1))
        begins = False
    return lines


def parts_of_ways() -> dict[tuple[str, str], tuple[Any, ...]]:
    """What each way needs, beside what all share: networks, likelihood, readers, the order of the minibatches."""
    from course_lib.programs.cells_data import CellsData, Minibatches, Parts, epoch_seed, shard
    from course_lib.programs.lightning_scvi import LightningSCVI
    from course_lib.programs.pyro_lightning import LightningSVI
    from course_lib.programs.pyro_scvi import ZINB, SCVIGuide, SCVIModel
    from course_lib.programs.recipe import Recipe, trainer

    ours = (
        Decoder.forward, Decoder.counts, SCVI.prior, SCVI.prior_library, SCVI.encode, SCVI.encode_library, SCVI.decode,
        SCVI.elbo, SCVI.loss, ELBO,
    )  # fmt: skip
    programs, data = (ZINB, SCVIModel, SCVIGuide), (CellsData, Minibatches, Parts, shard, epoch_seed)
    return {
        ("fit", "model and bound"): ours,
        ("fit", "loop"): (fit, adam, kl_weight_at, validation_terms),
        ("fit", "history, stopping, checkpoints"): (History, EarlyStopping, Checkpoint),
        ("lightning", "model and bound"): ours,
        ("lightning", "loop"): (LightningSCVI, Recipe, trainer),
        ("lightning", "shards of processes"): data,
        ("pyro", "model and bound"): programs,
        ("pyro", "loop"): (LightningSVI, Recipe, trainer),
        ("pyro", "shards of processes"): data,
    }


def lines_of_parts() -> pd.DataFrame:
    """Columns ``way``, ``part``, ``lines``."""
    rows = [(way, part, code_lines(*objects)) for (way, part), objects in parts_of_ways().items()]
    return pd.DataFrame(rows, columns=["way", "part", "lines"])


def run(n_seeds: int, folder: Path) -> Path:
    """Write both tables and their provenance; returns the path of the first."""
    cells, _ = counts_and_types(cortex(N_GENES))
    save(lines_of_parts(), folder, "programs_lines")
    ways, slips = [], []
    for seed in range(n_seeds):
        of_ways, of_slips = run_seed(cells, seed)
        print(of_ways.round(2).to_string(index=False), of_slips.round(2).to_string(index=False), sep="\n", flush=True)
        ways.append(of_ways)
        slips.append(of_slips)
        save(pd.concat(slips), folder, "programs_slips", float_format="%.7g")
        path = save(pd.concat(ways), folder, "programs", provenance(seed + 1), float_format="%.7g")
    return path


def provenance(n_seeds: int) -> dict[str, object]:
    """With what the tables were made."""
    return made_with("programs", "torch", "pyro-ppl", "lightning", "numpy") | {
        "data": "Cortex, 3,005 cells, the 558 genes of largest standard deviation of raw counts",
        "seeds": list(range(n_seeds)),
        "settings": {name: value for name, value in SETTINGS.items() if name != "scvi_tools"},
        "chosen_on": "nothing here: the settings are those of cortex.json, chosen on its validation cells",
    }


def main() -> None:
    """The command line."""
    command_line("scVI by our loop, by Lightning and by Pyro; writes programs*.csv and programs.json.", run, seeds=5)


if __name__ == "__main__":
    main()

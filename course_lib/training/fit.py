"""The training loop of the course, for every model."""

import math
import os
from collections.abc import Iterator

import pandas as pd
import torch
from torch import Tensor

from course_lib.contexts import seeded, uninterrupted
from course_lib.data.cells import Cells, CellTable
from course_lib.training.checkpoint import Checkpoint
from course_lib.training.gate import check_arguments, check_terms, remember
from course_lib.training.history import History, Means
from course_lib.training.progress import Progress, outcome
from course_lib.training.protocol import Trainable
from course_lib.training.settings import Settings
from course_lib.training.stopping import EarlyStopping, Guard, stop_unless_finite


def fit(
    model: Trainable,
    cells: CellTable,
    *,
    epochs: int,
    validation: CellTable | None = None,
    batch_size: int = 128,
    lr: float = 1e-3,
    one_cycle: bool = False,
    weight_decay: float = 0.0,
    eps: float = 1e-8,
    kl_weight: float = 1.0,
    kl_warmup: int = 0,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = True,
) -> pd.DataFrame:
    """Train ``model`` on ``cells`` with Adam; return the history, one row per epoch.

    Parameters
    ----------
    model : has ``loss(cells, kl_weight) -> {"loss": …, further terms}``. Trained in place, left in eval mode. Cells
        must have its ``genes`` and ``batches``, if it has any; one without ``genes`` is given those of ``cells``, so
        that ``analysis`` and a later ``fit`` refuse others. ``epochs_trained`` counts the epochs of all its fits.
    cells, validation : what to learn from, and what to be judged by (or None), in memory or in a file. Validation gives
        KL its final weight.
    epochs, batch_size : passes over the cells, and cells per step.
    lr, weight_decay, eps : Adam's learning rate, weight decay and the constant in its denominator.
    kl_weight, kl_warmup : weight of the KL term, reached linearly in epoch ``kl_warmup`` (0: from the start).
    one_cycle : let the learning rate rise to ``lr`` and fall to zero over the whole run (``learning_rate_at``): with an
        ``lr`` some ten times larger, as good after a fifth of the epochs. Not with ``patience``.
    patience : stop after so many epochs without a lower validation loss, counted once warm-up is over, and keep the
        best epoch's weights. None: train all epochs, keep the last weights.
    checkpoint : folder to save to after every epoch. If a run is saved there, go on with it: the result is the same,
        bit for bit, as without the break (same machine, versions and number of threads).
    seed : decides shuffling, dropout and sampling; the random numbers of the caller are not touched.
    device : where to train: "cpu", or "cuda" for a GPU. The model goes back to where it was.
    progress : show how far it is.

    Returns
    -------
    Index ``epoch`` from 1; columns ``train_loss`` and every other term, ``validation_…`` likewise, ``kl_weight``.
    Interrupted (Ctrl-C, ■): the finished epochs, and the model as trained so far.

    Raises
    ------
    TypeError, ValueError : an argument makes no sense; the model cannot be trained, or is for other genes or batches;
        the checkpoint is of another run, damaged or in use.
    TrainingDiverged : loss, gradient or a distribution's parameter is NaN or infinite; the model is as before the step.
    """
    settings = Settings(
        epochs, batch_size, lr, one_cycle, weight_decay, eps, kl_weight, kl_warmup, patience, seed, device
    )
    check_arguments(model, cells, validation, settings)
    where, home = settings.torch_device(), next(model.parameters()).device
    shuffle = torch.Generator().manual_seed(settings.seed)
    history, stopping = History(), EarlyStopping(settings.patience, settings.kl_warmup)

    with (
        Checkpoint(checkpoint, settings, model, cells, validation) as saved,
        seeded(settings.seed, where),
        Progress(settings.epochs, progress) as line,
    ):
        try:
            model.to(where)
            cells = cells.to(where)
            validation = None if validation is None else validation.to(where)
            optimizer = adam(model, settings)
            guard = Guard(model, cells.n_genes)
            first = saved.resume(optimizer, shuffle, history, stopping) + 1

            for epoch in range(first, settings.epochs + 1):
                if stopping.over:
                    break
                line.update(epoch, history.rows)
                beta = kl_weight_at(epoch, settings.kl_weight, settings.kl_warmup)

                model.train()  # dropout on, BatchNorm learns
                for step, minibatch in enumerate(shuffled(cells, settings.batch_size, shuffle), start=1):
                    done = (epoch - 1 + (step - 1) * settings.batch_size / len(cells)) / settings.epochs  # of the run
                    optimizer.param_groups[0]["lr"] = learning_rate_at(done, settings.lr, settings.one_cycle)
                    optimizer.zero_grad()
                    with guard(f"in epoch {epoch}, minibatch {step}"):
                        terms = check_terms(model.loss(minibatch, kl_weight=beta))  # how wrong is the model?
                        terms["loss"].backward()  # which way is less wrong?
                        stop_unless_finite(terms, model)
                    optimizer.step()  # a small step that way
                    history.add("train", terms, len(minibatch))

                model.eval()  # dropout off, BatchNorm fixed
                if validation is not None:
                    with guard(f"on the validation cells after epoch {epoch}"):
                        history.add("validation", validation_terms(model, validation, settings), len(validation))
                stopping.update(epoch, history.end_epoch(beta), model)
                saved.write()
            stopping.restore_best(model)
            line.finish(outcome(len(history), settings.epochs, stopping.best_epoch))
        except KeyboardInterrupt:
            line.finish(f"interrupted after {len(history)} of {settings.epochs} epochs; the model is as trained so far")
        finally:
            model.eval().to(home)
            remember(model, cells, saved.epochs_before + len(history))
    return history.frame()


def adam(model: Trainable, settings: Settings) -> torch.optim.Optimizer:
    """The optimizer. Its first use in a session imports half of PyTorch, so Ctrl-C waits until it is made."""
    with uninterrupted():
        return torch.optim.Adam(
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, eps=settings.eps, fused=True
        )


def shuffled(cells: CellTable, batch_size: int, shuffle: torch.Generator) -> Iterator[Cells]:
    """The minibatches of one epoch: every cell once, in random order.

    Cells in memory are shuffled as one. From a file come buffers of some thousand cells, gathered in blocks from random
    places, and each buffer is shuffled for itself: a disk reads neighbours together, one by one takes forty times as
    long.
    """
    for buffer in cells.buffers(batch_size, shuffle):
        for index in minibatches(len(buffer), batch_size, shuffle):
            yield buffer[index]


def minibatches(n_cells: int, batch_size: int, shuffle: torch.Generator) -> list[Tensor]:
    """The indices 0 … n_cells − 1 in random order, cut into minibatches.

    Every cell is in exactly one minibatch. If one cell is left over at the end it joins the minibatch before:
    BatchNorm has no variance to divide by when it trains on one cell (scvi-tools #2314).

    Parameters
    ----------
    n_cells : at least 2.   batch_size : at least 2.   shuffle : the source of the order; its state moves on.

    Returns
    -------
    int64 tensors of 2 to ``batch_size`` indices, the last one up to ``batch_size + 1``.
    """
    parts = list(torch.randperm(n_cells, generator=shuffle).split(batch_size))
    if len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def kl_weight_at(epoch: int, kl_weight: float, kl_warmup: int) -> float:
    """KL warm-up: the weight of the KL term in an epoch (epochs count from 1).

    It rises linearly, ``kl_weight · epoch / kl_warmup``, reaches ``kl_weight`` in epoch ``kl_warmup`` and stays there.
    Without warm-up (``kl_warmup=0``) it is ``kl_weight`` throughout. The KL term enters slowly, so that z carries
    something before it is asked to be brief (Bowman et al. 2016, https://doi.org/10.18653/v1/K16-1002; Sønderby et al.
    2016, https://doi.org/10.48550/arXiv.1602.02282).
    """
    if epoch >= kl_warmup:
        return kl_weight
    return kl_weight * epoch / kl_warmup


def learning_rate_at(done: float, lr: float, one_cycle: bool) -> float:
    """The learning rate once a share ``done`` of the run is behind: ``lr``, or one cycle up to it and down to zero.

    The cycle rises along a cosine from lr/25 to ``lr`` over the first 30 % of the steps and falls to almost nothing
    over the rest. Large steps find the valley, small ones its floor; a run must be as long as it was planned. Source:
    Smith and Topin 2019, https://doi.org/10.48550/arXiv.1708.07120; shape and constants as in PyTorch's ``OneCycleLR``.
    """
    if not one_cycle:
        return lr
    if done < 0.3:
        start, end, share = lr / 25, lr, done / 0.3
    else:
        start, end, share = lr, lr / 250_000, (done - 0.3) / 0.7
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def validation_terms(model: Trainable, cells: CellTable, settings: Settings) -> dict[str, float]:
    """The terms of the loss on cells that training does not see, each a mean over them. The model is in eval mode.

    Two choices make epochs comparable. The KL term has its final weight, also during warm-up. The noise of a sampled
    loss comes from a generator seeded anew each time: every epoch sees the same noise, and training's own stream of
    random numbers does not notice that anyone validated.
    """
    means = Means()
    with torch.no_grad(), seeded(settings.seed, settings.torch_device()):
        for part in cells.parts(settings.batch_size):
            terms = check_terms(model.loss(part, kl_weight=settings.kl_weight))
            means.add(terms, len(part))
    stop_unless_finite(means.values())
    return means.values()

"""The gate of training: which model may be trained, on which cells, by which loss; and what it is left with.

Checked before anything is touched, the loss as soon as there is one.
"""

import inspect
from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.data.cells import CellTable
from course_lib.data.matching import check_alike, check_cells
from course_lib.training.settings import Settings

LOSS = "loss(cells, kl_weight=1.0), which returns {'loss': …, further terms}, each a mean over the cells"


def check_arguments(model: Any, cells: Any, validation: Any, settings: Settings) -> None:
    """TypeError or ValueError unless these can be trained, and fit each other: see ``fit``."""
    _check_model(model)
    _check_kind(cells, "cells")
    check_cells(model, cells)
    if len(cells) < 2:
        raise ValueError(f"cells: expected at least 2 to train on, found {len(cells)}")
    if validation is not None:
        _check_kind(validation, "validation")
        check_cells(model, validation, "validation")
        check_alike(cells, validation, "validation")
        if len(validation) == 0:
            raise ValueError("validation: expected some cells, or None, found none")
    elif settings.patience is not None:
        raise ValueError(
            f"patience: expected None where there are no validation cells, whose loss decides when to stop, found "
            f"{settings.patience}; pass validation=…, or leave patience out"
        )


def check_terms(terms: Any) -> Mapping[str, Tensor]:
    """``terms`` as they are, or TypeError or ValueError if they are not what a model's loss must return."""
    if not isinstance(terms, Mapping):
        raise TypeError(f"model.loss: expected a dictionary {{'loss': …}}, found {_kind(terms)}; a model needs {LOSS}")
    if "loss" not in terms:
        raise ValueError(f"model.loss: expected a term 'loss', which training minimises, found {[*terms]}")
    for name, value in terms.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(
                f"model.loss: expected one number for {name!r}, found shape {tuple(value.shape)}; take the mean over "
                f"cells"
            )
    if torch.is_grad_enabled() and not (isinstance(terms["loss"], Tensor) and terms["loss"].requires_grad):
        raise ValueError(
            f"model.loss: expected a 'loss' that depends on the model's parameters, found {_kind(terms['loss'])} "
            f"without gradient; compute it from them, without .item(), .detach() or no_grad"
        )
    return terms


def remember(model: Any, cells: CellTable, epochs: int) -> None:
    """Write on the model what later questions are checked against: plain attributes, not part of its ``state_dict``.

    ``genes``: the names of what it learned from, unless it was built with them. ``epochs_trained``: how many epochs its
    weights have behind them, in all calls of ``fit``.
    """
    if getattr(model, "genes", None) is None:
        model.genes = cells.genes
    model.epochs_trained = epochs


def _check_model(model: Any) -> None:
    if isinstance(model, type):
        raise TypeError(f"model: expected a model, found the class {model.__name__}; build one: {model.__name__}(…)")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected an nn.Module with a method loss, found {_kind(model)}")
    loss = getattr(model, "loss", None)
    if not callable(loss):
        raise TypeError(f"model: expected a method {LOSS}; {type(model).__name__} has none")
    try:
        inspect.signature(loss).bind(None, kl_weight=1.0)
    except TypeError:
        raise TypeError(
            f"model: expected a method loss(cells, kl_weight=1.0), found loss{inspect.signature(loss)}; a model "
            f"without a KL term takes kl_weight and ignores it"
        ) from None
    parameters = list(model.parameters())
    if not parameters:
        raise ValueError(f"model: expected parameters to train, found none in {type(model).__name__}")
    if not any(parameter.requires_grad for parameter in parameters):
        raise ValueError(
            f"model: expected parameters to train, found all {len(parameters)} frozen; call model.requires_grad_(True)"
        )


def _check_kind(cells: Any, name: str) -> None:
    """TypeError unless they are cells, wherever their counts are kept."""
    if isinstance(cells, CellTable):
        return
    remedy = "make them with cells_from_counts(data), or cells_from_expression(data) where the values are no counts"
    if isinstance(cells, str | PathLike):
        remedy = "read the file: cells_from_file(path), or cells_from_counts(anndata.read_h5ad(path))"
    elif isinstance(cells, int | float) and name == "validation":
        remedy = (
            "a share must be drawn by yourself: train, held_out = split_indices(len(cells), (0.9, 0.1)), then "
            "fit(model, cells[train], validation=cells[held_out], …)"
        )
    raise TypeError(f"{name}: expected Cells, found {_kind(cells)}; {remedy}")


def _kind(value: Any) -> str:
    """What a message calls a value: itself where it is short, else its type."""
    return repr(value) if value is None or isinstance(value, int | float | str | PathLike) else type(value).__name__

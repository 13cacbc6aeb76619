"""What users hand to ``fit`` that cannot be trained: each is named, with the way out, and nothing has been touched."""

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from small import cells_by_hand, same_weights, weights_of
from torch import nn

from course_lib.models.autoencoder import Autoencoder
from course_lib.models.linear import TiedLinearAutoencoder
from course_lib.models.scvi import SCVI
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE
from course_lib.training import fit


def some_cells(n):
    return cells_by_hand(np.random.default_rng(0).poisson(3.0, (n, 5)) + 1)


class Mean(nn.Module):
    """The smallest model: one number, near which all values should lie."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(1))

    def loss(self, cells, kl_weight=1.0):
        return {"loss": (cells.x - self.mean).square().mean()}


def refused(error, message, model=None, cells=None, **arguments):
    model = Mean() if model is None else model
    before = weights_of(model)
    with pytest.raises(error, match=message):
        fit(model, some_cells(8) if cells is None else cells, **{"epochs": 3, "progress": False, **arguments})
    assert same_weights(weights_of(model), before)
    assert not hasattr(model, "epochs_trained")


# Numbers


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, "epochs: expected a whole number ≥ 1, found 0", {"epochs": 0}),
        (TypeError, r"epochs: expected a whole number .*, found 2\.5", {"epochs": 2.5}),
        (TypeError, "epochs: expected a whole number .*, found True", {"epochs": True}),
        (TypeError, "epochs: expected a whole number .*, found '3'", {"epochs": "3"}),
        (TypeError, "epochs: expected a whole number .*, found None", {"epochs": None}),
        (ValueError, "batch_size: expected a whole number ≥ 2, found 1", {"batch_size": 1}),
        (ValueError, r"lr: expected a number > 0, found 0\.0", {"lr": 0.0}),
        (ValueError, "lr: expected a finite number, found nan", {"lr": float("nan")}),
        (ValueError, "lr: expected a finite number, found 1000", {"lr": 10**400}),
        (TypeError, r"lr: expected a number, found '0\.001'", {"lr": "0.001"}),
        (TypeError, "lr: expected a number, found None", {"lr": None}),
        (TypeError, "lr: expected a number, found True", {"lr": True}),
        (TypeError, "lr: expected a number, found 1j", {"lr": 1j}),
        (TypeError, r"lr: expected a number, found \[0\.001, 0\.0001\]", {"lr": [1e-3, 1e-4]}),
        (TypeError, "lr: expected a number, found array", {"lr": np.array([1e-3, 1e-4])}),
        (TypeError, "lr: expected a number, found tensor", {"lr": torch.tensor([1e-3, 1e-4])}),
        (ValueError, r"one_cycle: expected True or False, found 0\.1", {"one_cycle": 0.1}),
        (ValueError, "weight_decay: expected a number ≥ 0, found -1e-06", {"weight_decay": -1e-6}),
        (ValueError, "eps: expected a number > 0, found 0", {"eps": 0.0}),
        (ValueError, "kl_weight: expected a number ≥ 0, found -1", {"kl_weight": -1.0}),
        (ValueError, "kl_warmup: expected a whole number ≥ 0, found -1", {"kl_warmup": -1}),
        (ValueError, "kl_warmup: expected at most epochs = 3, found 4.*never reach its full weight", {"kl_warmup": 4}),
        (ValueError, "patience: expected a whole number ≥ 1, found 0", {"patience": 0}),
        (ValueError, "patience: expected None where there are no validation cells.*found 2; pass val", {"patience": 2}),
        (ValueError, "seed: expected a whole number ≥ 0, found -1", {"seed": -1}),
        (ValueError, f"seed: expected a whole number below 2⁶⁴.*found {2**70}", {"seed": 2**70}),
        (ValueError, f"seed: expected a whole number below 2⁶⁴.*found {2**64}", {"seed": 2**64}),
        (TypeError, "seed: expected a whole number .*, found None", {"seed": None}),
        (ValueError, "device: expected 'cpu' or 'cuda', found 'mps'", {"device": "mps"}),
        (ValueError, "device: expected 'cpu' or 'cuda', found 'gpu'", {"device": "gpu"}),
        (ValueError, "device: expected 'cpu' or 'cuda', found ''", {"device": ""}),
        (ValueError, "device: expected 'cpu' or 'cuda', found None", {"device": None}),
        (ValueError, "device: expected 'cpu' or 'cuda', found 0", {"device": 0}),
    ],
)
def test_numbers_that_make_no_sense_are_named(error, message, arguments):
    refused(error, message, **arguments)


def test_the_largest_seed_and_a_device_as_an_object_will_do(tmp_path):
    for _ in range(2):  # the second time from the checkpoint
        settings = {"seed": 2**64 - 1, "device": torch.device("cpu"), "checkpoint": tmp_path}
        fit(Mean(), some_cells(8), epochs=1, progress=False, **settings)


def test_a_gpu_that_is_not_there_is_refused_in_plain_words(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    refused(ValueError, r"found 'cuda', .*sees 0 CUDA GPUs here\. Use device='cpu'", device="cuda")


# Cells


TABLE = some_cells(8).x.numpy()


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (anndata.AnnData(TABLE), "AnnData; make them with cells_from_counts"),
        (TABLE, "ndarray; make them with cells_from_counts"),
        (torch.from_numpy(TABLE), "Tensor; make them with cells_from_counts"),
        (pd.DataFrame(TABLE), "DataFrame; make them with cells_from_counts"),
        (scipy.sparse.csr_matrix(TABLE), "csr_matrix; make them with cells_from_counts"),
        ([1, 2], "list; make them with cells_from_counts"),
        (some_cells, "function; make them with"),
        ("cells.h5ad", r"'cells\.h5ad'; read the file: cells_from_file\(path\), or cells_from_counts\("),
        (Path("cells.h5ad"), r"Path\('cells\.h5ad'\); read the file: cells_from_file"),
    ],
)
def test_what_is_not_cells_is_named_with_the_way_to_make_them(cells, found):
    refused(TypeError, f"^cells: expected Cells, found .*{found}", cells=cells)
    refused(TypeError, f"^validation: expected Cells, found .*{found}", validation=cells)


def test_none_for_cells_is_named():
    with pytest.raises(TypeError, match="cells: expected Cells, found None; make them with cells_from_counts"):
        fit(Mean(), None, epochs=1)


@pytest.mark.parametrize("share", [0.1, True, 1])
def test_a_share_for_validation_is_answered_with_the_split(share):
    refused(TypeError, rf"validation: expected Cells, found {share}; .*split_indices\(len\(cells\)", validation=share)


def test_too_few_cells_are_named():
    refused(ValueError, "cells: expected at least 2 to train on, found 1", cells=some_cells(1))
    refused(ValueError, "validation: expected some cells, or None, found none", validation=some_cells(4)[:0])


@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(7, 2, (4,)),
        TiedLinearAutoencoder(7, 2),
        VAE(7, 2, (4,)),
        SimplifiedSCVI(7, 2, (4,)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_cells_of_another_width_than_the_model_are_named(model):
    with pytest.raises(
        ValueError, match="cells: expected 7 genes, as many as a layer of the model takes, found 5; choose"
    ):
        fit(model, some_cells(8), epochs=1, progress=False)


def test_cells_of_another_width_than_a_model_that_knows_its_genes_are_compared_by_name():
    model = SCVI(tuple(f"g{j}" for j in range(7)), library_prior=None, n_latent=2, hidden=(4,))
    refused(ValueError, "cells: expected the 7 genes of the model, found 5: 2 missing, first 'g5'", model)


def test_a_matrix_error_inside_of_a_model_is_left_as_it_is():
    class Crooked(Mean):
        def loss(self, cells, kl_weight=1.0):
            return {"loss": (cells.x @ torch.ones(5, 2) @ torch.ones(3, 1) + self.mean).mean()}

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        fit(Crooked(), some_cells(8), epochs=1, progress=False)


# Models


class Frozen(Mean):
    def __init__(self):
        super().__init__()
        self.mean.requires_grad_(False)


class Empty(nn.Module):
    def loss(self, cells, kl_weight=1.0):
        return {"loss": cells.x.mean()}


class WithoutKL(Mean):
    def loss(self, cells):
        return {"loss": (cells.x - self.mean).square().mean()}


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (Mean, TypeError, r"model: expected a model, found the class Mean; build one: Mean\(…\)"),
        ("scvi", TypeError, "model: expected an nn.Module with a method loss, found 'scvi'"),
        (None, TypeError, "model: expected an nn.Module with a method loss, found None"),
        (some_cells(4), TypeError, "model: expected an nn.Module with a method loss, found Cells"),
        (nn.Linear(5, 2), TypeError, r"model: expected a method loss\(cells, kl_weight=1\.0\).*Linear has none"),
        (WithoutKL(), TypeError, r"found loss\(cells\); a model without a KL term takes kl_weight and ignores it"),
        (Empty(), ValueError, "model: expected parameters to train, found none in Empty"),
        (Frozen(), ValueError, r"expected parameters to train, found all 1 frozen; call model\.requires_grad_\(True\)"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused(model, error, message):
    with pytest.raises(error, match=message):
        fit(model, some_cells(8), epochs=1, progress=False)


def test_a_loss_with_keyword_arguments_of_its_own_is_welcome():
    class More(Mean):
        def loss(self, cells, kl_weight=1.0, *, temperature=1.0, **others):
            return super().loss(cells)

    fit(More(), some_cells(8), epochs=1, progress=False)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda loss: loss, TypeError, r"expected a dictionary \{'loss': …\}, found Tensor; a model needs loss\("),
        (lambda loss: 3.0, TypeError, r"expected a dictionary \{'loss': …\}, found 3\.0"),
        (lambda loss: None, TypeError, r"expected a dictionary \{'loss': …\}, found None"),
        (lambda loss: {"elbo": loss, "kl_z": loss}, ValueError, r"expected a term 'loss'.*found \['elbo', 'kl_z'\]"),
        (
            lambda loss: {"loss": loss.expand(8)},
            ValueError,
            r"one number for 'loss', found shape \(8,\); take the mean",
        ),
        (lambda loss: {"loss": loss, "kl": loss.expand(8)}, ValueError, r"one number for 'kl', found shape \(8,\)"),
        (
            lambda loss: {"loss": loss.item()},
            ValueError,
            r"depends on the model's parameters, found \d.* without gradient",
        ),
        (
            lambda loss: {"loss": loss.detach()},
            ValueError,
            "parameters, found Tensor without gradient; compute it",
        ),
        (lambda loss: {"loss": torch.ones(1, requires_grad=True).sum()}, ValueError, "found no gradient in any"),
    ],
)
def test_a_loss_that_is_none_is_refused(result, error, message):
    class Odd(Mean):
        def loss(self, cells, kl_weight=1.0):
            return result(super().loss(cells)["loss"])

    with pytest.raises(error, match=rf"^model\.loss: .*{message}"):
        fit(Odd(), some_cells(8), epochs=1, progress=False)


def test_validation_asks_for_no_gradient_and_for_the_same_terms():
    class Detached(Mean):
        def loss(self, cells, kl_weight=1.0):
            loss = super().loss(cells)["loss"]
            return {"loss": loss} if self.training else {"loss": self.answer(loss)}

    model = Detached()
    model.answer = lambda loss: loss.item()
    history = fit(model, some_cells(8), validation=some_cells(3), epochs=1, progress=False)
    assert history.validation_loss.notna().all()
    model = Detached()
    model.answer = lambda loss: loss.expand(3)
    with pytest.raises(ValueError, match=r"one number for 'loss', found shape \(3,\)"):
        fit(model, some_cells(8), validation=some_cells(3), epochs=1, progress=False)


def test_what_a_model_raises_of_its_own_is_left_as_it_is():
    with pytest.raises(ValueError, match=r"x: expected values in \[0, 1\] for head 'bce'"):
        fit(Autoencoder(5, 2, (4,), head="bce"), some_cells(8), epochs=1, progress=False)
    with pytest.raises(ValueError, match="to be within the support"):  # counts by hand, that are none
        fit(SimplifiedSCVI(5, 2, (4,)), replace(some_cells(8), x=torch.full((8, 5), 0.5)), epochs=1, progress=False)


def test_a_model_with_some_parameters_frozen_trains_the_others():
    class Shifted(Mean):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.ones(1), requires_grad=False)

        def loss(self, cells, kl_weight=1.0):
            return {"loss": (cells.x - self.mean - self.shift).square().mean()}

    fit(model := Shifted(), some_cells(8), epochs=2, progress=False)
    assert model.shift.item() == 1
    assert model.mean.item() != 0

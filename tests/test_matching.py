"""Cells fit a model if they have its genes and batches by name: in training, afterwards, and after a copy."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from small import same_weights, weights_of

from course_lib.analysis.gate import cells_for
from course_lib.analysis.latent import get_latent_representation, get_reconstruction
from course_lib.data.cells import Cells, cells_from_counts, cells_from_expression
from course_lib.data.columns import ONLY_BATCH
from course_lib.data.matching import check_alike, check_cells
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.scvi import SCVI
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE
from course_lib.training import fit

GENES = ("g1", "g2", "g3")


def a_table(donors=("a", "b", "c", "a"), genes=GENES) -> AnnData:
    counts = np.random.default_rng(len(donors)).poisson(5.0, size=(len(donors), len(genes))) + 1
    obs = pd.DataFrame({"donor": list(donors)}, index=[f"cell_{i}" for i in range(len(donors))])
    return AnnData(counts.astype(np.float32), obs, pd.DataFrame(index=list(genes)))


def cells_of(*donors, genes=GENES) -> Cells:
    return cells_from_counts(a_table(donors, genes), batch_key="donor")


ABC = cells_of("a", "b", "c", "a")


def without_batches(cells: Cells) -> Cells:
    return replace(cells, batch=torch.zeros_like(cells.batch), batches=(ONLY_BATCH,))


# What is compared


def test_a_model_is_compared_in_what_it_has():
    check_cells(object(), ABC)
    check_cells(SimpleNamespace(genes=GENES), ABC)
    check_cells(SimpleNamespace(genes=list(GENES), batches=["a", "b", "c"]), ABC)
    with pytest.raises(ValueError, match="missing"):
        check_cells(SimpleNamespace(genes=("g1", "g2", "g4")), ABC)
    with pytest.raises(ValueError, match="numbers the batches"):
        check_cells(SimpleNamespace(batches=("c", "b", "a")), ABC)


@pytest.mark.parametrize(
    "found, message",
    [
        (("g1", "g3", "g2"), r"genes of the model in another order, first 'g2' at column 2 instead of 1; use data\[:"),
        (
            ("g1", "g2"),
            "expected the 3 genes of the model, found 2: 1 missing, first 'g3', 0 unknown. Train a model on",
        ),
        (("g1", "g2", "G3"), "found 3: 1 missing, first 'g3', 1 unknown. Train a model on the genes you"),
        ((*GENES, "g4"), r"found 4: 0 missing, 1 unknown. Choose them with data\[:, list\(model\.genes\)\]"),
    ],
)
def test_other_genes_are_refused_with_a_remedy(found, message):
    with pytest.raises(ValueError, match=f"^these: .*{message}"):
        check_cells(SimpleNamespace(genes=GENES), cells_of("a", "b", genes=found), "these")


def test_genes_that_repeat_are_no_other_order():
    twice = replace(cells_of("a", "b", genes=("g1", "g2", "g3", "g4")), genes=("g1", "g2", "g3", "g3"))
    with pytest.raises(ValueError, match="found 4: 0 missing, 0 unknown"):
        check_cells(SimpleNamespace(genes=GENES), twice)


@pytest.mark.parametrize(
    "batches, cells, remedy",
    [
        (("c", "b", "a"), ABC, r"the batches \('c', 'b', 'a'\), found \('a', 'b', 'c'\); .*cells_for\(model, data"),
        (("a", "b", "c"), without_batches(ABC), r"found \('all cells',\); make the cells with .*cells_for"),
        ((ONLY_BATCH,), ABC, r"found \('a', 'b', 'c'\); make the cells without a batch_key"),
    ],
)
def test_batches_numbered_otherwise_are_refused_with_a_remedy(batches, cells, remedy):
    with pytest.raises(ValueError, match=remedy):
        check_cells(SimpleNamespace(batches=batches), cells)


@pytest.mark.parametrize("names", [2000, "GAPDH", (1, 2)])
def test_an_attribute_that_holds_no_names_is_named(names):
    with pytest.raises(TypeError, match=r"model\.genes: expected a tuple of names.*another name"):
        check_cells(SimpleNamespace(genes=names), ABC)


def test_two_sets_of_cells_are_alike_in_genes_batches_and_labels():
    check_alike(ABC, ABC[:2], "validation")
    with pytest.raises(ValueError, match=r"^validation: the 3 genes of cells in another order.*list\(cells\.genes\)\]"):
        check_alike(ABC, cells_of("a", "b", "c", genes=("g2", "g1", "g3")), "validation")
    with pytest.raises(ValueError, match=r"numbers the batches .*'c'\), found \('b', 'c'\)\. Make one"):
        check_alike(ABC, cells_of("b", "c"), "validation")
    labelled = replace(ABC, label=torch.tensor([0, 1, 0, -1]), labels=("B cell", "T cell"))
    check_alike(labelled, ABC, "validation")
    check_alike(labelled, labelled[1:], "validation")
    with pytest.raises(ValueError, match=r"the labels \('B cell', 'T cell'\), found \('T cell', 'B cell'\)"):
        check_alike(labelled, replace(labelled, labels=("T cell", "B cell")), "validation")


# In training


def some_models():
    return [
        Autoencoder(3, n_latent=2, hidden=(4,)),
        VAE(3, n_latent=2, hidden=(4,)),
        SimplifiedSCVI(3, n_latent=2, hidden=(4,)),
        SCVI(GENES, ("a", "b", "c"), library_prior=None, n_latent=2, hidden=(4,)),
    ]


PERMUTED = cells_of("a", "b", "c", "a", genes=("g2", "g1", "g3"))


@pytest.mark.parametrize("model", some_models(), ids=lambda model: type(model).__name__)
def test_every_trained_model_refuses_permuted_genes_in_training_and_afterwards(model):
    fit(model, ABC, epochs=1, progress=False)
    assert model.genes == GENES
    trained = weights_of(model)
    with pytest.raises(ValueError, match="cells: the 3 genes of the model in another order"):
        fit(model, PERMUTED, epochs=1, progress=False)
    for ask in (get_latent_representation, get_reconstruction):
        if not (isinstance(model, SCVI | SimplifiedSCVI) and ask is get_reconstruction):
            with pytest.raises(ValueError, match="another order"):
                ask(model, PERMUTED)
    assert same_weights(weights_of(model), trained)
    fit(model, ABC, epochs=1, progress=False)  # and more of its own cells are welcome


def test_a_model_that_was_refused_cells_remembers_nothing_of_them():
    model = VAE(3, n_latent=2, hidden=(4,))
    with pytest.raises(ValueError, match="validation"):
        fit(model, ABC, validation=PERMUTED, epochs=1, progress=False)
    assert not hasattr(model, "genes")
    assert not hasattr(model, "epochs_trained")


@pytest.mark.parametrize(
    "cells",
    [cells_of("a", "b", "c", "a", genes=("x", "y", "z")), PERMUTED, cells_of("b", "c", "a", "d"), cells_of("a", "b")],
    ids=["other genes", "permuted genes", "other batches", "fewer batches"],
)
def test_a_named_model_trains_on_no_other_cells(cells):
    model = SCVI(GENES, ("a", "b", "c"), library_prior=None, n_latent=2, hidden=(4,))
    before = weights_of(model)
    with pytest.raises(ValueError, match=r"^cells: "):
        fit(model, cells, epochs=1, progress=False)
    assert same_weights(weights_of(model), before)


def test_batches_coded_anew_for_validation_are_refused_and_the_remedies_hold():
    model = SCVI(GENES, ("a", "b", "c"), library_prior=None, n_latent=2, hidden=(4,))
    with pytest.raises(ValueError, match=r"validation: the model numbers the batches .*cells_for\(model, data"):
        fit(model, ABC, validation=cells_of("b", "c"), epochs=1, progress=False)
    fit(model, ABC[:3], validation=ABC[3:], epochs=1, progress=False)  # one Cells of all, divided
    fit(model, ABC, validation=cells_for(model, a_table(("b", "c")), batch_key="donor"), epochs=1, progress=False)


@pytest.mark.parametrize("model", some_models()[:3], ids=lambda model: type(model).__name__)
def test_validation_must_be_alike_for_models_that_know_no_names(model):
    with pytest.raises(ValueError, match="validation: the 3 genes of cells in another order"):
        fit(model, ABC, validation=PERMUTED, epochs=1, progress=False)


@pytest.mark.parametrize("model", some_models()[2:], ids=lambda model: type(model).__name__)
def test_a_model_of_counts_refuses_expression_in_training_and_afterwards(model):
    data = a_table()
    data.X = np.log1p(data.X)
    expression = cells_from_expression(data, batch_key="donor")
    refused = (
        rf"expected raw counts, which {type(model).__name__} scores as counts, found expression.*cells_from_counts\("
    )
    with pytest.raises(ValueError, match=f"^cells: {refused}"):
        fit(model, expression, epochs=1, progress=False)
    with pytest.raises(ValueError, match=f"^validation: {refused}"):
        fit(model, ABC, validation=expression[:2], epochs=1, progress=False)
    with pytest.raises(ValueError, match=refused):
        get_latent_representation(model, expression)
    with pytest.raises(ValueError, match=refused):
        get_latent_representation(model, expression[:2].to("cpu"))  # parts and copies are expression too
    fit(model, replace(ABC, counts=None), epochs=1, progress=False)  # built by hand: the caller answers for it


def test_a_model_of_real_numbers_takes_both():
    fit(VAE(3, n_latent=2, hidden=(4,)), ABC, epochs=1, progress=False)
    fit(VAE(3, n_latent=2, hidden=(4,)), cells_from_expression(ABC.x.log1p()), epochs=1, progress=False)
    assert (ABC.counts, cells_from_expression(ABC.x).counts) == (True, False)


# What is remembered


def test_names_live_in_copies_and_leave_weights_and_description_alone():
    model, untrained = VAE(3, n_latent=2, hidden=(4,)), VAE(3, n_latent=2, hidden=(4,))
    fit(model, ABC, epochs=2, progress=False)
    assert model.state_dict().keys() == untrained.state_dict().keys()
    assert repr(model) == repr(untrained)  # what a checkpoint compares
    twin = copy.deepcopy(model)
    assert (twin.genes, twin.epochs_trained) == (GENES, 2)
    untrained.load_state_dict(model.state_dict())  # weights alone carry no names
    assert not hasattr(untrained, "genes")


def test_epochs_trained_counts_all_fits_and_survives_an_interruption(tmp_path):
    model = VAE(3, n_latent=2, hidden=(4,))
    fit(model, ABC, epochs=2, progress=False)
    fit(model, ABC, epochs=3, checkpoint=tmp_path, progress=False)
    assert model.epochs_trained == 5
    fresh = VAE(3, n_latent=2, hidden=(4,))  # another process
    fit(fresh, ABC, epochs=4, checkpoint=tmp_path, progress=False)
    assert fresh.epochs_trained == 6
    fit(model, ABC, epochs=4, checkpoint=tmp_path, progress=False)  # the same one, which has three of the four already
    assert model.epochs_trained == 6

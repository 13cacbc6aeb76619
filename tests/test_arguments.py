"""What constructors are given: what passes comes back plain, what cannot be is named, and nothing is built before."""

from fractions import Fraction

import numpy as np
import pandas
import pytest
import torch
from torch import nn

from course_lib.arguments import (
    choice,
    fraction,
    not_negative,
    positive,
    real_number,
    seed_number,
    text,
    unique_names,
    whole_number,
    widths,
)
from course_lib.models.autoencoder import Autoencoder, DenoisingAutoencoder
from course_lib.models.geneex import GENEEX
from course_lib.models.linear import TiedLinearAutoencoder
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE, CategoricalVAE

NAN, INF = float("nan"), float("inf")


def test_what_passes_comes_back_as_pythons_own():
    for whole in (3, np.int64(3), np.uint8(3)):
        assert type(whole_number("n", whole)) is int
    assert whole_number("n", 0, least=0) == 0
    for given in ((64, 32), [64, 32], np.array([64, 32])):
        assert widths("hidden", given) == (64, 32)
        assert {type(width) for width in widths("hidden", given)} == {int}
    assert widths("hidden", (), least_layers=0) == ()
    for real in (0.5, np.float32(0.5), Fraction(1, 2)):
        assert type(positive("sigma", real)) is float
    assert fraction("dropout", 0, zero_too=True) == 0.0
    assert choice("head", "b", ("a", "b")) == "b"
    for names in (["a", "b"], np.array(["a", "b"]), pandas.Index(["a", "b"]), pandas.Series(["a", "b"])):
        assert unique_names("genes", names) == ("a", "b")
        assert {type(name) for name in unique_names("genes", names)} == {str}


@pytest.mark.parametrize("wrong", [10.0, True, np.bool_(True), "10", None, torch.tensor(10), (10,), NAN])
def test_a_whole_number_is_of_its_kind(wrong):
    with pytest.raises(TypeError, match="n_latent: expected a whole number such as 10, found "):
        whole_number("n_latent", wrong)


@pytest.mark.parametrize("wrong", [True, "1", None, (1.0,), torch.tensor(1.0), 1j])
def test_a_number_is_of_its_kind(wrong):
    with pytest.raises(TypeError, match="sigma: expected a number, found "):
        real_number("sigma", wrong)


@pytest.mark.parametrize("wrong", [1.0, -0.1, 2, -0.0001])
def test_a_fraction_lies_below_one(wrong):
    with pytest.raises(ValueError, match=f"dropout: expected 0 ≤ dropout < 1, found {wrong}"):
        fraction("dropout", wrong, zero_too=True)


def test_the_range_of_a_whole_number_and_its_reason_are_named():
    assert [whole_number("k", k, 1, 3) for k in (1, 3)] == [1, 3]
    with pytest.raises(ValueError, match="k: expected a whole number from 1 to 3, the cells there are, found 4"):
        whole_number("k", 4, 1, 3, "the cells there are")
    with pytest.raises(ValueError, match="k: expected a whole number from 1 to 3, found 0"):
        whole_number("k", 0, 1, 3)


def test_a_seed_is_one_that_every_generator_takes():
    for seed in (0, 2**32 - 1):
        seed = seed_number(seed)
        np.random.default_rng(seed)
        np.random.RandomState(seed)  # what scikit-learn makes of it
        torch.Generator().manual_seed(seed)
    for wrong in (-1, 2**32):
        with pytest.raises(ValueError, match="seed: expected a whole number from 0 to 4294967295"):
            seed_number(wrong)


def test_zero_is_not_negative_and_a_name_says_something():
    assert not_negative("delta", 0) == 0.0
    assert text("key", "x") == "x"
    with pytest.raises(ValueError, match="delta: expected a number ≥ 0, found -1"):
        not_negative("delta", -1)
    for wrong in ("", None, 3):
        with pytest.raises(TypeError, match="key: expected a name, found"):
            text("key", wrong)


def test_what_was_found_is_shown_in_brief():
    with pytest.raises(TypeError, match="found") as error:
        unique_names("genes", "x" * 10_000)
    assert len(str(error.value)) < 250
    with pytest.raises(TypeError, match="found") as error:
        widths("hidden", {i: i for i in range(10_000)})
    assert len(str(error.value)) < 200


EVERY = {
    "Autoencoder": lambda **given: Autoencoder(**{"n_genes": 4} | given),
    "GENEEX": lambda **given: GENEEX(**{"n_genes": 4} | given),
    "DenoisingAutoencoder": lambda **given: DenoisingAutoencoder(
        **{"n_genes": 4, "n_latent": 2, "hidden": (3,), "noise": 0.5} | given
    ),
    "VAE": lambda **given: VAE(**{"n_genes": 4} | given),
    "SimplifiedSCVI": lambda **given: SimplifiedSCVI(**{"n_genes": 4} | given),
}


@pytest.mark.parametrize("model", EVERY)
@pytest.mark.parametrize(
    "given, error, message",
    [
        ({"n_genes": 0}, ValueError, "n_genes: expected a whole number ≥ 1, found 0"),
        ({"n_genes": 4.0}, TypeError, "n_genes: expected a whole number such as 10, found 4.0"),
        ({"n_genes": ("a", "b")}, TypeError, r"n_genes: expected a whole number such as 10, found \('a', 'b'\)"),
        ({"n_latent": 0}, ValueError, "n_latent: expected a whole number ≥ 1, found 0"),
        ({"n_latent": -1}, ValueError, "n_latent: expected a whole number ≥ 1, found -1"),
        ({"n_latent": 10.0}, TypeError, "n_latent: expected a whole number such as 10, found 10.0"),
        ({"n_latent": True}, TypeError, "n_latent: expected a whole number such as 10, found True"),
        ({"hidden": 128}, TypeError, r"hidden: expected a sequence of widths, found 128; one layer is hidden=\(128,\)"),
        ({"hidden": (8, -8)}, ValueError, r"hidden\[1\]: expected a whole number ≥ 1, found -8"),
    ],
)
def test_every_model_refuses_impossible_sizes(model, given, error, message, monkeypatch):
    monkeypatch.setattr(nn.Linear, "__init__", lambda *_, **__: pytest.fail("a layer was built"))
    with pytest.raises(error, match=message):
        EVERY[model](**given)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: Autoencoder(4, dropout=1.0), ValueError, "dropout: expected 0 ≤ dropout < 1, found 1.0"),
        (lambda: Autoencoder(4, dropout="0.1"), TypeError, "dropout: expected a number, found '0.1'"),
        (lambda: Autoencoder(4, head="mae"), ValueError, "head: expected 'mse', 'bce' or 'cross_entropy', found 'mae'"),
        (lambda: DenoisingAutoencoder(4, 2, (3,), noise=1), ValueError, "noise: expected 0 < noise < 1, found 1"),
        (lambda: DenoisingAutoencoder(4, 2, (3,), noise=NAN), ValueError, "noise: expected a finite number, found nan"),
        (lambda: VAE(4, hidden=()), ValueError, "hidden: expected at least one hidden layer, found none"),
        (lambda: VAE(4, sigma=-1), ValueError, "sigma: expected a number > 0, found -1"),
        (lambda: VAE(4, sigma=NAN), ValueError, "sigma: expected a finite number, found nan"),
        (lambda: VAE(4, sigma=INF), ValueError, "sigma: expected a finite number, found inf"),
        (lambda: VAE(4, sigma="1"), TypeError, "sigma: expected a number, found '1'"),
        (lambda: VAE(4, learn_sigma="no"), ValueError, "learn_sigma: expected False or True, found 'no'"),
        (lambda: CategoricalVAE(0, 1, (4,)), ValueError, "n_categories: expected a whole number ≥ 1, found 0"),
        (lambda: CategoricalVAE(4, 1.0, (4,)), TypeError, "n_latent: expected a whole number such as 10, found 1.0"),
        (lambda: CategoricalVAE(4, 1, ()), ValueError, "hidden: expected at least one hidden layer"),
        (lambda: SimplifiedSCVI(4, hidden=()), ValueError, "hidden: expected at least one hidden layer, found none"),
        (lambda: SimplifiedSCVI(4, gene_likelihood="zinb"), ValueError, "gene_likelihood: expected 'nb' or 'poisson'"),
        (lambda: TiedLinearAutoencoder(4, 2.0), TypeError, "n_latent: expected a whole number such as 10, found 2.0"),
        (lambda: TiedLinearAutoencoder("4", 2), TypeError, "n_genes: expected a whole number such as 10, found '4'"),
    ],
)
def test_each_model_refuses_what_it_alone_is_given(make, error, message, monkeypatch):
    monkeypatch.setattr(nn.Linear, "__init__", lambda *_, **__: pytest.fail("a layer was built"))
    with pytest.raises(error, match=message):
        make()

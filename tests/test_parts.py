"""Analysis reads cells a part at a time, whatever they are kept in, and computes where the model is."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from anndata import AnnData
from devices import DEVICES, Elsewhere

from course_lib.analysis import parts
from course_lib.analysis.amortisation import fit_local_posteriors
from course_lib.analysis.differential_expression import default_pseudocount, differential_expression
from course_lib.analysis.exact_bound import bound_by_quadrature
from course_lib.analysis.latent import get_latent_representation, get_reconstruction
from course_lib.analysis.posterior import (
    get_latent_library_size,
    get_marginal_ll,
    get_normalized_expression,
    posterior_predictive_sample,
)
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.data.files import cells_from_file
from course_lib.models.autoencoder import Autoencoder
from course_lib.models.scvi import SCVI, LibraryPrior
from course_lib.models.scvi_simplified import SimplifiedSCVI
from course_lib.models.vae import VAE
from course_lib.probability.bounds import iwae
from course_lib.probability.quadrature import Grid

N, GENES, BATCHES = 23, tuple("abcdef"), ("one", "two")
GROUP1, GROUP2 = np.arange(0, N, 2), np.arange(1, N, 2)


def some_cells() -> Cells:
    x = torch.from_numpy(np.random.default_rng(0).poisson(4, (N, len(GENES)))).float() + 1
    return Cells(x, torch.arange(N) % 2, GENES, BATCHES)


def a_model(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "autoencoder":
        return Autoencoder(len(GENES), 2, (4,), dropout=0.5)
    if kind == "vae":
        return VAE(len(GENES), 2, (4,))
    if kind == "vae of one dimension":
        return VAE(len(GENES), 1, (4,))
    if kind == "simplified":
        return SimplifiedSCVI(len(GENES), 2, (4,))
    prior = None if kind == "observed" else LibraryPrior(torch.tensor([3.0, 3.2]), torch.tensor([0.3, 0.4]))
    model = SCVI(GENES, BATCHES, library_prior=prior, n_latent=2, hidden=(4,), encode_batch=kind == "encode_batch")
    model.epochs_trained = 1
    return model


def compare(model, cells, **settings):
    return differential_expression(model, cells, GROUP1, GROUP2, n_samples=4, n_pairs=20, **settings)


QUESTIONS = {
    "latent": ("scvi", get_latent_representation),
    "latent of an autoencoder": ("autoencoder", get_latent_representation),
    "latent of a vae": ("vae", get_latent_representation),
    "latent where the encoder sees the batch": ("encode_batch", get_latent_representation),
    "reconstruction of an autoencoder": ("autoencoder", get_reconstruction),
    "reconstruction of a vae": ("vae", get_reconstruction),
    "library": ("scvi", get_latent_library_size),
    "library, observed": ("observed", get_latent_library_size),
    "expression": ("scvi", get_normalized_expression),
    "expression, both batches": ("scvi", lambda m, c: get_normalized_expression(m, c, transform_batch=BATCHES)),
    "expression, denoised counts": ("scvi", lambda m, c: get_normalized_expression(m, c, library_size="latent")),
    "expression, draws": ("encode_batch", lambda m, c: get_normalized_expression(m, c, n_samples=3)),
    "samples": ("scvi", lambda m, c: posterior_predictive_sample(m, c, 2)),
    "samples, observed": ("observed", lambda m, c: posterior_predictive_sample(m, c, 2)),
    "likelihood": ("scvi", lambda m, c: get_marginal_ll(m, c, 3)),
    "likelihood, observed": ("observed", lambda m, c: get_marginal_ll(m, c, 3)),
    "likelihood, simplified": ("simplified", lambda m, c: get_marginal_ll(m, c, 3)),
    "likelihood of a vae": ("vae", lambda m, c: get_marginal_ll(m, c, 3)),
    "means": ("scvi", compare),
    "means, vanilla": ("scvi", lambda m, c: compare(m, c, mode="vanilla")),
    "pairs": ("scvi", lambda m, c: compare(m, c, over="pairs")),
    "pairs, own batch": ("encode_batch", lambda m, c: compare(m, c, over="pairs", batch_correction=False)),
    "pseudocount": ("scvi", lambda m, c: np.array(default_pseudocount(c))),
}
FEW = {  # of few cells, which they take whole
    "local posteriors": ("vae", lambda m, c: fit_local_posteriors(m, c, steps=3).mean.cpu().numpy()),
    "quadrature": ("vae of one dimension", lambda m, c: bound_by_quadrature(m, c, Grid()).elbo.cpu().numpy()),
}


def as_array(answer) -> np.ndarray:
    return answer.sort_index().to_numpy(dtype=float) if isinstance(answer, pd.DataFrame) else answer


class Piecemeal:
    """Cells that refuse to be read whole: so many rows at once and no more."""

    def __init__(self, cells: Cells, most: int):
        self.cells, self.most = cells, most

    def __getattr__(self, name):
        assert name != "x", "all counts at once"
        return getattr(self.cells, name)

    def __len__(self):
        return len(self.cells)

    def __getitem__(self, index):
        part = self.cells[index]
        assert len(part) <= self.most, f"{len(part)} cells at once"
        if isinstance(index, np.ndarray):
            assert (np.diff(index) > 0).all(), "positions out of order"
        return part

    def parts(self, n_cells):
        return (self[start : start + n_cells] for start in range(0, len(self), n_cells))

    def subset(self, positions):
        return Piecemeal(self.cells.subset(positions), self.most)

    def to(self, _):
        raise AssertionError("all cells moved at once")


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_all_cells_at_once_and_every_answer_is_that_of_dense_cells(question, monkeypatch):
    kind, ask = QUESTIONS[question]
    monkeypatch.setattr(parts, "CHUNK", 5 * len(GENES))
    answer = ask(a_model(kind), Piecemeal(some_cells(), 5))
    np.testing.assert_array_equal(as_array(answer), as_array(ask(a_model(kind), some_cells())))
    assert len(as_array(answer).shape) == 0 or N in answer.shape or len(GENES) in answer.shape


@pytest.mark.parametrize("question", QUESTIONS)
def test_sparse_cells_and_those_of_a_file_get_the_answers_of_dense_ones(question, tmp_path):
    kind, ask = QUESTIONS[question]
    dense = some_cells()
    obs = pd.DataFrame({"batch": np.array(BATCHES)[dense.batch]}, index=[f"cell_{i}" for i in range(N)])
    data = AnnData(scipy.sparse.csr_matrix(dense.x.numpy()), obs, pd.DataFrame(index=list(GENES)))
    data.write_h5ad(tmp_path / "cells.h5ad")
    expected = as_array(ask(a_model(kind), dense))
    for cells in (
        cells_from_counts(data, batch_key="batch", sparse=True),
        cells_from_file(tmp_path / "cells.h5ad", batch_key="batch"),
    ):
        np.testing.assert_array_equal(as_array(ask(a_model(kind), cells)), expected)


@pytest.mark.parametrize("cells_on", DEVICES)
@pytest.mark.parametrize("model_on", DEVICES)
@pytest.mark.parametrize("question", QUESTIONS | FEW)
def test_model_and_cells_may_lie_on_one_device_or_on_two(question, model_on, cells_on, monkeypatch):
    kind, ask = (QUESTIONS | FEW)[question]
    monkeypatch.setattr(parts, "CHUNK", 5 * len(GENES))
    if question in FEW and model_on != cells_on:
        pytest.skip("small cells are moved by whoever asks")
    model = a_model(kind).to(model_on)
    answer = as_array(ask(model, some_cells().to(cells_on)))
    assert isinstance(answer, np.ndarray)
    assert np.isfinite(answer).all()
    assert next(model.parameters()).device.type == model_on
    if model_on == "cpu" or question in NO_DRAWS:  # other devices draw other numbers
        np.testing.assert_allclose(answer, as_array(ask(a_model(kind), some_cells())), rtol=1e-3, atol=1e-5)


NO_DRAWS = [
    name for name in QUESTIONS if name.startswith(("latent", "reconstruction", "library", "expression", "pseudocount"))
    if name != "expression, draws"
]  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_result_is_brought_to_the_cpu_before_numpy_sees_it(question):
    """Without a GPU: tensors that NumPy may not read, and whose descendants it may not read either."""
    kind, ask = QUESTIONS[question]
    cells = some_cells()
    there = replace(cells, x=cells.x.as_subclass(Elsewhere), batch=cells.batch.as_subclass(Elsewhere))
    np.testing.assert_allclose(as_array(ask(a_model(kind), there)), as_array(ask(a_model(kind), cells)), rtol=1e-6)


DRAWN = {
    "expression": lambda model, cells: get_normalized_expression(model, cells, n_samples=1),
    "samples": lambda model, cells: posterior_predictive_sample(model, cells, 5)[:, :, :].transpose(1, 0, 2),
    "likelihood": lambda model, cells: get_marginal_ll(model, cells, 2),
}


@pytest.mark.parametrize("question", DRAWN)
@pytest.mark.parametrize("at_a_time", [1, 4])
def test_parts_do_not_share_their_noise(question, at_a_time, monkeypatch):
    """Cells with equal counts get draws of their own, in whatever part they stand."""
    cells = some_cells()[torch.zeros(8, dtype=torch.int64)]
    monkeypatch.setattr(parts, "CHUNK", {"expression": 1, "samples": 5, "likelihood": 2}[question] * at_a_time * 6)
    answers = DRAWN[question](a_model("scvi"), cells).reshape(8, -1)
    assert len(np.unique(answers, axis=0)) == 8


def test_many_draws_of_one_cell_with_many_genes_are_taken_some_at_a_time(monkeypatch):
    model, cells, weights = a_model("scvi"), some_cells()[:2], []
    log_weights = model.log_weights

    def noted(part, n_samples):
        weights.append(log_weights(part, n_samples))
        return weights[-1]

    monkeypatch.setattr(model, "log_weights", noted)
    monkeypatch.setattr(parts, "CHUNK", 10 * len(GENES))
    found = get_marginal_ll(model, cells, 24)
    assert [tuple(part.shape) for part in weights] == [(10, 1), (10, 1), (4, 1)] * 2
    expected = [iwae(torch.cat(weights[first : first + 3])) for first in (0, 3)]
    np.testing.assert_allclose(found, torch.cat(expected))
    assert len(torch.cat(weights).unique()) == 48


def test_results_of_parts_stand_in_the_order_of_the_cells_along_either_axis():
    pieces = [torch.arange(12.0).reshape(2, 3, 2)[:, a:b] for a, b in ((0, 1), (1, 3))]
    np.testing.assert_array_equal(
        parts.one_after_another(3, pieces, axis=1), np.arange(12.0, dtype=np.float32).reshape(2, 3, 2)
    )
    assert parts.one_after_another(3, [torch.ones(3)]).dtype == np.float32


def test_memory_is_bounded_by_a_number_of_numbers(monkeypatch):
    monkeypatch.setattr(parts, "CHUNK", 100)
    assert [len(p) for p in parts.parts_of(a_model("scvi"), some_cells(), 2)] == [8, 8, 7]  # 2 · 8 · 6 ≤ 100
    assert [len(p) for p in parts.parts_of(a_model("scvi"), some_cells(), 50)] == [1] * N

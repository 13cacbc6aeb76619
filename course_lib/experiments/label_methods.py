"""Ways to name cells of which a few are named: what ``annotation`` and ``annotation_transfer`` compare.

``lr_pcs``
    logistic regression on 30 principal components of log1p of counts per 10,000; components of all cells.
``lr_pcs_scaled``
    the same, each component divided by its standard deviation: the ridge, scikit-learn's default, then presses on all
    components alike, where before it leaves those of large variance free and stifles the others.
``lr_scvi``, ``knn_scvi``
    logistic regression, and 5 nearest neighbours, on the posterior means of our scVI, trained on all cells without a
    label.
``scanvi``
    ours: started from that scVI and from ``lr_scvi``, then trained on all cells and the labels given; p(c) are the
    frequencies of the labels given.
``scanvi_uniform``
    the same, but that every label is equally probable, as in scvi-tools.
``scvi_tools``
    scvi-tools' SCANVI at its defaults, started from its SCVI at its defaults, but that no cell is set aside.

Every method sees the counts of all cells, and the labels of the same ones. Needs the extra `peer`.

Axes: N cells, G genes, C labels, L latent dimensions.
"""

import logging
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from course_lib.analysis.calibration import calibration_error, reliability
from course_lib.analysis.labels import predict
from course_lib.analysis.latent import get_latent_representation
from course_lib.data.cells import Cells, cells_from_counts
from course_lib.experiments import scvi_tools
from course_lib.models.scanvi import SCANVI, label_frequencies, start_at_regression
from course_lib.models.scvi import SCVI, GeneLikelihood, start_at_profile
from course_lib.training import fit

N_COMPONENTS, N_NEIGHBORS, N_LATENT = 30, 5, 10
LIKELIHOOD: GeneLikelihood = "nb"
ADAM: dict[str, Any] = {
    "one_cycle": True, "batch_size": 64, "eps": 0.01, "weight_decay": 1e-6, "progress": False,
}  # fmt: skip
SCVI_EPOCHS, SCVI_LR = 60, 1e-2  # the top of one cycle
SCANVI_EPOCHS, SCANVI_LR, CLASSIFICATION_WEIGHT = 20, 1e-2, 50.0
LEAST_PROBABILITY = 1e-3  # of the true label, where its logarithm is taken: 5 neighbours often say zero
METHODS = ("lr_pcs", "lr_pcs_scaled", "lr_scvi", "knn_scvi", "scanvi", "scanvi_uniform", "scvi_tools")
SETTINGS: dict[str, object] = {
    "n_components": N_COMPONENTS, "knn_neighbors": N_NEIGHBORS, "n_latent": N_LATENT, "hidden": [128],
    "gene_likelihood": LIKELIHOOD, "library": "observed", "scvi": {"epochs": SCVI_EPOCHS, "lr": SCVI_LR},
    "scanvi": {
        "epochs": SCANVI_EPOCHS, "lr": SCANVI_LR, "classification_weight": CLASSIFICATION_WEIGHT,
        "label_prior": "label_frequencies",
    },
    "adam": {name: value for name, value in ADAM.items() if name != "progress"},
    "start": "ρ at the mean profile; the classifier at the logistic regression on z",
    "scvi_tools": "1.4 defaults: ZINB, SCVI then SCANVI.from_scvi_model, train_size 1",
    "least_probability": LEAST_PROBABILITY,
}  # fmt: skip


@dataclass(frozen=True)
class Probabilities:
    """What one method says of every cell, and the seconds of processor time that it took, its codes included."""

    table: NDArray[np.floating[Any]]  # (N, C)
    cpu_s: float


@dataclass(frozen=True)
class Unsupervised:
    """What is learned from the counts alone, whatever is labelled afterwards."""

    components: NDArray[np.float32]  # (N, 30)
    scvi: SCVI
    peer: Any  # scvi-tools' SCVI
    cpu_s: Mapping[str, float]


def without_labels(data: AnnData, batch_key: str | None, seed: int, peer_epochs: int) -> Unsupervised:
    """Components, our scVI and scvi-tools' of all cells."""
    seconds = {}
    start = time.process_time()
    log = data.layers["log"].toarray()
    components = PCA(N_COMPONENTS, random_state=seed).fit_transform(log)
    seconds["components"], start = time.process_time() - start, time.process_time()
    model = our_scvi(cells_from_counts(data, batch_key=batch_key), seed)
    seconds["scvi"], start = time.process_time() - start, time.process_time()
    peer = peer_scvi(data, batch_key, seed, peer_epochs)
    seconds["peer"] = time.process_time() - start
    return Unsupervised(components, model, peer, seconds)


def label_all(
    data: AnnData, types: NDArray[np.str_], kept: NDArray[np.bool_], batch_key: str | None, seed: int,
    learned: Unsupervised,
) -> tuple[dict[str, Probabilities], tuple[str, ...]]:  # fmt: skip
    """Every method's probabilities for all cells, from the labels of those ``kept``; and the columns' labels."""
    cells, label = few_labels(data, types, kept, batch_key)
    z = get_latent_representation(learned.scvi, cells_from_counts(data, batch_key=batch_key))

    def plain(classifier: Any, codes: NDArray[np.float32], before: str) -> Probabilities:
        start = time.process_time()
        found = classifier.fit(codes[kept], types[kept]).predict_proba(codes)
        return Probabilities(found, time.process_time() - start + learned.cpu_s[before])

    found = {
        "lr_pcs": plain(LogisticRegression(max_iter=5_000), learned.components, "components"),
        "lr_pcs_scaled": plain(
            LogisticRegression(max_iter=5_000), learned.components / learned.components.std(axis=0), "components"
        ),
        "lr_scvi": plain(LogisticRegression(max_iter=5_000), z, "scvi"),
        "knn_scvi": plain(KNeighborsClassifier(min(N_NEIGHBORS, int(kept.sum()))), z, "scvi"),
    }
    for name, prior in (("scanvi", label_frequencies(cells)), ("scanvi_uniform", None)):
        start = time.process_time()
        probabilities = predict(our_scanvi(cells, learned.scvi, seed, prior), cells, soft=True)
        found[name] = Probabilities(probabilities, time.process_time() - start + learned.cpu_s["scvi"])
    start = time.process_time()
    probabilities = peer_scanvi(learned.peer, label, cells.labels, seed)
    found["scvi_tools"] = Probabilities(probabilities, time.process_time() - start + learned.cpu_s["peer"])
    return found, cells.labels


def few_labels(
    data: AnnData, types: NDArray[np.str_], kept: NDArray[np.bool_], batch_key: str | None
) -> tuple[Cells, pd.Series]:
    """All cells, with the labels of those ``kept``; and these as a column, NaN elsewhere."""
    label = pd.Series(types, index=data.obs_names).where(kept)
    labelled = data.copy()
    labelled.obs["label"] = pd.Categorical(label)
    return cells_from_counts(labelled, batch_key=batch_key, label_key="label"), label


def our_scvi(cells: Cells, seed: int) -> SCVI:
    """Trained on all cells, whose labels it does not see."""
    torch.manual_seed(seed)
    model = SCVI(cells.genes, cells.batches, library_prior=None, gene_likelihood=LIKELIHOOD, n_latent=N_LATENT)
    start_at_profile(model.decoder, cells)
    fit(model, cells, epochs=SCVI_EPOCHS, lr=SCVI_LR, seed=seed, **ADAM)
    return model


def our_scanvi(cells: Cells, scvi: SCVI, seed: int, label_prior: torch.Tensor | None) -> SCANVI:
    """Started from a trained scVI and the logistic regression on its z, trained on all cells."""
    torch.manual_seed(seed)
    model = SCANVI(
        cells.genes, cells.batches, cells.labels, library_prior=None, label_prior=label_prior,
        gene_likelihood=LIKELIHOOD, n_latent=N_LATENT, classification_weight=CLASSIFICATION_WEIGHT,
    )  # fmt: skip
    model.start_from(scvi)
    start_at_regression(model, cells)
    fit(model, cells, epochs=SCANVI_EPOCHS, lr=SCANVI_LR, seed=seed, **ADAM)
    return model


UNKNOWN = "unknown"  # what scvi-tools is told of a cell without label


def peer_scvi(data: AnnData, batch_key: str | None, seed: int, epochs: int) -> Any:
    """scvi-tools' SCVI at its defaults, trained on all cells."""
    import scvi

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scvi.settings.verbosity = logging.ERROR
    scvi.settings.seed = seed
    own = AnnData(data.X.astype(np.float32), obs=data.obs[[batch_key] if batch_key else []].copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # plans that the packages below it announce
        scvi.model.SCVI.setup_anndata(own, batch_key=batch_key)
        model = scvi.model.SCVI(own)
    scvi_tools.train(model, epochs)
    return model


def peer_scanvi(peer: Any, label: pd.Series, labels: tuple[str, ...], seed: int) -> NDArray[np.floating[Any]]:
    """scvi-tools' SCANVI, started from its SCVI, at its defaults: probabilities (N, C), columns as ``labels``."""
    import scvi

    scvi.settings.seed = seed
    own = peer.adata.copy()
    own.obs["label"] = pd.Categorical(label.fillna(UNKNOWN))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = scvi.model.SCANVI.from_scvi_model(peer, UNKNOWN, labels_key="label", adata=own)
        model.train(train_size=1.0, accelerator="cpu", **scvi_tools.QUIET)
        return model.predict(soft=True)[list(labels)].to_numpy()


def score(
    probabilities: NDArray[np.floating[Any]], labels: tuple[str, ...], types: NDArray[np.str_],
    judged: NDArray[np.bool_],
) -> dict[str, float]:  # fmt: skip
    """Accuracy, its mean over types, calibration, log-likelihood of the true label, and recall of the rarest types.

    Over the cells ``judged``. The rarest types are a quarter of the types, at least one, by their cells among all.
    """
    table, truth = probabilities[judged] / probabilities[judged].sum(axis=1, keepdims=True), types[judged]
    of_type = recall(table, labels, truth)
    names, counts = np.unique(types[np.isin(types, labels)], return_counts=True)
    rarest = names[np.argsort(counts, kind="stable")[: max(1, round(len(names) / 4))]]
    true_label = table[np.arange(len(truth)), [labels.index(name) for name in truth]]
    return {
        "accuracy": float((np.array(labels)[table.argmax(axis=1)] == truth).mean()),
        "balanced_accuracy": float(of_type.mean()),
        "calibration_error": calibration_error(reliability(table, truth, labels)),
        "log_likelihood": float(np.log(true_label.clip(LEAST_PROBABILITY)).mean()),
        "rare_recall": float(of_type[of_type.index.isin(rarest)].mean()),
    }


def recall(table: NDArray[np.floating[Any]], labels: tuple[str, ...], truth: NDArray[np.str_]) -> pd.Series:
    """Share of the cells of each type that get its name; types that no cell has are left out."""
    right = np.array(labels)[table.argmax(axis=1)] == truth
    return pd.Series(right).groupby(truth).mean()

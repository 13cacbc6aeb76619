"""scANVI: scVI whose z comes from a mixture, one part for each type of cell c, and a classifier that names the part.

Changed against ``scvi``: the prior of z, once N(0, I), is now made by two more latent variables, c and u. Decoder,
library size and batches stay as they are.

Axes: N cells, G genes, L latent dimensions (of z, and as many of u), C labels, K samples of the latent variables.

Source: Xu et al. 2021, https://doi.org/10.15252/msb.20209620, after M1+M2 of Kingma et al. 2014,
https://doi.org/10.48550/arXiv.1406.5298.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn.functional import one_hot

from course_lib.arguments import not_negative, unique_names
from course_lib.contexts import evaluating
from course_lib.data.cells import Cells, CellTable, log_total
from course_lib.data.columns import ONLY_BATCH
from course_lib.data.matching import check_cells
from course_lib.models.scvi import SCVI, LibraryPrior
from course_lib.networks import GaussianEncoder
from course_lib.probability.bounds import ELBO
from course_lib.probability.gaussian import standard_normal


class SCANVI(SCVI):
    """c ~ Cat(p(c)), u ~ N(0, I), z∣u, c ~ N(μ(u, c), σ²(u, c)), then x∣z, ℓ, s as in scVI.

    Parameters
    ----------
    genes, batches, library_prior : as in ``SCVI``, and so are all ``settings``: n_latent, hidden, dropout, ….
    labels : C names, those that the labelled cells have: ``cells.labels``. No cell is ever given another one.
    label_prior : p(c), (C,), from ``label_frequencies(cells)``; None makes every label equally probable.
    classification_weight : α ≥ 0, what −log q(c∣z) of a labelled cell counts in the loss, beside its bound.

    Raises
    ------
    TypeError, ValueError : an argument of another kind, or outside of its range; named before anything is built.
    """

    label_prior: Tensor

    def __init__(
        self,
        genes: Sequence[str],
        batches: Sequence[str] = (ONLY_BATCH,),
        labels: Sequence[str] = (),
        *,
        library_prior: LibraryPrior | None,
        label_prior: Tensor | None = None,
        classification_weight: float = 50.0,
        hidden: Sequence[int] = (128,),
        dropout: float = 0.1,
        **settings: Any,
    ):
        classification_weight = not_negative("classification_weight", classification_weight)
        if isinstance(labels, tuple | list) and not labels:
            raise ValueError(
                "labels: expected at least one name, found none; give cells.labels, of cells made with "
                "cells_from_counts(data, label_key=…), or train an SCVI, which needs no labels."
            )
        labels = unique_names("labels", labels)
        if label_prior is None:
            label_prior = torch.full((len(labels),), 1 / len(labels))
        check_label_prior(label_prior, len(labels))
        super().__init__(genes, batches, library_prior=library_prior, hidden=hidden, dropout=dropout, **settings)
        self.labels, self.classification_weight = labels, classification_weight
        self.register_buffer("label_prior", label_prior.float())
        n_labels, width = len(labels), hidden[-1:]
        self.classifier = nn.Linear(self.n_latent, n_labels)  # q(c∣z), whose logits are linear in z
        # The label enters one-hot, beside the input of every hidden layer, as the batch does in the decoder.
        self.u_encoder = GaussianEncoder(self.n_latent, width, self.n_latent, dropout, n_batches=n_labels)  # q(u∣z, c)
        self.u_decoder = GaussianEncoder(self.n_latent, width, self.n_latent, n_batches=n_labels)  # p(z∣u, c)

    @property
    def prior(self) -> NoReturn:
        """None to be had: p(z) = Σ_c p(c) ∫ p(z∣u, c) p(u) du has no closed form. Whoever asks is refused by name."""
        raise AttributeError("SCANVI has no prior of z in closed form; it has prior_label, prior_u and decode_u.")

    @property
    def prior_label(self) -> Categorical:
        """p(c), batch shape ()."""
        return Categorical(self.label_prior)

    @property
    def prior_u(self) -> Normal:
        """p(u) = N(0, I), batch shape (L,)."""
        return standard_normal(self.n_latent, like=next(self.parameters()))

    def classify(self, z: Tensor) -> Categorical:
        """q(c∣z): (..., N, L) to batch shape (..., N). The network's output are logits: any real numbers."""
        return Categorical(logits=self.classifier(z))

    def encode_u(self, z: Tensor, label: Tensor) -> Normal:
        """q(u∣z, c): (..., N, L) and codes (N,) to batch shape (..., N, L)."""
        return self.u_encoder(z, label)

    def decode_u(self, u: Tensor, label: Tensor) -> Normal:
        """p(z∣u, c): (..., N, L) and codes (N,) to batch shape (..., N, L)."""
        return self.u_decoder(u, label)

    def each_label(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (..., N, L), once for every label: (..., C, N, L), and the labels' codes, (C, 1)."""
        codes = torch.arange(len(self.labels), device=z.device).unsqueeze(-1)  # (C, 1)
        return z.unsqueeze(-3).expand(*z.shape[:-2], len(codes), *z.shape[-2:]), codes

    def label_weights(self, z: Tensor, cells: Cells) -> Tensor:
        """How much each label counts, (N, C): all of it where the cell's is known, q(c∣z) where it is not."""
        probabilities = self.classify(z).probs  # (N, C)
        if cells.label is None:
            return probabilities
        known = one_hot(cells.label.clamp(min=0), len(self.labels)).to(z.dtype)  # (N, C)
        return torch.where(cells.label.unsqueeze(-1) >= 0, known, probabilities)

    def elbo(self, cells: Cells) -> ELBO:
        """E_q[log p(x∣z, ℓ, s) + log p(z∣u, c) − log q(z∣x)] − KL(q(u∣z, c) ‖ p(u)) − KL(q(c) ‖ p(c)) − KL of ℓ.

        One draw of z, of ℓ, and of u for every label; the sum over labels is exact. q(c) is the classifier's, q(c∣z),
        where a cell has no label; where it has one, q(c) is sure of it, and −KL(q(c) ‖ p(c)) is log p(c): a bound on
        log p(x∣s), and on log p(x, c∣s).
        """
        q = self.encode(cells.x, cells.batch)  # q(z∣x), (N, L)
        return self.elbo_at(q.rsample(), q, cells)

    def elbo_at(self, z: Tensor, q: Normal, cells: Cells) -> ELBO:
        """The bound at a draw z (N, L) of q(z∣x)."""
        log_library, kl_library = log_total(cells.x), None  # (N, 1)
        if self.learns_library:
            q_library = self.encode_library(cells.x, cells.batch)
            log_library = q_library.rsample()
            kl_library = kl_divergence(q_library, self.prior_library(cells.batch)).sum(-1)  # (N,)
        p = self.decode(z, log_library, cells.batch)  # p(x∣z, ℓ, s)

        z_each, label = self.each_label(z)  # (C, N, L), (C, 1)
        q_u = self.encode_u(z_each, label)  # q(u∣z, c), (C, N, L)
        log_p_z = self.decode_u(q_u.rsample(), label).log_prob(z_each).sum(-1).T  # log p(z∣u, c), (N, C)
        kl_u = kl_divergence(q_u, self.prior_u).sum(-1).T  # (N, C)
        w = self.label_weights(z, cells)  # q(c), (N, C)
        log_w = w.clamp(min=1e-30).log()  # w log w is 0 at w = 0, but its slope there is infinite: NaN on the way back
        kl_label = (w * (log_w - self.prior_label.logits)).sum(-1)  # KL(q(c) ‖ p(c)), (N,)
        return ELBO(
            reconstruction=p.log_prob(cells.x),
            kl_z=q.log_prob(z).sum(-1) - (w * log_p_z).sum(-1),
            kl_library=kl_library,
            further={"kl_u": (w * kl_u).sum(-1), "kl_label": kl_label},
        )

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """−ELBO per cell, and α · classification: −log q(c∣z) of each labelled cell, 0 of every other, mean over all.

        The bound alone never asks the classifier about a cell whose label is known: q(c∣z) is not in it.
        ``kl_weight`` weighs log q(z∣x) − log p(z∣u, c) alone.
        """
        q = self.encode(cells.x, cells.batch)
        z = q.rsample()
        terms = self.elbo_at(z, q, cells).loss(kl_weight)
        classification = self.classification(z, cells).mean()
        loss = terms["loss"] + self.classification_weight * classification
        return terms | {"loss": loss, "classification": classification}

    def classification(self, z: Tensor, cells: Cells) -> Tensor:
        """−log q(c∣z) of the labelled cells, 0 of the others: (N,)."""
        if cells.label is None:
            return z.new_zeros(len(z))
        return torch.where(cells.label >= 0, -self.classify(z).log_prob(cells.label.clamp(min=0)), 0.0)

    def log_weights(self, cells: Cells, n_samples: int) -> Tensor:
        """log Σ_c p(x, z_k, u_kc, c, ℓ_k∣s) / q(z_k, u_kc, ℓ_k∣x, c) for K draws from q: (K, N).

        Unbiased weights of log p(x∣s): for each label a draw of u, and c itself is summed, so that the classifier has
        no say. Of a cell with a label only that one is summed: weights of log p(x, c∣s), as in ``elbo``.
        """
        q = self.encode(cells.x, cells.batch)
        z = q.rsample((n_samples,))  # (K, N, L)
        log_library = log_total(cells.x)  # (N, 1)
        log_ratio = -q.log_prob(z).sum(-1)  # (K, N)
        if self.learns_library:
            q_library = self.encode_library(cells.x, cells.batch)
            log_library = q_library.rsample((n_samples,))  # (K, N, 1)
            p_library = self.prior_library(cells.batch)
            log_ratio = log_ratio + (p_library.log_prob(log_library) - q_library.log_prob(log_library)).squeeze(-1)

        z_each, label = self.each_label(z)  # (K, C, N, L), (C, 1)
        q_u = self.encode_u(z_each, label)
        u = q_u.rsample()
        log_joint = self.decode_u(u, label).log_prob(z_each) + self.prior_u.log_prob(u) - q_u.log_prob(u)
        log_joint = log_joint.sum(-1).transpose(-1, -2) + self.prior_label.logits  # (K, N, C), with log p(c)
        if cells.label is not None:
            others = torch.arange(len(self.labels), device=z.device) != cells.label.unsqueeze(-1)  # (N, C)
            log_joint = log_joint.masked_fill(others & (cells.label >= 0).unsqueeze(-1), -torch.inf)
        log_p_z = log_joint.logsumexp(-1)  # (K, N)
        return self.decode(z, log_library, cells.batch).log_prob(cells.x) + log_p_z + log_ratio

    def start_from(self, scvi: SCVI) -> None:
        """Take over encoders and decoder of a trained ``SCVI`` of the same genes, batches and settings.

        Raises
        ------
        TypeError : what is no SCVI.   ValueError : one of other genes, batches, widths or settings.
        """
        if not isinstance(scvi, SCVI):
            raise TypeError(f"scvi: expected a trained SCVI to start from, found {type(scvi).__name__}.")
        for name in ("genes", "batches"):
            if getattr(scvi, name) != getattr(self, name):
                raise ValueError(
                    f"scvi: expected the {name} of this model, found others; build both from the same cells."
                )
        ours, theirs = self.state_dict(), scvi.state_dict()
        shared = {name: value for name, value in theirs.items() if name in ours}
        added = ("label_prior", "classifier.", "u_encoder.", "u_decoder.")
        lacking = [name for name in ours if name not in theirs and not name.startswith(added)]
        other = [name for name, value in shared.items() if value.shape != ours[name].shape]
        if lacking or other or len(shared) < len(theirs):
            first = [*lacking, *other, *(name for name in theirs if name not in ours)][0]
            raise ValueError(
                f"scvi: expected a model built with the settings of this model, found other weights, first {first!r}; "
                "give both the same library_prior, n_latent, hidden, batch_norm, encode_batch, gene_likelihood and "
                "dispersion."
            )
        self.load_state_dict(shared, strict=False)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, labels={self.labels}, classification_weight={self.classification_weight}"


def label_frequencies(cells: CellTable) -> Tensor:
    """The share of each label among the labelled cells, (C,): p(c), where these are a random sample of all cells.

    Where somebody chose whom to label, or labels come from elsewhere, their frequencies say nothing of the others.

    Raises
    ------
    ValueError : no cell has a label, or a label that no cell has.
    """
    label = checked_labels(cells)
    count = torch.bincount(label[label >= 0])  # (C,)
    return count / count.sum()


def checked_labels(cells: CellTable) -> Tensor:
    """Their labels (N,), if every label has a cell: ValueError else."""
    if cells.label is None or not (cells.label >= 0).any():
        raise ValueError("cells: expected cells with labels, found none; make them with a label_key.")
    count = torch.bincount(cells.label[cells.label >= 0], minlength=len(cells.labels))
    if (count == 0).any():
        lacking = cells.labels[int(count.argmin())]
        raise ValueError(
            f"cells: expected a labelled cell of every label, found none of {lacking!r}; make them anew with "
            "cells_from_counts(data, label_key=…), which leaves it out."
        )
    return cells.label


def check_label_prior(prior: Tensor, n_labels: int) -> None:
    """TypeError unless it is a tensor, ValueError unless it has a probability > 0 for each label, together one."""
    if not isinstance(prior, Tensor):
        raise TypeError(
            f"label_prior: expected a tensor (C,) or None, found {prior!r:.60}; take label_frequencies(cells)."
        )
    if prior.shape != (n_labels,) or not (prior > 0).all() or abs(float(prior.sum()) - 1) > 1e-4:
        raise ValueError(
            f"label_prior: expected a probability > 0 for each of the {n_labels} labels, together one, found "
            f"{prior.tolist()!r:.60}; take label_frequencies(cells)."
        )


def start_at_regression(model: SCANVI, cells: CellTable) -> None:
    """Set the classifier to the logistic regression of the labels on the mean of q(z∣x), over the labelled cells.

    For a model whose encoder is trained, such as after ``start_from``. A classifier that starts at random gives the
    cells without label to parts of the mixture at random, and these then learn from them: nine cells in ten.

    Raises
    ------
    ValueError : a label of the model that no cell has; cells of other genes, batches or labels.
    """
    check_cells(model, cells)
    label = checked_labels(cells)  # (N,)
    known = label >= 0
    if len(model.labels) == 1:
        return  # nothing to tell apart
    where = model.classifier.weight.device
    parts = (part.to(where) for part in cells.subset(known).parts(1_000))
    with evaluating(model):
        z = torch.cat([model.encode(part.x, part.batch).mean for part in parts])  # (n, L)
    found = LogisticRegression(max_iter=5_000).fit(z.cpu().numpy(), label[known].cpu().numpy())
    slopes, intercepts = torch.as_tensor(found.coef_), torch.as_tensor(found.intercept_)  # (C, L), (C,)
    if len(model.labels) == 2:  # of two labels it keeps the difference
        slopes, intercepts = torch.cat([0 * slopes, slopes]), torch.cat([0 * intercepts, intercepts])
    with torch.no_grad():
        model.classifier.weight.copy_(slopes)
        model.classifier.bias.copy_(intercepts)

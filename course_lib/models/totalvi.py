"""totalVI in small: scVI with antibodies. One z, from which RNA and antibodies both come.

Changed against ``scvi``: the encoder sees the antibodies too, and a second decoder gives each of them a background and
a foreground. RNA stays as it is, with an observed library size and a negative binomial.

Axes: N cells, G genes, T antibodies, L latent dimensions, B batches, K samples of the latent variables.

Source: Gayoso et al. 2021, https://doi.org/10.1038/s41592-020-01050-x. There z is logistic-normal; here it is normal,
as it is in scvi-tools 1.4 unless told otherwise.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.functional import softplus

from course_lib.arguments import fraction, unique_names
from course_lib.data.cells import Cells, log_total
from course_lib.data.columns import ONLY_BATCH
from course_lib.data.protein_cells import ProteinCells, has_protein
from course_lib.models.scvi import SCVI
from course_lib.networks import GaussianEncoder, hidden_layers
from course_lib.probability.bounds import ELBO
from course_lib.probability.mixture import NegativeBinomialMixture


@dataclass(frozen=True)
class BackgroundPrior:
    """Where p(log β∣s) = N(mean_s, sd_s²) starts: the background of each antibody in each batch. Both are learned."""

    mean: Tensor  # (B, T) of log β
    sd: Tensor  # (B, T) standard deviation, > 0
    measured: Tensor  # (B,) whether the batch has cells with antibodies: the decoder learns nothing of the others

    def __post_init__(self) -> None:
        fits = self.mean.shape == self.sd.shape and self.measured.shape == self.mean.shape[:1]
        if not (fits and torch.isfinite(self.mean).all() and torch.isfinite(self.sd).all() and (self.sd > 0).all()):
            raise ValueError(
                "BackgroundPrior: expected finite means and sds > 0, both (B, T), and (B,) whether measured, found "
                f"shapes {tuple(self.mean.shape)}, {tuple(self.sd.shape)} and {tuple(self.measured.shape)}; "
                "start_of_background(cells) gives all three."
            )


class ProteinDecoder(nn.Module):
    """p(y∣z, β, s): a latent state, a background and a batch give one distribution per antibody."""

    def __init__(
        self, n_latent: int, n_batches: int, hidden: Sequence[int], n_proteins: int, dropout: float, batch_norm: bool
    ):
        super().__init__()
        self.trunk = hidden_layers([n_latent, *hidden], dropout, batch_norm, n_batches)
        self.to_alpha = nn.Linear(hidden[-1], n_proteins)
        self.to_mixture_logits = nn.Linear(hidden[-1], n_proteins)
        self.log_phi = nn.Parameter(torch.zeros(n_proteins))  # (T,)

    def forward(self, z: Tensor, log_beta: Tensor, batch: Tensor) -> Independent:
        """(..., N, L), (..., N, T) and (N,) to one distribution over cells: event shape (T,)."""
        h = self.trunk(z, batch)  # (..., N, H)
        alpha = 1 + softplus(self.to_alpha(h))  # (..., N, T), ≥ 1: the foreground is never below the background
        beta = log_beta.exp()  # (..., N, T)
        p = NegativeBinomialMixture(
            beta, alpha * beta, self.log_phi.exp(), self.to_mixture_logits(h), validate_args=False
        )
        return Independent(p, 1, validate_args=False)


class TOTALVI(SCVI):
    """z ~ N(0, I); x∣z, s ~ NB(ℓρ, θ); log β ~ N(c_s, d_s²); y∣z, β, s ~ π NB(β, φ) + (1 − π) NB(αβ, φ).

    Parameters
    ----------
    genes, batches : as in ``SCVI``, and so are n_latent, hidden, dropout, decoder_dropout, batch_norm, encode_batch and
        dispersion. The library size is observed, ℓ_n = Σ_g x_ng.
    proteins : T names of antibodies, in the order of the columns of ``cells.protein``.
    background : from ``start_of_background(cells)``.
    hide_protein : the share of cells, 0 ≤ hide_protein < 1, whose antibodies the encoder does not see in a training
        step, drawn anew each time. Their counts are scored all the same: so q(z∣x) learns to do without.

    Raises
    ------
    TypeError, ValueError : an argument of another kind, or outside of its range; named before anything is built.
    """

    encodes_protein = True  # analysis hands the encoder cells.protein
    measures_protein: Tensor

    def __init__(
        self,
        genes: Sequence[str],
        batches: Sequence[str] = (ONLY_BATCH,),
        proteins: Sequence[str] = (),
        *,
        background: BackgroundPrior,
        hide_protein: float = 0.25,
        n_latent: int = 10,
        hidden: Sequence[int] = (128,),
        dropout: float = 0.1,
        decoder_dropout: float = 0.0,
        batch_norm: Any = "encoder",
        encode_batch: bool = False,
        dispersion: Any = "gene",
    ):
        if isinstance(proteins, tuple | list) and not proteins:
            raise ValueError("proteins: expected at least one name, found none; give cells.proteins, or train an SCVI.")
        proteins = unique_names("proteins", proteins)
        hide_protein = fraction("hide_protein", hide_protein, zero_too=True)
        super().__init__(
            genes, batches, library_prior=None, gene_likelihood="nb", n_latent=n_latent, hidden=hidden, dropout=dropout,
            decoder_dropout=decoder_dropout, batch_norm=batch_norm, encode_batch=encode_batch, dispersion=dispersion,
        )  # fmt: skip
        n_batches, n_proteins = len(self.batches), len(proteins)
        check_background(background, n_batches, n_proteins)
        self.proteins, self.hide_protein = proteins, hide_protein
        of_decoder = (decoder_dropout, batch_norm in ("decoder", "both"))
        self.z_encoder = GaussianEncoder(  # in place of scVI's: it sees the antibodies, and whether there are any
            len(self.genes) + n_proteins + 1, hidden, n_latent,
            dropout, batch_norm in ("encoder", "both"), n_batches if encode_batch else 0,
        )  # fmt: skip
        self.background_encoder = GaussianEncoder(n_latent, hidden[::-1], n_proteins, *of_decoder, n_batches)
        self.protein_decoder = ProteinDecoder(n_latent, n_batches, hidden[::-1], n_proteins, *of_decoder)
        self.background_mean = nn.Parameter(background.mean.clone())  # c, (B, T)
        self.background_log_sd = nn.Parameter(background.sd.log())  # log d, (B, T)
        self.register_buffer("measures_protein", background.measured.clone())
        start_at_background(self.background_encoder, background)

    def encode(self, x: Tensor, batch: Tensor | None = None, protein: Tensor | None = None) -> Normal:
        """q(z∣x, y): counts (N, G) and (N, T) to batch shape (N, L). A NaN row, or no ``protein`` at all: q(z∣x).

        Zeros stand in for antibodies that were not measured, and one more input says that they do.
        """
        if protein is None:
            protein = x.new_full((len(x), len(self.proteins)), torch.nan)
        seen = has_protein(protein).unsqueeze(-1)  # (N, 1)
        y = torch.where(seen, protein, 0.0)
        return self.z_encoder(torch.cat([torch.log1p(x), torch.log1p(y), seen.to(x.dtype)], dim=-1), batch)

    def encode_background(self, z: Tensor, batch: Tensor) -> Normal:
        """q(log β∣z, s): (..., N, L) and (N,) to batch shape (..., N, T)."""
        return self.background_encoder(z, batch)

    def prior_background(self, batch: Tensor) -> Normal:
        """p(log β∣s): (N,) to batch shape (N, T)."""
        return Normal(self.background_mean[batch], self.background_log_sd[batch].exp())

    def decode_protein(self, z: Tensor, log_beta: Tensor, batch: Tensor) -> Independent:
        """p(y∣z, β, s): (..., N, L), (..., N, T), (N,) to a distribution over all antibodies of a cell."""
        return self.protein_decoder(z, log_beta, batch)

    def elbo(self, cells: Cells) -> ELBO:
        """E_q[log p(x∣z, s) + log p(y∣z, β, s)] − KL(q(z∣x, y) ‖ p(z)) − E_q[KL(q(log β∣z, s) ‖ p(log β∣s))].

        From one draw of z and of β. What concerns y and β is zero for a cell without antibodies: its bound is that of
        log p(x∣s). ``nll_protein`` is a cost, −log p(y∣z, β, s).
        """
        protein, batch = measured_in(cells), cells.batch
        q = self.encode(cells.x, batch, self.shown(protein))  # q(z∣x, y), (N, L)
        z = q.rsample()
        q_background = self.encode_background(z, batch)  # q(log β∣z, s), (N, T)
        p_x = self.decode(z, log_total(cells.x), batch)
        p_y = self.decode_protein(z, q_background.rsample(), batch)

        seen = has_protein(protein)  # (N,)
        y = torch.where(seen.unsqueeze(-1), protein, 0.0)  # a number where there is none, scored and thrown away
        nll_protein = -p_y.log_prob(y)  # (N,)
        kl_background = kl_divergence(q_background, self.prior_background(batch)).sum(-1)  # (N,)
        return ELBO(
            reconstruction=p_x.log_prob(cells.x),
            kl_z=kl_divergence(q, self.prior).sum(-1),
            further={
                "nll_protein": torch.where(seen, nll_protein, 0.0),
                "kl_background": torch.where(seen, kl_background, 0.0),
            },
        )

    def shown(self, protein: Tensor) -> Tensor:
        """What the encoder sees of the antibodies, (N, T): in training, those of ``hide_protein`` of the cells not."""
        if not self.training or self.hide_protein == 0:
            return protein
        hidden = torch.rand(len(protein), device=protein.device) < self.hide_protein  # (N,)
        return protein.masked_fill(hidden.unsqueeze(-1), torch.nan)

    def log_weights(self, cells: Cells, n_samples: int) -> Tensor:
        """log p(x, y, z_k, β_k∣s) − log q(z_k, β_k∣x, y, s) for K draws from q: (K, N).

        The density of β is taken in log β on both sides: the Jacobians cancel. Without antibodies: of x and z alone.
        """
        protein, batch = measured_in(cells), cells.batch
        q = self.encode(cells.x, batch, protein)
        z = q.rsample((n_samples,))  # (K, N, L)
        q_background = self.encode_background(z, batch)
        log_beta = q_background.rsample()  # (K, N, T)
        log_ratio = (self.prior.log_prob(z) - q.log_prob(z)).sum(-1)  # (K, N)
        log_ratio_beta = (self.prior_background(batch).log_prob(log_beta) - q_background.log_prob(log_beta)).sum(-1)

        seen = has_protein(protein)  # (N,)
        y = torch.where(seen.unsqueeze(-1), protein, 0.0)
        of_protein = self.decode_protein(z, log_beta, batch).log_prob(y) + log_ratio_beta  # (K, N)
        of_rna = self.decode(z, log_total(cells.x), batch).log_prob(cells.x) + log_ratio  # (K, N)
        return of_rna + torch.where(seen, of_protein, 0.0)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, proteins={len(self.proteins)}, hide_protein={self.hide_protein}"


def measured_in(cells: Cells) -> Tensor:
    """Their antibodies, (N, T); TypeError for cells that have no place for any."""
    if not isinstance(cells, ProteinCells):
        raise TypeError(
            f"cells: expected ProteinCells, found {type(cells).__name__}; make them with cells_from_mudata(mdata, …), "
            "in which a cell may lack its antibodies."
        )
    return cells.protein


def start_of_background(cells: ProteinCells) -> BackgroundPrior:
    """Mean and standard deviation of the lower of two heaps of log(1 + y), for each antibody in each batch.

    Two Gaussians are fitted to the log counts of one antibody in one batch. scvi-tools fits them to all antibodies of
    one cell, and gives every antibody of a batch the average over cells: antibodies of different background then start
    from the same. A batch without antibodies gets the mean over the others.

    Raises
    ------
    ValueError : no cell has antibodies, or a batch with fewer than two cells that have.
    """
    protein, measured = measured_in(cells), cells.has_protein
    names = [name for s, name in enumerate(cells.batches) if (measured & (cells.batch == s)).sum() == 1]
    if not measured.any() or names:
        found = f"one in batch {names[0]!r}" if names else "none"
        raise ValueError(f"cells: expected two cells with antibodies in each batch that has any, found {found}.")
    has = torch.tensor([bool((measured & (cells.batch == s)).any()) for s in range(len(cells.batches))])
    heaps = torch.full((2, len(cells.batches), len(cells.proteins)), torch.nan)  # mean and sd, (2, B, T)
    for s in has.nonzero().flatten().tolist():
        log_counts = torch.log1p(protein[measured & (cells.batch == s)]).cpu().double().numpy()  # (n, T)
        for t, column in enumerate(log_counts.T):
            heaps[:, s, t] = torch.tensor(lower_heap(column))
    heaps = torch.where(has.unsqueeze(-1), heaps, heaps[:, has].mean(1, keepdim=True))
    mean, sd = heaps
    return BackgroundPrior(mean, sd, has)


def lower_heap(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation, at least 0.1, of the lower of two Gaussians; of all where there are not two."""
    if len(np.unique(values)) < 2:
        return float(values[0]), 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct values than heaps
        heaps = GaussianMixture(2, random_state=0).fit(values[:, None])
    low = heaps.means_.argmin()
    return float(heaps.means_[low, 0]), max(0.1, float(heaps.covariances_[low].item() ** 0.5))


def start_at_background(encoder: GaussianEncoder, background: BackgroundPrior) -> None:
    """Set the heads' biases so that q(log β∣z, s) begins near the prior, averaged over the batches that have any.

    Antibodies are counted in hundreds: from β = e⁰ the first epochs would go into raising one number for each.
    """
    with torch.no_grad():
        encoder.to_mu.bias.copy_(background.mean[background.measured].mean(0))
        encoder.to_log_variance.bias.copy_(2 * background.sd[background.measured].mean(0).log())


def check_background(background: Any, n_batches: int, n_proteins: int) -> None:
    """TypeError unless it is a prior, ValueError unless it has a row for each batch and a column for each antibody."""
    if not isinstance(background, BackgroundPrior):
        raise TypeError(
            f"background: expected a BackgroundPrior, found {type(background).__name__}; take "
            "start_of_background(cells)."
        )
    if background.mean.shape != (n_batches, n_proteins) or not background.measured.any():
        raise ValueError(
            f"background: expected {n_batches} batches × {n_proteins} antibodies, measured in one batch at least, "
            f"found {tuple(background.mean.shape)}; take start_of_background(cells) of these cells."
        )

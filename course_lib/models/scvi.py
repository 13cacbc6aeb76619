"""scVI: zero inflation, a learned library size, and batches.

Axes: N cells, G genes, L latent dimensions, B batches, K samples of the latent variables.

Three trunks carry the six networks of the paper's figure 1: NN1 and NN2 give mean and variance of log ℓ, NN3 and NN4
mean and variance of z, NN5 gives ρ and NN6 gives π. Source: Lopez et al. 2018, https://doi.org/10.1038/s41592-018-0229-2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from course_lib.arguments import choice, fraction, unique_names, whole_number, widths
from course_lib.data.cells import Cells, CellTable, log_total
from course_lib.data.columns import ONLY_BATCH
from course_lib.networks import GaussianEncoder, hidden_layers
from course_lib.probability.bounds import ELBO
from course_lib.probability.counts import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from course_lib.probability.gaussian import standard_normal

GeneLikelihood = Literal["zinb", "nb", "poisson"]
Dispersion = Literal["gene", "gene-batch"]
Side = Literal["none", "encoder", "decoder", "both"]


@dataclass(frozen=True)
class LibraryPrior:
    """p(log ℓ∣s) = N(mean_s, sd_s²): what is known of a cell's library size before its counts are seen."""

    mean: Tensor  # (B,) of log ℓ
    sd: Tensor  # (B,) standard deviation, > 0

    def __post_init__(self) -> None:
        if not all(isinstance(part, Tensor) for part in (self.mean, self.sd)):
            raise TypeError(f"LibraryPrior: expected two tensors (B,), found {self.mean!r:.60} and {self.sd!r:.60}.")
        if not (torch.isfinite(self.mean).all() and torch.isfinite(self.sd).all() and (self.sd > 0).all()):
            raise ValueError(
                f"LibraryPrior: expected finite means and finite sds > 0, found mean {self.mean.tolist()} and sd "
                f"{self.sd.tolist()}; log_library_moments(cells) gives both."
            )


def log_library_moments(cells: CellTable) -> LibraryPrior:
    """Mean and standard deviation of the log total counts, over the cells of each batch.

    Raises
    ------
    ValueError : a batch with fewer than two cells, or whose cells all have the same total: it has no spread.
    """
    log_totals = torch.empty(len(cells), dtype=torch.float64, device=cells.device)  # (N,), made at once: kept between
    # parts, small results would pin the memory that large parts leave behind
    for whole, part in zip(log_totals.split(1_000), cells.parts(1_000), strict=True):
        whole.copy_(part.x.sum(-1, dtype=torch.float64).log())
    groups = [log_totals[cells.batch == s] for s in range(len(cells.batches))]
    for name, group in zip(cells.batches, groups, strict=True):
        if len(group.unique()) < 2:  # not std > 0: rounding gives equal totals a spread of 1e-7
            raise ValueError(
                f"cells: batch {name!r} has {len(group)} cells with {len(group.unique())} different totals, and the "
                "prior of ℓ needs a spread; leave the batch out, or use an observed library (library_prior=None)."
            )
    mean, sd = torch.stack([g.mean() for g in groups]), torch.stack([g.std() for g in groups])
    return LibraryPrior(mean.float(), sd.float())


class Decoder(nn.Module):
    """p(x∣z, ℓ, s): a latent state, a library size and a batch give one distribution per gene."""

    def __init__(
        self,
        n_latent: int,
        n_batches: int,
        hidden: Sequence[int],
        n_genes: int,
        gene_likelihood: GeneLikelihood,
        dispersion: Dispersion,
        dropout: float,
        batch_norm: bool,
    ):
        super().__init__()
        self.gene_likelihood, self.dispersion = gene_likelihood, dispersion
        self.trunk = hidden_layers([n_latent, *hidden], dropout, batch_norm, n_batches)
        self.to_rho = nn.Linear(hidden[-1], n_genes)  # NN5
        if gene_likelihood == "zinb":
            self.to_zi_logits = nn.Linear(hidden[-1], n_genes)  # NN6
        if gene_likelihood != "poisson":
            shape = (n_genes,) if dispersion == "gene" else (n_batches, n_genes)
            self.log_theta = nn.Parameter(torch.zeros(shape))  # (G,) or (B, G)

    def forward(self, z: Tensor, log_library: Tensor, batch: Tensor) -> Independent:
        """(..., N, L), (..., N, 1) and (N,) to one distribution over cells: event shape (G,)."""
        h = self.trunk(z, batch)  # (..., N, H): each layer sees s, one-hot
        rho = self.to_rho(h).softmax(-1)  # (..., N, G), each row sums to one
        mu = log_library.exp() * rho  # (..., N, G)
        return Independent(self.counts(mu, h, batch), 1, validate_args=False)

    def counts(self, mu: Tensor, h: Tensor, batch: Tensor) -> Distribution:
        """The distribution of each count, chosen by ``gene_likelihood``. What went in was checked at the gate."""
        if self.gene_likelihood == "poisson":
            return Poisson(mu, validate_args=False)
        theta = self.log_theta.exp()  # (G,)
        if self.dispersion == "gene-batch":
            theta = theta[batch]  # (N, G)
        if self.gene_likelihood == "nb":
            return NegativeBinomial(mu, theta, validate_args=False)
        return ZeroInflatedNegativeBinomial(mu, theta, self.to_zi_logits(h), validate_args=False)

    def extra_repr(self) -> str:
        return f"gene_likelihood={self.gene_likelihood!r}, dispersion={self.dispersion!r}"


class SCVI(nn.Module):
    """z ~ N(0, I), log ℓ ~ N(mean_s, sd_s²), x∣z, ℓ, s ~ ZINB(ℓρ(z, s), θ, π(z, s)).

    Parameters
    ----------
    genes : G names, in the order of x's columns.   batches : B names. The model keeps both, and analysis refuses
        cells measured on other genes or from a batch that is not among them.
    library_prior : from ``log_library_moments(cells)``; None takes ℓ_n = Σ_g x_ng, observed.
    n_latent : L.   hidden : widths of the encoder of z; the decoder takes them in reverse, the encoder of ℓ the first.
    dropout, decoder_dropout : of the hidden units of the encoders, and of the decoder.
    batch_norm : where hidden units are standardised: "none", "encoder", "decoder" or "both".
    encode_batch : the encoders see the batch beside the counts, q(z∣x, s), as in the paper.
    gene_likelihood : "zinb", "nb" or "poisson".
    dispersion : "gene", one θ for each gene, or "gene-batch", one for each gene in each batch; Poisson has none.

    Raises
    ------
    TypeError, ValueError : an argument of another kind, or outside of its range; named before anything is built.
    """

    needs_counts = True  # expression is refused
    library_mean: Tensor
    library_sd: Tensor

    def __init__(
        self,
        genes: Sequence[str],
        batches: Sequence[str] = (ONLY_BATCH,),
        *,
        library_prior: LibraryPrior | None,
        n_latent: int = 10,
        hidden: Sequence[int] = (128,),
        dropout: float = 0.1,
        decoder_dropout: float = 0.0,
        batch_norm: Side = "encoder",
        encode_batch: bool = False,
        gene_likelihood: GeneLikelihood = "zinb",
        dispersion: Dispersion = "gene",
    ):
        super().__init__()
        self.genes, self.batches = unique_names("genes", genes), unique_names("batches", batches)
        self.n_latent, hidden = whole_number("n_latent", n_latent), widths("hidden", hidden)
        dropout = fraction("dropout", dropout, zero_too=True)
        decoder_dropout = fraction("decoder_dropout", decoder_dropout, zero_too=True)
        choice("batch_norm", batch_norm, get_args(Side))
        choice("gene_likelihood", gene_likelihood, get_args(GeneLikelihood))
        choice("dispersion", dispersion, get_args(Dispersion))
        self.encodes_batch = choice("encode_batch", encode_batch, (False, True))
        self.learns_library = library_prior is not None
        n_genes, n_batches = len(self.genes), len(self.batches)
        if library_prior is not None:
            check_shapes(library_prior, n_batches)

        encoder = (dropout, batch_norm in ("encoder", "both"), n_batches if encode_batch else 0)
        self.z_encoder = GaussianEncoder(n_genes, hidden, self.n_latent, *encoder)  # NN3, NN4
        self.decoder = Decoder(
            self.n_latent, n_batches, hidden[::-1], n_genes, gene_likelihood, dispersion,
            decoder_dropout, batch_norm in ("decoder", "both"),
        )  # fmt: skip
        if library_prior is not None:
            self.register_buffer("library_mean", library_prior.mean.clone())  # ours: loading a state writes into it
            self.register_buffer("library_sd", library_prior.sd.clone())
            self.library_encoder = GaussianEncoder(n_genes, hidden[:1], 1, *encoder)  # NN1, NN2
            start_at_prior(self.library_encoder, library_prior)

    @property
    def prior(self) -> Normal:
        """p(z) = N(0, I), batch shape (L,)."""
        return standard_normal(self.n_latent, like=next(self.parameters()))

    def prior_library(self, batch: Tensor) -> Normal:
        """p(log ℓ∣s): (N,) to batch shape (N, 1)."""
        return Normal(self.library_mean[batch].unsqueeze(-1), self.library_sd[batch].unsqueeze(-1))

    def encode(self, x: Tensor, batch: Tensor | None = None) -> Normal:
        """q(z∣x), or with ``encode_batch`` q(z∣x, s): counts (N, G), codes (N,) to batch shape (N, L)."""
        return self.z_encoder(torch.log1p(x), batch)

    def encode_library(self, x: Tensor, batch: Tensor | None = None) -> Normal:
        """q(log ℓ∣x), or q(log ℓ∣x, s): counts (N, G), codes (N,) to batch shape (N, 1)."""
        return self.library_encoder(torch.log1p(x), batch)

    def decode(self, z: Tensor, log_library: Tensor, batch: Tensor) -> Independent:
        """p(x∣z, ℓ, s): (..., N, L), (..., N, 1), (N,) to a distribution over whole cells: ``log_prob`` is (..., N)."""
        return self.decoder(z, log_library, batch)

    def elbo(self, cells: Cells) -> ELBO:
        """E_q[log p(x∣z, ℓ, s)] − KL(q(z∣x) ‖ p(z)) − KL(q(ℓ∣x) ‖ p(ℓ∣s)); the expectation from one draw."""
        q = self.encode(cells.x, cells.batch)  # q(z∣x), (N, L)
        kl_z = kl_divergence(q, self.prior).sum(-1)  # (N,)
        if not self.learns_library:
            p = self.decode(q.rsample(), log_total(cells.x), cells.batch)
            return ELBO(p.log_prob(cells.x), kl_z)
        q_library = self.encode_library(cells.x, cells.batch)  # q(log ℓ∣x), (N, 1)
        p = self.decode(q.rsample(), q_library.rsample(), cells.batch)  # p(x∣z, ℓ, s)
        kl_library = kl_divergence(q_library, self.prior_library(cells.batch)).sum(-1)  # (N,)
        return ELBO(p.log_prob(cells.x), kl_z, kl_library)

    def loss(self, cells: Cells, kl_weight: float = 1.0) -> dict[str, Tensor]:
        """−ELBO per cell, the KL of z weighted by ``kl_weight``."""
        return self.elbo(cells).loss(kl_weight)

    def log_weights(self, cells: Cells, n_samples: int) -> Tensor:
        """log p(x, z_k, ℓ_k∣s) − log q(z_k, ℓ_k∣x) for K draws from q: (K, N), the same draws in every density.

        The density of ℓ is taken in log ℓ on both sides: the Jacobians cancel.
        """
        q = self.encode(cells.x, cells.batch)
        z = q.rsample((n_samples,))  # (K, N, L)
        log_ratio = self.prior.log_prob(z).sum(-1) - q.log_prob(z).sum(-1)  # (K, N)
        log_library = log_total(cells.x)  # (N, 1)
        if self.learns_library:
            q_library = self.encode_library(cells.x, cells.batch)
            log_library = q_library.rsample((n_samples,))  # (K, N, 1)
            p_library = self.prior_library(cells.batch)
            log_ratio = log_ratio + (p_library.log_prob(log_library) - q_library.log_prob(log_library)).squeeze(-1)
        return self.decode(z, log_library, cells.batch).log_prob(cells.x) + log_ratio

    def extra_repr(self) -> str:
        return f"genes={len(self.genes)}, batches={self.batches}, learns_library={self.learns_library}"


def check_shapes(prior: LibraryPrior, n_batches: int) -> None:
    """TypeError unless it is a prior, ValueError unless it has one mean and one sd for each batch."""
    if not isinstance(prior, LibraryPrior):
        raise TypeError(
            f"library_prior: expected a LibraryPrior or None, found {type(prior).__name__}; "
            "take log_library_moments(cells)."
        )
    if prior.mean.shape != (n_batches,) or prior.sd.shape != (n_batches,):
        raise ValueError(
            f"library_prior: expected one mean and one sd for each of the {n_batches} batches, found shapes "
            f"{tuple(prior.mean.shape)} and {tuple(prior.sd.shape)}; take log_library_moments(cells) of these batches."
        )


@torch.no_grad()
def start_at_profile(decoder: Decoder, cells: Cells) -> None:
    """Set the bias of ρ so that it begins at the share of each gene in all counts, and not at 1/G for every gene.

    The shares of common and rare genes differ a thousandfold: that much the first epochs need not find by gradients.
    """
    counts = torch.zeros(cells.n_genes, dtype=torch.float64, device=cells.device)  # (G,)
    for part in cells.parts(1_000):
        counts += part.x.sum(0, dtype=torch.float64)
    log_counts = (counts + 1).log()  # no log of zero
    decoder.to_rho.bias.copy_(log_counts - log_counts.mean())  # a softmax does not notice the mean


def start_at_prior(encoder: GaussianEncoder, prior: LibraryPrior) -> None:
    """Set the heads' biases so that q(log ℓ∣x) begins near the prior, averaged over batches, and not near N(0, 1).

    At e⁰ = 1 molecule a cell the reconstruction is hopeless, and the first epochs go into raising one number.
    """
    with torch.no_grad():
        encoder.to_mu.bias.fill_(prior.mean.mean())
        encoder.to_log_variance.bias.fill_(2 * prior.sd.mean().log())

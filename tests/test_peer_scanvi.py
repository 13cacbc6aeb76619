"""The course's scANVI beside scvi-tools' SCANVI: equal weights, equal draws, each part of the bound.

Known and stated differences: scvi-tools adds 1e-8 inside the logarithms of its likelihood, has no floor under the
variance of p(z∣u, c) (the course's is 1e-4, given to it here), takes every cell of its minibatch as without label, and
adds the cross-entropy of a second minibatch, of labelled cells, at the mean of z, as a mean over that minibatch.
"""

import importlib.util

import pytest
import torch
from test_peer import N_CELLS, N_GENES, N_HIDDEN, N_LATENT, counts
from torch import nn

from course_lib.data.cells import Cells, cells_from_counts
from course_lib.models.scanvi import SCANVI
from course_lib.models.scvi import LibraryPrior
from course_lib.peers.scvi_tools import decoder_state, encoder_state, theta_state, trunk_state, under

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
    ),
    # What scvi-tools, Lightning and their dependencies warn about is not the course's to mend.
    pytest.mark.filterwarnings("ignore"),
]

LABELS, PRIOR = ("a", "b", "c"), torch.tensor([0.25, 0.25, 0.5])
EXACT = {"rtol": 1e-7, "atol": 1e-5}  # nats; the likelihood, with 1e-8 beside μ and θ of each gene, apart


class Floored(nn.Module):
    """Their p(z∣u, c), with our floor under its variance."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, u, label):
        mean, variance = self.network(u, label)
        return mean, variance + 1e-4


def a_pair(scvi, learned: bool):
    """Their module at random weights, ours with a copy of them, and the same cells for both. Double precision."""
    data = counts(2)
    cells = cells_from_counts(data, batch_key="batch")
    torch.manual_seed(1)
    prior = LibraryPrior(torch.tensor([5.4, 6.1]), torch.tensor([0.3, 0.5])) if learned else None
    library = {} if prior is None else {
        "library_log_means": prior.mean.numpy()[None], "library_log_vars": prior.sd.numpy()[None] ** 2
    }  # fmt: skip
    theirs = scvi.module.SCANVAE(
        N_GENES, n_batch=2, n_labels=3, n_hidden=N_HIDDEN, n_latent=N_LATENT, use_observed_lib_size=not learned,
        linear_classifier=True, use_batch_norm="none", y_prior=PRIOR[None].double(), **library,
    ).double().eval()  # fmt: skip
    if learned:  # their one-hot batches are single, whatever the weights
        theirs.library_log_means, theirs.library_log_vars = (
            theirs.library_log_means.float(), theirs.library_log_vars.float()
        )  # fmt: skip
    ours = SCANVI(
        cells.genes, cells.batches, LABELS, library_prior=prior, n_latent=N_LATENT, hidden=(N_HIDDEN,),
        batch_norm="none", label_prior=PRIOR,
    ).double().eval()  # fmt: skip
    state = encoder_state("z_encoder", theirs.z_encoder, ours.z_encoder.trunk)
    state |= decoder_state(theirs, ours) | theta_state(theirs)
    state |= encoder_state("u_encoder", theirs.encoder_z2_z1, ours.u_encoder.trunk)
    state |= trunk_state("u_decoder.trunk", theirs.decoder_z1_z2.decoder, ours.u_decoder.trunk)
    state |= under("u_decoder.to_mu", theirs.decoder_z1_z2.mean_decoder)
    state |= under("u_decoder.to_log_variance", theirs.decoder_z1_z2.var_decoder)
    state |= under("classifier", theirs.classifier.classifier[-1])
    state["label_prior"] = PRIOR
    if learned:
        state |= {"library_mean": prior.mean, "library_sd": prior.sd}
        state |= encoder_state("library_encoder", theirs.l_encoder, ours.library_encoder.trunk)
    ours.load_state_dict(state)
    theirs.decoder_z1_z2 = Floored(theirs.decoder_z1_z2)
    label = torch.arange(N_CELLS) % 3
    tensors = {"X": cells.x.double(), "batch": cells.batch[:, None], "labels": label[:, None]}
    return theirs, ours, tensors, Cells(cells.x.double(), cells.batch, cells.genes, cells.batches, None, LABELS), label


@pytest.mark.parametrize("learned", [False, True])
@torch.no_grad()
def test_the_bound_of_cells_without_label_is_scvi_tools_own_part_by_part(scvi, learned):
    theirs, ours, tensors, cells, _ = a_pair(scvi, learned)
    torch.manual_seed(0)
    inferred, generated, other = theirs(tensors, loss_kwargs={"kl_weight": 1.0})
    torch.manual_seed(0)  # both draw z, then ℓ, then u for every label
    bound = ours.elbo(cells)
    # their "reconstruction" holds log q(z∣x) − Σ q(c∣z) log p(z∣u, c) too, their "kl_local" the KLs of u, c and ℓ
    log_p_x = generated["px"].log_prob(cells.x).sum(-1)
    torch.testing.assert_close(bound.reconstruction, log_p_x, rtol=1e-6, atol=1e-5)
    kl_z = other.reconstruction_loss["reconstruction_loss"] + log_p_x
    torch.testing.assert_close(bound.kl_z, kl_z, **EXACT)
    kl_local = bound.further["kl_u"] + bound.further["kl_label"] + (bound.kl_library if learned else 0)
    torch.testing.assert_close(kl_local, other.kl_local["kl_local"], **EXACT)
    torch.testing.assert_close(-bound.value.mean(), other.loss, rtol=1e-6, atol=1e-4)
    logits = theirs.classifier(inferred["z"])
    torch.testing.assert_close(ours.classifier(inferred["z"]), logits, **EXACT)
    assert bound.further["kl_label"].mean() > 0.01  # parts that could hide nothing
    assert bound.further["kl_u"].mean() > 0.01


@torch.no_grad()
def test_the_cross_entropy_is_scvi_tools_own_at_the_same_z_up_to_the_number_it_is_divided_by(scvi):
    theirs, ours, tensors, cells, label = a_pair(scvi, learned=False)
    other, _, logits = theirs.classification_loss(tensors)
    z = ours.encode(cells.x).mean  # theirs is asked at the mean of z, ours at the draw that the bound takes
    torch.testing.assert_close(ours.classify(z).logits, logits.log_softmax(-1), **EXACT)
    known = torch.where(torch.arange(N_CELLS) < 20, label, -1)
    few = Cells(cells.x, cells.batch, cells.genes, cells.batches, known, LABELS)
    first = {name: tensor[:20] for name, tensor in tensors.items()}
    mean_of_twenty = theirs.classification_loss(first)[0]
    torch.testing.assert_close(ours.classification(z, few).sum() / 20, mean_of_twenty, **EXACT)
    torch.testing.assert_close(ours.classification(z, few).mean(), mean_of_twenty * 20 / N_CELLS, **EXACT)
    assert other > 0.1

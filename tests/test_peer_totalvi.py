"""Our totalVI beside scvi-tools': the mixture, and the whole decoder with the same weights.

Theirs differs in four places, each met here: the heads see z and s beside the hidden units; α is 1 + relu, ours
1 + softplus; each of its decoders has a trunk of its own, where two of ours share one; and it draws β inside. A trunk
of ours holds theirs side by side, with units that hand z and s on: relu(z), relu(−z), relu(s).
"""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_lib.models import totalvi
from course_lib.models.totalvi import TOTALVI, BackgroundPrior
from course_lib.probability.mixture import NegativeBinomialMixture

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("scvi") is None, reason="scvi-tools is not installed: pip install -e '.[test,peer]'"
    ),
    pytest.mark.filterwarnings("ignore"),
]
N, G, T, L, H, B = 40, 12, 7, 3, 6, 2
WIDTH = 2 * H + 2 * L + B  # of our trunks: two of theirs, z twice, s


def test_the_mixture_is_scvi_tools_own(scvi):
    axes = ([0, 1, 5, 40, 700], [0.5, 8.0, 90.0], [1.0, 4.0, 20.0], [0.3, 2.0, 12.0], [-8.0, 0.0, 3.0])
    y, beta, alpha, phi, logits = (
        torch.tensor(values.ravel(), dtype=torch.float64) for values in np.meshgrid(*axes, indexing="ij")
    )
    ours = NegativeBinomialMixture(beta, alpha * beta, phi, logits)
    theirs = scvi.distributions.NegativeBinomialMixture(beta, alpha * beta, phi, mixture_logits=logits)
    torch.testing.assert_close(ours.log_prob(y), theirs.log_prob(y)[0], rtol=1e-6, atol=1e-5)  # its 1e-8 in logarithms
    torch.testing.assert_close(ours.mean, theirs.mean)


def linear(layers):
    """The first linear layer of their FCLayers, its BatchNorm in evaluation mode folded in: (out, in), (out,)."""
    block = layers.fc_layers[0]
    weight, bias = block[0].weight.detach(), block[0].bias.detach()
    if isinstance(block[1], torch.nn.BatchNorm1d):
        norm = block[1]
        gain = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
        weight, bias = gain[:, None] * weight, gain * (bias - norm.running_mean) + norm.bias.detach()
    return weight, bias


def set_trunk(trunk, *theirs):
    """Up to two of their trunks of H units, then relu(z), relu(−z) and s."""
    layer = trunk[0]  # (WIDTH, L + B)
    layer.weight.zero_()
    layer.bias.zero_()
    for place, layers in enumerate(theirs):
        weight, bias = linear(layers)
        layer.weight[place * H : (place + 1) * H], layer.bias[place * H : (place + 1) * H] = weight, bias
    eye = torch.eye(L + B, dtype=layer.weight.dtype)
    layer.weight[2 * H : 2 * H + L], layer.weight[2 * H + L : 2 * H + 2 * L] = eye[:L], -eye[:L]
    layer.weight[2 * H + 2 * L :] = eye[L:]


def set_head(head, layers, place):
    """Their head on (h, z, s), as ours on the units of the trunk."""
    weight, bias = linear(layers)  # (out, H + L + B)
    h, z, s = weight.split([H, L, B], 1)
    head.weight.zero_()
    head.weight[:, place * H : (place + 1) * H] = h
    head.weight[:, 2 * H : 2 * H + L], head.weight[:, 2 * H + L : 2 * H + 2 * L] = z, -z
    head.weight[:, 2 * H + 2 * L :] = s
    head.bias.copy_(bias)


@pytest.fixture
def pair(scvi, monkeypatch):
    """Their module with random weights, ours with a copy, and cells. In double precision."""
    torch.manual_seed(0)
    theirs = scvi.module.TOTALVAE(G, T, n_batch=B, n_panel=B, n_hidden=H, n_latent=L).double().eval()
    for name in ("log_per_batch_efficiency", "background_pro_alpha", "background_pro_log_beta"):
        setattr(theirs, name, torch.nn.Parameter(getattr(theirs, name).float()))  # met by a one-hot batch in single
    for parameter in theirs.parameters():
        parameter.data.copy_(0.4 * torch.randn_like(parameter))
    for norm in (module for module in theirs.modules() if isinstance(module, torch.nn.BatchNorm1d)):
        norm.running_mean.copy_(0.3 * torch.randn_like(norm.running_mean))
        norm.running_var.copy_(1 + torch.rand_like(norm.running_var))
    prior = BackgroundPrior(torch.zeros(B, T), torch.ones(B, T), torch.ones(B, dtype=torch.bool))
    names = [tuple(f"{kind}{i}" for i in range(n)) for kind, n in (("g", G), ("s", B), ("p", T))]
    ours = TOTALVI(*names, background=prior, n_latent=L, hidden=(WIDTH,), batch_norm="none").double().eval()
    monkeypatch.setattr(totalvi, "softplus", lambda value: torch.relu(value) + 1e-8)  # as theirs
    decoder = theirs.decoder
    with torch.no_grad():
        set_trunk(ours.decoder.trunk, decoder.px_decoder)
        set_head(ours.decoder.to_rho, decoder.px_scale_decoder, 0)
        set_trunk(ours.protein_decoder.trunk, decoder.py_fore_decoder, decoder.sigmoid_decoder)
        set_head(ours.protein_decoder.to_alpha, decoder.py_fore_scale_decoder, 0)
        set_head(ours.protein_decoder.to_mixture_logits, decoder.py_background_decoder, 1)
        set_trunk(ours.background_encoder.trunk, decoder.py_back_decoder)
        set_head(ours.background_encoder.to_mu, decoder.py_back_mean_log_alpha, 0)
        ours.decoder.log_theta.copy_(theirs.px_r)
        # the efficiency that 1.4 multiplies onto both means is a shift of log β, ours by none
        theirs.log_per_batch_efficiency.zero_()
        ours.protein_decoder.log_phi.copy_(theirs.py_r)
        ours.background_mean.copy_(theirs.background_pro_alpha.T)
        ours.background_log_sd.copy_(theirs.background_pro_log_beta.T)
    rng = np.random.default_rng(0)
    cells = SimpleNamespace(
        x=torch.from_numpy(rng.poisson(20.0, (N, G)) + 1.0), y=torch.from_numpy(rng.poisson(9.0, (N, T)) * 1.0),
        batch=torch.arange(N) % B, z=torch.randn(N, L, dtype=torch.float64),
    )  # fmt: skip
    return theirs, ours, cells


def test_decoder_and_likelihood_are_scvi_tools_own_on_equal_weights(pair):
    theirs, ours, cells = pair
    library, batch = cells.x.sum(-1, keepdim=True), cells.batch[:, None]
    with torch.no_grad():
        given = theirs.generative(cells.z, library, batch, label=torch.zeros(N, 1))
        x, y = given["px_"], given["py_"]
        gene, protein = theirs.get_reconstruction_loss(cells.x, cells.y, x, y, None, given["per_batch_efficiency"])
        log_beta = given["log_pro_back_mean"]  # the draw that they made inside
        p_x = ours.decode(cells.z, library.log(), cells.batch)
        p_y = ours.decode_protein(cells.z, log_beta, cells.batch)
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(p_x.base_dist.mu, x["rate"], **close)
    torch.testing.assert_close(p_y.base_dist.mu_background, y["rate_back"], **close)
    torch.testing.assert_close(p_y.base_dist.mu_foreground, y["rate_fore"], **close)
    torch.testing.assert_close(p_y.base_dist.mixture_logits, y["mixing"], **close)
    torch.testing.assert_close(p_x.log_prob(cells.x), -gene, **close)
    torch.testing.assert_close(p_y.log_prob(cells.y), -protein, **close)
    assert (y["rate_fore"] > 1.05 * y["rate_back"]).any()
    assert y["mixing"].std() > 0.1


def test_mean_of_the_background_and_its_prior_are_scvi_tools_own_on_equal_weights(pair):
    theirs, ours, cells = pair
    library, batch = cells.x.sum(-1, keepdim=True), cells.batch[:, None]
    with torch.no_grad():
        theirs_q = theirs.generative(cells.z, library, batch, label=torch.zeros(N, 1))["py_"]
        prior = theirs.inference(cells.x, cells.y, batch, panel_index=batch)["back_mean_prior"]
        q = ours.encode_background(cells.z, cells.batch)
        p = ours.prior_background(cells.batch)
    torch.testing.assert_close(q.mean, theirs_q["back_alpha"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(p.mean, prior.mean.double(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(p.stddev, prior.stddev.double(), rtol=1e-5, atol=1e-5)

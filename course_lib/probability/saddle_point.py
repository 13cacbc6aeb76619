r"""Log-probabilities of counts and their slopes in single precision, without loss: the saddle-point form.

The textbook's log NB is a small difference of giants: at x = 100,000 its terms are near a million, their sum is −7, and
single precision keeps seven digits. Loader's form has no giants. With the shrunken residual D = θ(x−μ)/(θ+μ) and
n = x+θ, for x ≥ 1,

.. math::

    \log \text{NB}(x) = θ\,b(\tfrac{D}{θ}) + x\,b(\tfrac{-D}{x}) + \tfrac12\log\tfrac{θ}{2πxn} + δ(n) - δ(x) - δ(θ),

where b(t) = log(1+t) − t is how far a logarithm bends away from its tangent, and δ(y) is what Stirling's formula misses
of log y!, a number below 0.09 for y ≥ 1. As θ → ∞ the Poisson is left: x b((μ−x)/x) − ½ log 2πx − δ(x). The slopes are
as short, and need no digamma function:

.. math::

    \frac{∂}{∂\log μ} = D, \qquad \frac{∂}{∂θ} = b(\tfrac{D}{θ}) + \tfrac{x}{2θn} + δ'(n) - δ'(θ).

Axes: K samples, N cells, G genes. The three formulas at the end are written for one block of (K, N, G); ``evaluate``
cuts the tensors into blocks and chooses between two routes.

Source: Loader 2000 (https://www.r-project.org/doc/reports/CLoader-dbinom-2002.pdf); R's ``dnbinom`` uses it too.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Parts = list[Tensor]  # log p, and if they were asked for its slopes, one for each parameter

# ------------------------------------------------------------------------------------------- two functions of numbers
# In place where it can be: on a CPU the time goes into memory, not into arithmetic.


def bend(t: Tensor, one_plus_t: Tensor) -> Tensor:
    """b(t) = log(1+t) − t ≤ 0. Near t = 0 the digits are in ``t``, and near t = −1 in ``one_plus_t``.

    Away from zero as it stands: what rounding did to 1+t it does to both terms alike. Near zero, where the terms are
    alike too, by the series 2 artanh(s) − t = s (2s²/3 + 2s⁴/5 + … − t) in s = t/(2+t).
    """
    far = torch.log(one_plus_t).sub_(one_plus_t - 1)
    s = t / (t + 2)
    s2 = s * s
    near = (s2 * (2 / 7)).add_(2 / 5).mul_(s2).add_(2 / 3).mul_(s2).sub_(t).mul_(s)
    is_near = torch.lt(s2, 0.01, out=s2)  # 1 or 0: Boolean masks are slow on a CPU
    return far.lerp_(near, is_near)


# δ(y) = 1/12y − 1/360y³ + 1/1260y⁵ − … diverges. This polynomial in w = 1/y, without w², is fitted to all y ≥ 1.
STIRLING = {1: 1 / 12, 3: -2.77634057e-3, 4: -3.52662611e-5, 5: 1.01388521e-3, 6: -6.02078358e-4, 7: 1.27929648e-4}


def stirling(w: Tensor) -> Tensor:
    """δ(y) = log Γ(y+1) − (y+½) log y + y − ½ log 2π at y = 1/w ≥ 1, to 1e-8."""
    return _polynomial(STIRLING, w).mul_(w)


def stirling_slope(w: Tensor) -> Tensor:
    """δ'(y) = ψ(y) − log y + 1/2y at y = 1/w ≥ 1, to 6e-7 relative: −w² dδ/dw."""
    return _polynomial({power: -power * c for power, c in STIRLING.items()}, w).mul_(w).mul_(w)


def _polynomial(c: dict[int, float], w: Tensor) -> Tensor:
    """Σ c_i wⁱ⁻¹, by Horner's rule."""
    total = w * c[7]
    for power in (6, 5, 4, 3):
        total.add_(c[power]).mul_(w)
    return total.mul_(w).add_(c[1])


def of_count(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """1 above zero and 0 at zero; x, with 1 for zero; and log x! − (x log x − x) = δ(x) + ½ log 2πx of that."""
    positive = x.clamp(min=1)
    return x.clamp(max=1), positive, stirling(1 / positive).add_(torch.log(2 * math.pi * positive), alpha=0.5)


def of_theta(theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """1/2θ, δ(θ) − ½ log θ and δ'(θ). Below θ = 1 by one step of log Γ(θ+1) = log Γ(θ+2) − log(θ+1)."""
    low = torch.lt(theta, 1, out=torch.empty_like(theta))  # 1 below, 0 above
    w = 1 / (theta + low)
    step = torch.log1p(1 / theta)  # log(θ+1) − log θ
    delta = stirling(w) + low * ((theta + 0.5) * step - 1)
    slope = stirling_slope(w) + low * (step - (theta + 0.5) / (theta * (theta + 1)))
    return 0.5 / theta, delta - 0.5 * torch.log(theta), slope


# ---------------------------------------------------------------------------------------------------- three formulas


@dataclass(frozen=True)
class Formula:
    """One likelihood: what can be computed of its parameters before they are repeated, and two ways to score counts.

    ``at_zero(*parameters, slopes)`` takes every count for zero. ``score(x, *of_count(x), *parameters, slopes)`` takes
    any. Both return log p and, if ``slopes``, its derivative by each parameter.
    """

    prepare: Callable[..., Sequence[Tensor]]
    at_zero: Callable[..., Parts]
    score: Callable[..., Parts]


TINY = 1e-30  # stands for a μ that a softmax rounded to zero


def poisson_prepare(mu: Tensor) -> Sequence[Tensor]:
    return (mu,)


def poisson_at_zero(mu: Tensor, *, slopes: bool) -> Parts:
    return [-mu, torch.full_like(mu, -1)] if slopes else [-mu]


def poisson(x: Tensor, above: Tensor, positive: Tensor, of_x: Tensor, mu: Tensor, *, slopes: bool) -> Parts:
    mu = mu.clamp(min=TINY)
    residual = x - mu
    rest = bend(-residual / positive, mu / positive).mul_(positive).sub_(of_x)
    value = torch.lerp(-mu, rest, above)
    return [value, residual.div_(mu)] if slopes else [value]


def nb_prepare(mu: Tensor, theta: Tensor) -> Sequence[Tensor]:
    return (mu, theta, *of_theta(theta))


def nb_at_zero(mu: Tensor, theta: Tensor, *_of_theta: Tensor, slopes: bool) -> Parts:
    """θ log θ/(θ+μ), which is also θ b(−μ/(θ+μ)) − θμ/(θ+μ)."""
    if not slopes:
        return [torch.log1p(mu / theta).mul_(-theta)]
    m = theta + mu
    left = theta / m
    t = torch.div(mu, m, out=m).neg_()
    bent = bend(t, left)
    return [(bent + t).mul_(theta), left.neg_(), bent]


def nb(
    x: Tensor, above: Tensor, positive: Tensor, of_x: Tensor,
    mu: Tensor, theta: Tensor, half: Tensor, of_t: Tensor, of_t_slope: Tensor, *, slopes: bool,
) -> Parts:  # fmt: skip
    mu = mu.clamp(min=TINY)
    m, n, residual = theta + mu, theta + x, x - mu
    ratio, u = n / m, residual.div_(m)
    d = theta * u  # D
    bent = bend(u, ratio)
    ratio.mul_(mu / positive)
    rest = bend(torch.div(d, positive, out=u).neg_(), ratio).mul_(positive)  # x b(−D/x)
    w = n.clamp_(min=1).reciprocal_()  # at zero anything finite will do: D takes the place of ``rest``
    rest.add_(stirling(w)).add_(torch.log(w), alpha=0.5).sub_(of_t).sub_(of_x)
    value = torch.lerp(d, rest, above).addcmul_(theta, bent)
    if not slopes:
        return [value]
    of_gammas = (w * positive).mul_(half).add_(stirling_slope(w)).sub_(of_t_slope).mul_(above)
    return [value, d.div_(mu), bent.add_(of_gammas)]


def zinb_prepare(mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Sequence[Tensor]:
    return (zi_logits, *nb_prepare(mu, theta))


def zinb_at_zero(zi_logits: Tensor, *nb_parameters: Tensor, slopes: bool) -> Parts:
    """log(π + (1−π) NB(0))."""
    log_nb, *nb_slopes = nb_at_zero(*nb_parameters, slopes=slopes)
    logit, log_zero, shift = zi_logits, log_nb, None
    if logit.min() < -40:  # π ≈ e^logit and NB(0) may be no numbers of single precision; both times e^−shift are
        shift = torch.maximum(logit, log_nb).add_(40).clamp_(max=0)
        logit, log_zero = logit - shift, log_nb - shift
    pi, zero = torch.sigmoid(logit), log_zero.clamp(min=-87).exp_()  # below, PyTorch's exp is slow
    value = torch.lerp(zero, zero.new_ones(()), pi).log_()
    if shift is not None:
        value.add_(shift)
    if not slopes:
        return [value]
    # P(dropped∣0) − π: two numbers that may agree in all digits; it is P(dropped∣0) (1−π) (1−NB(0)).
    odds = logit - log_zero  # of dropped against kept, given the zero, in logs
    of_logits = torch.sigmoid(odds).mul_(torch.neg(zi_logits).sigmoid_()).mul_(torch.expm1(log_nb)).neg_()
    kept = odds.neg_().sigmoid_()
    return [value, *(slope.mul_(kept) for slope in nb_slopes), of_logits]


def zinb(
    x: Tensor, above: Tensor, positive: Tensor, of_x: Tensor, zi_logits: Tensor, *nb_parameters: Tensor, slopes: bool
) -> Parts:
    """log(e^l + NB(0)) − softplus(l) at zero, log NB(x) − softplus(l) above, where the first l is taken for −∞."""
    log_nb, *nb_slopes = nb(x, above, positive, of_x, *nb_parameters, slopes=slopes)
    cause = torch.add(zi_logits, above, alpha=-1e30)
    odds = cause - log_nb  # of dropped against kept, given the count, in logs
    # log(1 + e^−|a|) = −log σ(|a|). PyTorch's own softplus and logaddexp are five times slower on a CPU.
    value = zi_logits.abs().sigmoid_().div_(odds.abs().sigmoid_()).log_()
    value.add_(torch.maximum(cause, log_nb)).sub_(zi_logits.clamp(min=0))
    if not slopes:
        return [value]
    # At zero P(dropped∣0) − π, as in ``zinb_at_zero``; above −π.
    half = (log_nb * -0.5).tanh_()  # 1 − NB(0) = 2 tanh / (1 + tanh)
    of_logits = torch.sigmoid(odds).mul_(torch.neg(zi_logits).sigmoid_()).mul_(half).div_(half.add_(1).mul_(0.5))
    of_logits.sub_(torch.sigmoid(zi_logits).mul_(above))
    kept = odds.neg_().sigmoid_()
    return [value, *(slope.mul_(kept) for slope in nb_slopes), of_logits]


POISSON = Formula(poisson_prepare, poisson_at_zero, poisson)
NB = Formula(nb_prepare, nb_at_zero, nb)
ZINB = Formula(zinb_prepare, zinb_at_zero, zinb)

# ------------------------------------------------------------------------------------------------------ for a tensor

# Measured on a CPU: with more than this share of counts above zero it is faster to score all entries alike. With less,
# take all for zeros, by the short formula, and score again those that are not.
DENSE = 0.4
BLOCK = 2**16  # numbers in a block: large enough that PyTorch's calls are cheap, small enough for a core's cache


def evaluate(formula: Formula, x: Tensor, parameters: Sequence[Tensor], *, slopes: bool) -> Parts:
    """log p of every entry and, if ``slopes``, its slopes; x and the parameters broadcast against each other."""
    shape = torch.broadcast_shapes(x.shape, *(p.shape for p in parameters))
    cells, genes = (1, 1, *shape)[-2:]
    if math.prod(x.shape[:-2]) > 1:  # each sample has counts of its own, and is as good as more cells
        x, cells = x.expand(shape), math.prod(shape[:-1])
    else:
        x = x.reshape(x.shape[-2:]).expand(cells, genes)
    x = x.reshape(cells, genes)
    samples = math.prod(shape) // max(1, cells * genes)
    prepared = [p.expand(shape).reshape(samples, cells, genes) for p in formula.prepare(*parameters)]  # mostly views
    out = [x.new_empty(samples, cells, genes) for _ in range(1 + slopes * len(parameters))]

    above_zero = x.bool().cpu().numpy() if x.device.type == "cpu" else None  # NumPy counts and finds them faster
    if above_zero is None or np.count_nonzero(above_zero) > DENSE * above_zero.size:
        of_x = of_count(x)
        for k, n in blocks(x, samples):
            here = [p[k, n] for p in prepared]
            fill(out, (k, n), formula.score(x[n], *(t[n] for t in of_x), *here, slopes=slopes))
        return [whole.view(shape) for whole in out]

    for k, n in blocks(x, samples):
        fill(out, (k, n), formula.at_zero(*(p[k, n] for p in prepared), slopes=slopes))
    where = torch.from_numpy(np.flatnonzero(above_zero))
    x = x.flatten()[where]
    of_x, gene = of_count(x), where % genes
    for k, _ in blocks(x.unsqueeze(0), samples):
        here = [  # what is the same for all cells, as θ is, is a short list to choose from
            p[k, 0].index_select(1, gene) if p.stride(1) == 0 else p[k].flatten(1).index_select(1, where)
            for p in prepared
        ]
        for whole, part in zip(out, formula.score(x, *of_x, *here, slopes=slopes), strict=True):
            whole[k].flatten(1).index_copy_(1, where, part)
    return [whole.view(shape) for whole in out]


def blocks(x: Tensor, samples: int) -> Iterator[tuple[slice, slice]]:
    """Slices of the samples and of the rows of x, (N, G), some ``BLOCK`` numbers together."""
    rows, columns = x.shape
    block = BLOCK if x.device.type == "cpu" else samples * rows * columns
    some_rows = min(rows, block // max(1, columns)) or 1
    some_samples = block // max(1, some_rows * columns) or 1
    for n in range(0, rows, some_rows):
        for k in range(0, samples, some_samples):
            yield slice(k, k + some_samples), slice(n, n + some_rows)


def fill(out: Parts, where: tuple[slice, slice], parts: Parts) -> None:
    """Write the parts of one block into the whole."""
    for whole, part in zip(out, parts, strict=True):
        whole[where] = part


class WithSlopes(torch.autograd.Function):
    """log p, whose slopes are computed with it: going back is one product."""

    @staticmethod
    def forward(ctx: Any, formula: Formula, x: Tensor, *parameters: Tensor) -> Tensor:
        value, *slopes = evaluate(formula, x, parameters, slopes=True)
        ctx.save_for_backward(*slopes)
        ctx.shapes = [p.shape for p in parameters]
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # by create_graph=True; the slopes would pass for constants, without a word
            raise RuntimeError(
                "log p of a count has no second derivative in single precision; "
                "give the parameters in double precision, as by model.double(), or leave out create_graph=True."
            )
        needed = zip(ctx.needs_input_grad[2:], ctx.saved_tensors, ctx.shapes, strict=True)
        return None, None, *((upstream * slope).sum_to_size(shape) if need else None for need, slope, shape in needed)


def log_prob(formula: Formula, x: Tensor, *parameters: Tensor) -> Tensor:
    """log p of every entry, in single precision. Differentiable once by the parameters, not by x.

    Raises
    ------
    RuntimeError : second derivatives are asked for; the textbook, in double precision, has them.
    """
    x, parameters = x.detach().float(), tuple(p.float() for p in parameters)
    if torch.is_grad_enabled() and any(p.requires_grad for p in parameters):
        return WithSlopes.apply(formula, x, *parameters)
    return evaluate(formula, x, parameters, slopes=False)[0]

"""Stochastic variational inference in Lightning: a program and its guide, and Pyro's ELBO for a loss.

Sources: Hoffman et al. 2013, https://doi.org/10.48550/arXiv.1206.7051; Ranganath et al. 2014,
https://doi.org/10.48550/arXiv.1401.0118.
"""

from typing import Any

from pyro.infer import ELBO, Trace_ELBO
from torch import Tensor

from course_lib.data.cells import Cells
from course_lib.programs.pyro_scvi import SCVIGuide, SCVIModel
from course_lib.programs.recipe import Recipe


class LightningSVI(Recipe):
    """``model`` and ``guide`` by the recipe of ``fit``; the networks that they share with an ``SCVI`` learn.

    Parameters
    ----------
    elbo : how the bound is estimated. ``Trace_ELBO()``, Pyro's usual: log p − log q at one draw.
        ``TraceMeanField_ELBO()``: the KL terms in closed form where Pyro knows them, as in the course's model.
    """

    def __init__(self, model: SCVIModel, guide: SCVIGuide, elbo: ELBO | None = None, **recipe: Any):
        super().__init__(**recipe)
        self.n_cells = model.n_cells
        self.negative_elbo = (elbo or Trace_ELBO())(model, guide)  # a module: the parameters of both programs are its

    def training_step(self, cells: Cells, step: int) -> Tensor:
        """−ELBO of the whole table, estimated from a minibatch, in nats per cell: Adam's ``eps`` keeps its meaning."""
        return self.negative_elbo(cells.x, cells.batch) / self.n_cells

"""The picture in the README: blood cells in the latent space of a VAE that was never told what they are.

python -m course_lib.experiments.cover        # half a minute; writes .github/course.png
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from course_lib.analysis.latent import get_latent_representation
from course_lib.experiments.data_sets import expression_and_types, pbmc3k, with_log
from course_lib.figures.cell_types import scatter_kinds
from course_lib.figures.style import BLACK, DPI, GREY
from course_lib.models.vae import VAE
from course_lib.training.fit import fit

PICTURE = Path(__file__).resolve().parents[2] / ".github" / "course.png"


def latent_space(epochs: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) posterior means of PBMC3k's named cells, and their names, which the model has not seen."""
    cells, labels = expression_and_types(with_log(pbmc3k()))
    torch.manual_seed(seed)
    model = VAE(cells.n_genes, n_latent=2, learn_sigma=True)
    fit(model, cells, epochs=epochs, kl_warmup=epochs // 3, seed=seed, progress=False)
    return get_latent_representation(model, cells), labels


def draw(z: np.ndarray, labels: np.ndarray) -> Figure:
    """The cells, coloured and named by kind; the rings are one, two and three standard deviations of the prior."""
    fig, ax = plt.subplots(figsize=(9, 6))
    angle = np.linspace(0, 2 * np.pi, 400)
    for radius in (1, 2, 3):
        ax.plot(radius * np.cos(angle), radius * np.sin(angle), color=GREY, lw=0.8, ls=":", zorder=0)
    scatter_kinds(ax, z, labels, size=9, alpha=0.8)
    for name in np.unique(labels):  # beside its cells, away from the centre
        x, y = np.median(z[labels == name], axis=0)
        outward = 1 + 0.75 / np.hypot(x, y)
        side = "left" if x > 0 else "right"
        ax.text(x * outward, y * outward, name, color=BLACK, weight="bold", ha=side, va="center")
    ax.set_xlim(-4.6, 4.6)
    ax.set_ylim(-3.2, 3.2)
    ax.set_aspect("equal")
    ax.set_xlabel("$z_1$")
    ax.set_ylabel("$z_2$")
    ax.set_title("A VAE that was never told their kind lays blood cells out by kind")
    return fig


def main() -> None:
    fig = draw(*latent_space())
    fig.savefig(PICTURE, dpi=DPI, bbox_inches="tight", metadata={"Software": None})
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()

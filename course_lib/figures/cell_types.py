"""One colour for each kind of cell, the same in every figure of the course; and how such cells are drawn.

Eight kinds are as many as colours alone can carry. Theirs have the hues of Okabe and Ito
(https://jfly.uni-koeln.de/color/), but their lightness is moved apart: the two most alike are 27 CIELAB units from each
other also through the eyes of the colour-blind (dichromats of all three kinds, as simulated by Machado et al. 2009,
https://doi.org/10.1109/TVCG.2009.113), where the originals come within 16. Lymphocytes are blue, green and ochre,
myeloid cells red, gold and mauve. Brain cells take the same colours in their own order. Beyond eight the promise ends:
name the kinds that Kang and the mosaic add beside their cells too.
"""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from course_lib.figures.style import BLACK, BLUE, VERMILLION

UNKNOWN = "#D0D0D0"  # what has no name, or none that stands here

NAVY, CYAN, SAGE, OCHRE = "#00407F", "#10C9FF", "#699D64", "#D17D04"
BRICK, GOLD, MAUVE = "#A22F00", "#FFC800", "#937291"

BLOOD = {  # PBMC3k's names
    "CD4 T cells": NAVY,
    "CD8 T cells": CYAN,
    "NK cells": SAGE,
    "B cells": OCHRE,
    "CD14+ Monocytes": BRICK,
    "FCGR3A+ Monocytes": GOLD,
    "Dendritic cells": MAUVE,
    "Megakaryocytes": BLACK,
}
MORE_BLOOD = {  # rarer kinds that only Kang or the mosaic name
    "Plasmacytoid dendritic cells": "#FF68D6",
    "Erythroid cells": "#FF214C",
    "other T cells": "#7FD6C2",
}
CORTEX = {
    "pyramidal CA1": NAVY,
    "pyramidal SS": CYAN,
    "interneurons": BRICK,
    "oligodendrocytes": GOLD,
    "astrocytes_ependymal": SAGE,
    "endothelial-mural": MAUVE,
    "microglia": BLACK,
}
CONDITION = {"CTRL": BLUE, "STIM": VERMILLION}  # Kang: at rest, under interferon-β

ALSO_CALLED = {  # the mosaic's names; its "Mono" are mostly of the commoner kind
    "CD4 T": "CD4 T cells",
    "CD8 T": "CD8 T cells",
    "other T": "other T cells",
    "NK": "NK cells",
    "B": "B cells",
    "Mono": "CD14+ Monocytes",
    "DC": "Dendritic cells",
}
_COLOUR = BLOOD | MORE_BLOOD | CORTEX | CONDITION
_PLACE = {name: place for place, name in enumerate(_COLOUR)}


def colour_of(name: str) -> str:
    """The colour of a kind of cell, or of one of Kang's conditions; grey for a name that the course does not know."""
    return _COLOUR.get(ALSO_CALLED.get(str(name), str(name)), UNKNOWN)


def colours_of(names: Iterable[str]) -> list[str]:
    """The colour of each cell, from the name of its kind: N names to N colours."""
    return [colour_of(name) for name in names]


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once, kin beside kin as above; names without a colour come last, sorted."""
    return sorted({str(name) for name in names}, key=lambda name: (_place(name), name))


def scatter_kinds(ax: Axes, points: ArrayLike, kinds: ArrayLike, size: float = 5, alpha: float = 1.0) -> None:
    """A dot for each cell in the colour of its kind; cells without one lie below the others.

    Parameters
    ----------
    points : (N, 2).   kinds : (N,) names.   size : of a dot, in points².
    """
    names = np.asarray(kinds).astype(str)
    order = np.argsort([colour_of(name) != UNKNOWN for name in names], kind="stable")
    colours = [colour_of(name) for name in names[order]]
    x, y = np.asarray(points)[order].T
    ax.scatter(x, y, s=size, c=colours, alpha=alpha, rasterized=True)


def key_of_kinds(ax: Axes, kinds: ArrayLike) -> None:
    """Which colour is which kind, to the right of the panel. Kinds that are grey have no entry."""
    named = [name for name in in_order(np.asarray(kinds).astype(str)) if colour_of(name) != UNKNOWN]
    for name in named:
        ax.scatter([], [], s=45, color=colour_of(name), label=name)
    if named:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2)


def _place(name: str) -> int:
    return _PLACE.get(ALSO_CALLED.get(name, name), len(_PLACE))

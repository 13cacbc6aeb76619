"""A kind of cell has one colour in the whole course, and eight of them are told apart by everybody."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import legend, points
from matplotlib.colors import same_color, to_hex, to_rgb

from course_lib.data.committed import load_cortex, load_kang, load_mosaic, load_pbmc3k
from course_lib.experiments import cover
from course_lib.experiments.data_sets import cell_types
from course_lib.figures import cell_types as kinds
from course_lib.figures import clustering, counts, geneex, scvi_simplified

NAMES = np.array(["B cells", "CD4 T cells", "CD14+ Monocytes", "B cells"])
XY = np.arange(8.0).reshape(4, 2)

# Machado, Oliveira & Fernandes 2009, table of severity 1.0, on linear RGB: https://doi.org/10.1109/TVCG.2009.113
EYES = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
OKABE_ITO = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def seen(colour: str, eyes: str) -> np.ndarray:
    """CIELAB coordinates (white D65) of a colour as these eyes see it."""
    srgb = np.array(to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    x, y, z = np.asarray(TO_XYZ) @ np.clip(EYES[eyes] @ linear, 0, 1) / (0.95047, 1, 1.08883)
    f = [np.cbrt(t) if t > (6 / 29) ** 3 else t * (29 / 6) ** 2 / 3 + 4 / 29 for t in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def nearest_pair(colours) -> float:
    pairs = itertools.combinations(colours, 2)
    return min(np.linalg.norm(seen(a, eyes) - seen(b, eyes)) for a, b in pairs for eyes in EYES)


def by_crowd(ax) -> dict:
    """Kind → colour in a panel whose cells lie in one scatter, found by where they stand."""
    crowd = ax.collections[0]
    at = {tuple(xy): colour for xy, colour in zip(np.asarray(crowd.get_offsets()), crowd.get_facecolors(), strict=True)}
    return {str(name): to_hex(at[tuple(xy)]) for name, xy in zip(NAMES, XY, strict=True)}


def by_label(ax) -> dict:
    handles, names = ax.get_legend_handles_labels()
    return {name: to_hex(h.get_facecolors()[0]) for h, name in zip(handles, names, strict=True)}


def test_figures_of_different_notebooks_give_a_kind_the_same_colour():
    others = np.array(["B cells", "NK cells", "CD4 T cells", "CD14+ Monocytes"])  # other companions, another order
    shown = [
        by_crowd(counts.with_and_without_labels(XY, NAMES, ("a", "b")).axes[1]),
        by_label(geneex.named_codes([(XY, "a", ("x", "y"))], NAMES).axes[0]),
        by_label(geneex.named_codes([(XY, "a", ("x", "y"))], others).axes[0]),
        by_crowd(scvi_simplified.latent_space({"PCA": XY, "z": XY}, NAMES, {"PCA": 0.9, "z": 1.0})[0].axes[0]),
        by_crowd(clustering.maps({"one": XY}, NAMES, "told")[0].axes[0]),
        by_crowd(cover.draw(XY, NAMES).axes[0]),
    ]
    for name in set(NAMES):
        assert {figure[name].upper() for figure in shown} == {kinds.colour_of(name)}, name


@pytest.mark.parametrize(
    "theirs, ours", [("CD4 T", "CD4 T cells"), ("CD8 T", "CD8 T cells"), ("NK", "NK cells"), ("B", "B cells"),
                     ("Mono", "CD14+ Monocytes"), ("DC", "Dendritic cells")]
)  # fmt: skip
def test_the_mosaics_names_have_the_colours_of_pbmc3ks(theirs, ours):
    assert kinds.colour_of(theirs) == kinds.colour_of(ours) == kinds.BLOOD[ours]


@pytest.mark.parametrize("load", [load_pbmc3k, load_cortex, load_kang, load_mosaic])
def test_every_kind_of_every_data_set_has_a_colour_of_its_own(load):
    names = set(cell_types(load())) - {"unassigned", "other"}
    colours = [kinds.colour_of(name) for name in names]
    assert len(set(colours)) == len(names) >= 7
    assert kinds.UNKNOWN not in colours


def test_what_the_course_does_not_know_is_grey():
    assert kinds.colours_of(["unassigned", "other", "neutrophils"]) == [kinds.UNKNOWN] * 3


@pytest.mark.parametrize("palette", [kinds.BLOOD, kinds.CORTEX, kinds.CONDITION])
def test_nobody_confuses_two_kinds(palette):
    colours = [*palette.values(), kinds.UNKNOWN]
    assert nearest_pair(colours) > 27


def test_the_hues_they_come_from_lie_closer():
    assert nearest_pair(OKABE_ITO) == pytest.approx(16, abs=0.5)


def test_kin_stand_together_and_strangers_last():
    assert kinds.in_order(["zebra", "Mono", "B", "unassigned", "CD4 T", "B"]) == [
        "CD4 T", "B", "Mono", "unassigned", "zebra"
    ]  # fmt: skip


def test_cells_without_a_name_lie_below_and_have_no_key():
    _, ax = plt.subplots()
    kinds.scatter_kinds(ax, XY, ["B cells", "unassigned", "NK cells", "unassigned"])
    kinds.key_of_kinds(ax, ["B cells", "unassigned", "NK cells", "unassigned"])
    np.testing.assert_array_equal(points(ax)[0], XY[[1, 3, 0, 2]])
    assert same_color(ax.collections[0].get_facecolors()[2], kinds.colour_of("B cells"))
    assert legend(ax) == ["NK cells", "B cells"]
    plt.close("all")


def test_a_panel_of_strangers_has_no_key():
    _, ax = plt.subplots()
    kinds.key_of_kinds(ax, ["a", "b"])
    assert ax.get_legend() is None
    plt.close("all")

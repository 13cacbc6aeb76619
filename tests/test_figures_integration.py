"""The picture of integration draws every seed where it belongs, and its words carry the medians."""

import pandas as pd
import pytest
from drawn import title, words

from course_lib.figures.integration import integration

METHODS = {"pca": "PCA", "harmony": "Harmony", "scvi_batch": "scVI with s"}
GENES = {"over_runs": "over both", "within_runs": "within"}
ROWS = {"Do runs mix?": {"entropy": "entropy, nats", "ilisi": "iLISI"}, "Are types kept?": {"ari": "ARI"}}


@pytest.fixture
def table():
    """value = 0.1 · method + 0.01 · genes + 0.001 · seed, the ceiling 0.5 more; ARI has none."""
    rows = [
        (seed, choice, method, measure, 0.1 * m + 0.01 * g + 0.001 * seed + 0.5 * measure.endswith("_ceiling"))
        for seed in (0, 1, 2)
        for g, choice in enumerate(GENES)
        for m, method in enumerate(METHODS)
        for measure in ("entropy", "entropy_ceiling", "ilisi", "ilisi_ceiling", "ari")
    ]
    return pd.DataFrame(rows, columns=["seed", "genes", "method", "measure", "value"])


def dots(ax, marker):
    return [line for line in ax.get_lines() if line.get_marker() == marker and len(line.get_xdata())]


def test_every_seed_of_every_method_is_drawn_rings_for_the_first_choice_of_genes(table):
    fig, _ = integration(table, ROWS, METHODS, GENES)
    entropy = fig.axes[0]
    drawn = dots(entropy, "o")
    assert [line.get_xdata()[1] for line in drawn] == pytest.approx([0.001, 0.101, 0.201, 0.011, 0.111, 0.211])
    assert [line.get_markerfacecolor() == "none" for line in drawn] == [True] * 3 + [False] * 3
    assert [round(line.get_ydata()[0]) for line in drawn] == [0, 1, 2, 0, 1, 2]
    assert len({line.get_ydata()[0] for line in drawn}) == 6


def test_ceilings_stand_beside_their_dots_and_only_where_measured(table):
    fig, _ = integration(table, ROWS, METHODS, GENES)
    bars, drawn = dots(fig.axes[0], "|"), dots(fig.axes[0], "o")
    assert [list(bar.get_ydata()) for bar in bars] == [list(dot.get_ydata()) for dot in drawn]
    assert bars[0].get_xdata()[0] == pytest.approx(0.5)
    assert not dots(fig.axes[2], "|")
    assert len(fig.legends[0].get_texts()) == 3
    without = table[~table["measure"].str.endswith("_ceiling")]
    assert len(integration(without, ROWS, METHODS, GENES)[0].legends[0].get_texts()) == 2


def test_questions_scores_and_methods_are_written(table):
    fig, alt = integration(table, ROWS, METHODS, GENES)
    assert [title(ax) for ax in fig.axes if title(ax)] == [*ROWS]
    assert [ax.get_xlabel() for ax in fig.axes if ax.axison] == ["entropy, nats", "iLISI", "ARI"]
    assert words(fig.axes[0].get_yticklabels()) == [*METHODS.values()]
    assert fig.axes[0].get_ylim() == (2.5, -0.5)  # the first method on top
    assert [ax.get_xlim()[0] for ax in fig.axes if ax.axison] == [0, 0, 0]
    assert "Do runs mix? entropy, nats, genes over both: PCA 0.00 (ceiling 0.50), Harmony 0.10 (ceiling 0.60)" in alt
    assert "Are types kept? ARI, genes within: PCA 0.01, Harmony 0.11, scVI with s 0.21" in alt
